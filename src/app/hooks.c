/*
 * Hooks after the commit: on a reader's thread, with what happened copied out of the scope that
 * made it.  They run once, and not at all if the process dies first; what must happen for certain
 * is a projection's work.
 */
#include "app/command.h"
#include "app/reader.h"
#include "app/rows.h"

#include <stdlib.h>

typedef struct hook_job {
    reader_job job; /* first */
    arena arena;
    ku_app *app;
    const ku_hook *hook;
    const feature_entry *feature;
    ku_user user;
    ku_str trace_id, correlation_id;
    ku_event event;
} hook_job;

static void hook_run(reader_job *job, ku_scope *scope)
{
    hook_job *h = (hook_job *)job;

    app_scope_begin(h->app, scope, &h->user, h->trace_id, h->correlation_id, KU_STR(""));
    scope->feature = h->feature;
    ku_status status = h->hook->run(scope, &h->event);
    if (status != KU_OK) {
        if (scope->error.status == KU_OK)
            (void)scope_fail(scope, status, "%s", ku_status_text(status));
        app_log_failure(h->app, scope, ku_str_from(h->hook->name));
    }
    arena_done(&h->arena);
    free(h);
}

static void *copy_own(arena *a, const ku_shape *shape, const void *own)
{
    return own == NULL ? NULL : shape_copy(a, shape, own);
}

/* The event with all it points at; its payload is the ku_change of an automatic event. */
static ku_event copy_event(arena *a, const ku_event *event)
{
    ku_event copy = *event;
    const ku_change *change = event->payload;
    ku_change *kept = arena_alloc(a, sizeof(*kept));

    *kept = *change;
    kept->row = copy_own(a, &event->type->payload, change->row);
    kept->previous = copy_own(a, &event->type->payload, change->previous);
    copy.payload = kept;
    copy.user = arena_copy(a, event->user);
    copy.request_id = arena_copy(a, event->request_id);
    copy.correlation_id = arena_copy(a, event->correlation_id);
    copy.causation_id = arena_copy(a, event->causation_id);
    copy.idempotency_key = arena_copy(a, event->idempotency_key);
    copy.headers.json = arena_copy(a, event->headers.json);
    copy.json.json = arena_copy(a, event->json.json);
    return copy;
}

void app_run_after_commit(ku_app *app, ku_scope *scope)
{
    for (const pending_hook *p = scope->work->rows->hooks; p != NULL; p = p->next) {
        hook_job *h = mem_zero(1, sizeof(*h));
        ku_str *roles = arena_alloc(&h->arena, (scope->n_roles + 1) * sizeof(*roles));
        for (size_t i = 0; i < scope->n_roles; i++)
            roles[i] = arena_copy(&h->arena, scope->roles[i]);
        h->job.run = hook_run;
        h->app = app;
        h->hook = p->hook;
        h->feature = p->feature;
        h->user = (ku_user){.tenant = scope->tenant,
            .id = arena_copy(&h->arena, p->event->user),
            .roles = roles,
            .n_roles = scope->n_roles};
        /* The event's and not the scope's: a projection's batch has events of many callers. */
        h->trace_id = arena_copy(&h->arena, p->event->request_id);
        h->correlation_id = arena_copy(&h->arena, p->event->correlation_id);
        h->event = copy_event(&h->arena, p->event);
        if (!reader_submit(app->readers, &h->job, true)) { /* stopping */
            arena_done(&h->arena);
            free(h);
        }
    }
}
