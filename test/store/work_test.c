/*
 * Batches: positions, what a failed transaction leaves, integrity, and kill -9.
 */
#include "store/log_fixture.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- cases: positions ------------------------------------------------------------------------ */

static void positions_are_dense_when_scopes_fail(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    begin_batch(f);
    for (int i = 0; i < 20; i++) {
        ku_scope *scope = begin_scope(f);
        scope->tenant = i % 2 == 0 ? f->tenant : f->other_tenant;
        assert_int_equal(append_name(scope, stream, "a"), KU_OK);
        assert_int_equal(append_name(scope, id_new(f->now), "b"), KU_OK);
        if (i % 3 != 0) /* the others are dropped */
            keep_scope(scope);
    }
    commit_batch(f);
    assert_whole(f, 26);
    write_name(f, stream, "c");
    assert_whole(f, 27);
}

static void positions_follow_the_order_of_the_scopes(void **state)
{
    log_fixture *f = *state;
    const pending_event *first, *last;

    begin_batch(f);
    for (int i = 0; i < 6; i++) {
        ku_scope *scope = begin_scope(f);
        scope->tenant = i % 2 == 0 ? f->other_tenant : f->tenant; /* the greater id first */
        char name[] = {(char)('a' + i), '\0'};
        assert_int_equal(append_name(scope, id_new(f->now), name), KU_OK);
        keep_scope(scope);
    }
    assert_int_equal(work_flush_streams(&f->batch), KU_OK);
    assert_int_equal(work_number(&f->batch), KU_OK);
    first = f->batch.first;
    last = f->batch.last;
    assert_int_equal(f->batch.n_events, 6);
    assert_text(((const thing_named *)first->event.payload)->name, "b");
    assert_text(((const thing_named *)last->event.payload)->name, "e");
    int64_t position = 0;
    for (const pending_event *p = first; p != NULL; p = p->next) {
        assert_int_equal(p->event.position, position % 3 + 1);
        position++;
    }
    assert_int_equal(position, 6);
    assert_int_equal(work_flush_events(&f->batch), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_whole(f, 6);
}

static void an_empty_batch_commits(void **state)
{
    log_fixture *f = *state;

    begin_batch(f);
    keep_scope(begin_scope(f));
    commit_batch(f);
    assert_whole(f, 0);
}

static void many_streams_of_one_batch_are_found_again(void **state)
{
    log_fixture *f = *state;
    enum { STREAMS = 500 };
    static ku_id streams[STREAMS];
    stream_state *found;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = id_new(f->now);
        assert_int_equal(append_name(scope, streams[i], "a"), KU_OK);
    }
    keep_scope(scope);
    scope = begin_scope(f);
    for (int i = 0; i < STREAMS; i++) {
        assert_int_equal(work_stream(scope, streams[i], &found), KU_OK);
        assert_int_equal(found->version, 1);
        assert_int_equal(found->stored_version, 0);
        assert_int_equal(append_name_at(scope, streams[i], "b", 1), KU_OK);
    }
    keep_scope(scope);
    commit_batch(f);
    assert_whole(f, 2 * STREAMS);
}

/* ---- cases: failures ------------------------------------------------------------------------- */

static void a_failed_transaction_leaves_nothing(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    ku_status status = KU_UNAVAILABLE;
    int64_t failures = 0;

    write_name(f, stream, "a");
    for (int64_t call = 1; status != KU_OK; call++) {
        begin_batch(f);
        ku_scope *scope = begin_scope(f);
        assert_int_equal(append_with_key(scope, stream, "b", "key"), KU_OK);
        assert_int_equal(append_name(scope, id_new(f->now), "c"), KU_OK);
        keep_scope(scope);
        db_fail_after(f->writer, call, KU_UNAVAILABLE);
        status = try_commit(f);
        db_fail_after(f->writer, 0, KU_OK);
        if (status != KU_OK) {
            failures++;
            assert_int_equal(status, KU_UNAVAILABLE);
            assert_whole(f, 1);
        }
    }
    assert_in_range(failures, 6, 12); /* the head, streams (2), events, keys, commit */
    assert_whole(f, 3);
}

static void a_stream_that_somebody_else_has_made_is_a_version_conflict(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    stream_state *found;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "a"), KU_OK);
    keep_scope(scope);
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, id_new(f->now), "b"), KU_OK);
    keep_scope(scope);
    /* What a second writer on the same database would have done meanwhile. */
    assert_int_equal(work_flush_streams(&f->batch), KU_OK);
    assert_int_equal(work_number(&f->batch), KU_OK);
    assert_int_equal(work_flush_events(&f->batch), KU_OK);
    work_init(&f->batch, f->writer, NULL, &f->batch_scope.arena);
    scope = begin_scope(f);
    assert_int_equal(work_stream(scope, stream, &found), KU_OK);
    found->version = found->stored_version = 0;
    assert_int_equal(append_name(scope, stream, "x"), KU_OK);
    keep_scope(scope);
    assert_int_equal(try_commit(f), KU_VERSION_CONFLICT);

    write_name(f, stream, "a");
    begin_batch(f);
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "b"), KU_OK);
    keep_scope(scope);
    assert_int_equal(
        db_script(f->writer, KU_STR("UPDATE ku_streams SET version = version + 1")), KU_OK);
    assert_int_equal(try_commit(f), KU_VERSION_CONFLICT);
    assert_whole(f, 1);
}

/* ---- cases: integrity ------------------------------------------------------------------------ */

typedef struct findings {
    char text[2048];
    int count;
} findings;

static void note_finding(void *context, ku_str sentence)
{
    findings *all = context;

    all->count++;
    strncat(all->text, sentence.ptr, sizeof(all->text) - strlen(all->text) - 1);
    strncat(all->text, "\n", sizeof(all->text) - strlen(all->text) - 1);
}

/* Damages the log, checks that it is found, and repairs it. */
static void assert_found(log_fixture *f, const char *damage, const char *part)
{
    check_report report = {0};
    findings all = {.count = 0};

    assert_int_equal(db_begin(f->writer), KU_OK);
    if (db_script(f->writer, ku_str_from(damage)) != KU_OK)
        fail_msg("%s: %s", damage, db_error(f->writer));
    ku_scope *scope = &f->batch_scope;
    scope_reset(scope);
    scope->db = f->writer;
    assert_int_equal(log_check(scope, note_finding, &all, &report), KU_OK);
    db_rollback(f->writer);
    assert_int_equal(report.problems, all.count);
    if (all.count == 0 || strstr(all.text, part) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", damage, part, all.text);
}

static void every_kind_of_damage_is_found(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const pending_snapshot put = {.tenant = f->tenant,
        .stream = stream,
        .entity = ku_str_from(thing.name),
        .version = 3,
        .state_version = 1,
        .state = KU_STR("{}")};

    for (int i = 0; i < 3; i++)
        write_name(f, stream, "a");
    write_name(f, id_new(f->now), "b");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    scope->tenant = f->other_tenant;
    assert_int_equal(append_with_key(scope, stream, "c", "k"), KU_OK);
    work_put_snapshot(scope, &put);
    keep_scope(scope);
    commit_batch(f);
    assert_whole(f, 5);

    assert_found(f, "DELETE FROM ku_events WHERE version = 2",
        "it is at version 3 and has 2 events, version 1 to 3");
    assert_found(f, "DELETE FROM ku_events WHERE version = 2",
        "its head is 4 and it has 3 events, position 1 to 4");
    assert_found(f, "DELETE FROM ku_events WHERE version = 3", "has 2 events, version 1 to 2");
    assert_found(f, "DELETE FROM ku_events WHERE version = 3 OR version = 2",
        "has 1 events, version 1 to 1");
    assert_found(f, "UPDATE ku_events SET version = 9 WHERE version = 3", "version 1 to 9");
    assert_found(f, "UPDATE ku_streams SET version = 4 WHERE version = 3",
        "it is at version 4 and has 3 events");
    assert_found(f, "DELETE FROM ku_events", "has no events");
    assert_found(
        f, "UPDATE ku_lanes SET head = 5 WHERE head = 4", "its head is 5 and it has 4 events");
    assert_found(
        f, "UPDATE ku_lanes SET head = 3 WHERE head = 4", "its head is 3 and it has 4 events");
    assert_found(f,
        test_by_engine("UPDATE ku_events SET id = id + 10 WHERE version = 3",
            "UPDATE ku_events SET position = position + 10 WHERE version = 3"),
        "position 1 to 13");
    assert_found(f, "DELETE FROM ku_streams WHERE version = 3", "its stream is missing");
    assert_found(f, "DELETE FROM ku_lanes WHERE head = 4", "its lane is missing");
    assert_found(f, "UPDATE ku_streams SET lane = 1 WHERE version = 3",
        "it is not in the lane of its stream");
    assert_found(f,
        test_by_engine("UPDATE ku_events SET stream_no = (SELECT max(stream_no) FROM ku_streams), "
                       "version = 2 WHERE version = 3",
            "UPDATE ku_events SET stream_type = 'other' WHERE version = 3"),
        "it is not in the lane of its stream");
    assert_found(f,
        test_by_engine("UPDATE ku_event_keys SET event_id = 1",
            "UPDATE ku_event_keys SET position = position + 1"),
        "idempotency key k of tenant");
    assert_found(f,
        test_by_engine("INSERT INTO ku_cursors "
                       "SELECT tenant_id, 'c', lane, head + 1, 'idle', 0, 0, '', 0 FROM ku_lanes",
            "INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, "
            "retry_at, last_error, updated_at) "
            "SELECT tenant_id, 'c', lane, head + 1, 'idle', 0, now(), '', now() FROM ku_lanes"),
        "beyond the head 4");
    assert_found(
        f, "UPDATE ku_snapshots SET version = 4", "it is of version 4, the stream is at 3");
    assert_whole(f, 5);
}

static void damage_below_the_rows_is_found(void **state)
{
    SKIP_ON_POSTGRES("it writes into the file of the database");
    log_fixture *f = *state;
    check_report report = {0};
    findings all = {.count = 0};
    ku_id stream = id_new(f->now);
    char zeroes[1024] = {0};

    for (int i = 0; i < 300; i++)
        write_name(f, stream, "a name that takes some room on its page of the file");
    close_reader(f);
    db_close(f->writer); /* everything is in the one file now */
    FILE *file = fopen(f->database->path, "r+b");
    assert_non_null(file);
    fseek(file, -3 * 4096 + 512, SEEK_END);
    assert_int_equal(fwrite(zeroes, sizeof(zeroes), 1, file), 1);
    fclose(file);
    open_writer(f);
    open_reader(f);
    (void)log_check(&f->read, note_finding, &all, &report);
    assert_true(all.count > 0);
    assert_non_null(strstr(all.text, "the database is damaged"));
}

static void each_call_of_a_check_may_fail(void **state)
{
    log_fixture *f = *state;
    check_report report = {.problems = -1};
    ku_status status = KU_UNAVAILABLE;
    int64_t call = 0;

    while (status != KU_OK) {
        assert_int_equal(status, KU_UNAVAILABLE);
        db_fail_after(f->reader, ++call, KU_UNAVAILABLE);
        ku_clear_error(&f->read);
        status = log_check(&f->read, print_problem, NULL, &report);
    }
    assert_true(call > 14);
    assert_int_equal(report.problems, 0);
}

/* ---- cases: kill -9 -------------------------------------------------------------------------- */

/* Appends for ever in batches of three scopes; says which ids are acknowledged. */
static void append_until_killed(log_fixture *f, int acknowledge)
{
    for (;;) {
        ku_id ids[3];
        begin_batch(f);
        for (size_t i = 0; i < KU_COUNT(ids); i++) {
            ku_scope *scope = begin_scope(f);
            ids[i] = id_new(clock_now(NULL));
            if (append_name(scope, ids[i], "a") != KU_OK ||
                append_name(scope, ids[i], "b") != KU_OK)
                _exit(2);
            keep_scope(scope);
        }
        if (try_commit(f) != KU_OK)
            _exit(3);
        (void)db_upkeep(f->writer, true);
        if (write(acknowledge, ids, sizeof(ids)) != sizeof(ids))
            _exit(4);
    }
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    log_fixture *f = *state;
    int64_t acknowledged = 0;

    close_reader(f);
    db_close(f->writer);
    f->writer = NULL;
    for (int round = 0; round < 5; round++) {
        int channel[2], killed;
        assert_int_equal(pipe(channel), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(channel[0]);
            open_writer(f);
            append_until_killed(f, channel[1]);
        }
        close(channel[1]);
        static ku_id ids[100000];
        size_t n = 0, wanted = 30 + 47 * (size_t)round;
        ssize_t got;
        while ((got = read(channel[0], &ids[n], sizeof(ku_id))) > 0) {
            assert_int_equal(got, sizeof(ku_id));
            if (++n == wanted)
                kill(child, SIGKILL);
        }
        close(channel[0]);
        assert_int_equal(waitpid(child, &killed, 0), child);
        assert_true(WIFSIGNALED(killed));

        open_writer(f);
        open_reader(f);
        for (size_t i = 0; i < n; i++)
            assert_names(f, &f->read, ids[i], (log_range){0}, "a,b");
        acknowledged += (int64_t)(2 * n);
        check_report report;
        assert_int_equal(log_check(&f->read, print_problem, NULL, &report), KU_OK);
        assert_int_equal(report.problems, 0);
        /* One batch may have been committed and not been acknowledged. */
        assert_in_range(report.events, acknowledged, acknowledged + 6);
        acknowledged = report.events;
        close_reader(f);
        db_close(f->writer);
        f->writer = NULL;
    }
    open_writer(f);
    open_reader(f);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(positions_are_dense_when_scopes_fail),
        CASE(positions_follow_the_order_of_the_scopes),
        CASE(an_empty_batch_commits),
        CASE(many_streams_of_one_batch_are_found_again),
        CASE(a_failed_transaction_leaves_nothing),
        CASE(a_stream_that_somebody_else_has_made_is_a_version_conflict),
        CASE(every_kind_of_damage_is_found),
        CASE(damage_below_the_rows_is_found),
        CASE(each_call_of_a_check_may_fail),
        CASE(what_was_acknowledged_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
