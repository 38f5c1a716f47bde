/*
 * Limits of requests at their edges: what is just allowed passes, one more is refused by name.
 */
#include "app/lab.h"

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct card {
    ku_str name;
} card;
static const ku_field card_fields[] = {KU_FIELD(card, name)};
static const ku_entity card_entity = {.name = "card", .row = KU_SHAPE(card)};

static const ku_handler writes[] = {
    {.name = "card:create",
     .access = KU_OPEN_TO_ALL,
     .entity = &card_entity,
     .verb = KU_VERB_CREATE},
    KU_END,
};
static const ku_handler queries[] = {
    {.name = "card:list", .access = KU_OPEN_TO_ALL, .entity = &card_entity, .verb = KU_VERB_LIST},
    KU_END,
};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &card_entity),
    .writes = writes,
    .queries = queries,
};

static int set_up(void **state)
{
    lab *l = lab_new();

    lab_open(l, &feature, false);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

/* A call with a body, as HTTP brings it; to be waited for and freed. */
static lab_call *send_body(lab *l, call_kind kind, const buffer *body)
{
    lab_call *c = mem_zero(1, sizeof(*c));
    json_error error;

    (void)sem_init(&c->done, 0, 0);
    c->call.kind = kind;
    assert_true(json_parse(
        &c->call.arena, (ku_str){body->ptr, body->len}, LIMIT_JSON_DEPTH, &c->call.body, &error));
    c->call.user = lab_user_of(1);
    c->call.trace_id = KU_STR("trace");
    c->call.correlation_id = KU_STR("correlation");
    c->call.done = lab_call_done;
    c->call.transport = c;
    app_submit(l->app, &c->call);
    return c;
}

static void expect_body(lab *l, call_kind kind, buffer *body, ku_status status, const char *part)
{
    lab_call *c = send_body(l, kind, body);

    assert_int_equal(lab_wait(c), status);
    if (strstr(c->call.response.ptr, part) == NULL)
        fail_msg("`%s` is not in %.*s", part, KU_FMT(c->call.response));
    lab_call_free(c);
    buffer_done(body);
}

static buffer batch_of(int n)
{
    buffer b = {0};

    buffer_add_text(&b, "{\"commands\":[");
    for (int i = 0; i < n; i++)
        buffer_format(&b, "%s{\"type\":\"lab:write:card:create\",\"payload\":{\"name\":\"n%d\"}}",
            i > 0 ? "," : "", i);
    buffer_add_text(&b, "]}");
    return b;
}

static buffer request_with_id_of(int length)
{
    buffer b = {0};

    buffer_add_text(
        &b, "{\"type\":\"lab:write:card:create\",\"payload\":{\"name\":\"x\"},\"requestId\":\"");
    for (int i = 0; i < length; i++)
        buffer_add_char(&b, 'r');
    buffer_add_text(&b, "\"}");
    return b;
}

static buffer list_with_filters(int n)
{
    buffer b = {0};

    buffer_add_text(&b, "{\"type\":\"lab:query:card:list\",\"payload\":{\"filter\":"
                        "{\"field\":\"name\",\"op\":\"ne\",\"value\":\"z\"},\"filters\":[");
    for (int i = 0; i < n; i++)
        buffer_format(
            &b, "%s{\"field\":\"name\",\"op\":\"ne\",\"value\":\"no%d\"}", i > 0 ? "," : "", i);
    buffer_add_text(&b, "]}}");
    return b;
}

static int64_t count_cards(const lab *l)
{
    return lab_sql(l, "SELECT count(*) FROM read_cards");
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_batch_takes_two_hundred_commands_and_no_more(void **state)
{
    lab *l = *state;
    buffer fits = batch_of(LIMIT_COMMANDS_PER_BATCH);
    buffer over = batch_of(LIMIT_COMMANDS_PER_BATCH + 1);

    expect_body(l, CALL_BATCH, &fits, KU_OK, "\"isSuccess\":true");
    assert_int_equal(count_cards(l), LIMIT_COMMANDS_PER_BATCH);
    expect_body(l, CALL_BATCH, &over, KU_INVALID, "{\"path\":\"commands\",\"code\":\"too_big\"");
    assert_int_equal(count_cards(l), LIMIT_COMMANDS_PER_BATCH);
}

static void a_request_id_takes_a_hundred_and_twenty_eight_bytes(void **state)
{
    lab *l = *state;
    buffer fits = request_with_id_of(LIMIT_REQUEST_ID_BYTES);
    buffer over = request_with_id_of(LIMIT_REQUEST_ID_BYTES + 1);

    expect_body(l, CALL_WRITE, &fits, KU_OK, "\"isSuccess\":true");
    expect_body(l, CALL_WRITE, &over, KU_INVALID, "{\"path\":\"requestId\",\"code\":\"too_big\"");
    assert_int_equal(count_cards(l), 1);
}

static void a_list_takes_thirty_two_filters_beside_the_single_one(void **state)
{
    lab *l = *state;
    buffer fits = list_with_filters(LIMIT_LIST_FILTERS);
    buffer over = list_with_filters(LIMIT_LIST_FILTERS + 1);

    expect_body(l, CALL_QUERY, &fits, KU_OK, "\"rows\":[]");
    expect_body(l, CALL_QUERY, &over, KU_INVALID, "{\"path\":\"filters\",\"code\":\"too_big\"");
}

static void a_list_without_a_limit_has_fifty_rows(void **state)
{
    lab *l = *state;
    buffer cards = batch_of(LIMIT_LIST_DEFAULT + 1), all = {0};
    size_t rows = 0;

    expect_body(l, CALL_BATCH, &cards, KU_OK, "\"isSuccess\":true");
    buffer_add_text(&all, "{\"type\":\"lab:query:card:list\",\"payload\":{}}");
    lab_call *c = send_body(l, CALL_QUERY, &all);
    assert_int_equal(lab_wait(c), KU_OK);
    for (const char *at = c->call.response.ptr; (at = strstr(at, "\"tenantId\"")) != NULL; at++)
        rows++;
    assert_int_equal(rows, LIMIT_LIST_DEFAULT);
    lab_call_free(c);
    buffer_done(&all);
}

/* More callers than one commit takes: all of them are answered, in more than one. */
static void a_commit_takes_five_hundred_and_twelve_commands_and_leaves_the_rest_to_the_next(
    void **state)
{
    enum { CALLS = LIMIT_SCOPES_PER_COMMIT + 40 };
    static lab_call *calls[CALLS];
    lab *l = *state;
    lab_hold hold;

    lab_hold_writer(l, &hold);
    for (int i = 0; i < CALLS; i++)
        calls[i] = lab_submit(l, CALL_WRITE, "lab:write:card:create", "{\"name\":\"c\"}", "");
    lab_release(&hold);
    for (int i = 0; i < CALLS; i++)
        lab_expect(calls[i], KU_OK);
    assert_int_equal(count_cards(l), CALLS);
    assert_int_equal(lab_sql(l, "SELECT head FROM ku_lanes"), CALLS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_batch_takes_two_hundred_commands_and_no_more),
        CASE(a_request_id_takes_a_hundred_and_twenty_eight_bytes),
        CASE(a_list_takes_thirty_two_filters_beside_the_single_one),
        CASE(a_list_without_a_limit_has_fifty_rows),
        CASE(a_commit_takes_five_hundred_and_twelve_commands_and_leaves_the_rest_to_the_next),
    };

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
