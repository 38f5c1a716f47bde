/*
 * Answers.
 *
 * A body is not copied: it lies in the request's arena, which is kept until libmicrohttpd says that
 * the request is complete, and by then the last byte has been sent.  Every answer of /api carries
 * the ids under which the request can be found in logs and events; an answer that met a rate limit
 * says how much is left; 429 and 503 say when to come back.
 */
#include "base/json.h"
#include "http/state.h"

#include <inttypes.h>
#include <stdio.h>

enum { UNAVAILABLE_RETRY_S = 1 };

static void add_number(struct MHD_Response *response, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    (void)MHD_add_response_header(response, name, text);
}

static int64_t round_up_s(int64_t us)
{
    return (us + 999999) / 1000000;
}

/* The handler's limit says more than the address', if the request got that far. */
static void add_rate_headers(const request *r, struct MHD_Response *response)
{
    const call_rate *rate = &r->call.rate;
    const address_verdict *verdict = &r->address_verdict;
    if (rate->set) {
        add_number(response, "X-RateLimit-Limit", rate->limit);
        add_number(response, "X-RateLimit-Remaining", rate->remaining);
        add_number(response, "X-RateLimit-Reset", rate->reset_unix_s);
        if (rate->retry_after_s > 0)
            add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, rate->retry_after_s);
    } else if (verdict->limit > 0) {
        const int64_t now_us = clock_now(NULL).unix_us;
        add_number(response, "X-RateLimit-Limit", verdict->limit);
        add_number(response, "X-RateLimit-Remaining", verdict->remaining);
        add_number(response, "X-RateLimit-Reset", round_up_s(now_us + verdict->next_in_us));
        if (!verdict->allowed)
            add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, round_up_s(verdict->next_in_us));
    }
}

enum MHD_Result reply_bytes(request *r, int http_status, const char *content_type, ku_str bytes)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        bytes.len, (void *)(uintptr_t)bytes.ptr, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (r->call.trace_id.len > 0) { /* copied into the arena, so there is a NUL behind each */
        (void)MHD_add_response_header(response, "X-Request-ID", r->call.trace_id.ptr);
        (void)MHD_add_response_header(response, "X-Correlation-ID", r->call.correlation_id.ptr);
    }
    add_rate_headers(r, response);
    if (http_status == MHD_HTTP_SERVICE_UNAVAILABLE)
        add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, UNAVAILABLE_RETRY_S);
    if (http_status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->route->allow);
    if (r->server->draining)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result queued = MHD_queue_response(r->connection, (unsigned)http_status, response);
    MHD_destroy_response(response);
    return queued;
}

enum MHD_Result reply_json(request *r, int http_status, ku_str json)
{
    return reply_bytes(r, http_status, "application/json", json);
}

enum MHD_Result reply_refusal(request *r)
{
    const refusal *why = r->refusal;
    buffer b = {.arena = &r->call.arena};
    buffer_add_text(&b, "{\"error\":{");
    json_put_key(&b, "code");
    json_put_text(&b, ku_str_from(why->code));
    json_put_key(&b, "httpStatus");
    json_put_int(&b, why->http_status);
    json_put_key(&b, "message");
    json_put_text(&b, r->refusal_message.len > 0 ? r->refusal_message : ku_str_from(why->message));
    json_put_key(&b, "i18nKey");
    json_put_text(&b, ku_str_from(why->i18n_key));
    if (r->refusal_details.len > 0) {
        json_put_key(&b, "details");
        buffer_add_str(&b, r->refusal_details);
    }
    buffer_add_text(&b, "}}");
    return reply_json(r, why->http_status, buffer_str(&b));
}

enum MHD_Result reply_call(request *r)
{
    return reply_json(r, r->call.http_status, r->call.response);
}

enum MHD_Result reply_abandoned(request *r)
{
    static const char body[] = "{\"error\":{\"code\":\"unavailable\",\"httpStatus\":503,"
                               "\"message\":\"the server stopped before the request was finished\","
                               "\"i18nKey\":\"errors.unavailable\"}}";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof body - 1, (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, UNAVAILABLE_RETRY_S);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result queued =
        MHD_queue_response(r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, response);
    MHD_destroy_response(response);
    return queued;
}
