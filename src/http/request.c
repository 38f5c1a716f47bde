/*
 * The way of a request: headers, body, the application, the answer.
 *
 * libmicrohttpd calls once with the headers, then with pieces of the body, then with none left. All
 * that headers can decide is decided at the first call.  A refused request's body is still read,
 * and thrown away, so that the client, which may be in the middle of sending it, gets to see the
 * answer and may use the connection again; only a client that asked first (`Expect: 100-continue`),
 * or that announces more than is worth reading, is answered at once, and its connection closed.
 *
 * A call for the application is parsed here, on the loop; then its connection is suspended and the
 * call is the application's until `done`.  When it has come back the connection is resumed, and
 * libmicrohttpd calls once more for the answer.  While a call is away nobody touches it here: even
 * when the drain gives it up, its memory stays until the application has returned it.
 *
 * Requests are used again, with the first chunk of their arena: a server at work does not call
 * malloc for them.
 */
#include "base/json.h"
#include "base/limits.h"
#include "http/state.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    DISCARD_BYTES_MAX = 8 << 20, /* of a body that nobody wants */
    BODY_FIRST_BYTES = 64 << 10, /* no more is set aside for an announcement alone */
    RECEIVE_S_MAX = 60,          /* from headers to the end of the body */
    FREE_REQUESTS_MAX = 512,
    ARENA_KEPT_BYTES_MAX = 256 << 10,
};

/* ---- life ------------------------------------------------------------------------------------ */

static request *take_request(server *s)
{
    request *r = s->free_requests;
    if (r == NULL) {
        r = mem_zero(1, sizeof *r);
    } else {
        s->free_requests = r->older;
        s->n_free--;
        const arena kept = r->call.arena;
        memset(r, 0, sizeof *r);
        r->call.arena = kept;
    }
    pthread_mutex_init(&r->peeking, NULL);
    r->server = s;
    r->older = s->newest;
    if (s->newest != NULL)
        s->newest->newer = r;
    s->newest = r;
    s->n_requests++;
    return r;
}

static void free_request(request *r)
{
    arena_done(&r->call.arena);
    free(r);
}

static void give_back(request *r)
{
    server *s = r->server;
    *(r->newer != NULL ? &r->newer->older : &s->newest) = r->older;
    if (r->older != NULL)
        r->older->newer = r->newer;
    s->n_requests--;
    principal_release(r->principal);
    r->principal = NULL;
    pthread_mutex_destroy(&r->peeking);
    if (s->n_free == FREE_REQUESTS_MAX || r->call.arena.high_water > ARENA_KEPT_BYTES_MAX) {
        free_request(r);
        return;
    }
    arena_reset(&r->call.arena);
    r->older = s->free_requests;
    s->free_requests = r;
    s->n_free++;
}

void request_free_all(server *s)
{
    assert(s->n_requests == 0);
    while (s->free_requests != NULL) {
        request *r = s->free_requests;
        s->free_requests = r->older;
        free_request(r);
    }
}

/* ---- the application ------------------------------------------------------------------------- */

/*
 * Has the client closed its connection?  Any thread, while the call is away: as long as the
 * connection is suspended its socket stays open.  Asking for a hang-up sees it behind whatever the
 * client has sent ahead, which reading a byte in advance would not.  A client that has shut down
 * only its own half looks the same from here and counts as gone.
 */
static bool client_has_gone(void *context)
{
    request *r = context;
    pthread_mutex_lock(&r->peeking);
    bool gone = r->abandoned;
    if (!gone) {
        struct pollfd socket = {.fd = r->fd, .events = POLLRDHUP};
        gone = poll(&socket, 1, 0) > 0;
    }
    pthread_mutex_unlock(&r->peeking);
    return gone;
}

static void fail_with_issue(request *r, field_issue *issue)
{
    const scope_error error = {
        .status = KU_INVALID,
        .message = KU_STR("Validation failed"),
        .issues = issue,
        .last_issue = issue,
        .n_issues = 1,
    };
    app_call_fail(r->server->app, &r->call, &error);
}

static void fail_as_too_deep(request *r)
{
    static_assert(LIMIT_PAYLOAD_DEPTH == 20, "the text below says so");
    field_issue issue = {
        .path = KU_STR("payload"),
        .code = KU_STR("too_deep"),
        .i18n_key = KU_STR("errors.validation.payload_too_deep"),
        .params = KU_STR("{\"maxDepth\":20}"),
    };
    fail_with_issue(r, &issue);
}

/* Makes call.body from the bytes; false: the refusal is in the call's response. */
static bool parse_body(request *r)
{
    json_error error;
    app_call *call = &r->call;
    const ku_str text = {r->body.ptr, r->body.len};
    if (!json_parse(&call->arena, text, LIMIT_JSON_DEPTH, &call->body, &error)) {
        if (strcmp(error.code, "too_deep") == 0) {
            fail_as_too_deep(r);
            return false;
        }
        field_issue issue = {
            .path = error.path.len > 0 ? error.path : KU_STR("(root)"),
            .code = ku_str_from(error.code),
        };
        fail_with_issue(r, &issue);
        return false;
    }
    if (call->body->kind != KU_JSON_OBJECT) {
        field_issue issue = {
            .path = KU_STR("(root)"),
            .code = KU_STR("invalid_type"),
            .params = KU_STR("{\"expected\":\"object\"}"),
        };
        fail_with_issue(r, &issue);
        return false;
    }
    return true; /* how deep a payload may be is the application's to say, per command */
}

static enum MHD_Result submit(request *r)
{
    app_call *call = &r->call;
    call->kind = r->route->call;
    call->cancelled = client_has_gone;
    call->cancelled_context = r;
    call->done = server_take_back;
    call->transport = r;
    if (r->route->kind == ROUTE_READY)
        call->kind = CALL_CHECK;
    else if (!parse_body(r))
        return reply_call(r);
    r->phase = REQUEST_SUBMITTED;
    r->server->n_submitted++;
    MHD_suspend_connection(r->connection);
    app_submit(r->server->app, call);
    return MHD_YES;
}

void request_finished(request *r)
{
    assert(r->phase == REQUEST_SUBMITTED);
    r->phase = REQUEST_FINISHED;
    r->server->n_submitted--;
    if (r->connection == NULL)
        give_back(r);
    else if (!r->abandoned) /* otherwise it was resumed before */
        MHD_resume_connection(r->connection);
}

void request_abandon(request *r)
{
    if (r->phase != REQUEST_SUBMITTED)
        return;
    pthread_mutex_lock(&r->peeking);
    r->abandoned = true;
    pthread_mutex_unlock(&r->peeking);
    MHD_resume_connection(r->connection);
}

/* ---- libmicrohttpd's calls ------------------------------------------------------------------- */

static enum MHD_Result begin(
    server *s, struct MHD_Connection *connection, const char *path, const char *method, void **ret)
{
    request *r = take_request(s);
    r->connection = connection;
    r->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    r->path = path;
    r->method = method;
    r->route = page_route(path);
    r->started_us = clock_monotonic_us();
    r->body.arena = &r->call.arena;
    *ret = r;
    guard_read_headers(r);
    if (r->headers.length_twice || (r->headers.chunked && r->headers.content_length.ptr != NULL)) {
        guard_refuse(
            r, &refusal_framing); /* two requests to us, or one to a proxy: nobody's turn */
        return reply_refusal(r);
    }
    guard_admit(r);

    const int64_t announced =
        r->headers.content_length.len > 0 ? strtoll(r->headers.content_length.ptr, NULL, 10) : 0;
    if (r->refusal != NULL && (r->headers.expects_continue || announced > DISCARD_BYTES_MAX))
        return reply_refusal(r);
    if (r->refusal == NULL && announced > 0)
        (void)buffer_reserve(
            &r->body, (size_t)(announced < BODY_FIRST_BYTES ? announced : BODY_FIRST_BYTES));
    return MHD_YES;
}

static enum MHD_Result receive(request *r, const char *bytes, size_t n_bytes)
{
    r->received_bytes += (int64_t)n_bytes;
    if (clock_monotonic_us() - r->started_us > (int64_t)RECEIVE_S_MAX * 1000000)
        return MHD_NO; /* a client that trickles holds a connection, not a server */
    if (r->received_bytes > r->server->body_bytes_max && r->refusal == NULL)
        guard_refuse(r, &refusal_too_large);
    if (r->refusal != NULL || r->route->kind != ROUTE_CALL)
        return r->received_bytes > DISCARD_BYTES_MAX ? MHD_NO : MHD_YES;
    buffer_add(&r->body, bytes, n_bytes);
    return MHD_YES;
}

enum MHD_Result request_continue(void *context, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *bytes, size_t *n_bytes, void **held)
{
    (void)version;
    if (*held == NULL)
        return begin(context, connection, path, method, held);
    request *r = *held;
    if (r->phase == REQUEST_FINISHED)
        return r->route->kind == ROUTE_READY ? page_ready(r) : reply_call(r);
    if (r->phase == REQUEST_SUBMITTED)
        return r->abandoned ? reply_abandoned(r) : MHD_YES;
    if (*n_bytes > 0) {
        const size_t count = *n_bytes;
        *n_bytes = 0;
        return receive(r, bytes, count);
    }
    if (r->refusal != NULL)
        return reply_refusal(r);
    const bool asks =
        r->route->kind == ROUTE_CALL || (r->route->kind == ROUTE_READY && !r->server->draining);
    return asks ? submit(r) : page_answer(r);
}

void request_completed(void *context, struct MHD_Connection *connection, void **held,
    enum MHD_RequestTerminationCode how)
{
    (void)context;
    (void)connection;
    (void)how;
    request *r = *held;
    if (r == NULL)
        return;
    *held = NULL;
    r->connection = NULL;
    if (r->phase != REQUEST_SUBMITTED)
        give_back(r);
}
