/*
 * The inside of the server and of its requests, for the files of this folder.
 *
 * server.c owns the loop, request.c the way of a request through it, guard.c decides who may pass,
 * reply.c writes the answers, pages.c has those that need no application.
 */
#ifndef KU_HTTP_STATE_H
#define KU_HTTP_STATE_H

#include "base/buffer.h"
#include "http/address_limit.h"
#include "http/listen.h"
#include "http/principal.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct request request;

/* A connection's other end; lives as long as the connection. */
typedef struct peer {
    address_key key;
    char text[48];
} peer;

/* A refusal before or instead of the application; constants in guard.c, one per code. */
typedef struct refusal {
    int http_status;
    const char *code, *message, *i18n_key;
} refusal;

typedef enum route_kind {
    ROUTE_UNKNOWN,
    ROUTE_CALL, /* to the application */
    ROUTE_HEALTH,
    ROUTE_READY,
    ROUTE_VERSION,
    ROUTE_EXPLAIN, /* /errors/<code or reason> */
} route_kind;

typedef struct route {
    const char *path;
    route_kind kind;
    call_kind call;
    const char *allow; /* its methods */
} route;

/* What the guards look at; views into the connection's memory, good until the answer is sent. */
typedef struct request_headers {
    ku_str authorization, origin, csrf_token, tenant, request_id, correlation_id, forwarded_for;
    ku_str accept, content_length;
    ku_str auth_cookie, csrf_cookie;
    bool authorization_twice, expects_continue;
    bool chunked, length_twice; /* the body's end is known by two rules that may differ */
} request_headers;

/*
 *   RECEIVING -> SUBMITTED -> FINISHED -> (answered)
 *       |                                     ^
 *       +-------------------------------------+   pages and refusals
 */
typedef enum request_phase { REQUEST_RECEIVING, REQUEST_SUBMITTED, REQUEST_FINISHED } request_phase;

/* One request.  The loop's, but for what the call lends to the application. */
struct request {
    app_call call;
    server *server;
    struct MHD_Connection *connection; /* NULL: it is gone, the application still has the call */
    int fd;                            /* the connection's socket */
    request_phase phase;
    pthread_mutex_t peeking; /* held while another thread looks at the socket */
    bool abandoned;          /* no longer to be looked at: the drain has run out of time;
                                written by the loop, guarded by `peeking` */

    const char *path, *method;
    const route *route;
    request_headers headers;
    principal *principal; /* held; NULL: not signed in */
    bool by_cookie;
    address_key address_key;
    address_verdict address_verdict; /* limit 0: not limited */
    const refusal *refusal;          /* NULL: none */
    ku_str refusal_message;          /* instead of the constant one, if not empty */
    ku_str refusal_details;          /* JSON object, or empty */

    buffer body; /* in the call's arena */
    int64_t received_bytes, started_us;

    request *newer, *older; /* the server's list of requests; `older`: of free ones */
};

struct server {
    ku_app *app;
    arena memory; /* settings that are copied */

    /* settings, constant */
    int64_t body_bytes_max;
    bool trust_proxy;
    int drain_timeout_s;
    const char **origins;
    ku_str issuer;
    char address[ADDRESS_TEXT];
    token_keys *keys;

    /* owned by the loop */
    struct MHD_Daemon *daemon;
    int listen_fd; /* -1 once it has stopped accepting */
    int daemon_fd; /* the daemon's epoll descriptor */
    principal_cache *principals;
    address_limit *address_limit; /* NULL: none */
    struct MHD_Response *health, *version;
    request *newest, *free_requests;
    size_t n_requests, n_free, n_submitted;
    bool draining;
    int64_t started_us;

    /* shared with the threads that finish calls, and with server_stop */
    _Atomic(app_call *) finished; /* newest first */
    atomic_bool asleep;           /* the loop blocks, or is about to: wake it */
    atomic_int finishing;         /* threads inside the hand-over */
    atomic_bool stopping;
    int wake_fd;
};

/* ---- server.c -------------------------------------------------------------------------------- */

/* An app_call's `done`: hands the call back to the loop.  Any thread. */
void server_take_back(app_call *call);

/* /health/ready, once the application has looked at its database. */
enum MHD_Result page_ready(request *r);

/* ---- request.c ------------------------------------------------------------------------------- */

/* libmicrohttpd's callbacks. */
enum MHD_Result request_continue(void *server, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *bytes, size_t *n_bytes, void **request);
void request_completed(void *server, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode how);
/* The application has finished with the call: answers, or frees what nobody waits for any more. */
void request_finished(request *r);
/* Gives up waiting for the application: the client is told 503. */
void request_abandon(request *r);
void request_free_all(server *s);

/* ---- guard.c --------------------------------------------------------------------------------- */

extern const refusal refusal_too_large, refusal_not_found, refusal_method, refusal_draining,
    refusal_framing;

/* Reads the headers that matter in one pass. */
void guard_read_headers(request *r);
/* Trace ids, address, then everything of behaviour §1.2; what fails is in r->refusal. */
void guard_admit(request *r);
void guard_refuse(request *r, const refusal *why);

/* ---- reply.c --------------------------------------------------------------------------------- */

/* `bytes` live at least as long as the request. */
enum MHD_Result reply_bytes(request *r, int http_status, const char *content_type, ku_str bytes);
enum MHD_Result reply_json(request *r, int http_status, ku_str json);
enum MHD_Result reply_refusal(request *r);
enum MHD_Result reply_call(request *r);
/* Without touching the call, which the application still has. */
enum MHD_Result reply_abandoned(request *r);

/* ---- pages.c --------------------------------------------------------------------------------- */

const route *page_route(const char *path);
enum MHD_Result page_answer(request *r);
/* Answers that never change, made once. */
void pages_open(server *s, const server_options *options);
void pages_close(server *s);

#endif
