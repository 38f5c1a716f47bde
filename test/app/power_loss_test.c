/*
 * Power loss: what was written but not flushed is gone.
 *
 * A VFS between SQLite and the system keeps every write of the database and its log in the memory
 * of the process until SQLite asks for a flush.  Killing the process then loses exactly what a
 * machine without power may lose.  Whatever was acknowledged must be there afterwards.
 *
 * The same disk when it lies about flushing loses acknowledged writes: so the test can fail.
 */
#include "app/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* ---- the disk -------------------------------------------------------------------------------- */

typedef struct unflushed {
    sqlite3_int64 offset;
    int size;
    struct unflushed *next;
    char bytes[];
} unflushed;

/* One file, whoever has it open. */
typedef struct disk_file {
    char path[256];
    unflushed *first, *last;
    sqlite3_int64 size;
} disk_file;

typedef struct open_file {
    sqlite3_file base;
    disk_file *disk;
    sqlite3_file *real; /* behind this struct */
} open_file;

static sqlite3_vfs disk_vfs;
static sqlite3_vfs *real_vfs;
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;
static disk_file disk_files[8]; /* guarded by disk_lock */
static bool disk_lies;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((open_file *)file)->real;
}

static void flush(open_file *f)
{
    while (f->disk->first != NULL) {
        unflushed *u = f->disk->first;
        f->disk->first = u->next;
        assert_int_equal(f->real->pMethods->xWrite(f->real, u->bytes, u->size, u->offset), 0);
        free(u);
    }
    f->disk->last = NULL;
}

static int disk_close(sqlite3_file *file)
{
    pthread_mutex_lock(&disk_lock);
    if (!disk_lies)
        flush((open_file *)file);
    pthread_mutex_unlock(&disk_lock);
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int disk_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    disk_file *disk = ((open_file *)file)->disk;
    unflushed *u = mem_alloc(sizeof(*u) + (size_t)size);

    *u = (unflushed){.offset = offset, .size = size};
    memcpy(u->bytes, bytes, (size_t)size);
    pthread_mutex_lock(&disk_lock);
    if (disk->last != NULL)
        disk->last->next = u;
    else
        disk->first = u;
    disk->last = u;
    if (offset + size > disk->size)
        disk->size = offset + size;
    pthread_mutex_unlock(&disk_lock);
    return SQLITE_OK;
}

static void overlay(const unflushed *u, char *bytes, int size, sqlite3_int64 offset)
{
    sqlite3_int64 begin = u->offset > offset ? u->offset : offset;
    sqlite3_int64 end = u->offset + u->size < offset + size ? u->offset + u->size : offset + size;

    if (begin < end)
        memcpy(bytes + (begin - offset), u->bytes + (begin - u->offset), (size_t)(end - begin));
}

static int disk_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    const disk_file *disk = ((open_file *)file)->disk;

    pthread_mutex_lock(&disk_lock);
    int status = real_of(file)->pMethods->xRead(real_of(file), bytes, size, offset);
    if (status == SQLITE_OK || status == SQLITE_IOERR_SHORT_READ) {
        for (const unflushed *u = disk->first; u != NULL; u = u->next)
            overlay(u, bytes, size, offset);
        status = offset + size > disk->size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
    }
    pthread_mutex_unlock(&disk_lock);
    return status;
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    open_file *f = (open_file *)file;

    pthread_mutex_lock(&disk_lock);
    if (!disk_lies)
        flush(f);
    f->disk->size = size;
    int status = f->real->pMethods->xTruncate(f->real, size);
    pthread_mutex_unlock(&disk_lock);
    return status;
}

static int disk_sync(sqlite3_file *file, int flags)
{
    open_file *f = (open_file *)file;
    int status = SQLITE_OK;

    pthread_mutex_lock(&disk_lock);
    if (!disk_lies) {
        flush(f);
        status = f->real->pMethods->xSync(f->real, flags);
    }
    pthread_mutex_unlock(&disk_lock);
    return status;
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    pthread_mutex_lock(&disk_lock);
    *ret_size = ((open_file *)file)->disk->size;
    pthread_mutex_unlock(&disk_lock);
    return SQLITE_OK;
}

static int disk_lock_file(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}
static int disk_unlock_file(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
static int disk_check_lock(sqlite3_file *file, int *ret_locked)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_locked);
}
static int disk_control(sqlite3_file *file, int what, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), what, argument);
}
static int disk_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}
static int disk_character(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
static int disk_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret_map);
}
static int disk_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}
static void disk_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}
static int disk_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

/* Version 2: no mapping of the file, which would go around what is kept here. */
static const sqlite3_io_methods disk_methods = {
    .iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock_file,
    .xUnlock = disk_unlock_file,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_character,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static disk_file *find_file(const char *path)
{
    for (size_t i = 0; i < KU_COUNT(disk_files); i++) {
        disk_file *disk = &disk_files[i];
        if (strcmp(disk->path, path) == 0)
            return disk;
        if (disk->path[0] == '\0') {
            struct stat info;
            (void)snprintf(disk->path, sizeof(disk->path), "%s", path);
            disk->size = stat(path, &info) == 0 ? info.st_size : 0;
            return disk;
        }
    }
    abort();
}

static int disk_open(
    sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    open_file *f = (open_file *)file;

    (void)vfs;
    if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
        return real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
    f->base.pMethods = NULL;
    f->real = (sqlite3_file *)(void *)(f + 1);
    int status = real_vfs->xOpen(real_vfs, name, f->real, flags, ret_flags);
    if (status != SQLITE_OK)
        return status;
    pthread_mutex_lock(&disk_lock);
    f->disk = find_file(name);
    pthread_mutex_unlock(&disk_lock);
    f->base.pMethods = &disk_methods;
    return SQLITE_OK;
}

static void insert_disk(bool lies)
{
    disk_lies = lies;
    real_vfs = sqlite3_vfs_find(NULL);
    disk_vfs = *real_vfs;
    disk_vfs.zName = "volatile-disk";
    disk_vfs.szOsFile = (int)sizeof(open_file) + real_vfs->szOsFile;
    disk_vfs.xOpen = disk_open;
    assert_int_equal(sqlite3_vfs_register(&disk_vfs, 1), SQLITE_OK);
}

/* ---- the application ------------------------------------------------------------------------- */

typedef struct noted {
    int64_t n;
} noted;
static const ku_field noted_fields[] = {KU_FIELD(noted, n)};
static const ku_event_type noted_event = {.name = "noted", .tag = 1, .payload = KU_SHAPE(noted)};
static const ku_entity book_entity = {
    .name = "book", .events = KU_LIST(ku_event_type, &noted_event)};

static ku_status run_note(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)reply;
    return KU_APPEND(scope, lab_id(5, (uint32_t)((const noted *)input)->n), noted,
        .n = ((const noted *)input)->n);
}

static const ku_handler writes[] = {
    {.name = "note", .input = KU_SHAPE(noted), .access = KU_OPEN_TO_ALL, .run = run_note},
    KU_END,
};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &book_entity),
    .writes = writes,
};

enum { CALLERS = 4, ACKNOWLEDGED = 400 };

typedef struct caller {
    ku_app *app;
    int number, pipe;
} caller;

/* Writes numbers of its own and says each that was acknowledged, until it is killed. */
static void *write_and_say(void *context)
{
    const caller *c = context;

    for (int32_t n = c->number;; n += CALLERS) {
        char payload[40];
        ku_response response;
        (void)snprintf(payload, sizeof(payload), "{\"n\":%d}", n);
        const ku_request request = {.size = sizeof(request),
            .type = KU_STR("lab:write:note"),
            .payload = ku_str_from(payload),
            .user = lab_user_of(1)};
        if (ku_write(c->app, &request, &response) != KU_OK ||
            write(c->pipe, &n, sizeof(n)) != sizeof(n))
            _exit(1);
        ku_response_free(&response);
    }
    return NULL;
}

static void run_until_killed(const char *url, int pipe, bool lies)
{
    ku_app *app;
    ku_error error;
    pthread_t threads[CALLERS];
    caller callers[CALLERS];

    insert_disk(lies);
    if (ku_app_open(
            KU_OPTIONS(ku_app_options, .url = url, .features = KU_LIST(ku_feature, &feature)), &app,
            &error) != KU_OK)
        _exit(2);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){app, i + 1, pipe};
        (void)pthread_create(&threads[i], NULL, write_and_say, &callers[i]);
    }
    (void)pthread_join(threads[0], NULL);
    _exit(3);
}

/* Lets a child write until so many were acknowledged, and cuts its power. */
static size_t write_until_power_fails(
    const lab *l, bool lies, int32_t *acknowledged, size_t acknowledged_max)
{
    int ends[2];
    size_t n = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        run_until_killed(l->url, ends[1], lies);
    }
    (void)close(ends[1]);
    while (n < acknowledged_max / 2 &&
           read(ends[0], &acknowledged[n], sizeof(int32_t)) == sizeof(int32_t))
        n++;
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it had not ended by itself */
    while (
        n < acknowledged_max && read(ends[0], &acknowledged[n], sizeof(int32_t)) == sizeof(int32_t))
        n++; /* said before the cut, read after it */
    (void)close(ends[0]);
    return n;
}

static int64_t count_found(lab *l, const int32_t *acknowledged, size_t n)
{
    int64_t found = 0;

    for (size_t i = 0; i < n; i++) {
        char sql[120];
        (void)snprintf(sql, sizeof(sql),
            "SELECT count(*) FROM ku_events WHERE payload = '{\"n\":%d}'", (int)acknowledged[i]);
        found += lab_sql(l, sql) > 0 ? 1 : 0;
    }
    return found;
}

static ku_status check_body(ku_scope *scope, void *context)
{
    check_report report;

    return log_check(scope, NULL, context, &report) == KU_OK && report.problems == 0 ? KU_OK
                                                                                     : KU_INTERNAL;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void what_was_acknowledged_survives_the_loss_of_power(void **state)
{
    static int32_t acknowledged[ACKNOWLEDGED * 4];
    const ku_user user = lab_user_of(1);
    ku_error error;

    (void)state;
    lab *l = lab_new();
    size_t n = write_until_power_fails(l, false, acknowledged, KU_COUNT(acknowledged));
    assert_true(n >= ACKNOWLEDGED);
    lab_open(l, &feature, false);
    assert_int_equal(app_run_write(l->app, &user, check_body, NULL, &error), KU_OK);
    assert_int_equal(count_found(l, acknowledged, n), n);
    lab_free(l);
}

static void a_disk_that_lies_about_flushing_loses_what_was_acknowledged(void **state)
{
    static int32_t acknowledged[ACKNOWLEDGED * 4];

    (void)state;
    lab *l = lab_new();
    size_t n = write_until_power_fails(l, true, acknowledged, KU_COUNT(acknowledged));
    assert_true(n >= ACKNOWLEDGED);
    lab_open(l, &feature, false);
    assert_true(count_found(l, acknowledged, n) < (int64_t)n);
    lab_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_the_loss_of_power),
        cmocka_unit_test(a_disk_that_lies_about_flushing_loses_what_was_acknowledged),
    };

    return cmocka_run_group_tests_name("power loss", tests, NULL, NULL);
}
