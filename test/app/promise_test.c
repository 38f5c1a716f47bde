/*
 * What the public headers promise of a write, where keeping it is least convenient: a transaction
 * that cannot begin, a scope that fails behind a query, a handler that ignores what failed, a
 * request id used for another kind of call, positions and tenants that nobody has.
 */
#include "app/lab.h"

#include "db/db.h"

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct noted {
    int64_t n;
} noted;
static const ku_field noted_fields[] = {KU_FIELD(noted, n)};
static const ku_event_type noted_event = {.name = "noted", .tag = 1, .payload = KU_SHAPE(noted)};
static const ku_entity book_entity = {
    .name = "book", .events = KU_LIST(ku_event_type, &noted_event)};

typedef struct ticket {
    ku_str title;
    ku_str state;
} ticket;
static const ku_field ticket_fields[] = {
    KU_FIELD(ticket, title),
    KU_FIELD(ticket, state, .initial = "\"open\"", .write_roles = KU_NAMES("Boss")),
};
static const ku_entity ticket_entity = {.name = "ticket", .row = KU_SHAPE(ticket)};

typedef struct sum {
    ku_str name;
    int64_t total;
} sum;
static const ku_field sum_fields[] = {
    KU_FIELD(sum, name, .flags = KU_KEY),
    KU_FIELD(sum, total, .flags = KU_SUM),
};
static const ku_table sum_table = {.name = "read_sums", .row = KU_SHAPE(sum)};

static ku_status apply_noted(ku_scope *scope, const ku_event *event)
{
    const sum row = {.name = KU_STR("noted"), .total = KU_PAYLOAD(event, noted)->n};

    if (row.total < 0)
        return ku_refuse(scope, "negative", "a note is not negative");
    return ku_row_add(scope, &sum_table, &row);
}

static ku_status apply_created(ku_scope *scope, const ku_event *event)
{
    const ticket *row = KU_CHANGE(event)->row;

    return ku_str_is(row->title, "bad") ? ku_refuse(scope, "bad", "a bad title") : KU_OK;
}

static const ku_on sums_on[] = {
    KU_ON(noted, apply_noted),
    KU_ON_ENTITY(&ticket_entity, KU_CREATED, apply_created),
    KU_END,
};
static const ku_projection sums = {.name = "sums", .table = &sum_table, .on = sums_on};

typedef struct n_input {
    int64_t n;
} n_input;
static const ku_field n_input_fields[] = {KU_FIELD(n_input, n)};

static ku_status run_note(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)reply;
    return KU_APPEND(scope, lab_id(5, 1), noted, .n = ((const n_input *)input)->n);
}

static const ku_handler writes[] = {
    LAB_DO,
    {.name = "note", .input = KU_SHAPE(n_input), .access = KU_OPEN_TO_ALL, .run = run_note},
    {.name = "near",
      .input = KU_SHAPE(n_input),
      .access = KU_OPEN_TO_ALL,
      .run = run_note,
      .rate_limit = {.per = KU_PER_ADDRESS, .limit = 1, .window_s = 60}},
    {.name = "ticket:create",
      .access = KU_OPEN_TO_ALL,
      .entity = &ticket_entity,
      .verb = KU_VERB_CREATE                                                             },
    KU_END,
};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &book_entity, &ticket_entity),
    .projections = KU_LIST(ku_projection, &sums),
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

static int64_t count_events(const lab *l)
{
    return lab_sql(l, "SELECT count(*) FROM ku_events");
}

/* ---- transactions ---------------------------------------------------------------------------- */

static ku_status fail_the_next_begin(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    db_fail_after(scope->db, 3, KU_UNAVAILABLE); /* this transaction waits, commits, then … */
    return KU_OK;
}

static void a_transaction_that_cannot_begin_is_told_and_the_next_one_works(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, fail_the_next_begin, NULL));
    assert_int_equal(lab_send(l, true, "lab:write:note", "{\"n\":1}"), KU_UNAVAILABLE);
    assert_int_equal(l->response.http_status, 503);
    lab_assert_ok(l, lab_send(l, true, "lab:write:note", "{\"n\":1}"));
    assert_int_equal(count_events(l), 1);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void a_number_of_writers_that_cannot_be_is_refused(void **state)
{
    lab *l = *state;
    const ku_feature *const features[] = {&feature, NULL};
    ku_app_options options = {.features = features, .writers = LIMIT_WRITERS + 1};
    ku_error error = {0};

    lab_close(l);
    assert_int_equal(lab_try_open(l, &options, &error), KU_INVALID);
    assert_non_null(strstr(error.message, "65 writers"));
    options.writers = LIMIT_WRITERS;
    ku_status status = lab_try_open(l, &options, &error);
    assert_int_equal(status, test_engine_is_postgres() ? KU_OK : KU_INVALID);
    if (status != KU_OK)
        assert_non_null(strstr(error.message, "a file of SQLite has one"));
    lab_close(l);
    options.writers = 1;
    lab_assert_ok(l, lab_try_open(l, &options, &error));
}

/* ---- rows ------------------------------------------------------------------------------------ */

static ku_status add_sum(ku_scope *scope, int64_t n)
{
    const sum row = {.name = KU_STR("shared"), .total = n};

    return ku_row_add(scope, &sum_table, &row);
}

static ku_status add_body(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    return add_sum(scope, *(const int64_t *)context);
}

/* Adds, looks by a query, adds again, looks by key, and then refuses. */
static ku_status add_look_refuse(ku_scope *scope, void *context, ku_reply *reply)
{
    sum row = {.name = KU_STR("shared")};
    ku_page page;

    (void)context;
    (void)reply;
    ku_status status = add_sum(scope, 100);
    if (status == KU_OK)
        status = ku_query_projection(scope, &sum_table, NULL, &page);
    if (status == KU_OK)
        status = add_sum(scope, 100);
    if (status == KU_OK)
        status = ku_row_get(scope, &sum_table, &row);
    return status == KU_OK ? ku_refuse(scope, "late", "at %lld", (long long)row.total) : status;
}

static ku_status look_body(ku_scope *scope, void *context, ku_reply *reply)
{
    sum row = {.name = KU_STR("shared")};

    (void)reply;
    ku_status status = ku_row_get(scope, &sum_table, &row);
    *(int64_t *)context = row.total;
    return status == KU_OK ? ku_row_put(scope, &sum_table, &row) : status;
}

static void a_sum_that_a_failed_scope_looked_at_is_not_the_next_ones(void **state)
{
    static const int64_t one = 1;
    int64_t seen = -1;
    lab *l = *state;
    lab_hold hold;

    lab_assert_ok(l, lab_write(l, add_body, &one));
    lab_hold_writer(l, &hold);
    lab_call *failing = lab_submit_body(l, add_look_refuse, NULL, "");
    lab_call *next = lab_submit_body(l, look_body, &seen, "");
    lab_release(&hold);
    assert_int_equal(lab_wait(failing), KU_REFUSED);
    assert_non_null(strstr(failing->call.response.ptr, "at 201"));
    lab_call_free(failing);
    lab_expect(next, KU_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(lab_sql(l, "SELECT total FROM read_sums"), 1);
}

/* ---- projections ----------------------------------------------------------------------------- */

static ku_status append_and_ignore(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    (void)KU_APPEND(scope, lab_id(5, 1), noted, .n = -1);
    ku_clear_error(scope);
    return KU_OK;
}

static ku_status create_and_ignore(ku_scope *scope, void *context, ku_reply *reply)
{
    const ticket row = {KU_STR("bad"), KU_STR("open")};

    (void)context;
    (void)reply;
    (void)ku_entity_create(scope, &ticket_entity, lab_id(7, 1), &row, NULL, NULL);
    return KU_OK;
}

static void a_projection_that_fails_fails_the_write_whatever_the_handler_says(void **state)
{
    lab *l = *state;

    assert_int_equal(lab_write(l, append_and_ignore, NULL), KU_REFUSED);
    assert_int_equal(lab_write(l, create_and_ignore, NULL), KU_REFUSED);
    lab_assert_has(l, "\"reason\":\"bad\"");
    assert_int_equal(count_events(l), 0);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tickets"), 0);
}

/* ---- request ids ----------------------------------------------------------------------------- */

static void a_request_id_is_of_one_kind_of_call(void **state)
{
    static const call_kind kinds[] = {CALL_WRITE, CALL_COMMAND};
    lab *l = *state;

    for (size_t i = 0; i < KU_COUNT(kinds); i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "id-%zu", i);
        lab_expect(lab_submit(l, kinds[i], "lab:write:note", "{\"n\":1}", id), KU_OK);
        lab_call *same = lab_submit(l, kinds[i], "lab:write:note", "{\"n\":1}", id);
        assert_int_equal(lab_wait(same), KU_OK);
        assert_int_equal(same->call.http_status, kinds[i] == CALL_COMMAND ? 202 : 200);
        lab_call_free(same);
        /* Its stored answer has the other's form: better none than one that cannot be read. */
        lab_call *other = lab_submit(l, kinds[1 - i], "lab:write:note", "{\"n\":1}", id);
        assert_int_equal(lab_wait(other), KU_REFUSED);
        assert_non_null(strstr(other->call.response.ptr, "idempotency_key_reused"));
        lab_call_free(other);
    }
    assert_int_equal(count_events(l), 2);
}

/* ---- walks ----------------------------------------------------------------------------------- */

typedef struct walk {
    ku_event_filter filter;
    int64_t n, of_others;
} walk;

static ku_status count_event(ku_scope *scope, const ku_event *event, void *context)
{
    walk *w = context;

    w->n++;
    w->of_others += KU_PAYLOAD(event, noted)->n != 3 ? 1 : 0;
    (void)scope;
    return KU_OK;
}

static ku_status walk_body(ku_scope *scope, void *context, ku_reply *reply)
{
    walk *w = context;

    (void)reply;
    return ku_each_event(scope, &w->filter, count_event, w);
}

static void a_walk_from_a_position_that_nobody_has_stays_in_its_tenant(void **state)
{
    static const int64_t positions[] = {-1, INT64_MIN, INT64_MIN + 7, INT64_MAX, (INT64_C(1) << 40),
        (INT64_C(1) << 40) - 1, -(INT64_C(1) << 40)};
    lab *l = *state;

    for (uint32_t tenant = 1; tenant <= 3; tenant++) {
        char payload[32];
        (void)snprintf(payload, sizeof(payload), "{\"n\":%u}", tenant);
        for (int i = 0; i < 3; i++)
            lab_assert_ok(l, lab_request(l, true,
                                 (ku_request){.type = KU_STR("lab:write:note"),
                                     .payload = ku_str_from(payload),
                                     .user = lab_user_of(tenant)}));
    }
    const ku_user third = lab_user_of(3);
    for (size_t i = 0; i < KU_COUNT(positions); i++) {
        walk w = {.filter = {.after_position = positions[i]}};
        lab_assert_ok(l, lab_as(l, false, &third, walk_body, &w));
        assert_int_equal(w.of_others, 0);
        assert_int_equal(w.n, positions[i] < 0 ? 3 : 0);
    }
}

static void the_nil_tenant_is_a_tenant_and_not_all_of_them(void **state)
{
    const ku_user nobody = {.id = KU_STR("n"), .roles = lab_roles, .n_roles = 2};
    char payload[80];
    walk w = {.n = 0};
    lab *l = *state;
    ku_response response = {0};

    lab_assert_ok(l, lab_send(l, true, "lab:write:note", "{\"n\":1}"));
    const ku_request request = {.size = sizeof(request),
        .type = KU_STR("lab:query:do"),
        .payload = lab_do_payload(walk_body, &w, payload),
        .user = nobody};
    assert_int_equal(ku_query(l->app, &request, &response), KU_OK);
    ku_response_free(&response);
    assert_int_equal(w.n, 0);
}

/* ---- streams --------------------------------------------------------------------------------- */

static ku_status append_to_nil(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    return KU_APPEND(scope, (ku_id){{0}}, noted, .n = 1);
}

static void no_stream_has_the_nil_id(void **state)
{
    lab *l = *state;

    assert_int_equal(lab_write(l, append_to_nil, NULL), KU_INVALID);
    assert_int_equal(count_events(l), 0);
}

static ku_status archive_body(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    return ku_archive_stream(scope, &book_entity, lab_id(5, 1), KU_STR("done"));
}

static ku_status fetch_body(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_writable writable;

    (void)context;
    (void)reply;
    return ku_fetch_for_writing(scope, &book_entity, lab_id(5, 1), KU_VERSION(1), &writable);
}

static void an_archived_stream_is_fetched_for_writing_as_such(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_send(l, true, "lab:write:note", "{\"n\":1}"));
    lab_assert_ok(l, lab_write(l, fetch_body, NULL));
    lab_assert_ok(l, lab_write(l, archive_body, NULL));
    assert_int_equal(lab_write(l, fetch_body, NULL), KU_CONFLICT);
    lab_assert_has(l, "\"reason\":\"stream_archived\"");
}

/* ---- gates ----------------------------------------------------------------------------------- */

static void what_a_field_is_by_itself_needs_no_role(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_send(l, true, "lab:write:ticket:create", "{\"title\":\"t\"}"));
    lab_assert_has(l, "\"state\":\"open\"");
    assert_int_equal(
        lab_send(l, true, "lab:write:ticket:create", "{\"title\":\"t\",\"state\":\"open\"}"),
        KU_DENIED);
    lab_assert_has(l, "\"field\":\"state\"");
}

static ku_status note_from(lab *l, const char *address)
{
    return lab_request(l, true,
        (ku_request){.type = KU_STR("lab:write:near"),
            .payload = KU_STR("{\"n\":1}"),
            .address = ku_str_from(address)});
}

static void callers_without_an_address_share_no_bucket(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, note_from(l, ""));
    lab_assert_ok(l, note_from(l, ""));
    lab_assert_ok(l, note_from(l, "10.0.0.1"));
    assert_int_equal(note_from(l, "10.0.0.1"), KU_RATE_LIMITED);
    lab_assert_ok(l, note_from(l, "10.0.0.2"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_transaction_that_cannot_begin_is_told_and_the_next_one_works),
        CASE(a_number_of_writers_that_cannot_be_is_refused),
        CASE(a_sum_that_a_failed_scope_looked_at_is_not_the_next_ones),
        CASE(a_projection_that_fails_fails_the_write_whatever_the_handler_says),
        CASE(a_request_id_is_of_one_kind_of_call),
        CASE(a_walk_from_a_position_that_nobody_has_stays_in_its_tenant),
        CASE(the_nil_tenant_is_a_tenant_and_not_all_of_them),
        CASE(no_stream_has_the_nil_id),
        CASE(an_archived_stream_is_fetched_for_writing_as_such),
        CASE(what_a_field_is_by_itself_needs_no_role),
        CASE(callers_without_an_address_share_no_bucket),
    };

    return cmocka_run_group_tests_name("promises", tests, NULL, NULL);
}
