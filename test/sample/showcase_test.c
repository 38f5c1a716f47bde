/*
 * The invoice showcase, as its users see it: over HTTP, against the real program, each test on a
 * fresh file (behaviour §15.2, in its order).  The first six are the showcase's own list: versioned
 * schemas, domain events, a read model in the same transaction, one across streams, time travel,
 * archive and tenants.
 *
 * What no client can see — how an event is stored, what a consumer's cursor says — is looked at in
 * process, beside the server or after it has stopped.
 */
#include "sample/sample.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define APPROVED "showcase:event:invoice-approved"
#define PAID "showcase:event:invoice-paid"
#define ACKNOWLEDGED "showcase:event:invoice-acknowledged"
#define OLD_1 "00000000-0000-4000-8000-00000000f001"
#define OLD_2 "00000000-0000-4000-8000-00000000f002"
#define OLD_3 "00000000-0000-4000-8000-00000000ac01"

/* ---- helpers --------------------------------------------------------------------------------- */

static const char *create(sample *s, const char *customer)
{
    const answer *made =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"%s\"}", customer);
    assert_status(made, 200);
    return at(made, "data.id");
}

static void approve(sample *s, const char *id, int amount_cents, const char *by)
{
    const answer *approved = sample_write(s, "showcase:write:invoice:approve",
        "{\"id\":\"%s\",\"amountCents\":%d,\"approvedBy\":\"%s\"}", id, amount_cents, by);
    assert_status(approved, 200);
    assert_at(approved, "data.id", id);
}

static const answer *pay(sample *s, const char *id, int amount_cents)
{
    return sample_write(
        s, "showcase:write:invoice:pay", "{\"id\":\"%s\",\"amountCents\":%d}", id, amount_cents);
}

static const char *paid_invoice(sample *s, const char *customer, int amount_cents)
{
    const char *id = create(s, customer);
    approve(s, id, amount_cents, "a");
    assert_status(pay(s, id, amount_cents), 200);
    return id;
}

static const answer *state_of(sample *s, const char *id)
{
    const answer *folded = sample_query(s, "showcase:query:invoice:state", "{\"id\":\"%s\"}", id);
    assert_status(folded, 200);
    return folded;
}

static const answer *fast_state_of(sample *s, const char *id)
{
    const answer *folded =
        sample_query(s, "showcase:query:invoice:fast-state", "{\"id\":\"%s\"}", id);
    assert_status(folded, 200);
    return folded;
}

static void pause_ms(int milliseconds)
{
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

/* The server's dispatcher follows on its own: ask until it has arrived. */
static const answer *revenue_once_paid(sample *s, const char *customer, const char *paid_invoices)
{
    for (;;) {
        const answer *list = sample_query(s, "showcase:query:revenue:list", "{}");
        assert_status(list, 200);
        if (strcmp(member_of(list, "data", "customer", customer, "paidInvoices"), paid_invoices) ==
            0)
            return list;
        pause_ms(2);
    }
}

static void assert_revenue(
    const answer *list, const char *customer, const char *paid_invoices, const char *total_cents)
{
    assert_string_equal(
        member_of(list, "data", "customer", customer, "paidInvoices"), paid_invoices);
    assert_string_equal(member_of(list, "data", "customer", customer, "totalCents"), total_cents);
}

/* The events of a stream, lifted, as the library hands them out; beside a running server. */
static const answer *events_of(sample *s, const char *id)
{
    ku_app *app = sample_app(s, NULL, true);
    const answer *events = sample_call(s, app, "probe:query:events", "{\"id\":\"%s\"}", id);
    ku_app_close(app);
    assert_status(events, 200);
    return events;
}

static const char *now_text(sample *s)
{
    struct timespec now;
    char text[25];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    ku_time_format((ku_time){now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000}, text);
    return sample_format(s, "%s", text);
}

/* ---- the showcase's own list ----------------------------------------------------------------- */

static void showcase_1_an_invoice_is_created_approved_and_paid(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    approve(s, id, 2500, "cfo");
    assert_status(pay(s, id, 2500), 200);

    const answer *detail = sample_query(s, "showcase:query:invoice:detail", "{\"id\":\"%s\"}", id);
    assert_status(detail, 200);
    assert_at(detail, "data.customer", "Acme");
    assert_at(detail, "data.status", "paid");
    assert_at(detail, "data.amountCents", "2500");
}

static void showcase_2_revenue_per_customer_follows_the_payments(void **state)
{
    sample *s = *state;
    (void)paid_invoice(s, "Acme", 1000);
    (void)paid_invoice(s, "Acme", 500);
    (void)paid_invoice(s, "Globex", 300);

    const answer *list = revenue_once_paid(s, "Globex", "1");
    assert_int_equal(count(list, "data"), 2);
    assert_revenue(list, "Acme", "2", "1500");
    assert_revenue(list, "Globex", "1", "300");
}

static void showcase_3_the_state_before_the_payment_is_still_known(void **state)
{
    sample *s = *state;
    const char *id = create(s, "TimeTraveler");
    approve(s, id, 900, "cfo");
    const char *cutoff = now_text(s);
    pause_ms(10);
    assert_status(pay(s, id, 900), 200);

    const answer *now = state_of(s, id);
    assert_at(now, "data.status", "paid");
    assert_at(now, "data.paid", "true");
    const answer *then = sample_query(
        s, "showcase:query:invoice:state", "{\"id\":\"%s\",\"asOf\":\"%s\"}", id, cutoff);
    assert_status(then, 200);
    assert_at(then, "data.status", "approved");
    assert_at(then, "data.paid", "false");
}

static void showcase_4_an_event_of_version_1_is_read_as_version_2(void **state)
{
    sample *s = *state;
    sample_stop(s, SIGTERM);
    sample_store_old_event(s, OLD_1, "showcase-invoice.created", 1,
        "{\"id\":\"" OLD_1 "\",\"customer\":\"Legacy Co\",\"status\":\"draft\"}");
    sample_store_old_event(
        s, OLD_1, APPROVED, 1, "{\"amount\":\"15.50\",\"approvedBy\":\"legacy-cfo\"}");
    sample_start(s);

    const answer *folded = state_of(s, OLD_1);
    assert_at(folded, "data.customer", "Legacy Co");
    assert_at(folded, "data.status", "approved");
    assert_at(folded, "data.amountCents", "1550");
    assert_at(folded, "data.approvedBy", "legacy-cfo");

    /* What is stored was not touched. */
    assert_string_equal(
        sample_sql(s, "SELECT event_version FROM ku_events WHERE type = '" APPROVED "'"), "1");
    assert_string_equal(sample_sql(s, "SELECT payload FROM ku_events WHERE type = '" APPROVED "'"),
        "{\"amount\":\"15.50\",\"approvedBy\":\"legacy-cfo\"}");
}

static void showcase_5_an_archived_invoice_is_missing_and_its_events_are_kept(void **state)
{
    sample *s = *state;
    const char *id = create(s, "ArchivePal");
    assert_status(sample_write(s, "showcase:write:invoice:archive", "{\"id\":\"%s\"}", id), 200);

    assert_at(state_of(s, id), "data.status", "missing");
    const answer *events = events_of(s, id);
    assert_int_equal(count(events, "data"), 1);
    assert_at(events, "data.0.type", "showcase-invoice.created");
}

static void showcase_6_a_snapshot_gives_the_same_state(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Snapco");
    approve(s, id, 3300, "cfo");
    assert_status(pay(s, id, 3300), 200);

    const answer *before = fast_state_of(s, id);
    assert_at(before, "data.snapshotHit", "false");
    assert_at(before, "data.state.status", "paid");
    assert_at(before, "data.state.amountCents", "3300");

    const answer *taken =
        sample_write(s, "showcase:write:invoice:take-snapshot", "{\"id\":\"%s\"}", id);
    assert_status(taken, 200);
    assert_at(taken, "data.id", id);
    assert_at(taken, "data.snapshotVersion", "3");

    const answer *after = fast_state_of(s, id);
    assert_at(after, "data.snapshotHit", "true");
    assert_at(after, "data.version", "3");
    assert_string_equal(at(after, "data.state"), at(before, "data.state"));
}

/* ---- the rest of the original's tests -------------------------------------------------------- */

/* The wire shows milliseconds, so a time from the wire means that whole millisecond. */
static void the_time_that_an_event_shows_includes_the_event(void **state)
{
    sample *s = *state;
    for (int i = 0; i < 20; i++) {
        const answer *made =
            sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
        const answer *then =
            sample_query(s, "showcase:query:invoice:state", "{\"id\":\"%s\",\"asOf\":\"%s\"}",
                at(made, "data.id"), at(made, "data.event.createdAt"));
        assert_at(then, "data.status", "draft");
    }
}

static void an_old_event_after_a_snapshot_is_lifted(void **state)
{
    sample *s = *state;
    sample_stop(s, SIGTERM);
    sample_store_old_event(s, OLD_2, "showcase-invoice.created", 1,
        "{\"id\":\"" OLD_2 "\",\"customer\":\"Upcast Co\",\"status\":\"draft\"}");
    sample_start(s);
    assert_status(
        sample_write(s, "showcase:write:invoice:take-snapshot", "{\"id\":\"" OLD_2 "\"}"), 200);
    sample_stop(s, SIGTERM);
    sample_store_old_event(
        s, OLD_2, APPROVED, 1, "{\"amount\":\"27.50\",\"approvedBy\":\"legacy-cfo\"}");
    sample_start(s);

    const answer *folded = fast_state_of(s, OLD_2);
    assert_at(folded, "data.snapshotHit", "true");
    assert_at(folded, "data.version", "2");
    assert_at(folded, "data.state.status", "approved");
    assert_at(folded, "data.state.amountCents", "2750");
    assert_at(folded, "data.state.approvedBy", "legacy-cfo");
}

/* It does not name its customer: the projection finds it in the same stream.  None: no revenue. */
static void a_payment_of_version_1_counts_for_its_customer(void **state)
{
    sample *s = *state;
    sample_stop(s, SIGTERM);
    sample_store_old_event(s, OLD_1, "showcase-invoice.created", 1,
        "{\"id\":\"" OLD_1 "\",\"customer\":\"Legacy Co\",\"status\":\"draft\"}");
    sample_store_old_event(
        s, OLD_1, APPROVED, 1, "{\"amount\":\"15.50\",\"approvedBy\":\"legacy-cfo\"}");
    sample_store_old_event(s, OLD_1, PAID, 1, "{\"amountCents\":1550}");
    sample_store_old_event(s, OLD_2, PAID, 1, "{\"amountCents\":9999}");
    sample_start(s);

    const answer *folded = state_of(s, OLD_1);
    assert_at(folded, "data.status", "paid");
    assert_at(folded, "data.paid", "true");
    (void)paid_invoice(s, "Last", 1); /* behind both */
    const answer *list = revenue_once_paid(s, "Last", "1");
    assert_int_equal(count(list, "data"), 2);
    assert_revenue(list, "Legacy Co", "1", "1550");
}

static void the_state_is_known_at_each_version(void **state)
{
    sample *s = *state;
    static const char *const statuses[] = {"draft", "approved", "paid", "paid"};
    const char *id = paid_invoice(s, "Acme", 100);
    for (int version = 1; version <= 4; version++) {
        const answer *then = sample_query(
            s, "showcase:query:invoice:state", "{\"id\":\"%s\",\"atVersion\":%d}", id, version);
        assert_status(then, 200);
        assert_at(then, "data.status", statuses[version - 1]);
    }
    const answer *before = sample_query(
        s, "showcase:query:invoice:state", "{\"id\":\"%s\",\"asOf\":\"2020-01-01T00:00:00Z\"}", id);
    assert_at(before, "data.status", "missing");
}

/* Nobody asks for it: the hundredth event on top of the last snapshot brings the next. */
static void a_long_stream_gets_a_snapshot_by_itself(void **state)
{
    sample *s = *state;
    const char *id = paid_invoice(s, "Acme", 100);
    buffer body = {.arena = &s->arena};
    buffer_add_text(&body, "{\"commands\":[");
    for (int i = 0; i < 120; i++)
        buffer_format(&body,
            "%s{\"type\":\"showcase:write:invoice:acknowledge\","
            "\"payload\":{\"id\":\"%s\",\"approverId\":\"u-%d\"}}",
            i > 0 ? "," : "", id, i);
    buffer_add_text(&body, "]}");
    assert_status(sample_post(s, "/api/batch", NULL, "%s", buffer_str(&body).ptr), 200);

    const answer *fast = fast_state_of(s, id);
    while (strcmp(at(fast, "data.snapshotHit"), "true") != 0) {
        pause_ms(2);
        fast = fast_state_of(s, id);
    }
    assert_at(fast, "data.version", "123");
    assert_string_equal(at(fast, "data.state"), at(state_of(s, id), "data"));
}

static void each_tenant_sees_its_own_revenue(void **state)
{
    sample *s = *state;
    const char *other = sample_token(s, TEST_TENANT_OTHER, "99", "[\"Admin\"]");
    (void)paid_invoice(s, "Mine", 100);
    s->token = other;
    (void)paid_invoice(s, "Theirs", 200);

    const answer *theirs = revenue_once_paid(s, "Theirs", "1");
    assert_int_equal(count(theirs, "data"), 1);
    assert_revenue(theirs, "Theirs", "1", "200");
    s->token = s->admin;
    const answer *mine = revenue_once_paid(s, "Mine", "1");
    assert_int_equal(count(mine, "data"), 1);
    assert_revenue(mine, "Mine", "1", "100");
}

/* The original keyed the table by the name alone, and the two would have shared a row. */
static void customers_of_one_name_in_two_tenants_are_two_customers(void **state)
{
    sample *s = *state;
    (void)paid_invoice(s, "Acme", 100);
    s->token = sample_token(s, TEST_TENANT_OTHER, "99", "[\"Admin\"]");
    (void)paid_invoice(s, "Acme", 200);
    assert_revenue(revenue_once_paid(s, "Acme", "1"), "Acme", "1", "200");
    s->token = s->admin;
    assert_revenue(revenue_once_paid(s, "Acme", "1"), "Acme", "1", "100");
}

static void optional_inputs_become_headers_of_the_event(void **state)
{
    sample *s = *state;
    const char *tagged = create(s, "Tagged");
    const char *plain = create(s, "Plain");
    assert_status(sample_write(s, "showcase:write:invoice:approve",
                      "{\"id\":\"%s\",\"amountCents\":700,\"approvedBy\":\"cfo\","
                      "\"geoRegion\":\"EU\",\"abTestBucket\":\"B\"}",
                      tagged),
        200);
    approve(s, plain, 700, "cfo");

    const answer *events = events_of(s, tagged);
    assert_keys(events, "data.1.headers", "abTestBucket,geoRegion");
    assert_at(events, "data.1.headers.geoRegion", "EU");
    assert_at(events, "data.1.headers.abTestBucket", "B");
    assert_keys(events, "data.1.payload", "amountCents,approvedBy");
    assert_at(events_of(s, plain), "data.1.headers", "null");
}

static void a_migration_looks_names_up(void **state)
{
    sample *s = *state;
    assert_status(sample_write(s, "showcase:write:approver:create",
                      "{\"approverId\":\"u-42\",\"displayName\":\"Quincy Acknowledger\"}"),
        200);
    sample_stop(s, SIGTERM);
    sample_store_old_event(s, OLD_3, "showcase-invoice.created", 1,
        "{\"id\":\"" OLD_3 "\",\"customer\":\"AckCo\",\"status\":\"draft\"}");
    sample_store_old_event(s, OLD_3, ACKNOWLEDGED, 1, "{\"approverId\":\"u-42\"}");
    sample_store_old_event(s, OLD_3, ACKNOWLEDGED, 1, "{\"approverId\":\"u-43\"}");
    sample_start(s);

    assert_string_equal(
        sample_sql(s, "SELECT payload FROM ku_events WHERE type = '" ACKNOWLEDGED "'"),
        "{\"approverId\":\"u-42\"}");
    const answer *old = events_of(s, OLD_3);
    assert_at(old, "data.1.storedVersion", "1");
    assert_at(old, "data.1.eventVersion", "2");
    assert_at(old, "data.1.payload.approverId", "u-42");
    assert_at(old, "data.1.payload.approverDisplayName", "Quincy Acknowledger");
    assert_at(old, "data.2.payload.approverDisplayName", "unknown:u-43");

    const char *id = create(s, "AckCo2");
    assert_status(sample_write(s, "showcase:write:invoice:acknowledge",
                      "{\"id\":\"%s\",\"approverId\":\"u-42\"}", id),
        200);
    const answer *live = events_of(s, id);
    assert_at(live, "data.1.storedVersion", "2");
    assert_at(live, "data.1.payload.approverDisplayName", "Quincy Acknowledger");
}

static void all_events_of_an_entity_are_streamed_in_batches(void **state)
{
    sample *s = *state;
    for (int i = 0; i < 25; i++)
        approve(s, create(s, sample_format(s, "C%d", i)), 100 + i, "cfo");

    ku_app *app = sample_app(s, NULL, true);
    const answer *streamed = sample_call(s, app, "probe:query:stream", "{}");
    ku_app_close(app);
    assert_status(streamed, 200);
    assert_at(streamed, "data.count", "50");
    assert_at(streamed, "data.types", "[\"showcase-invoice.created\",\"" APPROVED "\"]");
}

static ku_projection_info detail_progress(ku_app *app)
{
    static ku_error error;
    ku_projection_info *infos = NULL;
    ku_projection_info found = {.name = ""};
    size_t n = 0;
    assert_int_equal(ku_projection_progress(app, (ku_id){{0}}, &infos, &n, &error), KU_OK);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(infos[i].name, "showcase:projection:invoice-detail") == 0)
            found = infos[i];
    }
    free(infos);
    assert_string_equal(found.name, "showcase:projection:invoice-detail");
    return found;
}

/* The original says lag 2 here although the table is current: an inline projection never lags. */
static void the_progress_of_an_inline_projection_has_no_lag(void **state)
{
    sample *s = *state;
    ku_app *app = sample_app(s, NULL, true);
    ku_projection_info before = detail_progress(app);
    assert_string_equal(before.status, "never-rebuilt");
    assert_int_equal(before.high_water_mark, 0);
    assert_int_equal(before.position, 0);
    assert_int_equal(before.lag, 0);

    approve(s, create(s, "Acme"), 200, "cfo");
    ku_projection_info after = detail_progress(app);
    ku_app_close(app);
    assert_string_equal(after.status, "never-rebuilt");
    assert_int_equal(after.high_water_mark, 2);
    assert_int_equal(after.position, 0);
    assert_int_equal(after.lag, 0);
}

static ku_consumer_info revenue_progress(ku_app *app)
{
    static ku_error error;
    ku_consumer_info *infos = NULL;
    size_t n = 0;
    assert_int_equal(ku_consumer_progress(app, (ku_id){{0}}, &infos, &n, &error), KU_OK);
    assert_int_equal(n, 1);
    ku_consumer_info found = infos[0];
    free(infos);
    assert_string_equal(found.name, "showcase:projection:customer-revenue");
    return found;
}

static void the_progress_of_a_consumer_reaches_the_head(void **state)
{
    sample *s = *state;
    ku_app *app = sample_app(s, NULL, true);
    assert_int_equal(revenue_progress(app).lag, 0);
    (void)paid_invoice(s, "Acme", 400);
    (void)revenue_once_paid(s, "Acme", "1");

    ku_consumer_info progress = revenue_progress(app);
    while (progress.position != progress.high_water_mark) {
        pause_ms(2);
        progress = revenue_progress(app);
    }
    ku_app_close(app);
    assert_int_equal(progress.high_water_mark, 3);
    assert_int_equal(progress.lag, 0);
    assert_string_equal(progress.status, "idle");
}

/* The same without a dispatcher in the background, so that there is something to catch up with. */
static void a_consumer_lags_until_it_is_dispatched(void **state)
{
    sample *s = *state;
    static ku_error error;
    ku_dispatch_result result;
    ku_app *app = sample_app(s, NULL, false);
    assert_int_equal(revenue_progress(app).lag, 0);
    const answer *made =
        sample_call(s, app, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
    assert_status(made, 200);
    const char *id = at(made, "data.id");
    assert_status(sample_call(s, app, "showcase:write:invoice:approve",
                      "{\"id\":\"%s\",\"amountCents\":400,\"approvedBy\":\"cfo\"}", id),
        200);
    assert_status(sample_call(s, app, "showcase:write:invoice:pay",
                      "{\"id\":\"%s\",\"amountCents\":400}", id),
        200);

    ku_consumer_info before = revenue_progress(app);
    assert_int_equal(before.high_water_mark, 3);
    assert_int_equal(before.lag, 3);
    assert_int_equal(ku_dispatch_once(app, &result, &error), KU_OK);
    assert_int_equal(result.processed, 1);
    assert_int_equal(result.failed, 0);
    ku_consumer_info after = revenue_progress(app);
    assert_int_equal(after.lag, 0);
    assert_int_equal(after.position, after.high_water_mark);
    assert_revenue(sample_call(s, app, "showcase:query:revenue:list", "{}"), "Acme", "1", "400");
    ku_app_close(app);
}

/*
 * One export of 1,000 chunks takes ten seconds.  Eight of them, abandoned, would keep the readers
 * busy for the better part of a minute; that the ninth is answered at once means they have stopped.
 */
static void an_abandoned_query_stops(void **state)
{
    sample *s = *state;
    const char *body =
        "{\"type\":\"showcase:query:ops:slow-export\",\"payload\":{\"chunks\":1000}}";
    http_client *clients[8];
    struct timespec begin, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t i = 0; i < KU_COUNT(clients); i++) {
        clients[i] = http_open(s->server.port);
        http_send_request(clients[i], "POST", "/api/query", s->token, body, NULL);
    }
    pause_ms(80);
    for (size_t i = 0; i < KU_COUNT(clients); i++)
        http_abort(clients[i]);

    const answer *last = sample_query(s, "showcase:query:ops:slow-export", "{\"chunks\":1}");
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_status(last, 200);
    assert_at(last, "data.processed", "1");
    assert_true(end.tv_sec - begin.tv_sec < 9);
    for (size_t i = 0; i < KU_COUNT(clients); i++)
        http_close(clients[i]);
}

static void the_sixth_payment_within_a_minute_is_refused(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    approve(s, id, 100, "cfo");
    for (int i = 0; i < 5; i++)
        assert_status(pay(s, id, 100), 200);

    const answer *refused = pay(s, id, 100);
    assert_status(refused, 429);
    assert_at(refused, "isSuccess", "false");
    assert_at(refused, "error.code", "rate_limited");
    assert_at(refused, "error.details.limit", "5");
    assert_at(refused, "error.details.windowSeconds", "60");
    assert_at(refused, "error.details.remaining", "0");
    assert_at(refused, "error.details.bucket", "user:" TEST_USER);
    assert_string_equal(header(refused, "X-RateLimit-Limit"), "5");
    assert_string_equal(header(refused, "X-RateLimit-Remaining"), "0");
    assert_string_equal(
        header(refused, "Retry-After"), at(refused, "error.details.retryAfterSeconds"));
    assert_string_not_equal(header(refused, "X-RateLimit-Reset"), "(missing)");

    /* Somebody else's bucket is full. */
    s->token = sample_token(s, NULL, "22222222-0000-4000-8000-000000000002", NULL);
    assert_status(pay(s, id, 100), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(showcase_1_an_invoice_is_created_approved_and_paid),
        SHOWCASE_TEST(showcase_2_revenue_per_customer_follows_the_payments),
        SHOWCASE_TEST(showcase_3_the_state_before_the_payment_is_still_known),
        SHOWCASE_TEST(showcase_4_an_event_of_version_1_is_read_as_version_2),
        SHOWCASE_TEST(showcase_5_an_archived_invoice_is_missing_and_its_events_are_kept),
        SHOWCASE_TEST(showcase_6_a_snapshot_gives_the_same_state),
        SHOWCASE_TEST(the_time_that_an_event_shows_includes_the_event),
        SHOWCASE_TEST(an_old_event_after_a_snapshot_is_lifted),
        SHOWCASE_TEST(a_payment_of_version_1_counts_for_its_customer),
        SHOWCASE_TEST(the_state_is_known_at_each_version),
        SHOWCASE_TEST(a_long_stream_gets_a_snapshot_by_itself),
        SHOWCASE_TEST(each_tenant_sees_its_own_revenue),
        SHOWCASE_TEST(customers_of_one_name_in_two_tenants_are_two_customers),
        SHOWCASE_TEST(optional_inputs_become_headers_of_the_event),
        SHOWCASE_TEST(a_migration_looks_names_up),
        SHOWCASE_TEST(all_events_of_an_entity_are_streamed_in_batches),
        SHOWCASE_TEST(the_progress_of_an_inline_projection_has_no_lag),
        SHOWCASE_TEST(the_progress_of_a_consumer_reaches_the_head),
        FOLDER_TEST(a_consumer_lags_until_it_is_dispatched),
        SHOWCASE_TEST(an_abandoned_query_stops),
        SHOWCASE_TEST(the_sixth_payment_within_a_minute_is_refused),
    };
    return cmocka_run_group_tests_name("showcase", tests, NULL, NULL);
}
