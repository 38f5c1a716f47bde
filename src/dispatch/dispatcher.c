/*
 * The dispatcher, the implementation.
 *
 * A pass asks, consumer by consumer, which lanes are behind, and keeps a bounded number of units in
 * flight: enough that reading and writing overlap and that the batches of many quiet lanes share a
 * commit, few enough that commands in the writer's queue hardly notice.
 *
 * Wake-ups are hints.  What is to be done is always read from the database, so a lost hint costs
 * time and never an event.
 */
#include "dispatch/dispatcher.h"
#include "base/error.h"

#include "app/raw.h"
#include "dispatch/quiet.h"
#include "dispatch/unit.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNITS = 32, /* in flight at most */
    EVENTS_IN_FLIGHT_MAX = 1000,
    BATCH_DEFAULT = 200,
    BATCHES_PER_TURN = 16, /* of one lane before the next has its turn */
    SCAN_SHARE = 4,        /* rest four times as long as looking in vain took, … */
    REST_US_MIN = 3000, /* … and at least so long: commits of no interest come by the thousand */
    QUIET_US_MAX = 1000000, /* how long a move of no interest may go unwritten */
    RETRY_POLL_S = 1,       /* how often lanes that back off are looked at */
};

typedef struct failed_lane {
    const consumer_entry *consumer;
    ku_id tenant;
    int32_t lane;
} failed_lane;

struct dispatcher {
    ku_app *app;
    pthread_t thread;
    bool background;
    pthread_mutex_t running; /* one pass at a time */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    unit *idle;        /* units that nobody uses */
    unit *handed_back; /* units that the writer is done with */
    bool work_hinted, stopping;

    /* owned by whoever holds `running` */
    db *d;
    ku_scope scope; /* of looking for work */
    unit units[UNITS];
    int64_t events_in_flight;
    int n_in_flight;
    ku_dispatch_result result;
    ku_status lost_by;   /* by hand: why a transaction of this call failed */
    quiet_lanes quiet;   /* in the background only */
    bool quiet_is_due;   /* this pass writes down what was noted */
    bool anything_waits; /* some lane backs off, or quiet moves are to be written */
    failed_lane *failed; /* by hand: lanes that failed in this call */
    size_t n_failed, failed_capacity;
};

/* ---- units ----------------------------------------------------------------------------------- */

static void on_handed_back(unit *u, void *context)
{
    dispatcher *d = context;

    pthread_mutex_lock(&d->lock);
    u->next = d->handed_back;
    d->handed_back = u;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* What a lane's turn needs to know of units that came back. */
typedef struct turn {
    const consumer_entry *consumer;
    ku_id tenant;
    int32_t lane;
    bool stopped; /* one of its units did not move the cursor */
} turn;

static bool belongs_to(const unit *u, const turn *t)
{
    return t != NULL && u->consumer == t->consumer && ku_id_equal(u->cursor.tenant, t->tenant) &&
           u->cursor.lane == t->lane;
}

static void put_idle(dispatcher *d, unit *u)
{
    pthread_mutex_lock(&d->lock);
    u->next = d->idle;
    d->idle = u;
    pthread_mutex_unlock(&d->lock);
}

static void remember_failed(dispatcher *d, const unit *u)
{
    if (d->n_failed == d->failed_capacity) {
        d->failed_capacity = d->failed_capacity == 0 ? 16 : d->failed_capacity * 2;
        d->failed = mem_grow(d->failed, d->failed_capacity * sizeof(*d->failed));
    }
    d->failed[d->n_failed++] = (failed_lane){u->consumer, u->cursor.tenant, u->cursor.lane};
}

static bool has_failed(const dispatcher *d, const consumer_entry *consumer, const cursor *c)
{
    for (size_t i = 0; i < d->n_failed; i++) {
        const failed_lane *f = &d->failed[i];
        if (f->consumer == consumer && f->lane == c->lane && ku_id_equal(f->tenant, c->tenant))
            return true;
    }
    return false;
}

static void settle_unit(dispatcher *d, unit *u, turn *t, bool *moved)
{
    d->events_in_flight -= (int64_t)u->n_events;
    d->n_in_flight--;
    if (u->result == UNIT_MOVED) {
        d->result.processed += (int64_t)u->n_events;
        *moved = true;
    } else if (belongs_to(u, t)) {
        t->stopped = true;
    }
    if (u->result == UNIT_LOST && u->lost_by != KU_OK)
        d->lost_by = u->lost_by;
    if (u->result == UNIT_LOST)
        d->anything_waits = true; /* nobody may commit for hours: look again by itself */
    if (u->result == UNIT_FAILED && u->failed_at > 0) {
        unit_shorten(u);
        d->events_in_flight += (int64_t)u->n_events;
        d->n_in_flight++;
        if (unit_submit(u))
            return;
        d->events_in_flight -= (int64_t)u->n_events;
        d->n_in_flight--;
    } else if (u->result == UNIT_FAILED) {
        d->result.failed++;
        if (d->background)
            d->anything_waits = true; /* its time comes even if nobody commits */
        else
            remember_failed(d, u);
    }
    put_idle(d, u);
}

/* Takes back what the writer is done with; with `wait` at least one, if any is in flight. */
static void collect_units(dispatcher *d, bool wait, turn *t, bool *moved)
{
    pthread_mutex_lock(&d->lock);
    while (wait && d->n_in_flight > 0 && d->handed_back == NULL)
        pthread_cond_wait(&d->changed, &d->lock);
    unit *list = d->handed_back;
    d->handed_back = NULL;
    pthread_mutex_unlock(&d->lock);
    while (list != NULL) {
        unit *next = list->next;
        settle_unit(d, list, t, moved);
        list = next;
    }
}

static unit *take_unit(dispatcher *d, turn *t, bool *moved)
{
    unit *u;

    collect_units(
        d, d->n_in_flight == UNITS || d->events_in_flight >= EVENTS_IN_FLIGHT_MAX, t, moved);
    pthread_mutex_lock(&d->lock);
    u = d->idle;
    if (u != NULL)
        d->idle = u->next;
    pthread_mutex_unlock(&d->lock);
    return u;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* A move that no projection needs can wait for one that does, or for its time. */
static bool keeps_quiet(dispatcher *d, const unit *u)
{
    if (!d->background || d->quiet_is_due || u->n_events > 0 || u->read_failed)
        return false;
    quiet_note(
        &d->quiet, u->consumer, u->cursor.tenant, u->cursor.lane, u->to, clock_monotonic_us());
    return true;
}

/* A few batches of one lane. */
static ku_status run_lane(
    dispatcher *d, const consumer_entry *consumer, const cursor *found, bool *moved)
{
    turn t = {.consumer = consumer, .tenant = found->tenant, .lane = found->lane};
    cursor at = *found;
    int batch = consumer->projection->batch;
    int64_t known = quiet_position(&d->quiet, consumer, found->tenant, found->lane);

    if (known >= found->head && !d->quiet_is_due)
        return KU_OK;

    for (int i = 0; i < BATCHES_PER_TURN && at.position < at.head && !t.stopped; i++) {
        unit *u = take_unit(d, &t, moved);
        if (u == NULL || t.stopped) {
            if (u != NULL)
                put_idle(d, u);
            if (t.stopped)
                break;
            continue; /* every unit came back to be sent again: wait for the next */
        }
        ku_status status =
            unit_read(u, d->d, consumer, &at, known, batch == 0 ? BATCH_DEFAULT : batch);
        if (status != KU_OK) {
            log_cause(&d->app->log, LOG_ERROR_, "dispatcher cannot read", ku_status_code(status),
                db_error(d->d));
            put_idle(d, u);
            return status;
        }
        if (keeps_quiet(d, u)) {
            put_idle(d, u);
            break; /* nothing of interest up to the head */
        }
        d->events_in_flight += (int64_t)u->n_events;
        d->n_in_flight++;
        bool gives_up = u->read_failed;
        int64_t to = u->to;
        if (!unit_submit(u)) { /* the writer is stopping */
            d->events_in_flight -= (int64_t)u->n_events;
            d->n_in_flight--;
            put_idle(d, u);
            return KU_UNAVAILABLE;
        }
        if (gives_up)
            break;
        at.position = to;
        at.attempts = 0;
    }
    return KU_OK;
}

/* In the background a lane that failed waits for its time; by hand it waits for the next call. */
static bool may_run(dispatcher *d, const consumer_entry *consumer, const cursor *c, ku_time now)
{
    if (ku_str_is(c->status, "halted"))
        return false;
    if (!d->background)
        return !has_failed(d, consumer, c);
    if (ku_str_is(c->status, "backoff") && c->retry_at.unix_us > now.unix_us) {
        d->anything_waits = true;
        return false;
    }
    return true;
}

/* Every lane of every consumer has a turn; *moved: some cursor was moved. */
static ku_status run_pass(dispatcher *d, bool *moved)
{
    ku_status status = KU_OK;

    *moved = false;
    d->anything_waits = false;
    d->quiet_is_due =
        d->quiet.count > 0 && clock_monotonic_us() - d->quiet.since_us >= QUIET_US_MAX;
    for (const consumer_entry *c = d->app->registry.consumers; c != NULL && status == KU_OK;
         c = c->next) {
        cursor *cursors = NULL;
        size_t n = 0;
        if (c->feature->disabled)
            continue;
        scope_reset(&d->scope);
        app_scope_begin_system(d->app, &d->scope, (ku_id){{0}});
        d->scope.db = d->d;
        status = log_cursors_behind(&d->scope, c->name, &cursors, &n);
        for (size_t i = 0; i < n && status == KU_OK; i++) {
            if (may_run(d, c, &cursors[i], d->scope.now))
                status = run_lane(d, c, &cursors[i], moved);
        }
    }
    while (d->n_in_flight > 0)
        collect_units(d, true, NULL, moved);
    if (d->quiet_is_due)
        quiet_clear(&d->quiet);
    d->anything_waits = d->anything_waits || d->quiet.count > 0;
    return status;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void on_commit(void *context)
{
    dispatcher *d = context;

    pthread_mutex_lock(&d->lock);
    if (!d->work_hinted) {
        d->work_hinted = true;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

static void add_us(struct timespec *at, int64_t us)
{
    int64_t ns = at->tv_nsec + us % 1000000 * 1000;

    at->tv_sec += (time_t)(us / 1000000 + ns / 1000000000);
    at->tv_nsec = (long)(ns % 1000000000);
}

/* Until somebody committed events, a lane's time has come, or it is time to stop (false). */
static bool wait_for_work(dispatcher *d, int64_t rest_us)
{
    struct timespec until;
    bool go_on;

    pthread_mutex_lock(&d->lock);
    if (rest_us > 0 && !d->stopping) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        add_us(&until, rest_us);
        while (!d->stopping && pthread_cond_timedwait(&d->changed, &d->lock, &until) == 0)
            continue;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_POLL_S;
    while (!d->work_hinted && !d->stopping) {
        if (!d->anything_waits)
            pthread_cond_wait(&d->changed, &d->lock);
        else if (pthread_cond_timedwait(&d->changed, &d->lock, &until) != 0)
            break;
    }
    d->work_hinted = false;
    go_on = !d->stopping;
    pthread_mutex_unlock(&d->lock);
    return go_on;
}

static void *dispatcher_main(void *context)
{
    dispatcher *d = context;
    bool go_on = true;

    while (go_on) {
        bool moved = false;
        int64_t began_us = clock_monotonic_us();
        pthread_mutex_lock(&d->running);
        ku_status status = run_pass(d, &moved);
        pthread_mutex_unlock(&d->running);
        int64_t took_us = clock_monotonic_us() - began_us;
        if (status != KU_OK)
            d->anything_waits = true; /* look again in a while */
        pthread_mutex_lock(&d->lock);
        go_on = !d->stopping;
        pthread_mutex_unlock(&d->lock);
        /* A pass that moved something may have left the rest of a lane for the next. */
        if (go_on && !moved)
            go_on = wait_for_work(
                d, took_us * SCAN_SHARE > REST_US_MIN ? took_us * SCAN_SHARE : REST_US_MIN);
    }
    return NULL;
}

static const ku_user system_user = {.id = KU_STR_INIT("system")};

/* ---- opening, closing, running by hand ------------------------------------------------------- */

static consumer_start start_of(const ku_multi_stream_projection *projection)
{
    switch (projection->start) {
    case KU_FROM_NOW:
        return (consumer_start){.position = INT64_MAX};
    case KU_FROM_POSITION:
        return (consumer_start){.position = projection->start_position};
    case KU_FROM_TIME:
        return (consumer_start){
            .time = {true, projection->start_time}
        };
    case KU_FROM_BEGINNING:
        break;
    }
    return (consumer_start){.position = 0};
}

/* Runs on the writer's thread, which is the one that calls on_commit. */
static ku_status register_consumers(ku_scope *scope, void *context)
{
    dispatcher *d = context;

    if (d->background) {
        d->app->on_commit_context = d;
        d->app->on_commit = on_commit;
    }

    for (const consumer_entry *c = d->app->registry.consumers; c != NULL; c = c->next) {
        bool is_new = false;
        const consumer_start start = start_of(c->projection);
        ku_status status = log_consumer_register(scope, c->name, &start, scope->now, &is_new);
        /* A new start of the program is the operator's way to say: it is mended, try again. */
        if (status == KU_OK)
            status = log_consumer_rearm(scope->db, c->name, scope->now, NULL);
        if (status != KU_OK)
            return scope_fail(
                scope, status, "register consumer %.*s: %s", KU_FMT(c->name), db_error(scope->db));
    }
    return KU_OK;
}

/* On the writer's thread, which is the one that calls on_commit. */
typedef struct stop_job {
    writer_job job; /* first */
    ku_app *app;
    dispatcher *d;
    bool done; /* guarded by d->lock */
} stop_job;

static ku_status stop_execute(writer_job *job, ku_scope *scope)
{
    (void)job;
    (void)scope;
    return KU_OK;
}

/* Called whatever became of the transaction: a full disk must not leave the writer with a pointer.
 */
static void stop_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    stop_job *s = (stop_job *)job;

    (void)scope;
    (void)committed;
    s->app->on_commit = NULL;
    pthread_mutex_lock(&s->d->lock);
    s->done = true;
    pthread_cond_signal(&s->d->changed);
    pthread_mutex_unlock(&s->d->lock);
}

static void stop_hearing(dispatcher *d)
{
    stop_job s = {
        .job = {.execute = stop_execute, .finish = stop_finish},
          .app = d->app, .d = d
    };

    bool taken = writer_submit(d->app->writer, &s.job, true);
    assert(taken); /* the writer outlives the dispatcher */
    pthread_mutex_lock(&d->lock);
    while (taken && !s.done)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

static void free_dispatcher(dispatcher *d)
{
    db_close(d->d);
    scope_done(&d->scope);
    for (int i = 0; i < UNITS; i++)
        scope_done(&d->units[i].scope);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->running);
    quiet_done(&d->quiet);
    free(d->failed);
    free(d);
}

ku_status dispatcher_open(
    ku_app *app, bool background, dispatcher **ret_dispatcher, ku_error *ret_error)
{
    dispatcher *d = mem_zero(1, sizeof(*d));
    pthread_condattr_t monotonic;

    d->app = app;
    d->background = background;
    pthread_mutex_init(&d->running, NULL);
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    scope_init(&d->scope);
    for (int i = 0; i < UNITS; i++) {
        unit *u = &d->units[i];
        u->app = app;
        u->handed_back = on_handed_back;
        u->context = d;
        scope_init(&u->scope);
        put_idle(d, u);
    }
    ku_status status = db_open(app->url, DB_READER, app->registry.statements, &d->d, ret_error);
    if (status == KU_OK)
        status = app_run_write(app, &system_user, register_consumers, d, ret_error);
    if (status != KU_OK) {
        d->background = false;
        free_dispatcher(d);
        return status;
    }
    if (background) {
        int failed = pthread_create(&d->thread, NULL, dispatcher_main, d);
        assert(failed == 0);
        (void)failed;
    }
    *ret_dispatcher = d;
    return KU_OK;
}

void dispatcher_close(dispatcher *d)
{
    if (d == NULL)
        return;
    if (d->background) {
        pthread_mutex_lock(&d->lock);
        d->stopping = true;
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
        stop_hearing(d);
    }
    free_dispatcher(d);
}

bool dispatcher_in_background(const dispatcher *d)
{
    return d->background;
}

ku_status dispatcher_run_once(dispatcher *d, ku_dispatch_result *ret_result, ku_error *ret_error)
{
    bool moved = true;
    ku_status status = KU_OK;

    pthread_mutex_lock(&d->running);
    d->result = (ku_dispatch_result){0};
    d->n_failed = 0;
    d->lost_by = KU_OK;
    while (moved && status == KU_OK)
        status = run_pass(d, &moved);
    if (status == KU_OK && d->lost_by != KU_OK) {
        status = error_set(ret_error, d->lost_by,
            "a transaction could not be committed; its events are still to be projected");
    } else if (status != KU_OK) {
        (void)error_set(ret_error, status, "%s", db_error(d->d));
    } else {
        *ret_result = d->result;
    }
    pthread_mutex_unlock(&d->running);
    return status;
}
