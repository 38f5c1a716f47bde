/*
 * Routes, and the pages that need no application: health, readiness, version, explained errors.
 *
 * /health says that the process answers; /health/ready that it wants requests: a load balancer
 * stops sending when the drain begins, while what is under way is still answered.  /errors/<code or
 * reason> is what the docsUrl of an error points at: public, as HTML for people and as text for
 * terminals.
 */
#include "base/json.h"
#include "base/limits.h"
#include "http/state.h"

#include <inttypes.h>
#include <string.h>

static const route routes[] = {
    {"/api/write",    ROUTE_CALL,    CALL_WRITE,   "POST"     },
    {"/api/query",    ROUTE_CALL,    CALL_QUERY,   "POST"     },
    {"/api/batch",    ROUTE_CALL,    CALL_BATCH,   "POST"     },
    {"/api/command",  ROUTE_CALL,    CALL_COMMAND, "POST"     },
    {"/health",       ROUTE_HEALTH,  0,            "GET, HEAD"},
    {"/health/ready", ROUTE_READY,   0,            "GET, HEAD"},
    {"/version",      ROUTE_VERSION, 0,            "GET, HEAD"},
};
static const route explain_route = {"/errors/", ROUTE_EXPLAIN, 0, "GET, HEAD"};
static const route unknown_route = {"", ROUTE_UNKNOWN, 0, ""};

const route *page_route(const char *path)
{
    for (size_t i = 0; i < KU_COUNT(routes); i++) {
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    }
    if (strncmp(path, explain_route.path, strlen(explain_route.path)) == 0)
        return &explain_route;
    return &unknown_route;
}

/* Behaviour §1.8.  While it drains it is not ready whatever the database says. */
static enum MHD_Result answer_draining(request *r)
{
    const int64_t uptime_s = (clock_monotonic_us() - r->server->started_us) / 1000000;
    const ku_str body = arena_format(&r->call.arena,
        "{\"status\":\"not_ready\",\"state\":\"draining\",\"uptimeSec\":%" PRId64 "}", uptime_s);
    return reply_json(r, MHD_HTTP_SERVICE_UNAVAILABLE, body);
}

enum MHD_Result page_ready(request *r)
{
    const int64_t uptime_s = (clock_monotonic_us() - r->server->started_us) / 1000000;
    const app_call *call = &r->call;
    /* A call that no reader took carries an error object, not checks. */
    const bool checked = call->response.len > 0 && call->response.ptr[0] == '[';
    const ku_str checks = checked ? call->response : KU_STR("[]");
    const ku_str body = arena_format(&r->call.arena,
        "{\"status\":\"%s\",\"state\":\"ready\",\"uptimeSec\":%" PRId64 ",\"checks\":%" KU_PRI "}",
        call->status == KU_OK ? "ready" : "not_ready", uptime_s, KU_FMT(checks));
    return reply_json(r, call->http_status, body);
}

static void add_html(buffer *b, ku_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<':
            buffer_add_text(b, "&lt;");
            break;
        case '>':
            buffer_add_text(b, "&gt;");
            break;
        case '&':
            buffer_add_text(b, "&amp;");
            break;
        default:
            buffer_add_char(b, text.ptr[i]);
        }
    }
}

/* Reasons are snake_case; what else comes here was typed by somebody. */
static bool may_be_a_reason(ku_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= LIMIT_NAME_BYTES;
}

static enum MHD_Result answer_explain(request *r)
{
    const ku_str name = ku_str_from(r->path + strlen(explain_route.path));
    const char *text = app_explain_error(name);
    if (text == NULL && may_be_a_reason(name))
        text =
            "A rule of this application said no, and gave this reason.  The library does not know "
            "it; the message and the details of the error say more, and so does whoever runs the "
            "application.";
    if (text == NULL) {
        guard_refuse(r, &refusal_not_found);
        return reply_refusal(r);
    }
    buffer b = {.arena = &r->call.arena};
    const ku_str accept = r->headers.accept;
    if (accept.len == 0 || memmem(accept.ptr, accept.len, "text/html", 9) == NULL) {
        buffer_add_str(&b, name);
        buffer_add_text(&b, "\n\n");
        buffer_add_text(&b, text);
        buffer_add_text(&b, "\n");
        return reply_bytes(r, MHD_HTTP_OK, "text/plain; charset=utf-8", buffer_str(&b));
    }
    buffer_add_text(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    add_html(&b, name);
    buffer_add_text(&b, "</title></head>\n<body><h1>");
    add_html(&b, name);
    buffer_add_text(&b, "</h1>\n<p>");
    add_html(&b, ku_str_from(text));
    buffer_add_text(&b, "</p>\n</body></html>\n");
    return reply_bytes(r, MHD_HTTP_OK, "text/html; charset=utf-8", buffer_str(&b));
}

enum MHD_Result page_answer(request *r)
{
    switch (r->route->kind) {
    case ROUTE_HEALTH:
        return MHD_queue_response(r->connection, MHD_HTTP_OK, r->server->health);
    case ROUTE_VERSION:
        return MHD_queue_response(r->connection, MHD_HTTP_OK, r->server->version);
    case ROUTE_READY:
        return answer_draining(r); /* otherwise the application is asked first */
    case ROUTE_EXPLAIN:
        return answer_explain(r);
    case ROUTE_CALL:
    case ROUTE_UNKNOWN:
        break;
    }
    return MHD_NO; /* calls go to the application, unknown routes are refused before */
}

static struct MHD_Response *make_constant(ku_str json)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        json.len, (void *)(uintptr_t)json.ptr, MHD_RESPMEM_MUST_COPY);
    if (response != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return response;
}

static const char *or_usual(const char *given, const char *usual)
{
    return given != NULL ? given : usual;
}

void pages_open(server *s, const server_options *options)
{
    buffer b = {.arena = &s->memory};
    buffer_add_char(&b, '{');
    json_put_key(&b, "version");
    json_put_text(&b, ku_str_from(or_usual(options->version, "dev")));
    json_put_key(&b, "buildTime");
    json_put_text(&b, ku_str_from(or_usual(options->build_time, "unknown")));
    json_put_key(&b, "node");
    json_put_text(&b, ku_str_from(or_usual(options->environment, "development")));
    buffer_add_char(&b, '}');
    s->version = make_constant(buffer_str(&b));
    s->health = make_constant(KU_STR("{\"status\":\"ok\"}"));
}

void pages_close(server *s)
{
    if (s->version != NULL)
        MHD_destroy_response(s->version);
    if (s->health != NULL)
        MHD_destroy_response(s->health);
}
