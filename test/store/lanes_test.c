/*
 * Lanes of tenants: given by an operator, chosen for new streams, kept by old ones.
 */
#include "store/log_fixture.h"

#include "base/limits.h"

static lane_counts *read_lanes(log_fixture *f)
{
    lane_counts *counts = lane_counts_new();

    assert_int_equal(lane_counts_refresh(counts, f->writer), KU_OK);
    return counts;
}

static ku_status set_lanes(log_fixture *f, ku_scope *scope, ku_id tenant, int32_t lanes)
{
    scope_reset(scope);
    scope->db = f->writer;
    scope->now = f->now;
    assert_int_equal(db_begin(f->writer), KU_OK);
    const ku_status status = log_set_lanes(scope, tenant, lanes);
    if (status == KU_OK)
        assert_int_equal(db_commit(f->writer), KU_OK);
    else
        db_rollback(f->writer);
    return status;
}

static void give_lanes(log_fixture *f, ku_id tenant, int32_t lanes)
{
    ku_scope scope = {0};

    scope_init(&scope);
    assert_int_equal(set_lanes(f, &scope, tenant, lanes), KU_OK);
    scope_done(&scope);
}

static void assert_refused(log_fixture *f, int32_t lanes, const char *part)
{
    ku_scope scope = {0};

    scope_init(&scope);
    assert_int_equal(set_lanes(f, &scope, f->tenant, lanes), KU_INVALID);
    const ku_str message = ku_error_message(&scope);
    assert_non_null(memmem(message.ptr, message.len, part, strlen(part)));
    scope_done(&scope);
}

/* An event of each of some new streams, in one batch that knows the lanes. */
static void write_streams(log_fixture *f, const lane_counts *counts, ku_id *streams, size_t n)
{
    begin_batch(f);
    f->batch.lanes = counts;
    ku_scope *scope = begin_scope(f);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(append_name(scope, streams[i], "a"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
}

static int32_t lane_of(log_fixture *f, ku_id stream)
{
    stream_state state;

    assert_int_equal(log_stream(&f->read, stream, &state), KU_OK);
    return state.lane;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_tenant_has_one_lane_until_it_is_given_more(void **state)
{
    log_fixture *f = *state;
    lane_counts *counts = read_lanes(f);

    for (int i = 0; i < 20; i++)
        assert_int_equal(lane_counts_choose(counts, f->tenant, id_new(f->now)), 0);
    lane_counts_free(counts);
}

static void new_streams_are_spread_over_all_lanes_of_their_tenant(void **state)
{
    log_fixture *f = *state;
    int used[4] = {0};

    give_lanes(f, f->tenant, 4);
    lane_counts *counts = read_lanes(f);
    for (int i = 0; i < 400; i++) {
        const ku_id stream = id_new(f->now);
        const int32_t lane = lane_counts_choose(counts, f->tenant, stream);
        assert_in_range(lane, 0, 3);
        used[lane]++;
        assert_int_equal(lane_counts_choose(counts, f->tenant, stream), lane);
        assert_int_equal(lane_counts_choose(counts, f->other_tenant, stream), 0);
    }
    for (size_t i = 0; i < KU_COUNT(used); i++)
        assert_in_range(used[i], 50, 150);
    lane_counts_free(counts);
}

static void among_many_tenants_each_has_its_own_number(void **state)
{
    log_fixture *f = *state;
    ku_id tenants[40];

    for (size_t i = 0; i < KU_COUNT(tenants); i++) {
        tenants[i] = id_new(f->now);
        give_lanes(f, tenants[i], 1 + (int32_t)(i % 3));
    }
    lane_counts *counts = read_lanes(f);
    for (size_t i = 0; i < KU_COUNT(tenants); i++) {
        int32_t highest = 0;
        for (int j = 0; j < 60; j++) {
            const int32_t lane = lane_counts_choose(counts, tenants[i], id_new(f->now));
            highest = lane > highest ? lane : highest;
        }
        assert_int_equal(highest, i % 3);
    }
    lane_counts_free(counts);
}

static void lanes_only_become_more(void **state)
{
    log_fixture *f = *state;

    give_lanes(f, f->tenant, 4);
    give_lanes(f, f->tenant, 4);
    assert_refused(f, 3, "only be raised");
    assert_refused(f, 0, "1 to 64");
    assert_refused(f, LIMIT_LANES + 1, "1 to 64");
    give_lanes(f, f->tenant, LIMIT_LANES);
    lane_counts *counts = read_lanes(f);
    int32_t highest = 0;
    for (int i = 0; i < 2000; i++) {
        const int32_t lane = lane_counts_choose(counts, f->tenant, id_new(f->now));
        highest = lane > highest ? lane : highest;
    }
    assert_int_equal(highest, LIMIT_LANES - 1);
    lane_counts_free(counts);
}

static void streams_that_are_there_stay_where_they_are(void **state)
{
    log_fixture *f = *state;
    ku_id old[8], new[256];

    for (size_t i = 0; i < KU_COUNT(old); i++)
        old[i] = id_new(f->now);
    for (size_t i = 0; i < KU_COUNT(new); i++)
        new[i] = id_new(f->now);
    write_streams(f, NULL, old, KU_COUNT(old));
    give_lanes(f, f->tenant, 8);
    lane_counts *counts = read_lanes(f);
    write_streams(f, counts, old, KU_COUNT(old));
    write_streams(f, counts, new, KU_COUNT(new));
    for (size_t i = 0; i < KU_COUNT(old); i++)
        assert_int_equal(lane_of(f, old[i]), 0);
    for (size_t i = 0; i < KU_COUNT(new); i++)
        assert_int_equal(lane_of(f, new[i]), lane_counts_choose(counts, f->tenant, new[i]));
    /* positions are dense in each of them */
    assert_whole(f, 2 * KU_COUNT(old) + KU_COUNT(new));
    lane_head *lanes;
    size_t n_lanes;
    assert_int_equal(log_lanes(&f->read, f->tenant, &lanes, &n_lanes), KU_OK);
    assert_int_equal(n_lanes, 8);
    lane_counts_free(counts);
}

static void a_writer_hears_of_more_lanes_after_a_while(void **state)
{
    log_fixture *f = *state;
    lane_counts *counts = read_lanes(f);
    int32_t highest = 0;

    give_lanes(f, f->tenant, 2);
    for (int i = 0; i < 600 && highest == 0; i++) {
        usleep(100000);
        assert_int_equal(lane_counts_refresh(counts, f->writer), KU_OK);
        for (int j = 0; j < 64; j++)
            highest |= lane_counts_choose(counts, f->tenant, id_new(f->now));
    }
    assert_int_equal(highest, 1);
    lane_counts_free(counts);
}

static void a_writer_that_cannot_look_keeps_what_it_knew(void **state)
{
    log_fixture *f = *state;
    lane_counts *counts = lane_counts_new();

    give_lanes(f, f->tenant, 2);
    db_fail_after(f->writer, 1, KU_UNAVAILABLE);
    assert_int_equal(lane_counts_refresh(counts, f->writer), KU_UNAVAILABLE);
    assert_int_equal(lane_counts_choose(counts, f->tenant, id_new(f->now)), 0);
    db_fail_after(f->writer, 0, KU_OK);
    assert_int_equal(lane_counts_refresh(counts, f->writer), KU_OK);
    int32_t highest = 0;
    for (int i = 0; i < 64; i++)
        highest |= lane_counts_choose(counts, f->tenant, id_new(f->now));
    assert_int_equal(highest, 1);
    lane_counts_free(counts);
}

static void tenants_with_events_or_lanes_are_listed(void **state)
{
    log_fixture *f = *state;
    tenant_lanes *tenants;
    size_t count;

    assert_int_equal(log_tenants(&f->read, &tenants, &count), KU_OK);
    assert_int_equal(count, 0);
    ku_id streams[16];
    for (size_t i = 0; i < KU_COUNT(streams); i++)
        streams[i] = id_new(f->now);
    give_lanes(f, f->tenant, 4);
    give_lanes(f, f->other_tenant, 2);
    give_lanes(f, id_new(f->now), 1); /* nothing to say about it */
    lane_counts *counts = read_lanes(f);
    write_streams(f, counts, streams, KU_COUNT(streams));
    lane_counts_free(counts);

    assert_int_equal(log_tenants(&f->read, &tenants, &count), KU_OK);
    assert_int_equal(count, 2);
    const size_t first = ku_id_equal(tenants[0].tenant, f->tenant) ? 0 : 1;
    assert_true(ku_id_equal(tenants[first].tenant, f->tenant));
    assert_int_equal(tenants[first].lanes, 4);
    assert_int_equal(tenants[first].events, KU_COUNT(streams));
    assert_true(ku_id_equal(tenants[1 - first].tenant, f->other_tenant));
    assert_int_equal(tenants[1 - first].lanes, 2);
    assert_int_equal(tenants[1 - first].events, 0);
}

#define LANE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(a_tenant_has_one_lane_until_it_is_given_more),
        LANE_TEST(new_streams_are_spread_over_all_lanes_of_their_tenant),
        LANE_TEST(among_many_tenants_each_has_its_own_number),
        LANE_TEST(lanes_only_become_more),
        LANE_TEST(streams_that_are_there_stay_where_they_are),
        LANE_TEST(a_writer_hears_of_more_lanes_after_a_while),
        LANE_TEST(a_writer_that_cannot_look_keeps_what_it_knew),
        LANE_TEST(tenants_with_events_or_lanes_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
