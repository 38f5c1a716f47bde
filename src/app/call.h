/*
 * Calls: requests on their way through the application, from whatever brought them.
 *
 * A transport (HTTP, ku_write) fills a call and submits it.  A write, batch or command goes to the
 * writer and shares a commit with others; a query goes to a reader.  `done` is called exactly once,
 * on the thread that finished it, when the response is ready: for a write that is after the commit
 * that holds it has returned.  The transport then owns the call again.
 */
#ifndef KU_APP_CALL_H
#define KU_APP_CALL_H

#include "base/scope.h"
#include "kumiko/app.h"

#include <stdatomic.h>

typedef enum call_kind {
    CALL_WRITE,   /* body {type, payload, requestId?} → {"isSuccess":…} */
    CALL_BATCH,   /* body {commands: […], requestId?} */
    CALL_COMMAND, /* like a write; 202 {"ok":true} */
    CALL_QUERY,   /* body {type, payload} → {"data":…} */
    CALL_CHECK, /* no body → [{"name","ok","latencyMs","error"?}]: is the database there? 200 or 503
                 */
} call_kind;

/* Headers that go with the answer to a call that met a rate limit. */
typedef struct call_rate {
    bool set;
    int64_t limit, remaining, reset_unix_s, retry_after_s; /* retry_after_s 0: it was let through */
} call_rate;

typedef struct app_call app_call;
struct app_call {
    /* filled by the transport; what they point at lives in `arena` or longer */
    arena arena; /* the call's own memory; freed by the transport after `done` */
    call_kind kind;
    ku_json *body;        /* the parsed request object, or NULL and: */
    ku_str type, payload; /*   the type and the payload's JSON text (in process) */
    ku_str request_id;    /*   and its idempotency key */
    ku_user user;
    ku_str trace_id; /* X-Request-ID in effect; never empty */
    ku_str correlation_id;
    ku_str address;
    int64_t deadline_us;              /* CLOCK_MONOTONIC; 0: none */
    bool (*cancelled)(void *context); /* has the client gone away?  any thread; may be NULL */
    void *cancelled_context;
    void (*done)(app_call *call);
    void *transport; /* the transport's own */

    /* filled by the application before `done` */
    ku_status status;
    int http_status;
    ku_str response; /* the body, in `arena` */
    call_rate rate;

    app_call *next; /* in a queue: the queue's; after done: the transport's */
};

/*
 * Hands the call over.  If the queue is full or the application is stopping it is answered at once:
 * `done` is called on this thread with 503 (`unavailable`, Retry-After by the transport).
 */
void app_submit(ku_app *app, app_call *call);

/*
 * Renders an error object as the dispatcher path has it (behaviour §2) into the call's response, in
 * the envelope of its kind: for refusals before the application saw it (bad JSON, too deep, …).
 */
void app_call_fail(ku_app *app, app_call *call, const scope_error *error);

/* The sentence-and-code pages behind docsUrl: NULL if the code or reason is not known. */
const char *app_explain_error(ku_str code_or_reason);

#endif
