/*
 * Files: opening, owning, checkpoints, readers beside the writer.
 */
#include "db/db_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>

/* ---- helpers --------------------------------------------------------------------------------- */

static void assert_refused(
    const db_fixture *f, const char *url, db_role role, ku_status status, const char *part)
{
    ku_error error = {.status = KU_OK};
    db *d = NULL;

    assert_int_equal(db_open(url, role, f->catalog, &d, &error), status);
    assert_null(d);
    assert_int_equal(error.status, status);
    if (strstr(error.message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, error.message);
}

static const char *in_folder(const db_fixture *f, const char *name)
{
    static char url[160];

    snprintf(url, sizeof(url), "sqlite:%s/%s", f->folder, name);
    return url;
}

/* ---- cases: what cannot be opened ------------------------------------------------------------ */

static void an_unknown_url_is_refused(void **state)
{
    db_fixture *f = *state;

    assert_refused(f, "mysql:x", DB_WRITER, KU_INVALID, "write sqlite:PATH");
    assert_refused(f, "sqlite:", DB_WRITER, KU_INVALID, "write sqlite:PATH");
    assert_refused(f, "x.db", DB_READER, KU_INVALID, "'x.db' is no database URL");
}

static void places_that_are_no_database_are_named(void **state)
{
    db_fixture *f = *state;
    char path[160];

    snprintf(path, sizeof(path), "%s/notes.txt", f->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fputs("these are notes and no database\n", file);
    fclose(file);
    assert_refused(
        f, in_folder(f, "notes.txt"), DB_WRITER, KU_INVALID, "is not an SQLite database");
    assert_refused(
        f, in_folder(f, "notes.txt"), DB_READER, KU_INVALID, "is not an SQLite database");
    assert_refused(f, in_folder(f, ""), DB_WRITER, KU_INVALID, "is a folder, not a database");
    assert_refused(f, in_folder(f, "a/b.db"), DB_WRITER, KU_NOT_FOUND, "there is no folder");
    assert_refused(f, in_folder(f, "none.db"), DB_READER, KU_NOT_FOUND, "there is no database");
    assert_refused(f, in_folder(f, "notes.txt/x"), DB_WRITER, KU_UNAVAILABLE, "Not a directory");
}

/* Runs as a user who may not do everything; the exit status is the result. */
static int as_nobody(int (*run)(const db_fixture *f), const db_fixture *f)
{
    int result;
    pid_t child = fork();

    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(99);
        _exit(run(f));
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static int open_read_only_file(const db_fixture *f)
{
    ku_error error;
    db *d = NULL;

    if (db_open(in_folder(f, "fixed.db"), DB_WRITER, f->catalog, &d, &error) != KU_UNAVAILABLE)
        return 1;
    return strstr(error.message, "fixed.db' cannot be written: Permission denied") != NULL ? 0 : 2;
}

static int open_in_read_only_folder(const db_fixture *f)
{
    ku_error error;
    db *d = NULL;

    if (db_open(in_folder(f, "new.db"), DB_WRITER, f->catalog, &d, &error) != KU_UNAVAILABLE)
        return 1;
    return strstr(error.message, "cannot be written: Permission denied") != NULL ? 0 : 2;
}

static void a_file_that_may_not_be_written_is_refused(void **state)
{
    db_fixture *f = *state;
    char path[160];

    db_close(open_or_fail(in_folder(f, "fixed.db"), DB_WRITER, f->catalog));
    snprintf(path, sizeof(path), "%s/fixed.db", f->folder);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(f->folder, 0555), 0);
    assert_int_equal(as_nobody(open_read_only_file, f), 0);
    assert_int_equal(as_nobody(open_in_read_only_folder, f), 0);
    assert_int_equal(chmod(f->folder, 0755), 0);
}

/* ---- cases: one writer ----------------------------------------------------------------------- */

static void a_second_writer_is_refused_and_told_who_has_the_file(void **state)
{
    db_fixture *f = *state;
    char part[64];

    snprintf(part, sizeof(part), "is in use by process %d:", (int)getpid());
    assert_refused(f, f->url, DB_WRITER, KU_CONFLICT, part);
    db_close(f->writer);
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
}

static void the_lock_goes_with_its_process(void **state)
{
    db_fixture *f = *state;
    int channel[2], killed;
    char ready, part[64];

    db_close(f->writer);
    f->writer = NULL;
    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    if (child == 0) {
        db *d = NULL;
        ku_error error;
        if (db_open(f->url, DB_WRITER, f->catalog, &d, &error) != KU_OK ||
            write(channel[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(channel[0], &ready, 1), 1);
    snprintf(part, sizeof(part), "is in use by process %d:", (int)child);
    assert_refused(f, f->url, DB_WRITER, KU_CONFLICT, part);
    assert_int_equal(count_rows(f->reader), 0); /* reading goes on */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &killed, 0), child);
    close(channel[0]);
    close(channel[1]);
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
}

/* ---- cases: the log -------------------------------------------------------------------------- */

static void write_page_fuls(db_fixture *f, int64_t from, int64_t n)
{
    static char text[3000];

    memset(text, 'x', sizeof(text));
    assert_int_equal(db_begin(f->writer), KU_OK);
    for (int64_t a = from; a < from + n; a++)
        assert_int_equal(
            insert(f->writer, f->insert, a, db_text((ku_str){text, sizeof(text)})), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
}

static void a_clean_close_leaves_one_file(void **state)
{
    db_fixture *f = *state;

    write_page_fuls(f, 1, 100);
    db_close(f->reader);
    f->reader = NULL;
    assert_true(size_of(f, "-wal") > 300000);
    db_close(f->writer);
    f->writer = NULL;
    assert_true(size_of(f, "-wal") <= 0);
    assert_true(size_of(f, "") > 300000);
    f->reader = open_or_fail(f->url, DB_READER, f->catalog);
    assert_int_equal(count_rows(f->reader), 100);
}

static void upkeep_bounds_the_log(void **state)
{
    db_fixture *f = *state;
    int64_t largest = 0;

    for (int64_t i = 0; i < 60; i++) { /* about 250 MB in all */
        write_page_fuls(f, 1 + i * 1000, 1000);
        (void)db_upkeep(f->writer, false);
        largest = size_of(f, "-wal") > largest ? size_of(f, "-wal") : largest;
    }
    assert_true(largest > INT64_C(60) << 20); /* not before it is due */
    assert_true(largest < INT64_C(80) << 20);
    assert_true(size_of(f, "") > INT64_C(150) << 20);
    assert_int_equal(count_rows(f->reader), 60000);
}

static void a_reader_that_lingers_holds_the_checkpoint_up_and_not_the_writer(void **state)
{
    db_fixture *f = *state;

    assert_int_equal(db_begin(f->reader), KU_OK);
    assert_int_equal(count_rows(f->reader), 0);
    for (int64_t i = 0; i < 20; i++) {
        write_page_fuls(f, 1 + i * 1000, 1000);
        (void)db_upkeep(f->writer, false);
    }
    assert_int_equal(count_rows(f->reader), 0); /* its snapshot stands */
    assert_true(size_of(f, "-wal") > INT64_C(70) << 20);
    assert_int_equal(db_commit(f->reader), KU_OK);
    assert_int_equal(count_rows(f->reader), 20000);
    for (int64_t i = 20; i < 40; i++) { /* then it catches up */
        write_page_fuls(f, 1 + i * 1000, 1000);
        (void)db_upkeep(f->writer, false);
    }
    assert_true(size_of(f, "-wal") < INT64_C(120) << 20);
    assert_int_equal(count_rows(f->reader), 40000);
}

static void idle_upkeep_waits_a_moment_and_then_empties_the_log(void **state)
{
    db_fixture *f = *state;
    int64_t before;

    write_page_fuls(f, 1, 10);
    before = size_of(f, "");
    assert_true(db_upkeep(f->writer, true)); /* too soon: another write may come */
    assert_int_equal(size_of(f, ""), before);
    usleep(600000);
    assert_false(db_upkeep(f->writer, true));
    assert_true(size_of(f, "") > before);
    assert_false(db_upkeep(f->writer, true));
    assert_false(db_upkeep(f->writer, false));
    assert_false(db_upkeep(f->reader, true));
}

static void what_a_killed_writer_left_in_the_log_is_put_into_the_file(void **state)
{
    db_fixture *f = *state;
    int killed;

    db_close(f->writer);
    f->writer = NULL;
    pid_t child = fork();
    if (child == 0) {
        f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
        write_page_fuls(f, 1, 100);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &killed, 0), child);
    assert_true(WIFSIGNALED(killed));
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    assert_int_equal(count_rows(f->reader), 100);
    assert_true(size_of(f, "") < 100000); /* starting is quick … */
    assert_false(db_upkeep(f->writer, true));
    assert_true(size_of(f, "") > 300000); /* … and this is done when there is time */
}

/* ---- cases: readers beside the writer -------------------------------------------------------- */

typedef struct reading {
    db *d;
    atomic_bool stopped;
    atomic_long reads;
    int64_t torn; /* the thread's until it is joined */
} reading;

/* Every commit adds ten rows, so a count that is no multiple of ten has seen half of one. */
static void *read_until_stopped(void *context)
{
    reading *r = context;
    bool row;

    while (!atomic_load(&r->stopped)) {
        db_rows rows = {0};
        if (db_query_text(r->d, KU_STR("SELECT count(*) FROM t"), NULL, 0, &rows) != KU_OK ||
            db_next(&rows, &row) != KU_OK)
            break;
        r->torn += db_column_int(&rows, 0) % 10 != 0 ? 1 : 0;
        atomic_fetch_add(&r->reads, 1);
        db_rows_done(&rows);
    }
    return NULL;
}

static void readers_see_whole_commits_and_never_fail(void **state)
{
    db_fixture *f = *state;
    reading readings[3] = {{.d = f->reader}, {.d = open_or_fail(f->url, DB_READER, f->catalog)},
        {.d = open_or_fail(f->url, DB_READER, f->catalog)}};
    pthread_t threads[3];

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_until_stopped, &readings[i]), 0);
    for (int64_t i = 0; i < 200; i++) {
        write_page_fuls(f, 1 + i * 10, 10);
        (void)db_upkeep(f->writer, false);
    }
    for (size_t i = 0; i < 3; i++) /* each has had a chance */
        while (atomic_load(&readings[i].reads) == 0)
            usleep(1000);
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&readings[i].stopped, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].torn, 0);
        assert_string_equal(db_error(readings[i].d), "");
        if (i > 0)
            db_close(readings[i].d);
    }
    assert_int_equal(count_rows(f->reader), 2000);
}

static void a_full_disk_fails_the_commit_and_leaves_nothing(void **state)
{
    db_fixture *f = *state;

    assert_int_equal(db_script(f->writer, KU_STR("PRAGMA max_page_count = 50")), KU_OK);
    assert_int_equal(db_begin(f->writer), KU_OK);
    ku_status status = KU_OK;
    static char text[3000];
    for (int64_t a = 1; a < 100 && status == KU_OK; a++)
        status = insert(f->writer, f->insert, a, db_text((ku_str){text, sizeof(text)}));
    assert_int_equal(status, KU_UNAVAILABLE);
    assert_non_null(strstr(db_error(f->writer), "full"));
    db_rollback(f->writer);
    assert_non_null(strstr(db_error(f->writer), "full")); /* still the reason */
    assert_int_equal(count_rows(f->reader), 0);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
}

/* ---- cases: in memory ------------------------------------------------------------------------ */

static void a_database_in_memory_is_shared_by_its_catalog(void **state)
{
    db_fixture *f = *state;
    db *writer = open_or_fail("sqlite::memory:", DB_WRITER, f->catalog);
    db_catalog *another = db_catalog_new();

    assert_int_equal(db_script(writer, KU_STR("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")), KU_OK);
    assert_int_equal(insert(writer, f->insert, 1, db_int(1)), KU_OK);
    db *reader = open_or_fail("sqlite::memory:", DB_READER, f->catalog);
    assert_int_equal(count_rows(reader), 1);
    assert_int_equal(db_begin(reader), KU_OK);
    assert_int_equal(count_rows(reader), 1);
    assert_int_equal(insert(writer, f->insert, 2, db_int(1)), KU_OK); /* nobody blocks it */
    assert_int_equal(count_rows(reader), 1);
    assert_int_equal(db_commit(reader), KU_OK);
    assert_int_equal(count_rows(reader), 2);
    assert_refused(f, "sqlite::memory:", DB_WRITER, KU_CONFLICT, "is in use by process");

    db *apart = open_or_fail("sqlite::memory:", DB_WRITER, another);
    db_rows rows = {0};
    assert_int_equal(db_query_text(apart, KU_STR("SELECT * FROM t"), NULL, 0, &rows), KU_INTERNAL);
    db_close(apart);
    db_catalog_free(another);
    db_close(reader);
    db_close(writer);
}

/* Counts the folders that are there for databases in memory of a process. */
static int count_folders(pid_t pid)
{
    char prefix[64];
    struct dirent *entry;
    int count = 0;
    DIR *directory = opendir("/dev/shm");

    if (directory == NULL)
        return -1;
    snprintf(prefix, sizeof(prefix), "kumiko-memory-%d-", (int)pid);
    while ((entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 ? 1 : 0;
    closedir(directory);
    return count;
}

static void what_a_killed_process_left_in_memory_is_removed(void **state)
{
    int killed;
    bool shared = count_folders(getpid()) >= 0; /* else it is below a folder for temporary files */
    db_catalog *catalog = db_catalog_new();

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        db *d = NULL;
        ku_error error;
        if (db_open("sqlite::memory:", DB_WRITER, catalog, &d, &error) != KU_OK)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &killed, 0), child);
    assert_true(WIFSIGNALED(killed));
    if (shared)
        assert_int_equal(count_folders(child), 1);
    db_close(open_or_fail("sqlite::memory:", DB_WRITER, catalog));
    if (shared) {
        assert_int_equal(count_folders(child), 0);
        assert_int_equal(count_folders(getpid()), 1);
    }
    db_catalog_free(catalog);
    if (shared)
        assert_int_equal(count_folders(getpid()), 0);
    db_catalog_free(NULL);
    db_close(NULL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_unknown_url_is_refused),
        CASE(places_that_are_no_database_are_named),
        CASE(a_file_that_may_not_be_written_is_refused),
        CASE(a_second_writer_is_refused_and_told_who_has_the_file),
        CASE(the_lock_goes_with_its_process),
        CASE(a_clean_close_leaves_one_file),
        CASE(upkeep_bounds_the_log),
        CASE(a_reader_that_lingers_holds_the_checkpoint_up_and_not_the_writer),
        CASE(idle_upkeep_waits_a_moment_and_then_empties_the_log),
        CASE(what_a_killed_writer_left_in_the_log_is_put_into_the_file),
        CASE(readers_see_whole_commits_and_never_fail),
        CASE(a_full_disk_fails_the_commit_and_leaves_nothing),
        CASE(a_database_in_memory_is_shared_by_its_catalog),
        CASE(what_a_killed_process_left_in_memory_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
