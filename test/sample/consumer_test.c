/*
 * Projections across streams, driven by hand: each event counts once, a failing one leaves nothing
 * behind and holds up nobody else, and what is said about progress is true (behaviour §0, §6.3).
 */
#include "sample/sample.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- a feature that rings bells -------------------------------------------------------------- */

typedef struct bell_rung {
    ku_str bell;
} bell_rung;
static const ku_field bell_rung_fields[] = {KU_FIELD(bell_rung, bell)};
static const ku_event_type bell_rung_event = {
    .name = "bell-rung", .version = 1, .tag = 1, .payload = KU_SHAPE(bell_rung)};
static const ku_entity tower_entity = {
    .name = "tower", .events = KU_LIST(ku_event_type, &bell_rung_event)};

typedef struct bell {
    ku_str bell;
    int64_t strokes;
} bell;
static const ku_field bell_fields[] = {
    KU_FIELD(bell, bell, .flags = KU_KEY),
    KU_FIELD(bell, strokes, .flags = KU_SUM),
};
static const ku_table bell_table = {.name = "read_bells", .row = KU_SHAPE(bell)};

/* The bell called "cracked" cannot be counted until somebody has mended it. */
static bool mended;

static ku_status count_stroke(ku_scope *scope, const ku_event *event)
{
    const ku_str name = KU_PAYLOAD(event, bell_rung)->bell;
    const bell row = {name, 1};
    ku_status status = ku_row_add(scope, &bell_table, &row);
    if (status == KU_OK && ku_str_is(name, "cracked") && !mended)
        return ku_fail(scope, KU_INTERNAL, NULL, "the bell is cracked");
    return status;
}

static const ku_on bells_on[] = {KU_ON(bell_rung, count_stroke), KU_END};
static const ku_multi_stream_projection bells = {
    .name = "bells", .table = &bell_table, .on = bells_on, .max_attempts = 3};
static const ku_multi_stream_projection bells_from_now = {
    .name = "bells", .table = &bell_table, .on = bells_on, .start = KU_FROM_NOW};

static ku_status ring(ku_scope *scope, const void *input, ku_reply *reply)
{
    const ku_append append = {
        .stream = ku_new_id(scope), .type = &bell_rung_event, .payload = input};
    (void)reply;
    return ku_append_event(scope, &append, NULL);
}

static ku_status list(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &bell_table, reply);
}

static const ku_handler writes[] = {
    {.name = "ring", .input = KU_SHAPE(bell_rung), .access = KU_OPEN_TO_ALL, .run = ring},
    KU_END,
};
static const ku_handler queries[] = {
    {.name = "list", .access = KU_OPEN_TO_ALL, .run = list},
    KU_END,
};

static const ku_feature tower_feature = {
    .abi = KU_ABI_VERSION,
    .name = "tower",
    .entities = KU_LIST(ku_entity, &tower_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &bells),
    .writes = writes,
    .queries = queries,
};
static const ku_feature tower_from_now_feature = {
    .abi = KU_ABI_VERSION,
    .name = "tower",
    .entities = KU_LIST(ku_entity, &tower_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &bells_from_now),
    .writes = writes,
    .queries = queries,
};
static const ku_feature silent_tower_feature = {
    .abi = KU_ABI_VERSION,
    .name = "tower",
    .entities = KU_LIST(ku_entity, &tower_entity),
    .writes = writes,
};

/* ---- helpers --------------------------------------------------------------------------------- */

static ku_app *open_tower(sample *s, const ku_feature *feature)
{
    mended = false;
    return sample_app(s, (const ku_feature *const[]){feature, NULL}, false);
}

static void ring_bell(sample *s, ku_app *app, const char *name)
{
    assert_status(sample_call(s, app, "tower:write:ring", "{\"bell\":\"%s\"}", name), 200);
}

static void ring_elsewhere(ku_app *app, const char *payload)
{
    ku_request request = {
        .size = sizeof request,
        .type = KU_STR("tower:write:ring"),
        .payload = ku_str_from(payload),
        .user.id = KU_STR("99"),
    };
    ku_response response;
    assert_true(ku_id_parse(KU_STR(TEST_TENANT_OTHER), &request.user.tenant));
    assert_int_equal(ku_write(app, &request, &response), KU_OK);
    ku_response_free(&response);
}

static ku_dispatch_result dispatch(ku_app *app)
{
    static ku_error error;
    ku_dispatch_result result;
    assert_int_equal(ku_dispatch_once(app, &result, &error), KU_OK);
    return result;
}

static const char *strokes(sample *s, ku_app *app, const char *name)
{
    const answer *rows = sample_call(s, app, "tower:query:list", "{}");
    assert_status(rows, 200);
    return member_of(rows, "data", "bell", name, "strokes");
}

static ku_consumer_info progress(ku_app *app, const char *tenant)
{
    static ku_error error;
    ku_consumer_info *infos = NULL;
    size_t n = 0;
    ku_id id = {{0}};
    if (tenant != NULL)
        assert_true(ku_id_parse(ku_str_from(tenant), &id));
    assert_int_equal(ku_consumer_progress(app, id, &infos, &n, &error), KU_OK);
    assert_int_equal(n, 1);
    ku_consumer_info found = infos[0];
    free(infos);
    return found;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void each_event_counts_once(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &tower_feature);
    for (int i = 0; i < 500; i++)
        ring_bell(s, app, i % 2 == 0 ? "low" : "high");
    assert_int_equal(dispatch(app).processed, 500);
    assert_int_equal(dispatch(app).processed, 0);
    assert_string_equal(strokes(s, app, "low"), "250");
    assert_string_equal(strokes(s, app, "high"), "250");
    ku_app_close(app);

    app = open_tower(s, &tower_feature);
    assert_int_equal(dispatch(app).processed, 0);
    ring_bell(s, app, "low");
    assert_int_equal(dispatch(app).processed, 1);
    assert_string_equal(strokes(s, app, "low"), "251");
    ku_app_close(app);
}

/* The original keeps what the failing apply had written, once for each attempt. */
static void a_failing_event_leaves_nothing_behind(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &tower_feature);
    ring_bell(s, app, "low");
    ring_bell(s, app, "cracked");
    ring_bell(s, app, "high");

    ku_dispatch_result first = dispatch(app);
    assert_int_equal(first.processed, 1);
    assert_int_equal(first.failed, 1);
    assert_string_equal(strokes(s, app, "low"), "1");
    assert_string_equal(strokes(s, app, "cracked"), "(missing)");
    assert_string_equal(strokes(s, app, "high"), "(missing)"); /* order is kept */
    ku_consumer_info waiting = progress(app, NULL);
    assert_int_equal(waiting.position, 1);
    assert_int_equal(waiting.lag, 2);
    assert_int_equal(waiting.attempts, 1);
    assert_string_equal(waiting.status, "backoff");
    assert_non_null(strstr(waiting.last_error, "cracked"));

    mended = true;
    ku_dispatch_result second = dispatch(app);
    assert_int_equal(second.processed, 2);
    assert_int_equal(second.failed, 0);
    assert_string_equal(strokes(s, app, "cracked"), "1");
    assert_string_equal(strokes(s, app, "high"), "1");
    ku_consumer_info done = progress(app, NULL);
    assert_int_equal(done.lag, 0);
    assert_int_equal(done.attempts, 0);
    assert_string_equal(done.status, "idle");
    ku_app_close(app);
}

static void a_failing_event_holds_up_no_other_tenant(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &tower_feature);
    ring_bell(s, app, "cracked");
    ring_elsewhere(app, "{\"bell\":\"low\"}");
    ring_elsewhere(app, "{\"bell\":\"high\"}");
    ku_dispatch_result result = dispatch(app);
    assert_int_equal(result.processed, 2);
    assert_int_equal(result.failed, 1);
    assert_int_equal(progress(app, TEST_TENANT).lag, 1);
    assert_int_equal(progress(app, TEST_TENANT_OTHER).lag, 0);
    ku_app_close(app);
}

static void after_its_last_attempt_a_lane_halts_and_says_so(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &tower_feature);
    ring_bell(s, app, "cracked");
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(dispatch(app).failed, 1);
        assert_int_equal(progress(app, NULL).attempts, i);
    }
    assert_string_equal(progress(app, NULL).status, "halted");
    mended = true;
    assert_int_equal(dispatch(app).processed, 0);
    assert_int_equal(progress(app, NULL).lag, 1);
    ku_app_close(app);
}

static void a_new_consumer_may_begin_now(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &silent_tower_feature);
    ring_bell(s, app, "low");
    ring_bell(s, app, "low");
    ku_app_close(app);

    app = open_tower(s, &tower_from_now_feature);
    assert_int_equal(dispatch(app).processed, 0);
    ring_bell(s, app, "low");
    ring_elsewhere(app, "{\"bell\":\"high\"}"); /* a lane that did not exist begins at its first */
    assert_int_equal(dispatch(app).processed, 2);
    assert_string_equal(strokes(s, app, "low"), "1");
    ku_app_close(app);
}

static void a_new_consumer_usually_begins_at_the_beginning(void **state)
{
    sample *s = *state;
    ku_app *app = open_tower(s, &silent_tower_feature);
    ring_bell(s, app, "low");
    ring_bell(s, app, "low");
    ku_app_close(app);

    app = open_tower(s, &tower_feature);
    assert_int_equal(progress(app, NULL).lag, 2);
    assert_int_equal(dispatch(app).processed, 2);
    assert_string_equal(strokes(s, app, "low"), "2");
    ku_app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(each_event_counts_once),
        FOLDER_TEST(a_failing_event_leaves_nothing_behind),
        FOLDER_TEST(a_failing_event_holds_up_no_other_tenant),
        FOLDER_TEST(after_its_last_attempt_a_lane_halts_and_says_so),
        FOLDER_TEST(a_new_consumer_may_begin_now),
        FOLDER_TEST(a_new_consumer_usually_begins_at_the_beginning),
    };
    return cmocka_run_group_tests_name("consumer", tests, NULL, NULL);
}
