/*
 * Dispatching by hand: every event once, in order, with its cursor; a failing event stops its lane
 * and nothing else, and leaves nothing of what its batch did.
 */
#include "dispatch/bank.h"

static int set_up(void **state)
{
    atomic_store(&bank_healed, false);
    atomic_store(&bank_can_lift, true);
    *state = lab_new();
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* ---- counting -------------------------------------------------------------------------------- */

static void every_event_is_processed_once_and_counted(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    for (int i = 0; i < 7; i++)
        bank_put(l, 1, "ann", 10);
    for (int i = 0; i < 5; i++)
        bank_put(l, 2, "ann", 1);

    ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.processed, 24); /* 12 events, two projections */
    assert_int_equal(result.failed, 0);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 70);
    assert_int_equal(bank_sum(l, 2, "read_revenue", "cents", "ann"), 5);
    assert_int_equal(bank_sum(l, 1, "read_heard", "times", "ann"), 7);

    result = bank_dispatch(l);
    assert_int_equal(result.processed, 0);
    bank_put(l, 1, "bob", 3);
    assert_int_equal(bank_info(l, 1, "lab:projection:revenue").lag, 1);
    result = bank_dispatch(l);
    assert_int_equal(result.processed, 2);
    const ku_consumer_info info = bank_info(l, 0, "lab:projection:revenue");
    assert_int_equal(info.lag, 0);
    assert_int_equal(info.lanes, 2);
    assert_int_equal(info.position, 13);
    assert_int_equal(info.high_water_mark, 13);
    assert_string_equal(info.status, "idle");
    lab_assert_sound(l);
}

static void by_hand_is_refused_beside_the_background(void **state)
{
    lab *l = *state;
    ku_dispatch_result result;
    ku_error error = {0};

    lab_open(l, &bank_feature, true);
    assert_int_equal(ku_dispatch_once(l->app, &result, &error), KU_REFUSED);
    assert_non_null(strstr(error.message, "background"));
}

/* ---- cascades -------------------------------------------------------------------------------- */

static ku_status apply_a(ku_scope *scope, const ku_event *event)
{
    return KU_APPEND(scope, event->stream, hop_b, .n = KU_PAYLOAD(event, hop_a)->n + 1);
}

static ku_status apply_b(ku_scope *scope, const ku_event *event)
{
    return KU_APPEND(scope, lab_id(6, 1), hop_c, .n = KU_PAYLOAD(event, hop_b)->n + 1);
}

static ku_status apply_c(ku_scope *scope, const ku_event *event)
{
    const heard row = {.owner = KU_STR("c"), .times = KU_PAYLOAD(event, hop_c)->n};

    return ku_row_add(scope, &heard_table, &row);
}

static const ku_on a_on[] = {KU_ON(hop_a, apply_a), KU_END};
static const ku_on b_on[] = {KU_ON(hop_b, apply_b), KU_END};
static const ku_on c_on[] = {KU_ON(hop_c, apply_c), KU_END};
static const ku_multi_stream_projection a_projection = {.name = "a", .on = a_on};
static const ku_multi_stream_projection b_projection = {.name = "b", .on = b_on};
static const ku_multi_stream_projection c_projection = {
    .name = "c", .table = &heard_table, .on = c_on};
/* In the order that makes one pass not enough. */
static const ku_feature chain_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections =
        KU_LIST(ku_multi_stream_projection, &c_projection, &b_projection, &a_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

static ku_status start_chain(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    return KU_APPEND(scope, lab_id(5, 1), hop_a, .n = 1);
}

typedef struct seen_event {
    char name[32], correlation[64], causation[32], user[32];
    int64_t position;
} seen_event;
typedef struct seen_events {
    seen_event events[8];
    size_t n;
} seen_events;

static void keep_text(char *to, size_t size, ku_str text)
{
    (void)snprintf(to, size, "%.*s", KU_FMT(text));
}

static ku_status see(ku_scope *scope, const ku_event *event, void *context)
{
    seen_events *seen = context;
    seen_event *e = &seen->events[seen->n++];

    (void)scope;
    assert_true(seen->n <= KU_COUNT(seen->events));
    keep_text(e->name, sizeof(e->name), event->name);
    keep_text(e->correlation, sizeof(e->correlation), event->correlation_id);
    keep_text(e->causation, sizeof(e->causation), event->causation_id);
    keep_text(e->user, sizeof(e->user), event->user);
    e->position = event->position;
    return KU_OK;
}

static ku_status see_all(ku_scope *scope, void *context, ku_reply *reply)
{
    const ku_event_filter filter = {.batch = 2};

    (void)reply;
    return ku_each_event(scope, &filter, see, context);
}

static void three_hops_share_a_correlation_and_name_their_causes(void **state)
{
    lab *l = *state;
    seen_events seen = {0};
    char payload[80];

    lab_open(l, &chain_feature, false);
    lab_assert_ok(l, lab_request(l, true,
                         (ku_request){.type = KU_STR("lab:write:do"),
                             .payload = lab_do_payload(start_chain, NULL, payload),
                             .correlation_id = KU_STR("corr-1")}));
    const ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.processed, 3);
    assert_int_equal(lab_sql(l, "SELECT times FROM read_heard"), 3);

    lab_assert_ok(l, lab_query(l, see_all, &seen));
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.events[0].name, "lab:event:hop-a");
    assert_string_equal(seen.events[1].name, "lab:event:hop-b");
    assert_string_equal(seen.events[2].name, "lab:event:hop-c");
    assert_string_equal(seen.events[0].causation, "");
    assert_string_equal(seen.events[1].causation, "1");
    assert_string_equal(seen.events[2].causation, "2");
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(seen.events[i].correlation, "corr-1");
        assert_string_equal(seen.events[i].user, "user1");
    }
    assert_int_equal(bank_dispatch(l).processed, 0);
}

/* ---- poison ---------------------------------------------------------------------------------- */

static void assert_stopped_at(lab *l, uint32_t tenant, int64_t position, int attempts)
{
    const ku_consumer_info info = bank_info(l, tenant, "lab:projection:revenue");

    assert_int_equal(info.position, position);
    assert_int_equal(info.attempts, attempts);
    assert_string_equal(info.status, attempts < 3 ? "backoff" : "halted");
    assert_non_null(strstr(info.last_error, "cents are negative"));
}

static void poison_stops_its_lane_behind_what_came_before_it(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    for (int i = 0; i < 5; i++)
        bank_put(l, 1, "ann", 10);
    bank_put(l, 1, "ann", -1);
    for (int i = 0; i < 5; i++)
        bank_put(l, 1, "ann", 100);
    for (int i = 0; i < 3; i++)
        bank_put(l, 2, "ann", 7);
    const int64_t events = lab_sql(l, "SELECT count(*) FROM ku_events");

    ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.processed, 5 + 3 + 14);
    assert_stopped_at(l, 1, 5, 1);
    assert_string_equal(bank_info(l, 2, "lab:projection:revenue").status, "idle");
    assert_int_equal(bank_info(l, 2, "lab:projection:revenue").lag, 0);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 50);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "leak"), 0);
    assert_int_equal(bank_sum(l, 2, "read_revenue", "cents", "ann"), 21);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), events);

    result = bank_dispatch(l);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.processed, 0);
    result = bank_dispatch(l);
    assert_stopped_at(l, 1, 5, 3); /* halted */
    result = bank_dispatch(l);
    assert_int_equal(result.failed, 0); /* it is not tried any more */
    assert_int_equal(result.processed, 0);
    assert_true(lab_logged(l, "consumer halted"));

    /* A restart tries again; the mended program goes on where it stopped. */
    lab_close(l);
    lab_open(l, &bank_feature, false);
    assert_int_equal(bank_dispatch(l).failed, 1);
    assert_stopped_at(l, 1, 5, 1);
    atomic_store(&bank_healed, true);
    result = bank_dispatch(l);
    assert_int_equal(result.processed, 6);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 549);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "deposits", "ann"), 11);
    assert_string_equal(bank_info(l, 1, "lab:projection:revenue").status, "idle");
    assert_string_equal(bank_info(l, 1, "lab:projection:revenue").last_error, "");
    lab_assert_sound(l);
}

/* Batches are read ahead: one that begins with poison must not be noted before its turn. */
static void poison_read_ahead_skips_nothing(void **state)
{
    static const int64_t cents[] = {1, -2, -4, 8, -16, 32, -64, -128};
    lab *l = *state;
    int64_t sum = 0;

    lab_open(l, &bank_feature, false);
    for (size_t i = 0; i < KU_COUNT(cents); i++)
        bank_put(l, 1, "ann", cents[i]);
    const ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.failed, 1);
    assert_stopped_at(l, 1, 1, 1);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 1);
    atomic_store(&bank_healed, true);
    (void)bank_dispatch(l);
    for (size_t i = 0; i < KU_COUNT(cents); i++)
        sum += cents[i];
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), sum);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "deposits", "ann"), KU_COUNT(cents));
}

static void poison_at_the_very_beginning_leaves_the_cursor_there(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    for (int i = 0; i < 9; i++)
        bank_put(l, 1, "ann", -1 - i);
    (void)bank_dispatch(l);
    (void)bank_dispatch(l);
    assert_stopped_at(l, 1, 0, 2);
    atomic_store(&bank_healed, true);
    (void)bank_dispatch(l);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), -45);
}

/* ---- payloads that cannot be lifted ---------------------------------------------------------- */

static ku_status put_old(ku_scope *scope, void *context)
{
    (void)context;
    return app_raw_append(scope, "lab:event:deposited", lab_id(5, 3), 1,
        KU_STR("{\"owner\":\"old\",\"pence\":5}"), (ku_optional_time){0});
}

/* Each fits, and so does what is known in memory; the database finds that the sum does not. */
static void an_event_whose_effect_cannot_be_stored_stops_its_lane_like_any_failure(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    bank_put(l, 1, "ann", INT64_MAX);
    assert_int_equal(bank_dispatch(l).failed, 0);
    bank_put(l, 1, "bob", 1);
    bank_put(l, 1, "ann", 1);
    bank_put(l, 1, "bob", 2);
    const ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.processed, 1 + 3); /* of revenue and of heard */
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "bob"), 1);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "deposits", "ann"), 1);
    const ku_consumer_info info = bank_info(l, 1, "lab:projection:revenue");
    assert_int_equal(info.position, 2);
    assert_string_equal(info.status, "backoff");
    assert_non_null(strstr(info.last_error, "deposited at 0-3"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(bank_dispatch(l).failed, 1);
    assert_string_equal(bank_info(l, 1, "lab:projection:revenue").status, "halted");
}

static void a_payload_that_cannot_be_lifted_stops_its_lane_like_any_failure(void **state)
{
    lab *l = *state;
    const ku_user user = lab_user_of(1);
    ku_error error = {0};

    lab_open(l, &bank_feature, false);
    for (int i = 0; i < 3; i++)
        bank_put(l, 1, "ann", 1);
    assert_int_equal(app_run_write(l->app, &user, put_old, NULL, &error), KU_OK);
    for (int i = 0; i < 3; i++)
        bank_put(l, 1, "ann", 1);
    atomic_store(&bank_can_lift, false);
    ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.processed, 6);
    assert_int_equal(result.failed, 2);
    const ku_consumer_info info = bank_info(l, 1, "lab:projection:revenue");
    assert_int_equal(info.position, 3);
    assert_string_equal(info.status, "backoff");
    assert_non_null(strstr(info.last_error, "cannot lift yet"));
    assert_non_null(strstr(info.last_error, "0-4"));
    atomic_store(&bank_can_lift, true);
    result = bank_dispatch(l);
    assert_int_equal(result.processed, 8);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 6);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "old"), 5);
    assert_int_equal(bank_sum(l, 1, "read_heard", "times", "old"), 1);
}

/* ---- where consumers begin, and pauses ------------------------------------------------------- */

static const ku_feature quiet_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .writes = bank_writes,
    .queries = bank_queries,
};
static const ku_feature now_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &heard_now_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

static void a_consumer_that_starts_now_hears_nothing_of_before(void **state)
{
    lab *l = *state;

    lab_open(l, &quiet_feature, false);
    for (int i = 0; i < 4; i++)
        bank_put(l, 1, "ann", 1);
    lab_close(l);
    lab_open(l, &now_feature, false);
    bank_put(l, 1, "ann", 1);
    bank_put(l, 2, "ann", 1); /* a lane that did not exist then is heard from its first event */
    bank_put(l, 2, "ann", 1);
    assert_int_equal(bank_dispatch(l).processed, 3);
    lab_close(l);
    lab_open(l, &now_feature, false); /* it is not new any more */
    bank_put(l, 1, "ann", 1);
    assert_int_equal(bank_dispatch(l).processed, 1);
    assert_int_equal(bank_sum(l, 1, "read_heard", "times", "ann"), 2);
    assert_int_equal(bank_sum(l, 2, "read_heard", "times", "ann"), 2);
}

static const ku_feature listener_feature = {
    .abi = KU_ABI_VERSION,
    .name = "listener",
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &heard_projection),
};

static void open_both(lab *l, bool disabled)
{
    static const ku_feature *const features[] = {&quiet_feature, &listener_feature, NULL};
    static const char *const names[] = {"listener", NULL};
    const ku_app_options options = {
        .features = features, .disabled_features = disabled ? names : NULL};
    ku_error error = {0};

    if (lab_try_open(l, &options, &error) != KU_OK)
        fail_msg("%s", error.message);
}

static void a_disabled_feature_is_paused_with_its_cursor(void **state)
{
    lab *l = *state;

    open_both(l, false);
    bank_put(l, 1, "ann", 1);
    assert_int_equal(bank_dispatch(l).processed, 1);
    lab_close(l);
    open_both(l, true);
    bank_put(l, 1, "ann", 1);
    bank_put(l, 1, "ann", 1);
    assert_int_equal(bank_dispatch(l).processed, 0);
    assert_int_equal(bank_info(l, 1, "listener:projection:heard").lag, 2);
    lab_close(l);
    open_both(l, false);
    assert_int_equal(bank_dispatch(l).processed, 2);
    assert_int_equal(bank_sum(l, 1, "read_heard", "times", "ann"), 3);
}

/* ---- much at once ---------------------------------------------------------------------------- */

static ku_status apply_many(ku_scope *scope, const ku_event *event)
{
    ku_status status = KU_OK;

    for (int i = 0; i < 400 && status == KU_OK; i++)
        status = KU_APPEND(scope, lab_id(6, (uint32_t)event->position), hop_c, .n = i);
    return status;
}
static const ku_on many_on[] = {KU_ON(hop_a, apply_many), KU_END};
static const ku_multi_stream_projection many_projection = {.name = "many", .on = many_on};
static const ku_feature many_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &many_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

static void a_batch_that_appends_more_than_a_command_may_is_cut(void **state)
{
    lab *l = *state;

    lab_open(l, &many_feature, false);
    for (int i = 0; i < 7; i++)
        lab_assert_ok(l, lab_write(l, start_chain, NULL));
    const ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.processed, 7);
    assert_int_equal(result.failed, 0);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 7 + 7 * 400);
    lab_assert_sound(l);
}

static void many_lanes_of_one_event_each_are_all_served(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    for (uint32_t tenant = 1; tenant <= 120; tenant++)
        bank_put(l, tenant, "ann", tenant);
    const ku_dispatch_result result = bank_dispatch(l);
    assert_int_equal(result.processed, 240);
    assert_int_equal(lab_sql(l, "SELECT sum(cents) FROM read_revenue"), 120 * 121 / 2);
    assert_int_equal(bank_info(l, 0, "lab:projection:heard").lanes, 120);
}

static ku_status fail_the_next_begin(ku_scope *scope, void *context)
{
    (void)context;
    /* Past the end of this transaction: what was sent is awaited, COMMIT, then … */
    db_fail_after(scope->db, 3, KU_UNAVAILABLE);
    return KU_OK;
}

static void a_transaction_that_is_lost_is_no_success(void **state)
{
    const ku_user user = lab_user_of(1);
    lab *l = *state;
    ku_dispatch_result result = {0};
    ku_error error;

    lab_open(l, &bank_feature, false);
    bank_put(l, 1, "ann", 5);
    assert_int_equal(app_run_write(l->app, &user, fail_the_next_begin, NULL, &error), KU_OK);
    assert_int_equal(ku_dispatch_once(l->app, &result, &error), KU_UNAVAILABLE);
    assert_non_null(strstr(error.message, "still to be projected"));
    assert_int_equal(ku_dispatch_once(l->app, &result, &error), KU_OK);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_transaction_that_is_lost_is_no_success),
        CASE(every_event_is_processed_once_and_counted),
        CASE(by_hand_is_refused_beside_the_background),
        CASE(three_hops_share_a_correlation_and_name_their_causes),
        CASE(poison_stops_its_lane_behind_what_came_before_it),
        CASE(poison_read_ahead_skips_nothing),
        CASE(poison_at_the_very_beginning_leaves_the_cursor_there),
        CASE(an_event_whose_effect_cannot_be_stored_stops_its_lane_like_any_failure),
        CASE(a_payload_that_cannot_be_lifted_stops_its_lane_like_any_failure),
        CASE(a_consumer_that_starts_now_hears_nothing_of_before),
        CASE(a_disabled_feature_is_paused_with_its_cursor),
        CASE(a_batch_that_appends_more_than_a_command_may_is_cut),
        CASE(many_lanes_of_one_event_each_are_all_served),
    };

    return cmocka_run_group_tests_name("dispatch by hand", tests, NULL, NULL);
}
