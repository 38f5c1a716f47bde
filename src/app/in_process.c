/*
 * Requests without a transport: ku_write and ku_query submit a call and wait for it.
 */
#include "app/call.h"
#include "app/raw.h"
#include "app/writer.h"
#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS_MAX = INT32_MAX };

/* A semaphore may be gone as soon as it has been waited for, even while sem_post still returns. */
static void wait_for(sem_t *done)
{
    while (sem_wait(done) != 0 && errno == EINTR)
        continue; /* a signal is for somebody else */
    (void)sem_destroy(done);
}

static void call_done(app_call *call)
{
    (void)sem_post(call->transport);
}

static ku_request read_request(const ku_request *request)
{
    ku_request r = {0};
    size_t size = request->size == 0 || request->size > sizeof(r) ? sizeof(r) : request->size;

    memcpy(&r, request, size);
    return r;
}

static ku_status run_call(
    ku_app *app, const ku_request *request, call_kind kind, ku_response *ret_response)
{
    const ku_request r = read_request(request);
    app_call *call = mem_zero(1, sizeof(*call));
    sem_t done;

    (void)sem_init(&done, 0, 0);
    call->kind = kind;
    call->type = r.type;
    call->payload = r.payload;
    call->request_id = r.request_id;
    call->user = r.user;
    call->trace_id = r.trace_id;
    if (call->trace_id.len == 0) {
        char *text = arena_alloc(&call->arena, 37);
        ku_id_format(id_new(clock_now(&app->clock)), text);
        call->trace_id = (ku_str){text, 36};
    }
    call->correlation_id = r.correlation_id.len > 0 ? r.correlation_id : call->trace_id;
    call->address = r.address;
    if (r.timeout_ms > 0 && r.timeout_ms < TIMEOUT_MS_MAX) /* beyond: as good as none */
        call->deadline_us = clock_monotonic_us() + r.timeout_ms * 1000;
    call->done = call_done;
    call->transport = &done;
    app_submit(app, call);
    wait_for(&done);
    *ret_response =
        (ku_response){.http_status = call->http_status, .body = call->response, .owner_ = call};
    return call->status;
}

ku_status ku_write(ku_app *app, const ku_request *request, ku_response *ret_response)
{
    return run_call(app, request, CALL_WRITE, ret_response);
}

ku_status ku_query(ku_app *app, const ku_request *request, ku_response *ret_response)
{
    return run_call(app, request, CALL_QUERY, ret_response);
}

void ku_response_free(ku_response *response)
{
    app_call *call = response->owner_;

    if (call != NULL) {
        arena_done(&call->arena);
        free(call);
    }
    *response = (ku_response){0};
}

/* ---- functions in a transaction -------------------------------------------------------------- */

typedef struct function_job {
    writer_job job; /* first */
    ku_app *app;
    const ku_user *user;
    ku_status (*run)(ku_scope *scope, void *context);
    void *context;
    ku_error *error;
    ku_status status;
    sem_t done;
} function_job;

static ku_status function_execute(writer_job *job, ku_scope *scope)
{
    function_job *f = (function_job *)job;

    app_scope_begin(f->app, scope, f->user, KU_STR(""), KU_STR(""), KU_STR(""));
    return f->run(scope, f->context);
}

static ku_str uncommitted_words(const writer_job *job, ku_status committed)
{
    if (job->outcome_unknown)
        return KU_STR("the database did not answer in time: it may or may not have been written");
    if (committed == KU_VERSION_CONFLICT)
        return KU_STR("others kept changing the same data");
    return KU_STR("the transaction could not be committed");
}

static void function_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    function_job *f = (function_job *)job;

    f->status = job->executed != KU_OK ? job->executed : committed;
    if (f->status != KU_OK) {
        f->error->status = f->status;
        ku_str words =
            job->executed != KU_OK ? scope->error.message : uncommitted_words(job, committed);
        (void)snprintf(f->error->message, sizeof(f->error->message), "%.*s", KU_FMT(words));
    }
    (void)sem_post(&f->done);
}

ku_status app_run_write(ku_app *app, const ku_user *user,
    ku_status (*run)(ku_scope *scope, void *context), void *context, ku_error *ret_error)
{
    function_job f = {
        .job = {.execute = function_execute, .finish = function_finish},
        .app = app,
        .user = user,
        .run = run,
        .context = context,
        .error = ret_error,
    };

    struct writer *w = app_writer(app, user->tenant);
    (void)sem_init(&f.done, 0, 0);
    if (w == NULL || !writer_submit(w, &f.job, false))
        return error_set(ret_error, KU_UNAVAILABLE, "not writing now");
    wait_for(&f.done);
    return f.status;
}
