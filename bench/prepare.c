/*
 * Data to measure on, made by the library itself: what is read later was written by the code that
 * is measured, in the form in which it writes it, only in larger transactions.
 */
#include "bench.h"

#include "app/raw.h"
#include "base/limits.h"
#include "event-sourcing/invoicing.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_PER_FLOW = 3, FLOWS_PER_TRANSACTION = LIMIT_EVENTS_PER_SCOPE / EVENTS_PER_FLOW };

static const ku_str roles[] = {KU_STR_INIT("Admin")};

const ku_user bench_user = {
    .tenant = {{0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}},
    .id = KU_STR_INIT("11111111-0000-4000-8000-000000000001"),
    .roles = roles,
    .n_roles = 1,
};

/* That a handler is slow is what some scenarios are about. */
static void log_errors(void *context, int level, const char *line)
{
    (void)context;
    if (level >= LOG_ERROR_)
        (void)fprintf(stderr, "%s\n", line);
}

static ku_app *open_app(const char *url, bool limited)
{
    ku_app *app = NULL;
    static ku_error error;

    const ku_app_options options = {
        .size = sizeof options,
        .url = url,
        .features = KU_LIST(ku_feature, &showcase_feature),
        .without_rate_limits = !limited,
        .log = log_errors,
    };
    check(ku_app_open(&options, &app, &error), &error, url);
    return app;
}

ku_app *prepare_open(const char *url)
{
    return open_app(url, false);
}

ku_app *prepare_open_limited(const char *url)
{
    return open_app(url, true);
}

void prepare_customer(int number, char ret_name[32])
{
    (void)snprintf(ret_name, 32, "Customer %03d", number % CUSTOMERS);
}

/* ---- flows ----------------------------------------------------------------------------------- */

typedef struct flow_batch {
    int64_t from, count;
    ku_id *streams;
} flow_batch;

static ku_status append_flow(ku_scope *scope, int64_t number, ku_id *ret_stream)
{
    char name[32];
    ku_id stream;

    prepare_customer((int)(number % CUSTOMERS), name);
    const invoice_row row = {.customer = ku_str_from(name), .status = INVOICE_DRAFT};
    ku_status status = ku_entity_create(scope, &invoice_entity, (ku_id){{0}}, &row, NULL, &stream);
    if (status == KU_OK)
        status = KU_APPEND(
            scope, stream, invoice_approved, .amount_cents = 2500, .approved_by = KU_STR("Ada"));
    if (status == KU_OK)
        status = KU_APPEND(
            scope, stream, invoice_paid, .amount_cents = 2500, .customer = ku_str_from(name));
    *ret_stream = stream;
    return status;
}

/* These functions stand for the feature's handlers, and append as it. */
static void become_feature(ku_scope *scope)
{
    scope->feature = event_catalog_of(scope->app->registry.catalog, &invoice_paid_event)->feature;
}

static ku_status append_flows(ku_scope *scope, void *context)
{
    const flow_batch *batch = context;
    ku_status status = KU_OK;

    become_feature(scope);

    for (int64_t i = 0; i < batch->count && status == KU_OK; i++) {
        ku_id stream;
        status = append_flow(scope, batch->from + i, &stream);
        if (batch->streams != NULL)
            batch->streams[i] = stream;
    }
    return status;
}

void prepare_flows(ku_app *app, int64_t count, ku_id *ret_streams)
{
    static ku_error error;

    for (int64_t done = 0; done < count;) {
        int64_t n = count - done < FLOWS_PER_TRANSACTION ? count - done : FLOWS_PER_TRANSACTION;
        flow_batch batch = {done, n, ret_streams != NULL ? ret_streams + done : NULL};
        check(app_run_write(app, &bench_user, append_flows, &batch, &error), &error, "flows");
        done += n;
    }
}

/* ---- long streams ---------------------------------------------------------------------------- */

typedef struct turn_batch {
    const ku_id *streams;
    int n_streams;
    int turns;
} turn_batch;

static ku_status append_turns(ku_scope *scope, void *context)
{
    const turn_batch *batch = context;
    ku_status status = KU_OK;

    become_feature(scope);
    for (int turn = 0; turn < batch->turns; turn++)
        for (int i = 0; i < batch->n_streams && status == KU_OK; i++)
            status = KU_APPEND(scope, batch->streams[i], invoice_acknowledged,
                .approver_id = KU_STR("4711"), .approver_display_name = KU_STR("Grace Hopper"));
    return status;
}

void prepare_more(ku_app *app, int count, int events, const ku_id *streams)
{
    static ku_error error;

    for (int left = events; left > 0;) {
        int turns = LIMIT_EVENTS_PER_SCOPE / count;
        turn_batch batch = {streams, count, turns < left ? turns : left};
        check(app_run_write(app, &bench_user, append_turns, &batch, &error), &error, "streams");
        left -= batch.turns;
    }
}

void prepare_streams(ku_app *app, int count, int events, ku_id *ret_streams)
{
    assert(events >= EVENTS_PER_FLOW && count <= FLOWS_PER_TRANSACTION);
    prepare_flows(app, count, ret_streams);
    prepare_more(app, count, events - EVENTS_PER_FLOW, ret_streams);
}

/* ---- requests -------------------------------------------------------------------------------- */

ku_response prepare_ask(ku_app *app, const char *type, const char *payload)
{
    return prepare_ask_as(app, &bench_user, "", type, payload);
}

ku_response prepare_ask_as(
    ku_app *app, const ku_user *user, const char *request_id, const char *type, const char *payload)
{
    const ku_request request = {
        .size = sizeof request,
        .type = ku_str_from(type),
        .payload = ku_str_from(payload),
        .user = *user,
        .request_id = ku_str_from(request_id),
    };
    ku_response response;
    ku_status status =
        (strstr(type, ":query:") != NULL ? ku_query : ku_write)(app, &request, &response);

    if (status != KU_OK)
        die("%s: %" KU_PRI, type, KU_FMT(response.body));
    return response;
}

ku_id prepare_id_of(ku_str body)
{
    static const char before[] = "\"id\":\"";
    const char *found = memmem(body.ptr, body.len, before, sizeof before - 1);
    ku_id id;

    if (found == NULL || found + sizeof before - 1 + 36 > body.ptr + body.len ||
        !ku_id_parse((ku_str){found + sizeof before - 1, 36}, &id))
        die("there is no id in: %" KU_PRI, KU_FMT(body));
    return id;
}
