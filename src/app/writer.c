/* The writer, the implementation; writer.h says what it promises. */
#include "app/writer.h"

#include "base/limits.h"
#include "store/log.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    IDLE_BEFORE_UPKEEP_S = 1,
    SCOPES_KEPT_IDLE = 8,
    PURGE_EVERY_S = 60,
    PURGE_ROWS = 1000,
};

struct writer {
    ku_app *app;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t filled;
    /* guarded by lock */
    writer_job *first, *last;
    size_t n_queued;
    bool stopping;

    /* owned by the thread */
    db *d;
    ku_scope batch_scope; /* memory of the batch's layer, and its errors */
    work batch;
    row_layer batch_rows;
    ku_scope *scopes[LIMIT_SCOPES_PER_COMMIT]; /* reused from batch to batch */
    arena memories[LIMIT_SCOPES_PER_COMMIT];   /* of their layers */
    ku_time last_purge;
};

/* ---- one transaction ------------------------------------------------------------------------- */

static void begin_scope(writer *w, writer_job *job, size_t index)
{
    if (w->scopes[index] == NULL) {
        w->scopes[index] = mem_zero(1, sizeof(ku_scope));
        scope_init(w->scopes[index]);
    }
    ku_scope *scope = job->scope = w->scopes[index];
    scope_reset(scope);
    scope->app = w->app;
    scope->db = w->d;
    scope->work = arena_alloc(&scope->arena, sizeof(work));
    arena_reset(&w->memories[index]);
    work_init(scope->work, w->d, &w->batch, &w->memories[index]);
    scope->work->rows = arena_alloc(&scope->arena, sizeof(row_layer));
    row_layer_init(scope->work->rows, &w->batch_rows, scope->work);
}

/* For jobs that will not be executed: they are finished in a scope all the same. */
static void begin_scopes(writer *w, writer_job *jobs)
{
    size_t index = 0;

    for (writer_job *job = jobs; job != NULL; job = job->next) {
        begin_scope(w, job, index++);
        job->executed = KU_OK;
        job->deferred = false;
    }
}

static void execute_job(writer *w, writer_job *job, size_t index)
{
    begin_scope(w, job, index);
    job->deferred = false;
    job->executed = job->execute(job, job->scope);
    if (job->executed == KU_OK)
        job->executed = rows_doomed(job->scope);

    ku_scope *scope = job->scope;
    bool in_savepoint = scope->work->rows->in_savepoint;
    if (job->executed == KU_OK) {
        bool kept = !scope->work->rows->broken && (!in_savepoint || db_release(w->d) == KU_OK);
        w->batch_rows.broken = w->batch_rows.broken || !kept;
        rows_merge(scope->work->rows);
        work_merge(scope->work);
    } else if (in_savepoint) {
        db_rollback_to(w->d);
    }
    /* Whatever a job made of a machine's failure: without its transaction nothing may be written.
     */
    w->batch_rows.broken = w->batch_rows.broken || !db_intact(w->d);
}

static ku_status flush_snapshots(writer *w)
{
    for (pending_snapshot *s = w->batch_rows.snapshots; s != NULL; s = s->next) {
        const snapshot kept = {
            .version = s->version, .state_version = s->entity->state_version, .state = s->state};
        ku_status status =
            log_snapshot_put(&w->batch_scope, s->tenant, s->entity, s->stream, &kept);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static ku_status purge_requests(writer *w)
{
    ku_time now = clock_now(&w->app->clock);

    if (now.unix_us - w->last_purge.unix_us < PURGE_EVERY_S * INT64_C(1000000))
        return KU_OK;
    w->last_purge = now;
    return log_request_purge(w->d, now, PURGE_ROWS, NULL);
}

static ku_status settle_jobs(writer_job *jobs)
{
    for (writer_job *job = jobs; job != NULL; job = job->next) {
        if (job->settle == NULL || job->deferred)
            continue;
        ku_status status = job->settle(job, job->scope, job->executed);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static ku_status run_inside(writer *w, writer_job *jobs)
{
    size_t index = 0;

    for (writer_job *job = jobs; job != NULL && !w->batch_rows.broken; job = job->next)
        execute_job(w, job, index++);
    ku_status status = w->batch_rows.broken ? KU_UNAVAILABLE : work_number(&w->batch);
    if (status == KU_OK)
        status = settle_jobs(jobs);
    if (status == KU_OK)
        status = rows_flush(&w->batch_scope, &w->batch_rows);
    if (status == KU_OK)
        status = work_flush(&w->batch);
    if (status == KU_OK)
        status = flush_snapshots(w);
    if (status == KU_OK)
        status = purge_requests(w);
    return status;
}

/* One transaction for these jobs.  *ret_at_commit: it was COMMIT that failed. */
static ku_status run_transaction(writer *w, writer_job *jobs, bool *ret_at_commit)
{
    *ret_at_commit = false;
    scope_reset(&w->batch_scope);
    w->batch_scope.app = w->app;
    w->batch_scope.db = w->d;
    work_init(&w->batch, w->d, NULL, &w->batch_scope.arena);
    row_layer_init(&w->batch_rows, NULL, &w->batch);
    w->batch.rows = &w->batch_rows;

    ku_status status = db_begin(w->d);
    if (status != KU_OK) {
        *ret_at_commit = true; /* trying one by one would not help */
        begin_scopes(w, jobs);
    } else {
        status = run_inside(w, jobs);
    }
    if (status == KU_OK) {
        status = db_commit(w->d);
        *ret_at_commit = status != KU_OK;
    }
    if (status != KU_OK) {
        log_cause(
            &w->app->log, LOG_ERROR_, "transaction failed", ku_status_code(status), db_error(w->d));
        db_rollback(w->d);
    }
    return status;
}

/* ---- batches --------------------------------------------------------------------------------- */

static void give_back(writer *w, writer_job *deferred)
{
    writer_job *last = deferred;

    while (last->next != NULL)
        last = last->next;
    pthread_mutex_lock(&w->lock);
    last->next = w->first;
    w->first = deferred;
    if (w->last == NULL)
        w->last = last;
    for (writer_job *job = deferred; job != last->next; job = job->next)
        w->n_queued++;
    pthread_mutex_unlock(&w->lock);
}

static void finish_jobs(writer *w, writer_job *jobs, ku_status committed)
{
    writer_job *deferred = NULL, **tail = &deferred;
    writer_job *next;

    if (committed == KU_OK && w->batch.n_events > 0 && w->app->on_commit != NULL)
        w->app->on_commit(w->app->on_commit_context);
    for (writer_job *job = jobs; job != NULL; job = next) {
        next = job->next;
        job->next = NULL;
        if (job->deferred && committed == KU_OK) {
            *tail = job;
            tail = &job->next;
        } else {
            job->finish(job, job->scope, committed);
        }
    }
    if (deferred != NULL)
        give_back(w, deferred);
}

static void run_batch(writer *w, writer_job *jobs)
{
    bool at_commit;
    ku_status status = run_transaction(w, jobs, &at_commit);

    if (status == KU_OK || at_commit || jobs->next == NULL) {
        finish_jobs(w, jobs, status);
        return;
    }
    writer_job *next;
    for (writer_job *job = jobs; job != NULL; job = next) {
        next = job->next;
        job->next = NULL;
        status = run_transaction(w, job, &at_commit);
        finish_jobs(w, job, status);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* A busy hour must not be paid for all night: what big batches needed goes back to the system. */
static void give_memory_back(writer *w)
{
    for (size_t i = SCOPES_KEPT_IDLE; i < LIMIT_SCOPES_PER_COMMIT; i++) {
        if (w->scopes[i] == NULL)
            continue;
        scope_done(w->scopes[i]);
        free(w->scopes[i]);
        w->scopes[i] = NULL;
        arena_done(&w->memories[i]);
    }
    (void)malloc_trim(0);
}

/* Waits for jobs; NULL: it is time to stop.  Does upkeep once it has been quiet for a while. */
static writer_job *take_batch(writer *w, bool *dirty)
{
    writer_job *jobs = NULL;

    pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->stopping) {
        if (!*dirty) {
            pthread_cond_wait(&w->filled, &w->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_BEFORE_UPKEEP_S;
        if (pthread_cond_timedwait(&w->filled, &w->lock, &until) == ETIMEDOUT && w->first == NULL) {
            pthread_mutex_unlock(&w->lock);
            *dirty = db_upkeep(w->d, true);
            if (!*dirty) {
                (void)db_upkeep(w->d, true); /* with nothing due it frees its memory */
                give_memory_back(w);
            }
            pthread_mutex_lock(&w->lock);
        }
    }
    jobs = w->first;
    writer_job *last = jobs;
    for (size_t n = 1; last != NULL && n < LIMIT_SCOPES_PER_COMMIT && last->next != NULL; n++)
        last = last->next;
    if (last != NULL) {
        w->first = last->next;
        last->next = NULL;
        if (w->first == NULL)
            w->last = NULL;
        for (const writer_job *job = jobs; job != NULL; job = job->next)
            w->n_queued--;
    }
    pthread_mutex_unlock(&w->lock);
    return jobs;
}

static void *writer_main(void *context)
{
    writer *w = context;
    writer_job *jobs;
    bool dirty = true;

    while ((jobs = take_batch(w, &dirty)) != NULL) {
        run_batch(w, jobs);
        (void)db_upkeep(w->d, false);
        dirty = true;
    }
    return NULL;
}

ku_status writer_open(ku_app *app, writer **ret_writer, ku_error *ret_error)
{
    writer *w = mem_zero(1, sizeof(*w));
    pthread_condattr_t monotonic;

    w->app = app;
    ku_status status = db_open(app->url, DB_WRITER, app->registry.statements, &w->d, ret_error);
    if (status != KU_OK) {
        free(w);
        return status;
    }
    status = log_schema_apply(w->d, ret_error);
    for (const row_table *t = app->registry.tables; t != NULL && status == KU_OK; t = t->next)
        status = row_table_ensure(t, w->d, ret_error);
    if (status != KU_OK) {
        db_close(w->d);
        free(w);
        return status;
    }
    scope_init(&w->batch_scope);
    w->last_purge = clock_now(&app->clock);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->filled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&w->thread, NULL, writer_main, w);
    assert(failed == 0);
    (void)failed;
    *ret_writer = w;
    return KU_OK;
}

void writer_stop(writer *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

void writer_close(writer *w)
{
    if (w == NULL)
        return;
    db_close(w->d);
    for (size_t i = 0; i < LIMIT_SCOPES_PER_COMMIT; i++) {
        if (w->scopes[i] != NULL)
            scope_done(w->scopes[i]);
        free(w->scopes[i]);
        arena_done(&w->memories[i]);
    }
    scope_done(&w->batch_scope);
    pthread_cond_destroy(&w->filled);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

bool writer_submit(writer *w, writer_job *job, bool internal)
{
    bool taken;

    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    taken = !w->stopping && (internal || w->n_queued < LIMIT_WRITE_QUEUE);
    if (taken) {
        bool was_empty = w->first == NULL;
        if (was_empty)
            w->first = job;
        else
            w->last->next = job;
        w->last = job;
        w->n_queued++;
        if (was_empty)
            pthread_cond_signal(&w->filled);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

void writer_defer(writer_job *job)
{
    job->deferred = true;
}
