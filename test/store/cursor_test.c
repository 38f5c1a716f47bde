/*
 * Cursors: they move only from where they are; failures are noted and cleared; and where several
 * processes share the database, lanes are leased by one at a time, under an epoch that keeps out
 * whoever had one before.
 */
#include "store/log_fixture.h"

#include <time.h>

static const ku_str sums = KU_STR_INIT("test:projection:sums");
static const ku_str both_json = KU_STR_INIT("[\"test:projection:names\",\"test:projection:sums\"]");
static const ku_str sums_json = KU_STR_INIT("[\"test:projection:sums\"]");

/* ---- claimants ------------------------------------------------------------------------------- */

/* A process that wants lanes: a connection and who it is. */
typedef struct claimant {
    log_fixture *f;
    db *d; /* its own, or the fixture's */
    ku_scope scope;
    ku_id owner;
    cursor *found; /* of the last look */
    size_t n;
} claimant;

static void arrive(log_fixture *f, claimant *c, bool own_connection)
{
    ku_error error = {0};

    *c = (claimant){.f = f, .d = f->writer, .owner = id_new(f->now)};
    if (own_connection && db_open(f->url, DB_WRITER, f->statements, &c->d, &error) != KU_OK)
        fail_msg("%s", error.message);
    scope_init(&c->scope);
    c->scope.db = c->d;
}

static void leave(claimant *c)
{
    if (c->d != c->f->writer)
        db_close(c->d);
    scope_done(&c->scope);
}

static size_t look(claimant *c, ku_str consumers_json)
{
    assert_int_equal(
        log_cursors_behind(&c->scope, consumers_json, c->owner, &c->found, &c->n), KU_OK);
    return c->n;
}

/* Claims all that it has found; how many of them are its own then. */
static size_t claim(claimant *c)
{
    size_t mine = 0;

    assert_int_equal(log_cursors_claim(&c->scope, c->owner, c->found, c->n), KU_OK);
    for (size_t i = 0; i < c->n; i++)
        mine += c->found[i].lease == LEASE_MINE ? 1 : 0;
    return mine;
}

/* Looks at the one lane of `sums` and claims it. */
static cursor take(claimant *c)
{
    assert_int_equal(look(c, sums_json), 1);
    (void)claim(c);
    return c->found[0];
}

/* Moves a cursor in a transaction of its own. */
static bool move_under(log_fixture *f, int64_t from, int64_t to, int64_t epoch)
{
    bool lost = false;
    const cursor_move move = {.consumer = sums,
        .tenant = f->tenant,
        .from = from,
        .to = to,
        .epoch = epoch,
        .lost = &lost};

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    work_move_cursor(scope, &move);
    keep_scope(scope);
    ku_status status = try_commit(f);
    assert_int_equal(status, lost ? KU_VERSION_CONFLICT : KU_OK);
    return !lost;
}

static cursor only_cursor(log_fixture *f)
{
    cursor *cursors;
    size_t n;

    assert_int_equal(log_cursors(&f->read, sums, f->tenant, &cursors, &n), KU_OK);
    assert_int_equal(n, 1);
    return cursors[0];
}

static void write_names(log_fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        write_name(f, id_new(f->now), "a");
}

/* In a tenant of its own. */
static void write_elsewhere(log_fixture *f, ku_id tenant)
{
    const ku_id usual = f->tenant;

    f->tenant = tenant;
    write_names(f, 1);
    f->tenant = usual;
}

static void wait_until_free(claimant *c)
{
    const struct timespec moment = {0, 50000000};

    for (;;) {
        assert_int_equal(look(c, sums_json), 1);
        if (c->found[0].lease == LEASE_FREE)
            return;
        (void)nanosleep(&moment, NULL);
    }
}

/* ---- cases: moving --------------------------------------------------------------------------- */

static void a_cursor_moves_only_from_where_it_is(void **state)
{
    log_fixture *f = *state;
    claimant c;

    arrive(f, &c, false);
    write_names(f, 4);
    const int64_t epoch = take(&c).epoch;
    assert_int_equal(only_cursor(f).position, 0);
    assert_int_equal(only_cursor(f).head, 4);
    assert_text(only_cursor(f).status, "idle");
    assert_text(only_cursor(f).consumer, "test:projection:sums");
    assert_false(move_under(f, 2, 3, epoch));
    assert_true(move_under(f, 0, 2, epoch));
    assert_false(move_under(f, 0, 2, epoch));
    assert_false(move_under(f, 1, 3, epoch));
    assert_int_equal(only_cursor(f).position, 2);
    assert_int_equal(only_cursor(f).updated_at.unix_us, f->now.unix_us);
    assert_int_equal(look(&c, sums_json), 1);
    assert_int_equal(c.found[0].position, 2);
    assert_true(move_under(f, 2, 4, epoch));
    assert_int_equal(look(&c, sums_json), 0);
    write_names(f, 1);
    assert_int_equal(look(&c, sums_json), 1);
    assert_whole(f, 5);
    leave(&c);
}

static void a_failure_is_noted_and_a_success_clears_it(void **state)
{
    log_fixture *f = *state;
    int64_t lanes = -1;
    claimant c;

    arrive(f, &c, false);
    write_names(f, 1);
    cursor failed = take(&c);
    failed.attempts = 3;
    failed.status = KU_STR("backoff");
    failed.retry_at.unix_us = f->now.unix_us + 5;
    failed.last_error = KU_STR("no such luck");
    assert_int_equal(log_cursor_fail(f->writer, sums, &failed, f->now, NULL), KU_OK);
    cursor found = only_cursor(f);
    assert_int_equal(found.position, 0);
    assert_int_equal(found.attempts, 3);
    assert_int_equal(found.retry_at.unix_us, f->now.unix_us + 5);
    assert_text(found.status, "backoff");
    assert_text(found.last_error, "no such luck");

    assert_int_equal(log_consumer_rearm(f->writer, sums, f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 0); /* it is not halted */
    failed.status = KU_STR("halted");
    assert_int_equal(log_cursor_fail(f->writer, sums, &failed, f->now, NULL), KU_OK);
    assert_int_equal(log_consumer_rearm(f->writer, KU_STR("another"), f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 0);
    assert_int_equal(log_consumer_rearm(f->writer, (ku_str){0}, f->now, &lanes), KU_OK);
    assert_int_equal(lanes, 1);
    assert_text(only_cursor(f).status, "idle");
    assert_int_equal(only_cursor(f).attempts, 0);
    assert_text(only_cursor(f).last_error, "no such luck");

    assert_true(move_under(f, 0, 1, failed.epoch));
    assert_text(only_cursor(f).last_error, "");
    bool noted = true; /* a failure from before the move does not stick */
    assert_int_equal(log_cursor_fail(f->writer, sums, &failed, f->now, &noted), KU_OK);
    assert_false(noted);
    assert_text(only_cursor(f).status, "idle");
    leave(&c);
}

static void a_failure_ahead_of_the_cursor_is_not_noted(void **state)
{
    log_fixture *f = *state;
    bool noted = true;
    claimant c;

    arrive(f, &c, false);
    write_names(f, 1);
    cursor ahead = take(&c);
    ahead.position = 1;
    ahead.attempts = 1;
    ahead.status = KU_STR("backoff");
    assert_int_equal(log_cursor_fail(f->writer, sums, &ahead, f->now, &noted), KU_OK);
    assert_false(noted);
    assert_int_equal(only_cursor(f).position, 0);
    ahead.position = 0;
    assert_int_equal(log_cursor_fail(f->writer, sums, &ahead, f->now, &noted), KU_OK);
    assert_true(noted);
    leave(&c);
}

/* ---- cases: looking -------------------------------------------------------------------------- */

static void one_look_finds_what_is_behind_of_all_the_consumers_it_names(void **state)
{
    log_fixture *f = *state;
    claimant c;

    arrive(f, &c, false);
    assert_int_equal(look(&c, both_json), 0);
    write_names(f, 2);
    write_elsewhere(f, f->other_tenant); /* its id is greater */
    assert_int_equal(look(&c, both_json), 4);
    for (size_t i = 0; i < 4; i++) {
        const cursor *found = &c.found[i];
        assert_text(found->consumer, i < 2 ? "test:projection:names" : "test:projection:sums");
        assert_true(ku_id_equal(found->tenant, i % 2 == 0 ? f->tenant : f->other_tenant));
        assert_int_equal(found->position, 0);
        assert_int_equal(found->head, i % 2 == 0 ? 2 : 1);
        assert_text(found->status, "idle");
        assert_int_equal(found->epoch, 0);
    }
    assert_int_equal(look(&c, sums_json), 2);
    assert_true(move_under(f, 0, 2, claim(&c) == 2 ? c.found[0].epoch : -1));
    assert_int_equal(look(&c, both_json), 3);
    assert_int_equal(look(&c, KU_STR("[]")), 0);
    leave(&c);
}

static void looking_and_claiming_may_fail(void **state)
{
    log_fixture *f = *state;
    claimant c;

    arrive(f, &c, false);
    write_names(f, 1);
    assert_int_equal(look(&c, sums_json), 1);
    const cursor before = c.found[0];
    for (int64_t call = 1; call <= 2; call++) {
        cursor *found = c.found;
        size_t n = c.n;
        db_fail_after(c.d, call, KU_UNAVAILABLE);
        assert_int_equal(
            log_cursors_behind(&c.scope, sums_json, c.owner, &found, &n), KU_UNAVAILABLE);
        assert_ptr_equal(found, c.found);
        assert_int_equal(n, 1);
        ku_clear_error(&c.scope);
    }
    if (db_is_shared(c.d)) {
        db_fail_after(c.d, 1, KU_UNAVAILABLE);
        assert_int_equal(log_cursors_claim(&c.scope, c.owner, c.found, c.n), KU_UNAVAILABLE);
        assert_int_equal(c.found[0].lease, before.lease);
        db_fail_after(c.d, 1, KU_UNAVAILABLE);
        assert_int_equal(log_cursors_release(c.d, c.owner), KU_UNAVAILABLE);
    }
    bool noted = true;
    db_fail_after(c.d, 1, KU_INTERNAL);
    assert_int_equal(log_cursor_fail(c.d, sums, &before, f->now, &noted), KU_INTERNAL);
    assert_true(noted); /* untouched */
    leave(&c);
}

static ku_status count_event(ku_scope *scope, const stored_event *stored, void *context)
{
    int64_t *last = context;

    (void)scope;
    assert_int_equal(stored->position, *last + 1);
    *last = stored->position;
    return KU_OK;
}

static int64_t read_part(ku_scope *scope, const lane_part *part)
{
    int64_t last = part->after_position;

    assert_int_equal(log_each_of_lane(scope, part->tenant, part->lane, part->after_position,
                         part->to_position, part->type_names_json, part->limit, count_event, &last),
        KU_OK);
    return last;
}

static void lanes_that_were_asked_for_ahead_are_read_in_any_order(void **state)
{
    log_fixture *f = *state;
    claimant c;

    arrive(f, &c, false);
    write_names(f, 5);
    write_elsewhere(f, f->other_tenant);
    const lane_part parts[] = {
        {f->tenant,       0, 1, 4, KU_STR(""),                             2 },
        {f->other_tenant, 0, 0, 1, KU_STR("[\"test:event:thing-named\"]"), 10},
        {f->tenant,       0, 4, 4, KU_STR(""),                             10}, /* empty */
        {f->tenant,       0, 0, 9, KU_STR("[\"test:event:thing-named\"]"), 10},
    };
    assert_int_equal(db_begin(c.d), KU_OK);
    for (size_t i = 0; i < KU_COUNT(parts); i++)
        log_prefetch_lane(&c.scope, &parts[i]);
    assert_int_equal(read_part(&c.scope, &parts[3]), 5);
    assert_int_equal(read_part(&c.scope, &parts[2]), 4);
    assert_int_equal(read_part(&c.scope, &parts[0]), 3);
    assert_int_equal(read_part(&c.scope, &parts[1]), 1);
    assert_int_equal(read_part(&c.scope, &parts[0]), 3); /* a hint serves once */
    db_rollback(c.d);
    assert_int_equal(look(&c, sums_json), 2);
    leave(&c);
}

/* ---- cases: leases --------------------------------------------------------------------------- */

static void where_one_process_owns_the_database_every_lane_is_its_own(void **state)
{
    log_fixture *f = *state;
    claimant c;

    if (db_is_shared(f->writer)) {
        print_message("several processes may share this database\n");
        skip();
    }
    arrive(f, &c, false);
    write_names(f, 1);
    assert_int_equal(look(&c, sums_json), 1);
    assert_int_equal(c.found[0].lease, LEASE_MINE);
    assert_int_equal(claim(&c), 1);
    assert_int_equal(c.found[0].epoch, 0);
    assert_int_equal(c.found[0].position, 0);
    assert_int_equal(log_cursors_release(c.d, c.owner), KU_OK);
    assert_int_equal(look(&c, sums_json), 1);
    assert_int_equal(c.found[0].lease, LEASE_MINE);
    leave(&c);
}

/* For tests of several processes. */
static void skip_unless_shared(const log_fixture *f)
{
    if (!db_is_shared(f->writer)) {
        print_message("one process owns this database\n");
        skip();
    }
}

static void a_lane_is_claimed_by_one_at_a_time(void **state)
{
    log_fixture *f = *state;
    claimant a, b;

    skip_unless_shared(f);
    arrive(f, &a, true);
    arrive(f, &b, true);
    write_names(f, 2);
    write_elsewhere(f, f->other_tenant);
    assert_int_equal(look(&a, both_json), 4);
    assert_int_equal(look(&b, both_json), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(b.found[i].lease, LEASE_FREE);
    a.n = 3; /* it leaves one */
    assert_int_equal(claim(&a), 3);
    assert_int_equal(a.found[0].epoch, 1);
    /* What the other has seen is old by now. */
    assert_int_equal(claim(&b), 1);
    assert_int_equal(b.found[0].lease, LEASE_ANOTHERS);
    assert_int_equal(b.found[3].lease, LEASE_MINE);
    assert_int_equal(b.found[3].epoch, 1);

    assert_int_equal(look(&a, both_json), 4);
    assert_int_equal(a.found[2].lease, LEASE_MINE);
    assert_int_equal(a.found[3].lease, LEASE_ANOTHERS);
    assert_int_equal(look(&b, both_json), 4);
    assert_int_equal(b.found[2].lease, LEASE_ANOTHERS);
    assert_int_equal(b.found[3].lease, LEASE_MINE);
    assert_int_equal(claim(&b), 1); /* what is another's is not asked for */
    assert_int_equal(b.found[3].epoch, 1);
    leave(&a);
    leave(&b);
}

static void what_is_given_back_is_free_at_once(void **state)
{
    log_fixture *f = *state;
    claimant a, b;

    skip_unless_shared(f);
    arrive(f, &a, true);
    arrive(f, &b, true);
    write_names(f, 2);
    assert_int_equal(take(&a).lease, LEASE_MINE);
    assert_true(move_under(f, 0, 1, 1));
    assert_int_equal(log_cursors_release(b.d, b.owner), KU_OK); /* it has none */
    assert_int_equal(take(&b).lease, LEASE_ANOTHERS);
    assert_int_equal(log_cursors_release(a.d, a.owner), KU_OK);
    assert_int_equal(look(&b, sums_json), 1);
    assert_int_equal(b.found[0].lease, LEASE_FREE);
    const cursor taken = take(&b);
    assert_int_equal(taken.lease, LEASE_MINE);
    assert_int_equal(taken.epoch, 2);
    assert_int_equal(taken.position, 1);
    leave(&a);
    leave(&b);
}

static void whoever_had_a_lane_before_writes_nothing(void **state)
{
    log_fixture *f = *state;
    claimant a, b;
    bool noted = true;

    skip_unless_shared(f);
    arrive(f, &a, true);
    arrive(f, &b, true);
    write_names(f, 3);
    cursor old = take(&a);
    wait_until_free(&b);
    const cursor taken = take(&b);
    assert_int_equal(taken.lease, LEASE_MINE);
    assert_int_equal(taken.epoch, old.epoch + 1);
    assert_int_equal(taken.position, 0); /* where the old one found it, too */

    assert_false(move_under(f, 0, 3, old.epoch));
    old.status = KU_STR("halted");
    old.last_error = KU_STR("says who");
    assert_int_equal(log_cursor_fail(f->writer, sums, &old, f->now, &noted), KU_OK);
    assert_false(noted);
    assert_text(only_cursor(f).status, "idle");
    assert_int_equal(only_cursor(f).position, 0);
    assert_true(move_under(f, 0, 2, taken.epoch));
    assert_false(move_under(f, 2, 3, old.epoch));
    assert_int_equal(only_cursor(f).position, 2);
    leave(&a);
    leave(&b);
}

/* When the lease ends, in microseconds. */
static int64_t lease_end(const log_fixture *f)
{
    return test_database_int(
        f->database, "SELECT (extract(epoch FROM lease_until) * 1000000)::bigint FROM ku_cursors");
}

static void moving_a_cursor_renews_its_lease(void **state)
{
    const struct timespec moment = {0, 20000000};
    log_fixture *f = *state;
    claimant a;

    skip_unless_shared(f);
    arrive(f, &a, true);
    write_names(f, 2);
    const cursor taken = take(&a);
    const int64_t end = lease_end(f);
    (void)nanosleep(&moment, NULL);
    assert_true(move_under(f, 0, 1, taken.epoch));
    assert_true(lease_end(f) >= end + 20000);
    leave(&a);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_cursor_moves_only_from_where_it_is),
        CASE(a_failure_is_noted_and_a_success_clears_it),
        CASE(a_failure_ahead_of_the_cursor_is_not_noted),
        CASE(one_look_finds_what_is_behind_of_all_the_consumers_it_names),
        CASE(looking_and_claiming_may_fail),
        CASE(lanes_that_were_asked_for_ahead_are_read_in_any_order),
        CASE(where_one_process_owns_the_database_every_lane_is_its_own),
        CASE(a_lane_is_claimed_by_one_at_a_time),
        CASE(what_is_given_back_is_free_at_once),
        CASE(whoever_had_a_lane_before_writes_nothing),
        CASE(moving_a_cursor_renews_its_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
