/* The writer, the implementation; writer.h says what it promises. */
#include "app/writer.h"

#include "base/limits.h"
#include "store/log.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    IDLE_BEFORE_UPKEEP_S = 1,
    SCOPES_KEPT_IDLE = 8,
    PURGE_EVERY_S = 60,
    PURGE_ROWS = 1000,
    BATCH_ATTEMPTS = 3, /* of a whole batch */
    JOB_ATTEMPTS = 8,   /* of one job alone */
    UNKNOWN_ROUNDS = 3, /* how often a COMMIT may go unanswered */
    PAUSE_FIRST_MS = 4,
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
    bool chief;
    lane_counts *lanes;
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

/* Jobs that were not executed are finished in a scope all the same. */
static void begin_missing_scopes(writer *w, writer_job *jobs)
{
    size_t index = 0;

    for (writer_job *job = jobs; job != NULL; job = job->next, index++) {
        if (job->scope == NULL)
            begin_scope(w, job, index);
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
    row_layer *rows = scope->work->rows;
    /* Whatever a job made of a machine's failure: without its transaction nothing may be written.
     */
    if (!db_intact(w->d)) {
        w->batch_rows.broken = true;
        return;
    }
    if (job->executed == KU_OK) {
        bool kept = !rows->broken && (!rows->in_savepoint || db_release(w->d) == KU_OK);
        w->batch_rows.broken = w->batch_rows.broken || !kept;
        rows_merge(rows);
        work_merge(scope->work);
    } else if (rows->in_savepoint) {
        db_rollback_to(w->d);
        w->batch_rows.broken = w->batch_rows.broken || !db_intact(w->d);
    }
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

static void prepare_all(writer *w, writer_job *jobs)
{
    if (!db_is_shared(w->d))
        return;
    for (writer_job *job = jobs; job != NULL; job = job->next) {
        if (job->prepare != NULL)
            job->prepare(job, w->d);
    }
}

static ku_status execute_all(writer *w, writer_job *jobs)
{
    size_t index = 0;

    for (writer_job *job = jobs; job != NULL && !w->batch_rows.broken; job = job->next)
        execute_job(w, job, index++);
    if (!w->batch_rows.broken)
        return KU_OK;
    if (w->batch_rows.too_large)
        return KU_INTERNAL;
    return w->batch_rows.lost ? KU_VERSION_CONFLICT : KU_UNAVAILABLE;
}

static ku_status run_inside(writer *w, writer_job *jobs)
{
    ku_status status = lane_counts_refresh(w->lanes, w->d);

    prepare_all(w, jobs);
    if (status == KU_OK)
        status = execute_all(w, jobs);
    if (status == KU_OK)
        status = work_flush_streams(&w->batch);
    if (status == KU_OK)
        status = rows_flush(&w->batch_scope, &w->batch_rows);
    if (status == KU_OK)
        status = work_number(&w->batch);
    if (status == KU_OK)
        status = rows_compare(&w->batch_rows);
    if (status == KU_OK)
        status = settle_jobs(jobs);
    if (status == KU_OK)
        status = work_flush_events(&w->batch);
    return status;
}

/* What became of a transaction. */
typedef struct attempt {
    ku_status status; /* KU_OK: it is committed */
    bool lost;        /* somebody else was faster; the same jobs may do better now */
    bool may_retry;   /* the same jobs may do better in a moment */
    bool hopeless;    /* the jobs would not do better one by one, either */
    bool unknown;     /* or it is, too: the answer to its COMMIT was lost */
} attempt;

static void begin_batch(writer *w, writer_job *jobs)
{
    scope_reset(&w->batch_scope);
    w->batch_scope.app = w->app;
    w->batch_scope.db = w->d;
    work_init(&w->batch, w->d, NULL, &w->batch_scope.arena);
    row_layer_init(&w->batch_rows, NULL, &w->batch);
    w->batch.rows = &w->batch_rows;
    w->batch.lanes = w->lanes;
    for (writer_job *job = jobs; job != NULL; job = job->next) {
        job->scope = NULL;
        job->executed = KU_OK;
        job->deferred = false;
    }
}

/* How a transaction failed; called before anything else is asked of the connection. */
static void explain_failure(writer *w, attempt *a)
{
    bool shared = db_is_shared(w->d);

    /* A unique value that a look-up did not find was taken by somebody else, if there is one. */
    a->lost = a->status == KU_VERSION_CONFLICT || (a->status == KU_UNIQUE_VIOLATION && shared);
    a->may_retry = !a->lost && db_may_retry(w->d);
    if (!a->lost)
        log_cause(&w->app->log, a->may_retry ? LOG_WARN_ : LOG_ERROR_, "transaction failed",
            ku_status_code(a->status), db_error(w->d));
}

static attempt run_transaction(writer *w, writer_job *jobs)
{
    attempt a = {.status = KU_OK};

    begin_batch(w, jobs);
    a.status = db_begin(w->d);
    a.hopeless = a.status != KU_OK;
    if (a.status == KU_OK)
        a.status = run_inside(w, jobs);
    if (a.status == KU_OK) {
        a.status = db_commit(w->d);
        a.unknown = a.status != KU_OK && db_outcome_unknown(w->d);
        /* A file cannot be written.  Elsewhere COMMIT also says what became of what was sent. */
        a.hopeless = a.status != KU_OK && !db_is_shared(w->d);
    }
    if (a.status != KU_OK) {
        explain_failure(w, &a);
        db_rollback(w->d);
    }
    return a;
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

    if (committed == KU_OK && w->batch.n_events > 0)
        app_tell_commit(w->app);
    begin_missing_scopes(w, jobs);
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

/* A moment for others: twice as long each time, and a half of it by chance, so that two writers
 * that met do not meet again. */
static void pause_before(int attempt_number)
{
    int64_t half_us = (int64_t)PAUSE_FIRST_MS * 500 << attempt_number;
    ku_id chance = id_new((ku_time){0});
    int64_t us = half_us + half_us * chance.bytes[15] / 255;
    const struct timespec moment = {us / 1000000, us % 1000000 * 1000};

    (void)nanosleep(&moment, NULL);
}

/* Runs the jobs in one transaction, again while that may help. */
static attempt run_attempts(writer *w, writer_job *jobs, int attempts)
{
    for (int i = 1;; i++) {
        const attempt a = run_transaction(w, jobs);
        bool again = (a.lost || a.may_retry) && !a.unknown && !a.hopeless;
        if (!again || i == attempts)
            return a;
        if (a.may_retry || i > 1)
            pause_before(i);
    }
}

/*
 * Nobody knows whether the transaction of these jobs is there.  Returned are those that can run
 * again: those that may be repeated, and those of which nothing can be there.
 */
static writer_job *part_unknown(writer *w, writer_job *jobs)
{
    writer_job *again = NULL, **tail = &again;
    writer_job *next;

    begin_missing_scopes(w, jobs);
    for (writer_job *job = jobs; job != NULL; job = next) {
        bool wrote = job->executed == KU_OK && !job->deferred;
        next = job->next;
        job->next = NULL;
        job->outcome_unknown = job->outcome_unknown || wrote;
        if (job->repeatable || !wrote) {
            *tail = job;
            tail = &job->next;
        } else {
            job->finish(job, job->scope, KU_UNAVAILABLE);
        }
    }
    return again;
}

/* Returns the jobs that have to run again because nobody knows what became of them. */
static writer_job *run_one_by_one(writer *w, writer_job *jobs)
{
    writer_job *again = NULL, **tail = &again;
    writer_job *next;

    for (writer_job *job = jobs; job != NULL; job = next) {
        next = job->next;
        job->next = NULL;
        const attempt a = run_attempts(w, job, JOB_ATTEMPTS);
        if (a.unknown) {
            *tail = part_unknown(w, job);
            tail = *tail != NULL ? &(*tail)->next : tail;
            continue;
        }
        finish_jobs(w, job, a.status);
        if (a.hopeless && next != NULL) {
            for (writer_job *rest = next; rest != NULL; rest = rest->next)
                rest->scope = NULL;
            finish_jobs(w, next, a.status);
            break;
        }
    }
    return again;
}

/* The same as run_one_by_one, but all in one transaction if possible. */
static writer_job *run_together(writer *w, writer_job *jobs)
{
    bool alone = jobs->next == NULL;
    const attempt a = run_attempts(w, jobs, alone ? JOB_ATTEMPTS : BATCH_ATTEMPTS);

    if (a.unknown)
        return part_unknown(w, jobs);
    if (a.status != KU_OK && !a.hopeless && !alone)
        return run_one_by_one(w, jobs);
    finish_jobs(w, jobs, a.status);
    return NULL;
}

static void run_batch(writer *w, writer_job *jobs)
{
    for (writer_job *job = jobs; job != NULL; job = job->next)
        job->outcome_unknown = false;
    for (int round = 0; jobs != NULL && round < UNKNOWN_ROUNDS; round++)
        jobs = run_together(w, jobs);
    if (jobs == NULL)
        return;
    for (writer_job *job = jobs; job != NULL; job = job->next)
        job->scope = NULL;
    finish_jobs(w, jobs, KU_UNAVAILABLE);
}

/* Stored replies that have expired: in a transaction of their own, which nobody waits for. */
static void purge_requests(writer *w)
{
    ku_time now = clock_now(&w->app->clock);

    if (!w->chief || now.unix_us - w->last_purge.unix_us < PURGE_EVERY_S * INT64_C(1000000))
        return;
    w->last_purge = now;
    ku_status status = db_begin(w->d);
    if (status == KU_OK)
        status = log_request_purge(w->d, now, PURGE_ROWS, NULL);
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status != KU_OK) {
        log_cause(&w->app->log, LOG_WARN_, "expired replies stay for now", ku_status_code(status),
            db_error(w->d));
        db_rollback(w->d);
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
        purge_requests(w);
        (void)db_upkeep(w->d, false);
        dirty = true;
    }
    return NULL;
}

writer *writer_start(ku_app *app, db *d, bool chief)
{
    writer *w = mem_zero(1, sizeof(*w));
    pthread_condattr_t monotonic;

    w->app = app;
    w->d = d;
    w->chief = chief;
    w->lanes = lane_counts_new();
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
    return w;
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
    lane_counts_free(w->lanes);
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
