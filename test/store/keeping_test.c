/*
 * What the log keeps beside events: snapshots, stored requests, cursors, its tables.
 */
#include "store/log_fixture.h"

#include "base/limits.h"

/* ---- helpers --------------------------------------------------------------------------------- */

/* A scope that writes at once, as a writer's does outside of a batch. */
static ku_scope *writing(log_fixture *f)
{
    scope_reset(&f->batch_scope);
    f->batch_scope.db = f->writer;
    f->batch_scope.tenant = f->tenant;
    f->batch_scope.user = KU_STR("U1");
    f->batch_scope.now = f->now;
    return &f->batch_scope;
}

/* In a batch that is still open. */
static void leave_snapshot(log_fixture *f, ku_id tenant, const ku_entity *entity, ku_id stream,
    int64_t version, const char *state)
{
    const pending_snapshot put = {.tenant = tenant,
        .stream = stream,
        .entity = ku_str_from(entity->name),
        .version = version,
        .state_version = entity->state_version,
        .state = ku_str_from(state)};
    ku_scope *scope = begin_scope(f);

    work_put_snapshot(scope, &put);
    keep_scope(scope);
}

static void put_snapshot(
    log_fixture *f, const ku_entity *entity, ku_id stream, int64_t version, const char *state)
{
    begin_batch(f);
    leave_snapshot(f, f->tenant, entity, stream, version, state);
    commit_batch(f);
}

static snapshot find_snapshot(
    log_fixture *f, const ku_entity *entity, ku_id stream, int64_t to_version)
{
    snapshot found;

    assert_int_equal(log_snapshot_find(&f->read, entity, stream, to_version, &found), KU_OK);
    return found;
}

/* ---- cases: snapshots ------------------------------------------------------------------------ */

static void the_newest_snapshot_is_kept(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    assert_int_equal(find_snapshot(f, &thing, stream, 0).version, 0);
    put_snapshot(f, &thing, stream, 5, "{\"a\":5}");
    put_snapshot(f, &thing, stream, 3, "{\"a\":3}"); /* late, and older */
    snapshot found = find_snapshot(f, &thing, stream, 0);
    assert_int_equal(found.version, 5);
    assert_int_equal(found.state_version, 1);
    assert_text(found.state, "{\"a\":5}");
    put_snapshot(f, &thing, stream, 7, "{\"a\":7}");
    assert_int_equal(find_snapshot(f, &thing, stream, 0).version, 7);
    assert_int_equal(find_snapshot(f, &thing, stream, 7).version, 7);
    assert_int_equal(find_snapshot(f, &thing, stream, 6).version, 0);
}

static void a_snapshot_counts_for_its_tenant_entity_and_state_version(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    ku_entity changed = thing;

    put_snapshot(f, &thing, stream, 5, "{\"a\":5}");
    assert_int_equal(find_snapshot(f, &other, stream, 0).version, 0);
    changed.state_version = 2;
    assert_int_equal(find_snapshot(f, &changed, stream, 0).version, 0);
    put_snapshot(f, &changed, stream, 4, "{\"b\":4}"); /* of another kind: replaces */
    assert_int_equal(find_snapshot(f, &changed, stream, 0).version, 4);
    assert_int_equal(find_snapshot(f, &thing, stream, 0).version, 0);

    f->read.tenant = f->other_tenant;
    assert_int_equal(find_snapshot(f, &changed, stream, 0).version, 0);
    begin_batch(f);
    leave_snapshot(f, f->other_tenant, &changed, stream, 9, "{\"theirs\":9}");
    commit_batch(f);
    assert_int_equal(find_snapshot(f, &changed, stream, 0).version, 9);
    f->read.tenant = f->tenant;
    assert_int_equal(find_snapshot(f, &changed, stream, 0).version, 4);
}

static void the_newest_snapshot_of_a_batch_is_kept(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now), second = id_new(f->now);

    begin_batch(f);
    leave_snapshot(f, f->tenant, &thing, stream, 5, "{\"a\":5}");
    leave_snapshot(f, f->tenant, &thing, second, 4, "{\"a\":4}");
    leave_snapshot(f, f->tenant, &thing, stream, 7, "{\"a\":7}");
    leave_snapshot(f, f->tenant, &other, stream, 3, "{\"a\":3}");
    leave_snapshot(f, f->tenant, &thing, stream, 6, "{\"a\":6}");
    commit_batch(f);
    assert_text(find_snapshot(f, &thing, stream, 0).state, "{\"a\":7}");
    assert_text(find_snapshot(f, &thing, second, 0).state, "{\"a\":4}");
    assert_text(find_snapshot(f, &other, stream, 0).state, "{\"a\":3}");
}

/* ---- cases: requests ------------------------------------------------------------------------- */

static void leave_request(log_fixture *f, const char *id, const char *reply, int64_t seconds)
{
    const pending_request request = {.tenant = f->tenant,
        .fingerprint = {{1, 2, 3}},
        .user = KU_STR("U1"),
        .request_id = ku_str_from(id),
        .reply = ku_str_from(reply),
        .http_status = 200,
        .now = f->now,
        .expires = {f->now.unix_us + seconds * 1000000}};

    work_put_request(&f->batch, &request);
}

static ku_status put_request(log_fixture *f, const char *id, const char *reply, int64_t seconds)
{
    begin_batch(f);
    leave_request(f, id, reply, seconds);
    return try_commit(f);
}

static stored_request find_request(log_fixture *f, const char *id)
{
    stored_request found;

    f->read.user = KU_STR("U1");
    f->read.now = f->now;
    assert_int_equal(log_request_find(&f->read, ku_str_from(id), &found), KU_OK);
    return found;
}

static void a_stored_reply_is_found_by_its_user_until_it_expires(void **state)
{
    log_fixture *f = *state;

    assert_false(find_request(f, "r").found);
    assert_int_equal(put_request(f, "r", "{\"x\":1}", 10), KU_OK);
    stored_request found = find_request(f, "r");
    assert_true(found.found);
    assert_text(found.reply, "{\"x\":1}");
    assert_int_equal(found.http_status, 200);
    assert_int_equal(found.fingerprint.bytes[2], 3);
    f->read.user = KU_STR("U2");
    assert_int_equal(log_request_find(&f->read, KU_STR("r"), &found), KU_OK);
    assert_false(found.found);
    f->read.tenant = f->other_tenant;
    assert_false(find_request(f, "r").found);
    f->read.tenant = f->tenant;

    assert_int_equal(put_request(f, "r", "{\"x\":2}", 10), KU_VERSION_CONFLICT);
    assert_text(find_request(f, "r").reply, "{\"x\":1}");
    f->now.unix_us += 10 * 1000000;
    assert_false(find_request(f, "r").found);
    assert_int_equal(put_request(f, "r", "{\"x\":3}", 10), KU_OK);
    assert_text(find_request(f, "r").reply, "{\"x\":3}");
}

static void expired_requests_are_purged_a_few_at_a_time(void **state)
{
    log_fixture *f = *state;
    int64_t purged = -1;
    char id[8];

    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        assert_int_equal(put_request(f, id, "{}", i < 3 ? 1 : 100), KU_OK);
    }
    assert_int_equal(log_request_purge(f->writer, f->now, 10, &purged), KU_OK);
    assert_int_equal(purged, 0);
    f->now.unix_us += 2000000;
    assert_int_equal(log_request_purge(f->writer, f->now, 2, &purged), KU_OK);
    assert_int_equal(purged, 2);
    assert_int_equal(log_request_purge(f->writer, f->now, 2, NULL), KU_OK);
    assert_int_equal(log_request_purge(f->writer, f->now, 2, &purged), KU_OK);
    assert_int_equal(purged, 0);
    assert_true(find_request(f, "r4").found);
}

/* ---- cases: cursors -------------------------------------------------------------------------- */

static const ku_str consumer = KU_STR_INIT("test:projection:sums");
static const ku_str sums_json = KU_STR_INIT("[\"test:projection:sums\"]");
static const ku_id nobody;

static cursor only_cursor(log_fixture *f)
{
    cursor *cursors;
    size_t n;

    assert_int_equal(log_cursors(&f->read, consumer, f->tenant, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    return cursors[0];
}

static size_t count_behind(log_fixture *f)
{
    cursor *cursors;
    size_t n;

    assert_int_equal(log_cursors_behind(&f->read, sums_json, nobody, &cursors, &n), KU_OK);
    return n;
}

/* Takes the consumer's lane, as whoever moves its cursor does first; what is said of its epoch. */
static int64_t claim(log_fixture *f)
{
    const ku_id owner = {{7}};
    ku_scope *scope = writing(f);
    cursor *cursors;
    size_t n;

    assert_int_equal(log_cursors_behind(scope, sums_json, owner, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    assert_int_equal(log_cursors_claim(scope, owner, cursors, n), KU_OK);
    assert_int_equal(cursors[0].lease, LEASE_MINE);
    return cursors[0].epoch;
}

static void leave_move(log_fixture *f, int64_t from, int64_t to, int64_t epoch, bool *lost)
{
    const cursor_move move = {.consumer = consumer,
        .tenant = f->tenant,
        .from = from,
        .to = to,
        .epoch = epoch,
        .lost = lost};
    ku_scope *scope = begin_scope(f);

    work_move_cursor(scope, &move);
    keep_scope(scope);
}

static bool move(log_fixture *f, int64_t from, int64_t to, int64_t epoch)
{
    bool lost = false;

    begin_batch(f);
    leave_move(f, from, to, epoch, &lost);
    ku_status status = try_commit(f);
    assert_int_equal(status, lost ? KU_VERSION_CONFLICT : KU_OK);
    return !lost;
}

static void a_cursor_moves_only_from_where_it_is(void **state)
{
    log_fixture *f = *state;

    for (int i = 0; i < 4; i++)
        write_name(f, id_new(f->now), "a");
    assert_int_equal(count_behind(f), 1);
    assert_int_equal(only_cursor(f).position, 0);
    assert_int_equal(only_cursor(f).head, 4);
    assert_text(only_cursor(f).status, "idle");
    int64_t epoch = claim(f);
    assert_false(move(f, 2, 3, epoch)); /* it is at 0 */
    assert_true(move(f, 0, 2, epoch));
    assert_false(move(f, 0, 2, epoch));
    assert_false(move(f, 1, 3, epoch));
    assert_int_equal(only_cursor(f).position, 2);
    assert_int_equal(only_cursor(f).updated_at.unix_us, f->now.unix_us);
    assert_int_equal(count_behind(f), 1);
    assert_true(move(f, 2, 4, epoch));
    assert_int_equal(count_behind(f), 0);
    write_name(f, id_new(f->now), "a");
    assert_int_equal(count_behind(f), 1);
    assert_whole(f, 5);
}

static void moves_of_a_batch_that_follow_each_other_are_one(void **state)
{
    log_fixture *f = *state;
    bool lost[3] = {false, false, false};

    for (int i = 0; i < 6; i++)
        write_name(f, id_new(f->now), "a");
    int64_t epoch = claim(f);
    begin_batch(f);
    leave_move(f, 2, 3, epoch, &lost[1]);
    leave_move(f, 0, 2, epoch, &lost[0]);
    leave_move(f, 3, 5, epoch, &lost[2]);
    commit_batch(f);
    assert_int_equal(only_cursor(f).position, 5);
    assert_false(lost[0] || lost[1] || lost[2]);
}

static void a_move_behind_one_that_is_missing_is_told_apart(void **state)
{
    log_fixture *f = *state;
    bool lost[2] = {false, false};

    for (int i = 0; i < 6; i++)
        write_name(f, id_new(f->now), "a");
    int64_t epoch = claim(f);
    begin_batch(f);
    leave_move(f, 0, 2, epoch, &lost[0]);
    leave_move(f, 4, 6, epoch, &lost[1]);
    assert_int_equal(try_commit(f), KU_VERSION_CONFLICT);
    assert_false(lost[0]);
    assert_true(lost[1]);
    assert_int_equal(only_cursor(f).position, 0);
}

static void a_failure_is_noted_and_a_success_clears_it(void **state)
{
    log_fixture *f = *state;
    int64_t lanes = -1;

    write_name(f, id_new(f->now), "a");
    cursor failed = only_cursor(f);
    failed.epoch = claim(f);
    failed.attempts = 3;
    failed.status = KU_STR("backoff");
    failed.retry_at.unix_us = f->now.unix_us + 5;
    failed.last_error = KU_STR("no such luck");
    assert_int_equal(log_cursor_fail(f->writer, consumer, &failed, f->now, NULL), KU_OK);
    cursor found = only_cursor(f);
    assert_int_equal(found.position, 0);
    assert_int_equal(found.attempts, 3);
    assert_int_equal(found.retry_at.unix_us, f->now.unix_us + 5);
    assert_text(found.status, "backoff");
    assert_text(found.last_error, "no such luck");

    assert_int_equal(log_consumer_rearm(f->writer, consumer, f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 0); /* it is not halted */
    failed.status = KU_STR("halted");
    assert_int_equal(log_cursor_fail(f->writer, consumer, &failed, f->now, NULL), KU_OK);
    assert_int_equal(log_consumer_rearm(f->writer, KU_STR("another"), f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 0);
    assert_int_equal(log_consumer_rearm(f->writer, (ku_str){0}, f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 1);
    assert_text(only_cursor(f).status, "idle");
    assert_int_equal(only_cursor(f).attempts, 0);
    assert_text(only_cursor(f).last_error, "no such luck");

    assert_true(move(f, 0, 1, failed.epoch));
    assert_text(only_cursor(f).last_error, "");
    failed.position = 0; /* a failure from before the move does not stick */
    assert_int_equal(log_cursor_fail(f->writer, consumer, &failed, f->now, NULL), KU_OK);
    assert_text(only_cursor(f).status, "idle");
}

static void a_failure_ahead_of_the_cursor_is_not_noted(void **state)
{
    log_fixture *f = *state;
    bool noted = true;

    write_name(f, id_new(f->now), "a");
    cursor ahead = only_cursor(f); /* there is no row yet: it is at 0 */
    ahead.epoch = claim(f);
    ahead.position = 1;
    ahead.attempts = 1;
    ahead.status = KU_STR("backoff");
    assert_int_equal(log_cursor_fail(f->writer, consumer, &ahead, f->now, &noted), KU_OK);
    assert_false(noted);
    assert_int_equal(only_cursor(f).position, 0);
    ahead.position = 0;
    assert_int_equal(log_cursor_fail(f->writer, consumer, &ahead, f->now, &noted), KU_OK);
    assert_true(noted);
}

static const consumer_start at_the_end = {.position = INT64_MAX}, at_the_beginning = {0};

static int64_t start_of(log_fixture *f, const char *name, consumer_start start)
{
    cursor *cursors;
    size_t n;

    assert_int_equal(
        log_consumer_register(writing(f), ku_str_from(name), &start, f->now, NULL), KU_OK);
    assert_int_equal(log_cursors(&f->read, ku_str_from(name), f->tenant, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    return cursors[0].position;
}

static void a_new_consumer_may_start_behind_a_position_or_a_time(void **state)
{
    log_fixture *f = *state;
    const ku_time first = f->now;

    for (int i = 0; i < 4; i++) { /* at 0, 1, 2, 3 seconds */
        write_name(f, id_new(f->now), "a");
        f->now.unix_us += 1000000;
    }
    assert_int_equal(start_of(f, "p1", (consumer_start){.position = 1}), 1);
    assert_int_equal(start_of(f, "p4", (consumer_start){.position = 4}), 4);
    assert_int_equal(start_of(f, "p5", (consumer_start){.position = 5}), 4);
    const ku_time times[] = {{first.unix_us}, {first.unix_us + 2000000}, {first.unix_us + 2000001},
        {first.unix_us + 9000000}};
    assert_int_equal(start_of(f, "t0",
                         (consumer_start){
                             .time = {true, times[0]}
    }),
        0);
    assert_int_equal(start_of(f, "t2",
                         (consumer_start){
                             .time = {true, times[1]}
    }),
        2);
    assert_int_equal(start_of(f, "t2b",
                         (consumer_start){
                             .time = {true, times[2]}
    }),
        3);
    assert_int_equal(start_of(f, "t9",
                         (consumer_start){
                             .time = {true, times[3]}
    }),
        4);
}

static void a_new_consumer_starts_where_it_is_told_to(void **state)
{
    log_fixture *f = *state;
    cursor *cursors;
    ku_str *names;
    size_t n;
    bool new = false;

    write_name(f, id_new(f->now), "a");
    write_name(f, id_new(f->now), "b");
    assert_int_equal(log_consumer_register(writing(f), consumer, &at_the_end, f->now, &new), KU_OK);
    assert_true(new);
    assert_int_equal(only_cursor(f).position, 2);
    assert_int_equal(count_behind(f), 0);
    write_name(f, id_new(f->now), "c");
    assert_int_equal(log_consumer_register(writing(f), consumer, &at_the_end, f->now, &new), KU_OK);
    assert_false(new);
    assert_int_equal(only_cursor(f).position, 2); /* it is known: nothing is skipped */

    const ku_str beginning = KU_STR("another");
    assert_int_equal(
        log_consumer_register(writing(f), beginning, &at_the_beginning, f->now, NULL), KU_OK);
    assert_int_equal(
        log_cursors_behind(&f->read, KU_STR("[\"another\"]"), nobody, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    assert_int_equal(cursors[0].position, 0);
    assert_int_equal(log_cursors(&f->read, beginning, (ku_id){{0}}, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    assert_true(ku_id_equal(cursors[0].tenant, f->tenant));
    assert_int_equal(log_consumers(&f->read, &names, &n), KU_OK);
    assert_int_equal(n, 2);
    assert_text(names[0], "another");
}

/* ---- cases: tables --------------------------------------------------------------------------- */

static void tables_are_made_once(void **state)
{
    log_fixture *f = *state;
    ku_error error;

    write_name(f, id_new(f->now), "a");
    assert_int_equal(make_tables(f->writer, &error), KU_OK);
    assert_int_equal(log_schema_check(f->reader, &error), KU_OK);
    assert_whole(f, 1);
}

static void a_file_of_a_newer_program_is_refused(void **state)
{
    log_fixture *f = *state;
    ku_error error = {.status = KU_OK};

    const char *sql = test_by_engine("INSERT INTO ku_schema VALUES (99, 0, '9.9.9')",
        "INSERT INTO ku_schema VALUES (99, now(), '9.9.9')");
    assert_int_equal(db_script(f->writer, ku_str_from(sql)), KU_OK);
    assert_int_equal(make_tables(f->writer, &error), KU_CONFLICT);
    assert_non_null(strstr(error.message, "version 99"));
    assert_non_null(strstr(error.message, "9.9.9"));
    error = (ku_error){.status = KU_OK};
    assert_int_equal(log_schema_check(f->reader, &error), KU_CONFLICT);
    assert_non_null(strstr(error.message, "version 99"));
}

static void a_file_without_tables_is_not_a_log(void **state)
{
    log_fixture *f = *state;
    test_database *database = test_database_new();
    db *empty = NULL;
    ku_error error;

    assert_int_equal(db_open(database->url, DB_WRITER, f->statements, &empty, &error), KU_OK);
    assert_int_equal(log_schema_check(empty, &error), KU_NOT_FOUND);
    for (int64_t call = 1; call <= 6; call++) { /* each step of making them */
        db_fail_after(empty, call, KU_UNAVAILABLE);
        if (make_tables(empty, &error) != KU_OK) {
            assert_int_equal(error.status, KU_UNAVAILABLE);
            assert_non_null(strstr(error.message, "told to fail"));
            db_fail_after(empty, 0, KU_OK);
            assert_int_equal(log_schema_check(empty, &error), KU_NOT_FOUND);
        } else {
            assert_true(call > 5);
        }
    }
    db_fail_after(empty, 0, KU_OK);
    assert_int_equal(make_tables(empty, &error), KU_OK);
    assert_int_equal(log_schema_check(empty, &error), KU_OK);
    db_close(empty);
    test_database_free(database);
}

static void people_can_read_ids_and_times(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    char id[37], expected[160];

    write_name(f, stream, "a");
    char *found = test_database_text(f->database,
        test_by_engine("SELECT e.stream_id || ' ' || e.position || ' ' || s.version || ' ' || "
                       "e.created_at || ' ' || s.last_at "
                       "FROM kumiko_events e JOIN kumiko_streams s USING (stream_id)",
            "SELECT concat_ws(' ', e.stream_id, e.position, s.version, "
            "e.created_at AT TIME ZONE 'UTC', s.last_at AT TIME ZONE 'UTC') "
            "FROM ku_events e JOIN ku_streams s USING (tenant_id, stream_id)"));
    const char *time = test_by_engine("2026-11-23T17:30:06.627Z", "2026-11-23 17:30:06.627");
    ku_id_format(stream, id);
    snprintf(expected, sizeof(expected), "%s 1 1 %s %s", id, time, time);
    assert_string_equal(found, expected);
    free(found);
}

/* ---- cases: failing calls -------------------------------------------------------------------- */

static void each_call_may_fail(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    snapshot found;
    stored_request request;
    cursor *cursors;
    ku_str *names;
    size_t n;
    bool done;

    write_name(f, stream, "a");
    for (int64_t call = 1; call <= 2; call++) {
        db_fail_after(f->reader, call, KU_UNAVAILABLE);
        assert_int_equal(log_snapshot_find(&f->read, &thing, stream, 0, &found), KU_UNAVAILABLE);
        db_fail_after(f->reader, call, KU_UNAVAILABLE);
        assert_int_equal(log_request_find(&f->read, KU_STR("r"), &request), KU_UNAVAILABLE);
        db_fail_after(f->reader, call, KU_UNAVAILABLE);
        assert_int_equal(
            log_cursors_behind(&f->read, KU_STR("[\"c\"]"), nobody, &cursors, &n), KU_UNAVAILABLE);
        db_fail_after(f->reader, call, KU_UNAVAILABLE);
        assert_int_equal(log_consumers(&f->read, &names, &n), KU_UNAVAILABLE);
        db_fail_after(f->writer, call, KU_UNAVAILABLE);
        assert_int_equal(log_consumer_register(writing(f), KU_STR("x"), &at_the_end, f->now, &done),
            KU_UNAVAILABLE);
        assert_int_equal(db_script(f->writer, KU_STR("DELETE FROM ku_consumers")), KU_OK);
    }
    for (int64_t call = 1; call <= 3; call++) { /* waiting for nothing, sending, COMMIT */
        begin_batch(f);
        leave_snapshot(f, f->tenant, &thing, stream, 1, "{}");
        db_fail_after(f->writer, call, KU_INTERNAL);
        assert_int_equal(try_commit(f), KU_INTERNAL);
    }
    for (int64_t call = 1; call <= 4; call++) { /* … and waiting again */
        begin_batch(f);
        leave_request(f, "r", "{}", 1);
        db_fail_after(f->writer, call, KU_INTERNAL);
        assert_int_equal(try_commit(f), KU_INTERNAL);
    }
    done = false;
    int64_t epoch = claim(f);
    for (int64_t call = 1; call <= 5; call++) { /* asking, its row, its end, waiting, COMMIT */
        begin_batch(f);
        leave_move(f, 0, 1, epoch, &done);
        db_fail_after(f->writer, call, KU_INTERNAL);
        assert_int_equal(try_commit(f), KU_INTERNAL);
        assert_false(done); /* lost is what somebody else has moved */
    }
    assert_int_equal(find_snapshot(f, &thing, stream, 0).version, 0);
    assert_false(find_request(f, "r").found);
    assert_int_equal(only_cursor(f).position, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_newest_snapshot_is_kept),
        CASE(the_newest_snapshot_of_a_batch_is_kept),
        CASE(a_snapshot_counts_for_its_tenant_entity_and_state_version),
        CASE(a_stored_reply_is_found_by_its_user_until_it_expires),
        CASE(expired_requests_are_purged_a_few_at_a_time),
        CASE(a_cursor_moves_only_from_where_it_is),
        CASE(moves_of_a_batch_that_follow_each_other_are_one),
        CASE(a_move_behind_one_that_is_missing_is_told_apart),
        CASE(a_failure_is_noted_and_a_success_clears_it),
        CASE(a_failure_ahead_of_the_cursor_is_not_noted),
        CASE(a_new_consumer_starts_where_it_is_told_to),
        CASE(a_new_consumer_may_start_behind_a_position_or_a_time),
        CASE(tables_are_made_once),
        CASE(a_file_of_a_newer_program_is_refused),
        CASE(a_file_without_tables_is_not_a_log),
        CASE(people_can_read_ids_and_times),
        CASE(each_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
