/*
 * Commands in process: what is asked before a handler runs, what happens when many share a commit,
 * and what a client that repeats itself is told.
 */
#include "app/lab.h"

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct counted {
    int64_t n;
} counted;
static const ku_field counted_fields[] = {KU_FIELD(counted, n)};
static const ku_event_type counted_event = {
    .name = "counted", .tag = 1, .payload = KU_SHAPE(counted)};

typedef struct counter_state {
    int64_t sum;
    int64_t times;
} counter_state;
static const ku_field counter_state_fields[] = {
    KU_FIELD(counter_state, sum),
    KU_FIELD(counter_state, times),
};

static void evolve_counter(void *state, const ku_event *event)
{
    counter_state *s = state;

    s->sum += KU_PAYLOAD(event, counted)->n;
    s->times++;
}

static const ku_entity counter_entity = {
    .name = "counter",
    .state = KU_SHAPE(counter_state),
    .evolve = evolve_counter,
    .events = KU_LIST(ku_event_type, &counted_event),
};

typedef struct label {
    ku_str name;
    int64_t weight;
} label;
static const ku_field label_fields[] = {
    KU_FIELD(label, name),
    KU_FIELD(label, weight, .initial = "41"),
};
static const ku_entity label_entity = {.name = "label", .row = KU_SHAPE(label)};

typedef struct amount_input {
    int64_t n;
} amount_input;
static const ku_field amount_input_fields[] = {KU_FIELD(amount_input, n)};

static _Atomic int64_t runs;

static ku_status run_count(ku_scope *scope, const void *input, ku_reply *reply)
{
    const amount_input *in = input;
    const ku_event *event = NULL;
    const counted payload = {.n = in->n};
    const ku_append append = {.stream = lab_id(5, 1), .type = &counted_event, .payload = &payload};

    atomic_fetch_add(&runs, 1);
    if (in->n < 0)
        return ku_refuse(scope, "negative", "n is negative");
    if (in->n == 0)
        return ku_fail(scope, KU_CONFLICT, "zero", "n is zero");
    ku_status status = ku_append_event(scope, &append, &event);
    if (status == KU_OK)
        status = ku_reply_json(
            scope, ku_format(scope, "{\"version\":%lld}", (long long)event->version), reply);
    return status;
}

/* The first attempts meet another's event. */
static _Atomic int conflicts_left;

static ku_status run_racing(ku_scope *scope, const void *input, ku_reply *reply)
{
    counter_state state;
    const ku_load_options options = {.missing_ok = true};

    (void)reply;
    atomic_fetch_add(&runs, 1);
    ku_status status = ku_load_aggregate(scope, &counter_entity, lab_id(5, 1), &options, &state);
    if (status != KU_OK)
        return status;
    const counted payload = {.n = ((const amount_input *)input)->n};
    ku_append append = {.stream = lab_id(5, 1), .type = &counted_event, .payload = &payload};
    /* What another process would have done in between. */
    if (atomic_load(&conflicts_left) > 0) {
        atomic_fetch_sub(&conflicts_left, 1);
        append.expected_version = KU_VERSION(state.times + 100);
    }
    return ku_append_event(scope, &append, NULL);
}

static bool even_users_only(const ku_scope *scope)
{
    ku_str user = ku_scope_user(scope);

    return user.len > 0 && (user.ptr[user.len - 1] - '0') % 2 == 0;
}

#define AMOUNT .input = KU_SHAPE(amount_input)
static const ku_handler writes[] = {
    LAB_DO,
    {.name = "count",           AMOUNT,                              .access = KU_OPEN_TO_ALL, .run = run_count                          },
    {.name = "racing",          AMOUNT,                              .access = KU_OPEN_TO_ALL, .run = run_racing,                          .retries = 3},
    {.name = "even",                         AMOUNT,                                               .access = {.allow = even_users_only},                                         .run = run_count},
    {.name = "admin",                         AMOUNT,                                              .access = KU_ROLES("Boss",                                        "Admin"),            .run = run_count},
    {.name = "limited",
      AMOUNT,                                            .access = KU_ROLES("Admin"),
      .run = run_count,
      .rate_limit = {.per = KU_PER_USER, .limit = 3, .window_s = 30}},
    {.name = "per-address",
      AMOUNT, .access = KU_OPEN_TO_ALL,
      .run = run_count,
      .rate_limit = {.per = KU_PER_ADDRESS_AND_HANDLER, .limit = 4, .window_s = 60, .cost = 2}},
    {.name = "label:create",
      .access = KU_OPEN_TO_ALL,
      .entity = &label_entity,
      .verb = KU_VERB_CREATE                                          },
    KU_END,
};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &counter_entity, &label_entity),
    .writes = writes,
    .queries = queries,
};

static int set_up(void **state)
{
    lab *l = lab_new();

    atomic_store(&runs, 0);
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

static ku_status count_with_id(lab *l, int64_t n, const char *request_id)
{
    char payload[64];

    (void)snprintf(payload, sizeof(payload), "{\"n\":%lld}", (long long)n);
    return lab_request(l, true,
        (ku_request){.type = KU_STR("lab:write:count"),
            .payload = ku_str_from(payload),
            .request_id = ku_str_from(request_id)});
}

/* ---- repeating a request --------------------------------------------------------------------- */

static void a_repeated_request_is_answered_from_the_store(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, count_with_id(l, 5, "r1"));
    char *first = strdup(lab_text(l));
    lab_assert_ok(l, count_with_id(l, 5, "r1"));
    assert_string_equal(lab_text(l), first);
    lab_close(l);
    lab_open(l, &feature, false); /* after a restart, too */
    lab_assert_ok(l, count_with_id(l, 5, "r1"));
    assert_string_equal(lab_text(l), first);
    free(first);
    assert_int_equal(atomic_load(&runs), 1);
    assert_int_equal(count_events(l), 1);
}

static void a_used_request_id_with_another_payload_is_refused(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, count_with_id(l, 5, "r1"));
    assert_int_equal(count_with_id(l, 6, "r1"), KU_REFUSED);
    lab_assert_has(l, "\"reason\":\"idempotency_key_reused\"");
    lab_assert_ok(l, count_with_id(l, 5, "r1"));
    assert_int_equal(count_events(l), 1);
}

static void a_request_id_belongs_to_its_tenant_and_user(void **state)
{
    lab *l = *state;
    ku_user users[] = {lab_user_of(1), lab_user_of(2), lab_user_of(1)};

    users[2].id = KU_STR("user2");
    for (size_t i = 0; i < KU_COUNT(users); i++)
        lab_assert_ok(l, lab_request(l, true,
                             (ku_request){.type = KU_STR("lab:write:count"),
                                 .payload = KU_STR("{\"n\":1}"),
                                 .request_id = KU_STR("same"),
                                 .user = users[i]}));
    assert_int_equal(count_events(l), 3);
}

static void a_final_refusal_is_stored_and_a_conflict_is_not(void **state)
{
    lab *l = *state;

    assert_int_equal(count_with_id(l, -1, "refused"), KU_REFUSED);
    char *first = strdup(lab_text(l));
    assert_int_equal(count_with_id(l, -1, "refused"), KU_REFUSED);
    assert_string_equal(lab_text(l), first); /* with its timestamp */
    free(first);
    assert_int_equal(l->response.http_status, 422);
    assert_int_equal(atomic_load(&runs), 1);

    assert_int_equal(count_with_id(l, 0, "conflict"), KU_CONFLICT);
    assert_int_equal(count_with_id(l, 0, "conflict"), KU_CONFLICT);
    assert_int_equal(atomic_load(&runs), 3);
}

static void a_stored_answer_expires_after_a_day(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, count_with_id(l, 1, "old"));
    atomic_fetch_add(&l->now_us, INT64_C(86400) * 1000000 - 1);
    lab_assert_ok(l, count_with_id(l, 1, "old"));
    assert_int_equal(count_events(l), 1);
    atomic_fetch_add(&l->now_us, 1);
    lab_assert_ok(l, count_with_id(l, 2, "old")); /* the id is free for anything */
    assert_int_equal(count_events(l), 2);
    lab_assert_ok(l, count_with_id(l, 2, "old"));
    assert_int_equal(count_events(l), 2);
}

static void twins_in_one_commit_run_once_and_hear_the_same(void **state)
{
    lab *l = *state;
    lab_call *calls[40];
    lab_hold hold;

    lab_hold_writer(l, &hold);
    for (size_t i = 0; i < KU_COUNT(calls); i++)
        calls[i] = lab_submit(
            l, CALL_WRITE, "lab:write:count", "{\"n\":3}", i % 2 == 0 ? "twin" : "twin2");
    lab_release(&hold);
    for (size_t i = 0; i < KU_COUNT(calls); i++)
        assert_int_equal(lab_wait(calls[i]), KU_OK);
    for (size_t i = 2; i < KU_COUNT(calls); i++)
        assert_true(ku_str_equal(calls[i]->call.response, calls[i % 2]->call.response));
    for (size_t i = 0; i < KU_COUNT(calls); i++)
        lab_call_free(calls[i]);
    assert_int_equal(atomic_load(&runs), 2);
    assert_int_equal(count_events(l), 2);
}

static void *send_twin(void *context)
{
    lab *l = context;
    ku_response response;
    const ku_request request = {.size = sizeof(request),
        .type = KU_STR("lab:write:count"),
        .payload = KU_STR("{\"n\":9}"),
        .user = lab_user_of(1),
        .request_id = KU_STR("threads")};

    ku_status status = ku_write(l->app, &request, &response);
    bool right = status == KU_OK && strstr(response.body.ptr, "\"version\":1") != NULL;
    ku_response_free(&response);
    return right ? context : NULL;
}

static void twins_of_many_threads_run_once(void **state)
{
    pthread_t threads[24];
    lab *l = *state;

    for (size_t i = 0; i < KU_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_twin, l), 0);
    for (size_t i = 0; i < KU_COUNT(threads); i++) {
        void *right = NULL;
        assert_int_equal(pthread_join(threads[i], &right), 0);
        assert_non_null(right);
    }
    assert_int_equal(count_events(l), 1);
}

/* ---- a transaction that has to be run again -------------------------------------------------- */

static ku_status fail_soon(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    db_fail_after(scope->db, *(const int64_t *)context, KU_INTERNAL);
    return KU_OK;
}

/* Wherever the batch's flush fails, each command has run once in the end, with its own defaults. */
static void commands_run_again_after_a_failed_flush_are_the_same_commands(void **state)
{
    lab *l = *state;

    for (int64_t calls = 1; calls <= 12; calls++) {
        char name[3][40];
        lab_call *created[3];
        lab_hold hold;
        lab_hold_writer(l, &hold);
        lab_call *failing = lab_submit_body(l, fail_soon, &calls, "");
        for (int i = 0; i < 3; i++) {
            char id[20];
            (void)snprintf(
                name[i], sizeof(name[i]), "{\"name\":\"n%lld-%d\"}", (long long)calls, i);
            (void)snprintf(id, sizeof(id), "id%lld-%d", (long long)calls, i);
            created[i] = lab_submit(l, CALL_WRITE, "lab:write:label:create", name[i], id);
            created[i]->call.request_id = arena_copy(&created[i]->call.arena, ku_str_from(id));
        }
        lab_release(&hold);
        (void)lab_wait(failing);
        lab_call_free(failing);
        for (int i = 0; i < 3; i++) {
            (void)lab_wait(created[i]);
            lab_call_free(created[i]);
        }
        /* A client repeats what it has not heard a success of, and also what it has. */
        for (int i = 0; i < 3; i++) {
            char id[20];
            (void)snprintf(id, sizeof(id), "id%lld-%d", (long long)calls, i);
            lab_assert_ok(l, lab_request(l, true,
                                 (ku_request){.type = KU_STR("lab:write:label:create"),
                                     .payload = ku_str_from(name[i]),
                                     .request_id = ku_str_from(id)}));
        }
        assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_labels"), 3 * calls);
        assert_int_equal(
            lab_sql(l, "SELECT count(*) FROM read_labels WHERE weight = 41"), 3 * calls);
        assert_int_equal(count_events(l), 3 * calls);
    }
    lab_assert_sound(l);
}

/* ---- batches of commands --------------------------------------------------------------------- */

static lab_call *submit_batch(lab *l, const char *body, ku_status expected)
{
    lab_call *c = mem_zero(1, sizeof(*c));
    json_error error;

    (void)sem_init(&c->done, 0, 0);
    c->call.kind = CALL_BATCH;
    assert_true(
        json_parse(&c->call.arena, ku_str_from(body), LIMIT_JSON_DEPTH, &c->call.body, &error));
    c->call.user = lab_user_of(1);
    c->call.trace_id = KU_STR("trace");
    c->call.done = lab_call_done;
    c->call.transport = c;
    app_submit(l->app, &c->call);
    assert_int_equal(lab_wait(c), expected);
    return c;
}

#define COUNT(n) "{\"type\":\"lab:write:count\",\"payload\":{\"n\":" #n "}}"

static void a_batch_is_one_transaction(void **state)
{
    lab *l = *state;

    lab_call *c = submit_batch(l, "{\"commands\":[" COUNT(1) "," COUNT(2) "," COUNT(3) "]}", KU_OK);
    assert_non_null(memmem(c->call.response.ptr, c->call.response.len, "\"version\":3", 11));
    lab_call_free(c);
    c = submit_batch(l, "{\"commands\":[" COUNT(4) "," COUNT(-1) "," COUNT(5) "]}", KU_REFUSED);
    assert_non_null(memmem(c->call.response.ptr, c->call.response.len, "\"failedIndex\":1", 15));
    lab_call_free(c);
    lab_call_free(submit_batch(l, "{\"commands\":[]}", KU_OK));
    assert_int_equal(count_events(l), 3);
    lab_assert_sound(l);
}

static void a_repeated_batch_is_answered_from_the_store(void **state)
{
    static const char body[] = "{\"requestId\":\"b\",\"commands\":[" COUNT(1) "," COUNT(2) "]}";
    lab *l = *state;

    lab_call *first = submit_batch(l, body, KU_OK);
    lab_call *second = submit_batch(l, body, KU_OK);
    assert_true(ku_str_equal(first->call.response, second->call.response));
    lab_call_free(first);
    lab_call_free(second);
    assert_int_equal(count_events(l), 2);
}

/* ---- a queue that is full -------------------------------------------------------------------- */

static void a_full_queue_answers_at_once_and_never_grows(void **state)
{
    enum { MORE = 20 };
    lab *l = *state;
    lab_call **calls = mem_zero(LIMIT_WRITE_QUEUE + MORE, sizeof(*calls));
    lab_hold hold;

    lab_hold_writer(l, &hold);
    for (int i = 0; i < LIMIT_WRITE_QUEUE + MORE; i++)
        calls[i] = lab_submit(l, CALL_WRITE, "lab:write:count", "{\"n\":1}", "");
    for (int i = LIMIT_WRITE_QUEUE; i < LIMIT_WRITE_QUEUE + MORE; i++) {
        assert_int_equal(sem_trywait(&calls[i]->done), 0); /* answered already */
        assert_int_equal(calls[i]->call.http_status, 503);
        lab_call_free(calls[i]);
    }
    lab_release(&hold);
    for (int i = 0; i < LIMIT_WRITE_QUEUE; i++)
        lab_expect(calls[i], KU_OK);
    free(calls);
    assert_int_equal(count_events(l), LIMIT_WRITE_QUEUE);
    lab_assert_sound(l);
}

/* ---- callers that do not wait ---------------------------------------------------------------- */

static bool is_gone(void *context)
{
    return atomic_load((_Atomic bool *)context);
}

static void what_nobody_waits_for_is_not_started(void **state)
{
    lab *l = *state;
    _Atomic bool gone = false;
    lab_hold hold;

    lab_hold_writer(l, &hold);
    lab_call *late = mem_zero(1, sizeof(*late));
    (void)sem_init(&late->done, 0, 0);
    late->call = (app_call){.kind = CALL_WRITE,
        .type = KU_STR("lab:write:count"),
        .payload = KU_STR("{\"n\":1}"),
        .user = lab_user_of(1),
        .trace_id = KU_STR("t"),
        .deadline_us = clock_monotonic_us() - 1,
        .done = lab_call_done,
        .transport = late};
    app_submit(l->app, &late->call);
    lab_call *left = mem_zero(1, sizeof(*left));
    (void)sem_init(&left->done, 0, 0);
    left->call = (app_call){.kind = CALL_WRITE,
        .type = KU_STR("lab:write:count"),
        .payload = KU_STR("{\"n\":1}"),
        .user = lab_user_of(1),
        .trace_id = KU_STR("t"),
        .cancelled = is_gone,
        .cancelled_context = &gone,
        .done = lab_call_done,
        .transport = left};
    app_submit(l->app, &left->call);
    atomic_store(&gone, true);
    lab_release(&hold);
    assert_int_equal(lab_wait(late), KU_TIMEOUT);
    assert_int_equal(late->call.http_status, 408);
    lab_call_free(late);
    lab_expect(left, KU_CANCELLED);
    assert_int_equal(atomic_load(&runs), 0);
    assert_int_equal(count_events(l), 0);
}

static ku_status wait_until_cancelled(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    while (!ku_scope_cancelled(scope))
        continue;
    return ku_fail(scope, KU_CANCELLED, NULL, "stopped");
}

static void a_query_past_its_deadline_is_told_so(void **state)
{
    lab *l = *state;
    char payload[80];

    ku_status status = lab_request(l, false,
        (ku_request){.type = KU_STR("lab:query:do"),
            .payload = lab_do_payload(wait_until_cancelled, NULL, payload),
            .timeout_ms = 30});
    assert_int_equal(status, KU_TIMEOUT);
    assert_int_equal(l->response.http_status, 408);
}

/* ---- limits and conflicts -------------------------------------------------------------------- */

static ku_status append_n(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_status status = KU_OK;

    (void)reply;
    for (int64_t i = 0; i < *(const int64_t *)context && status == KU_OK; i++)
        status = KU_APPEND(scope, lab_id(5, (uint32_t)(i % 7)), counted, .n = i);
    return status;
}

static void a_command_appends_a_thousand_events_and_not_one_more(void **state)
{
    static const int64_t fits = LIMIT_EVENTS_PER_SCOPE, too_many = LIMIT_EVENTS_PER_SCOPE + 1;
    lab *l = *state;

    assert_int_equal(lab_write(l, append_n, &too_many), KU_REFUSED);
    lab_assert_has(l, "too_many_events");
    assert_int_equal(count_events(l), 0);
    lab_assert_ok(l, lab_write(l, append_n, &fits));
    assert_int_equal(count_events(l), LIMIT_EVENTS_PER_SCOPE);
    lab_assert_sound(l);
}

static void a_conflict_is_retried_as_often_as_the_handler_asked(void **state)
{
    lab *l = *state;

    atomic_store(&conflicts_left, 3);
    lab_assert_ok(l, lab_send(l, true, "lab:write:racing", "{\"n\":1}"));
    assert_int_equal(atomic_load(&runs), 4);
    atomic_store(&conflicts_left, 4);
    assert_int_equal(lab_send(l, true, "lab:write:racing", "{\"n\":1}"), KU_VERSION_CONFLICT);
    lab_assert_has(l, "\"currentVersion\":1");
    assert_int_equal(atomic_load(&runs), 8);
    atomic_store(&conflicts_left, 0);
    assert_int_equal(count_events(l), 1);
}

/* ---- who may call ---------------------------------------------------------------------------- */

static ku_status send_as(lab *l, const char *type, const char *user_id, const ku_str *roles,
    size_t n_roles, const char *address)
{
    const ku_user user = {
        .tenant = lab_tenant(1), .id = ku_str_from(user_id), .roles = roles, .n_roles = n_roles};

    return lab_request(l, true,
        (ku_request){.type = ku_str_from(type),
            .payload = KU_STR("{\"n\":1}"),
            .user = user,
            .address = ku_str_from(address)});
}

static void access_is_by_role_predicate_or_for_all_who_are_signed_in(void **state)
{
    static const ku_str nobody[] = {KU_STR_INIT("anonymous")};
    static const ku_str small[] = {KU_STR_INIT("admin"), KU_STR_INIT("system")};
    lab *l = *state;

    assert_int_equal(send_as(l, "lab:write:even", "user2", NULL, 0, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:even", "user3", lab_roles, 2, ""), KU_DENIED);
    assert_int_equal(send_as(l, "lab:write:admin", "user3", lab_roles, 2, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:admin", "user3", small, 2, ""), KU_DENIED);
    lab_assert_has(l, "\"handler\":\"lab:write:admin\"");
    assert_int_equal(send_as(l, "lab:write:count", "user3", NULL, 0, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:count", "x", nobody, 1, ""), KU_DENIED);
    assert_int_equal(send_as(l, "lab:query:count", "user3", NULL, 0, ""), KU_NOT_FOUND);
    lab_assert_has(l, "handler_not_found");
    assert_int_equal(count_events(l), 3);
}

static void a_rate_limit_refills_over_its_window_and_is_paid_by_the_refused(void **state)
{
    lab *l = *state;

    assert_int_equal(send_as(l, "lab:write:limited", "user1", NULL, 0, ""), KU_DENIED);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_RATE_LIMITED);
    lab_assert_has(l, "\"bucket\":\"user:user1\"");
    lab_assert_has(l, "\"retryAfterSeconds\":10");
    assert_int_equal(send_as(l, "lab:write:limited", "user2", lab_roles, 2, ""), KU_OK);
    atomic_fetch_add(&l->now_us, 9900000);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_RATE_LIMITED);
    atomic_fetch_add(&l->now_us, 100000);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_OK);
    assert_int_equal(send_as(l, "lab:write:limited", "user1", lab_roles, 2, ""), KU_RATE_LIMITED);

    assert_int_equal(send_as(l, "lab:write:per-address", "a", NULL, 0, "10.0.0.1"), KU_OK);
    assert_int_equal(send_as(l, "lab:write:per-address", "b", NULL, 0, "10.0.0.1"), KU_OK);
    assert_int_equal(
        send_as(l, "lab:write:per-address", "c", NULL, 0, "10.0.0.1"), KU_RATE_LIMITED);
    assert_int_equal(send_as(l, "lab:write:per-address", "c", NULL, 0, "10.0.0.2"), KU_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_repeated_request_is_answered_from_the_store),
        CASE(a_used_request_id_with_another_payload_is_refused),
        CASE(a_request_id_belongs_to_its_tenant_and_user),
        CASE(a_final_refusal_is_stored_and_a_conflict_is_not),
        CASE(a_stored_answer_expires_after_a_day),
        CASE(twins_in_one_commit_run_once_and_hear_the_same),
        CASE(twins_of_many_threads_run_once),
        CASE(commands_run_again_after_a_failed_flush_are_the_same_commands),
        CASE(a_batch_is_one_transaction),
        CASE(a_repeated_batch_is_answered_from_the_store),
        CASE(a_full_queue_answers_at_once_and_never_grows),
        CASE(what_nobody_waits_for_is_not_started),
        CASE(a_query_past_its_deadline_is_told_so),
        CASE(a_command_appends_a_thousand_events_and_not_one_more),
        CASE(a_conflict_is_retried_as_often_as_the_handler_asked),
        CASE(access_is_by_role_predicate_or_for_all_who_are_signed_in),
        CASE(a_rate_limit_refills_over_its_window_and_is_paid_by_the_refused),
    };

    return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
