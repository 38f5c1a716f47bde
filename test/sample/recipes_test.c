/*
 * Recipes over HTTP (behaviour §15.3): requests that may be repeated, errors a client can act on,
 * events between features, and who caused what.
 */
#include "sample/sample.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOBODY "18786ec4-69f6-452f-ade5-95bc424f9cfc"

/* ---- helpers --------------------------------------------------------------------------------- */

static const answer *create_note(sample *s, const char *title, const char *request_id)
{
    return sample_post(s, "/api/write", NULL,
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"%s\"},"
        "\"requestId\":\"%s\"}",
        title, request_id);
}

static int count_notes(sample *s)
{
    const answer *list = sample_query(s, "notes:query:note:list", "{}");
    assert_status(list, 200);
    return count(list, "data.rows");
}

static void pause_ms(int milliseconds)
{
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static const answer *order(sample *s, const char *verb, const char *id)
{
    return sample_write(s, sample_format(s, "orders:write:order:%s", verb), "{\"id\":\"%s\"}", id);
}

static const char *place_order(sample *s)
{
    const answer *placed = sample_write(s, "orders:write:order:place", "{\"totalCents\":100}");
    assert_status(placed, 200);
    return at(placed, "data.id");
}

/* The events of a stream once there are so many. */
static const answer *events_of(sample *s, const char *id, int n)
{
    for (;;) {
        const answer *events = sample_query(s, "probe:query:events", "{\"id\":\"%s\"}", id);
        assert_status(events, 200);
        if (count(events, "data") >= n)
            return events;
        pause_ms(2);
    }
}

/* ---- requests that may be repeated ----------------------------------------------------------- */

static void a_repeated_request_gets_the_first_answer(void **state)
{
    sample *s = *state;
    const answer *first = create_note(s, "t", "rid-1");
    const answer *again = create_note(s, "t", "rid-1");
    assert_status(first, 200);
    assert_status(again, 200);
    assert_string_equal(at(again, "data"), at(first, "data"));
    assert_int_equal(count_notes(s), 1);
}

static void other_requests_are_other_writes(void **state)
{
    sample *s = *state;
    const char *first = at(create_note(s, "t", "rid-1"), "data.id");
    const char *second = at(create_note(s, "t", "rid-2"), "data.id");
    const char *third =
        at(sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}"), "data.id");
    const char *fourth =
        at(sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}"), "data.id");
    assert_string_not_equal(first, second);
    assert_string_not_equal(second, third);
    assert_string_not_equal(third, fourth);
    assert_int_equal(count_notes(s), 4);
}

static void a_request_id_belongs_to_one_payload(void **state)
{
    sample *s = *state;
    assert_status(create_note(s, "t", "rid-1"), 200);
    const answer *reused = create_note(s, "OTHER", "rid-1");
    assert_status(reused, 422);
    assert_at(reused, "error.code", "unprocessable");
    assert_at(reused, "error.details.reason", "idempotency_key_reused");
    const answer *other_type = sample_post(s, "/api/write", NULL,
        "{\"type\":\"notes:write:note:write-and-refuse\",\"payload\":{\"title\":\"t\"},"
        "\"requestId\":\"rid-1\"}");
    assert_status(other_type, 422);
    assert_at(other_type, "error.details.reason", "idempotency_key_reused");
    assert_int_equal(count_notes(s), 1);
}

static void a_request_id_belongs_to_one_user_of_one_tenant(void **state)
{
    sample *s = *state;
    const char *mine = at(create_note(s, "t", "rid-1"), "data.id");
    s->token = sample_token(s, NULL, "22222222-0000-4000-8000-000000000002", NULL);
    const char *colleague = at(create_note(s, "t", "rid-1"), "data.id");
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);
    const char *stranger = at(create_note(s, "t", "rid-1"), "data.id");
    assert_string_not_equal(mine, colleague);
    assert_string_not_equal(mine, stranger);
    assert_string_not_equal(colleague, stranger);
}

static void a_repeated_request_survives_a_restart(void **state)
{
    sample *s = *state;
    const char *first = at(create_note(s, "t", "rid-1"), "data.id");
    assert_int_equal(sample_stop(s, SIGTERM), 0);
    sample_start(s);
    assert_string_equal(at(create_note(s, "t", "rid-1"), "data.id"), first);
    assert_int_equal(count_notes(s), 1);
}

static void a_repeated_batch_runs_once(void **state)
{
    sample *s = *state;
    static const char body[] =
        "{\"requestId\":\"rid-1\",\"commands\":["
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"one\"}},"
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"two\"}}]}";
    const answer *first = sample_post(s, "/api/batch", NULL, "%s", body);
    const answer *again = sample_post(s, "/api/batch", NULL, "%s", body);
    assert_status(first, 200);
    assert_status(again, 200);
    assert_string_equal(at(again, "results"), at(first, "results"));
    assert_int_equal(count_notes(s), 2);
}

/* The original ignores the request id of a command. */
static void a_repeated_command_runs_once(void **state)
{
    sample *s = *state;
    for (int i = 0; i < 2; i++) {
        const answer *done = sample_post(s, "/api/command", NULL,
            "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"t\"},"
            "\"requestId\":\"rid-1\"}");
        assert_status(done, 202);
    }
    assert_int_equal(count_notes(s), 1);
}

/* A rule said no, and that was the answer, even if it would say yes today. */
static void a_final_refusal_is_the_answer_to_its_repetition(void **state)
{
    sample *s = *state;
    const char *id = at(create_note(s, "t", "rid-1"), "data.id");
    const char *restore = sample_format(s,
        "{\"type\":\"notes:write:note:restore\",\"payload\":{\"id\":\"%s\"},\"requestId\":\"rid-"
        "2\"}",
        id);
    assert_status(sample_post(s, "/api/write", NULL, "%s", restore), 422);
    assert_status(sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id), 200);
    const answer *again = sample_post(s, "/api/write", NULL, "%s", restore);
    assert_status(again, 422);
    assert_at(again, "error.details.reason", "not_deleted");
    assert_status(sample_write(s, "notes:write:note:restore", "{\"id\":\"%s\"}", id), 200);
}

/* A conflict is about the moment: the repetition is a new attempt. */
static void a_conflict_is_not_kept(void **state)
{
    sample *s = *state;
    static const char body[] =
        "{\"type\":\"staff:write:employee:create\","
        "\"payload\":{\"email\":\"a@example.org\",\"name\":\"N\"},\"requestId\":\"rid-1\"}";
    const answer *first = sample_write(
        s, "staff:write:employee:create", "{\"email\":\"a@example.org\",\"name\":\"N\"}");
    assert_status(first, 200);
    assert_status(sample_post(s, "/api/write", NULL, "%s", body), 409);
    assert_status(
        sample_write(s, "staff:write:employee:delete", "{\"id\":\"%s\"}", at(first, "data.id")),
        200);
    assert_status(sample_post(s, "/api/write", NULL, "%s", body), 200);
}

/* ---- errors a client can act on -------------------------------------------------------------- */

static void an_order_of_nothing_is_invalid(void **state)
{
    const answer *refused = sample_write(*state, "orders:write:order:place", "{\"totalCents\":0}");
    assert_status(refused, 400);
    assert_at(refused, "error.code", "validation_error");
    assert_at(refused, "error.details.fields.0.path", "totalCents");
}

static void a_missing_order_is_not_found(void **state)
{
    const answer *refused = order(*state, "cancel", NOBODY);
    assert_status(refused, 404);
    assert_at(refused, "error.code", "not_found");
    assert_at(refused, "error.details.reason", "order_not_found");
    assert_at(refused, "error.details.entity", "order");
}

static void somebody_elses_order_is_not_yours(void **state)
{
    sample *s = *state;
    const char *id = place_order(s);
    s->token = sample_token(s, NULL, "22222222-0000-4000-8000-000000000002", NULL);
    const answer *refused = order(s, "cancel", id);
    assert_status(refused, 403);
    assert_at(refused, "error.code", "access_denied");
    assert_at(refused, "error.details.reason", "not_yours");
    assert_at(refused, "error.details.orderId", id);
}

static void an_order_is_cancelled_once(void **state)
{
    sample *s = *state;
    const char *id = place_order(s);
    assert_status(order(s, "cancel", id), 200);
    const answer *again = order(s, "cancel", id);
    assert_status(again, 422);
    assert_at(again, "error.code", "unprocessable");
    assert_at(again, "error.details.reason", "already_cancelled");
}

static void a_paid_order_needs_a_refund(void **state)
{
    sample *s = *state;
    const char *id = place_order(s);
    assert_status(order(s, "pay", id), 200);
    const answer *refused = order(s, "cancel", id);
    assert_status(refused, 409);
    assert_at(refused, "error.code", "conflict");
    assert_at(refused, "error.details.reason", "refund_required");
}

static void a_cancelled_order_is_not_paid(void **state)
{
    sample *s = *state;
    const char *id = place_order(s);
    assert_status(order(s, "cancel", id), 200);
    const answer *refused = order(s, "pay", id);
    assert_status(refused, 422);
    assert_at(refused, "error.details.reason", "invalid_transition");
    assert_at(refused, "error.details.from", "cancelled");
    assert_at(refused, "error.details.to", "paid");
}

static void a_guest_is_turned_away_by_the_predicate(void **state)
{
    sample *s = *state;
    s->token = sample_token(s, NULL, NULL, "[\"Guest\"]");
    const answer *denied = sample_write(s, "orders:write:order:place", "{\"totalCents\":100}");
    assert_status(denied, 403);
    assert_at(denied, "error.code", "access_denied");
    assert_at(denied, "error.details.handler", "orders:write:order:place");
}

/* ---- events between features ----------------------------------------------------------------- */

static const answer *inbox_with(sample *s, const char *deliveries)
{
    for (;;) {
        const answer *list = sample_query(s, "pubsub-inbox:query:inbox:list", "{}");
        assert_status(list, 200);
        if (strcmp(at(list, "data.0.deliveries"), deliveries) == 0)
            return list;
        pause_ms(2);
    }
}

static const answer *place_pubsub(sample *s, const char *customer)
{
    return sample_write(s, "pubsub-orders:write:order:place", "{\"customer\":\"%s\"}", customer);
}

static void an_event_reaches_another_feature_once(void **state)
{
    sample *s = *state;
    const answer *placed = place_pubsub(s, "Alice");
    assert_status(placed, 200);
    assert_at(inbox_with(s, "1"), "data.0.customers", "Alice");

    const answer *events = events_of(s, at(placed, "data.id"), 2);
    assert_int_equal(count(events, "data"), 2);
    assert_at(events, "data.0.type", "pubsub-order.created");
    assert_at(events, "data.0.version", "1");
    assert_at(events, "data.1.type", "pubsub-orders:event:order-placed");
    assert_at(events, "data.1.version", "2");
    assert_at(events, "data.1.payload", "{\"customer\":\"Alice\"}");
}

static void events_arrive_in_the_order_of_the_writes(void **state)
{
    sample *s = *state;
    assert_status(place_pubsub(s, ""), 400);
    assert_status(place_pubsub(s, "Bob"), 200);
    assert_status(place_pubsub(s, "Carol"), 200);
    assert_status(place_pubsub(s, "Dave"), 200);
    assert_at(inbox_with(s, "3"), "data.0.customers", "Bob,Carol,Dave");
}

/* ---- who caused what ------------------------------------------------------------------------- */

static const answer *start_relay(sample *s, const char *headers)
{
    const answer *started = sample_post(s, "/api/write", headers,
        "{\"type\":\"chain:write:relay:start\",\"payload\":{\"runner\":\"Kip\"}}");
    assert_status(started, 200);
    return started;
}

static void a_chain_of_events_names_its_causes(void **state)
{
    sample *s = *state;
    const answer *started =
        start_relay(s, "X-Request-ID: request-7\r\nX-Correlation-ID: journey-7\r\n");
    assert_string_equal(header(started, "X-Request-ID"), "request-7");
    assert_string_equal(header(started, "X-Correlation-ID"), "journey-7");

    const answer *events = events_of(s, at(started, "data.id"), 3);
    assert_int_equal(count(events, "data"), 3);
    assert_at(events, "data.0.type", "chain:event:relay-started");
    assert_at(events, "data.1.type", "chain:event:relay-passed");
    assert_at(events, "data.2.type", "chain:event:relay-finished");
    for (int i = 0; i < 3; i++) {
        assert_at(events, sample_format(s, "data.%d.correlationId", i), "journey-7");
        assert_at(events, sample_format(s, "data.%d.userId", i), TEST_USER);
    }
    assert_at(events, "data.0.requestId", "request-7");
    assert_at(events, "data.0.causationId", "");
    assert_at(events, "data.1.causationId", at(events, "data.0.id"));
    assert_at(events, "data.2.causationId", at(events, "data.1.id"));
    assert_string_not_equal(at(events, "data.1.requestId"), "request-7");
}

static void a_request_without_headers_correlates_with_itself(void **state)
{
    sample *s = *state;
    const answer *started = start_relay(s, NULL);
    const answer *events = events_of(s, at(started, "data.id"), 3);
    assert_at(events, "data.0.requestId", header(started, "X-Request-ID"));
    assert_at(events, "data.0.correlationId", header(started, "X-Request-ID"));
    assert_at(events, "data.2.correlationId", header(started, "X-Request-ID"));
}

static void ids_that_are_no_ids_are_replaced(void **state)
{
    sample *s = *state;
    const answer *started = start_relay(s, "X-Request-ID: two words\r\nX-Correlation-ID: a\"b\r\n");
    assert_null(strchr(header(started, "X-Request-ID"), ' '));
    assert_string_equal(header(started, "X-Request-ID"), header(started, "X-Correlation-ID"));
}

/* ---- streams that have moved on -------------------------------------------------------------- */

static void a_write_that_insists_on_a_version_gets_a_conflict(void **state)
{
    sample *s = *state;
    const char *id = at(start_relay(s, NULL), "data.id");
    (void)events_of(s, id, 3);
    const answer *stale =
        sample_write(s, "chain:write:relay:lap-twice", "{\"id\":\"%s\",\"expectedVersion\":1}", id);
    assert_status(stale, 409);
    assert_at(stale, "error.code", "version_conflict");
    assert_at(stale, "error.details.entityId", id);
    assert_at(stale, "error.details.expectedVersion", "1");
    assert_at(stale, "error.details.currentVersion", "3");

    const answer *done =
        sample_write(s, "chain:write:relay:lap-twice", "{\"id\":\"%s\",\"expectedVersion\":3}", id);
    assert_status(done, 200);
    assert_at(done, "data.version", "5");
}

static void a_write_that_asks_gets_an_answer(void **state)
{
    sample *s = *state;
    const char *id = at(start_relay(s, NULL), "data.id");
    (void)events_of(s, id, 3);
    const answer *stale =
        sample_write(s, "chain:write:relay:try-lap", "{\"id\":\"%s\",\"expectedVersion\":1}", id);
    assert_status(stale, 200);
    assert_at(stale, "data.appended", "false");
    assert_at(stale, "data.expectedVersion", "1");
    assert_at(stale, "data.currentVersion", "3");
    const answer *done =
        sample_write(s, "chain:write:relay:try-lap", "{\"id\":\"%s\",\"expectedVersion\":3}", id);
    assert_at(done, "data.appended", "true");
    assert_int_equal(count(events_of(s, id, 4), "data"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECIPES_TEST(a_repeated_request_gets_the_first_answer),
        RECIPES_TEST(other_requests_are_other_writes),
        RECIPES_TEST(a_request_id_belongs_to_one_payload),
        RECIPES_TEST(a_request_id_belongs_to_one_user_of_one_tenant),
        RECIPES_TEST(a_repeated_request_survives_a_restart),
        RECIPES_TEST(a_repeated_batch_runs_once),
        RECIPES_TEST(a_repeated_command_runs_once),
        RECIPES_TEST(a_final_refusal_is_the_answer_to_its_repetition),
        RECIPES_TEST(a_conflict_is_not_kept),
        RECIPES_TEST(an_order_of_nothing_is_invalid),
        RECIPES_TEST(a_missing_order_is_not_found),
        RECIPES_TEST(somebody_elses_order_is_not_yours),
        RECIPES_TEST(an_order_is_cancelled_once),
        RECIPES_TEST(a_paid_order_needs_a_refund),
        RECIPES_TEST(a_cancelled_order_is_not_paid),
        RECIPES_TEST(a_guest_is_turned_away_by_the_predicate),
        RECIPES_TEST(an_event_reaches_another_feature_once),
        RECIPES_TEST(events_arrive_in_the_order_of_the_writes),
        RECIPES_TEST(a_chain_of_events_names_its_causes),
        RECIPES_TEST(a_request_without_headers_correlates_with_itself),
        RECIPES_TEST(ids_that_are_no_ids_are_replaced),
        RECIPES_TEST(a_write_that_insists_on_a_version_gets_a_conflict),
        RECIPES_TEST(a_write_that_asks_gets_an_answer),
    };
    return cmocka_run_group_tests_name("recipes", tests, NULL, NULL);
}
