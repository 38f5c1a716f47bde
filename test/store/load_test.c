/*
 * Reading the log: streams, ranges, lanes, and what is pending.
 */
#include "store/log_fixture.h"

#include "store/metadata.h"

/* ---- cases: streams -------------------------------------------------------------------------- */

static ku_id write_three(log_fixture *f)
{
    ku_id stream = id_new(f->now);

    write_name(f, stream, "a");
    f->now.unix_us += 1000;
    write_name(f, stream, "b");
    f->now.unix_us += 1000;
    write_name(f, stream, "c");
    return stream;
}

static void a_range_is_bounded_by_versions_and_time(void **state)
{
    log_fixture *f = *state;
    ku_id stream = write_three(f);
    ku_time second = {f->now.unix_us - 1000};

    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c");
    assert_names(f, &f->read, stream, (log_range){.after_version = 1}, "b,c");
    assert_names(f, &f->read, stream, (log_range){.to_version = 2}, "a,b");
    assert_names(f, &f->read, stream, (log_range){.after_version = 1, .to_version = 2}, "b");
    assert_names(f, &f->read, stream, (log_range){.after_version = 3}, "");
    assert_names(f, &f->read, stream,
        (log_range){
            .as_of = {true, second}
    },
        "a,b");
    second.unix_us--;
    assert_names(f, &f->read, stream,
        (log_range){
            .as_of = {true, second}
    },
        "a");
    assert_names(f, &f->read, id_new(f->now), (log_range){0}, "");
}

static void ranges_apply_to_what_is_pending(void **state)
{
    log_fixture *f = *state;
    ku_id stream = write_three(f);
    ku_time before = f->now;

    f->now.unix_us += 1000;
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "d"), KU_OK);
    keep_scope(scope);
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "e"), KU_OK);
    assert_names(f, scope, stream, (log_range){0}, "a,b,c,d,e");
    assert_names(f, scope, stream, (log_range){.after_version = 3}, "d,e");
    assert_names(f, scope, stream, (log_range){.after_version = 2, .to_version = 4}, "c,d");
    assert_names(f, scope, stream,
        (log_range){
            .as_of = {true, before}
    },
        "a,b,c");
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c"); /* a reader sees none of it */
    db_rollback(f->writer);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c");
}

static void tenants_with_equal_ids_are_apart(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *mine = begin_scope(f);
    assert_int_equal(append_name(mine, stream, "mine"), KU_OK);
    keep_scope(mine);
    ku_scope *theirs = begin_scope(f);
    theirs->tenant = f->other_tenant;
    assert_names(f, theirs, stream, (log_range){0}, "");
    assert_int_equal(append_name_at(theirs, stream, "theirs", 0), KU_OK);
    keep_scope(theirs);
    commit_batch(f);

    assert_names(f, &f->read, stream, (log_range){0}, "mine");
    f->read.tenant = f->other_tenant;
    assert_names(f, &f->read, stream, (log_range){0}, "theirs");
    assert_whole(f, 2);
}

static ku_status stop_at_b(ku_scope *scope, const ku_event *event, void *context)
{
    (void)context;
    return event->version == 2 ? ku_fail(scope, KU_REFUSED, "enough", "enough") : KU_OK;
}

static void a_callback_ends_the_reading(void **state)
{
    log_fixture *f = *state;
    ku_id stream = write_three(f);
    const log_range range = {0};

    assert_int_equal(
        log_each_of_stream(&f->read, f->events, stream, &range, false, stop_at_b, NULL),
        KU_REFUSED);
    assert_text(ku_error_reason(&f->read), "enough");
    ku_clear_error(&f->read);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c"); /* the statement is free again */
}

static ku_status load_inside(ku_scope *scope, const ku_event *event, void *context)
{
    log_fixture *f = context;

    assert_names(f, scope, event->stream, (log_range){.to_version = event->version},
        event->version == 1   ? "a"
        : event->version == 2 ? "a,b"
                              : "a,b,c");
    return KU_OK;
}

static void a_load_may_run_inside_a_load(void **state)
{
    log_fixture *f = *state;
    ku_id stream = write_three(f);
    const log_range range = {0};

    assert_int_equal(
        log_each_of_stream(&f->read, f->events, stream, &range, true, load_inside, f), KU_OK);
}

static ku_status count(ku_scope *scope, const ku_event *event, void *context)
{
    (void)scope;
    (void)event;
    (*(int *)context)++;
    return KU_OK;
}

static void a_query_reads_a_long_stream_in_bounded_memory(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const log_range range = {0};
    int n = 0;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(append_name(scope, stream, "some name or other"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(
        log_each_of_stream(&f->read, f->events, stream, &range, false, count, &n), KU_OK);
    assert_int_equal(n, 1000);
    assert_true(f->read.arena.high_water < 20000);
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void a_cancelled_query_stops_in_the_middle(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const log_range range = {0};
    int n = 0;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    for (int i = 0; i < 600; i++)
        assert_int_equal(append_name(scope, stream, "x"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    f->read.cancelled = always;
    assert_int_equal(
        log_each_of_stream(&f->read, f->events, stream, &range, false, count, &n), KU_CANCELLED);
    assert_in_range(n, 1, 599);
}

/* ---- cases: lanes ---------------------------------------------------------------------------- */

typedef struct positions {
    int64_t list[16];
    size_t count;
    char types[256];
} positions;

static ku_status note_position(ku_scope *scope, const stored_event *stored, void *context)
{
    positions *all = context;

    (void)scope;
    all->list[all->count++] = stored->position;
    strncat(all->types, ku_copy(scope, stored->type).ptr, sizeof(all->types) - 1);
    strcat(all->types, ";");
    return KU_OK;
}

static positions read_lane(
    log_fixture *f, int64_t after, int64_t to, const char *types, int64_t limit)
{
    positions all = {.count = 0};

    assert_int_equal(log_each_of_lane(&f->read, f->tenant, 0, after, to, ku_str_from(types), limit,
                         note_position, &all),
        KU_OK);
    return all;
}

static void a_lane_is_read_in_order_by_type_and_in_pages(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const log_append close = {.def = &defs[CLOSED], .stream = stream};

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "a"), KU_OK);         /* 1 */
    assert_int_equal(append_name(scope, id_new(f->now), "b"), KU_OK); /* 2 */
    assert_int_equal(log_append_event(scope, &close, NULL), KU_OK);   /* 3 */
    assert_int_equal(append_name(scope, stream, "c"), KU_OK);         /* 4 */
    keep_scope(scope);
    scope = begin_scope(f);
    scope->tenant = f->other_tenant;
    assert_int_equal(append_name(scope, stream, "theirs"), KU_OK);
    keep_scope(scope);
    commit_batch(f);

    positions all = read_lane(f, 0, 4, "", 100);
    assert_int_equal(all.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(all.list[i], i + 1);
    all = read_lane(f, 1, 3, "", 100);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.list[0], 2);
    assert_int_equal(read_lane(f, 0, 4, "", 3).count, 3);
    all = read_lane(f, 0, 4, "[\"test:event:thing-closed\",\"nothing\"]", 100);
    assert_string_equal(all.types, "test:event:thing-closed;");
    assert_int_equal(all.list[0], 3);
    assert_int_equal(read_lane(f, 0, 4, "[]", 100).count, 0);
    assert_int_equal(read_lane(f, 4, 4, "", 100).count, 0);
}

static void lanes_have_heads(void **state)
{
    log_fixture *f = *state;
    lane_head *lanes;
    size_t n;

    assert_int_equal(log_lanes(&f->read, (ku_id){{0}}, &lanes, &n), KU_OK);
    assert_int_equal(n, 0);
    (void)write_three(f);
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    scope->tenant = f->other_tenant;
    assert_int_equal(append_name(scope, id_new(f->now), "x"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(log_lanes(&f->read, (ku_id){{0}}, &lanes, &n), KU_OK);
    assert_int_equal(n, 2);
    assert_true(ku_id_equal(lanes[0].tenant, f->tenant)); /* ids ascend */
    assert_int_equal(lanes[0].head, 3);
    assert_int_equal(lanes[1].head, 1);
    assert_int_equal(log_lanes(&f->read, f->other_tenant, &lanes, &n), KU_OK);
    assert_int_equal(n, 1);
    assert_int_equal(lanes[0].lane, 0);
}

/* ---- cases: metadata ------------------------------------------------------------------------- */

static void metadata_is_read_whoever_wrote_it(void **state)
{
    log_fixture *f = *state;
    ku_event event = {.version = 1};

    const char *plain = "{\"requestId\":\"r\",\"correlationId\":\"c\",\"headers\":{\"a\":\"}\"}}";
    assert_int_equal(metadata_read(&f->read, ku_str_from(plain), &event), KU_OK);
    assert_text(event.request_id, "r");
    assert_text(event.correlation_id, "c");
    assert_text(event.headers.json, "{\"a\":\"}\"}");

    const char *odd = "{ \"later\": [1], \"headers\": {\"a\":1}, \"causationId\":\"x\\u0041\" }";
    event = (ku_event){.version = 1};
    assert_int_equal(metadata_read(&f->read, ku_str_from(odd), &event), KU_OK);
    assert_text(event.causation_id, "xA");
    assert_text(event.headers.json, "{\"a\":1}");
    assert_text(event.request_id, "");

    /* headers that are not last look at first as if they were */
    const char *order = "{\"headers\":{\"a\":1},\"requestId\":\"r\",\"x\":{}}";
    event = (ku_event){.version = 1};
    assert_int_equal(metadata_read(&f->read, ku_str_from(order), &event), KU_OK);
    assert_text(event.headers.json, "{\"a\":1}");
    assert_text(event.request_id, "r");

    event = (ku_event){.version = 1};
    assert_int_equal(metadata_read(&f->read, KU_STR("{}"), &event), KU_OK);
    assert_int_equal(metadata_read(&f->read, KU_STR("[]"), &event), KU_INTERNAL);
    assert_int_equal(metadata_read(&f->read, KU_STR("{\"requestId\":"), &event), KU_INTERNAL);
}

/* ---- cases: failing reads -------------------------------------------------------------------- */

static void each_call_of_a_read_may_fail(void **state)
{
    log_fixture *f = *state;
    ku_id stream = write_three(f);
    lane_head *lanes;
    size_t n;
    collected all;

    for (int64_t call = 1; call <= 5; call++) { /* the query and each row, and the end */
        db_fail_after(f->reader, call, KU_UNAVAILABLE);
        assert_int_equal(load(f, &f->read, stream, (log_range){0}, &all), KU_UNAVAILABLE);
        assert_int_equal(f->read.error.status, KU_UNAVAILABLE);
        ku_clear_error(&f->read);
    }
    db_fail_after(f->reader, 1, KU_UNAVAILABLE);
    assert_int_equal(log_lanes(&f->read, f->tenant, &lanes, &n), KU_UNAVAILABLE);
    positions found = {.count = 0};
    for (int64_t call = 1; call <= 2; call++) {
        db_fail_after(f->reader, call, KU_INTERNAL);
        assert_int_equal(
            log_each_of_lane(&f->read, f->tenant, 0, 0, 3, (ku_str){0}, 9, note_position, &found),
            KU_INTERNAL);
    }
    db_fail_after(f->reader, 0, KU_OK);
    ku_clear_error(&f->read);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_range_is_bounded_by_versions_and_time),
        CASE(ranges_apply_to_what_is_pending),
        CASE(tenants_with_equal_ids_are_apart),
        CASE(a_callback_ends_the_reading),
        CASE(a_load_may_run_inside_a_load),
        CASE(a_query_reads_a_long_stream_in_bounded_memory),
        CASE(a_cancelled_query_stops_in_the_middle),
        CASE(a_lane_is_read_in_order_by_type_and_in_pages),
        CASE(lanes_have_heads),
        CASE(metadata_is_read_whoever_wrote_it),
        CASE(each_call_of_a_read_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
