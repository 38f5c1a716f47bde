/*
 * The dispatcher: opening and closing it, its thread, its connection.
 *
 * Wake-ups are hints.  What is to be done is always read from the database, so a lost hint costs
 * time and never an event.  Where one process owns the database it hears of every commit, and need
 * not look without one; where several share it, it looks every now and then.
 */
#include "dispatch/dispatcher.h"

#include "app/raw.h"
#include "base/error.h"
#include "dispatch/pass.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    SCAN_SHARE = 4,     /* rest four times as long as looking in vain took, … */
    REST_US_MIN = 3000, /* … and at least so long: commits of no interest come by the thousand */
    REST_US_MAX = 1000000, /* … and at most: it may have been waiting for a writer */
    POLL_SOON_S = 1,       /* how often lanes that back off, or are another's, are looked at */
    POLL_S = 2,            /* shared: how often it is looked when nothing is known to wait */
    RECONNECT_US_FIRST = 100000,
    RECONNECT_US_MAX = 1600000,
};

/* ---- the connection -------------------------------------------------------------------------- */

/* A shared database is also claimed from; one that this process owns has its writer already. */
static ku_status connect_dispatcher(dispatcher *d, ku_error *ret_error)
{
    if (d->d != NULL)
        return KU_OK;
    return db_open(d->app->url, d->shared ? DB_WRITER : DB_READER, d->app->registry.statements,
        &d->d, ret_error);
}

/* A pass on a connection that is made anew if the last one failed. */
static ku_status try_pass(dispatcher *d, bool *moved, ku_error *ret_error)
{
    *moved = false;
    ku_status status = connect_dispatcher(d, ret_error);
    if (status != KU_OK)
        return status;
    status = pass_run(d, moved);
    if (status != KU_OK) {
        (void)error_set(ret_error, status, "%s", db_error(d->d));
        if (d->shared) {
            db_close(d->d);
            d->d = NULL;
        }
    }
    return status;
}

/* Others need not wait until the leases run out. */
static void release_leases(dispatcher *d)
{
    if (d->may_hold_leases && d->d != NULL)
        (void)log_cursors_release(d->d, d->owner); /* otherwise they do run out */
    d->may_hold_leases = false;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* There may be something to do; any thread. */
static void hint(void *context)
{
    dispatcher *d = context;

    pthread_mutex_lock(&d->lock);
    if (!d->work_hinted) {
        d->work_hinted = true;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

static void on_commit(void *context)
{
    dispatcher *d = context;

    if (d->background)
        hint(d);
    if (d->bell != NULL)
        bell_ring(d->bell);
}

static void add_us(struct timespec *at, int64_t us)
{
    int64_t ns = at->tv_nsec + us % 1000000 * 1000;

    at->tv_sec += (time_t)(us / 1000000 + ns / 1000000000);
    at->tv_nsec = (long)(ns % 1000000000);
}

/* Rests, whatever happens; then waits until there may be something to do or `poll_s` is over (0: it
 * never is).  False: it is time to stop. */
static bool wait_for_work(dispatcher *d, int64_t rest_us, int poll_s)
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
    until.tv_sec += poll_s;
    while (!d->work_hinted && !d->stopping) {
        if (poll_s == 0)
            pthread_cond_wait(&d->changed, &d->lock);
        else if (pthread_cond_timedwait(&d->changed, &d->lock, &until) != 0)
            break;
    }
    d->work_hinted = false;
    go_on = !d->stopping;
    pthread_mutex_unlock(&d->lock);
    return go_on;
}

/* Nobody is told more than once that the database is away, and when it is there again. */
static void note_outage(dispatcher *d, ku_status status, const ku_error *error, int *n_failed)
{
    if (status != KU_OK && *n_failed == 0)
        log_cause(&d->app->log, LOG_ERROR_, "dispatcher cannot read", ku_status_code(status),
            error->message);
    else if (status == KU_OK && *n_failed > 0)
        log_line(&d->app->log, LOG_INFO_, "dispatcher reads again", "\"attempts\":%d", *n_failed);
    *n_failed = status == KU_OK ? 0 : *n_failed + 1;
}

/* How long to rest after a pass that moved nothing. */
static int64_t rest_after(int64_t took_us, int n_failed)
{
    if (n_failed > 0) {
        int64_t rest_us = (int64_t)RECONNECT_US_FIRST << (n_failed < 10 ? n_failed - 1 : 9);
        return rest_us < RECONNECT_US_MAX ? rest_us : RECONNECT_US_MAX;
    }
    int64_t rest_us = took_us * SCAN_SHARE;
    return rest_us < REST_US_MIN ? REST_US_MIN : rest_us < REST_US_MAX ? rest_us : REST_US_MAX;
}

/* How long to wait for a hint, in seconds; 0: until one comes. */
static int poll_after(const dispatcher *d, bool was_idle)
{
    if (d->anything_waits || (d->shared && !was_idle))
        return POLL_SOON_S;
    return d->shared ? POLL_S : 0;
}

static void *dispatcher_main(void *context)
{
    dispatcher *d = context;
    bool go_on = true, idle = false;
    int n_failed = 0;

    while (go_on) {
        ku_error error = {0};
        bool moved = false, was_idle = idle;
        int64_t began_us = clock_monotonic_us();
        pthread_mutex_lock(&d->running);
        ku_status status = try_pass(d, &moved, &error);
        pthread_mutex_unlock(&d->running);
        int64_t took_us = clock_monotonic_us() - began_us;
        pthread_mutex_lock(&d->lock);
        go_on = !d->stopping;
        pthread_mutex_unlock(&d->lock);
        if (!go_on)
            break; /* the writers may be stopping, too, which is no outage */
        note_outage(d, status, &error, &n_failed);
        if (status != KU_OK)
            d->anything_waits = true; /* look again in a while */
        idle = !moved;
        /* A pass that moved something may have left the rest of a lane for the next. */
        if (!moved || status != KU_OK)
            go_on = wait_for_work(d, rest_after(took_us, n_failed), poll_after(d, was_idle));
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

static ku_status register_consumers(ku_scope *scope, void *context)
{
    dispatcher *d = context;

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

/* The consumers that are not paused, as a JSON array. */
static void name_consumers(dispatcher *d)
{
    buffer names = {.arena = &d->memory};

    for (const consumer_entry *c = d->app->registry.consumers; c != NULL; c = c->next) {
        if (c->feature->disabled)
            continue;
        buffer_add_char(&names, names.len == 0 ? '[' : ',');
        json_put_text(&names, c->name);
    }
    if (names.len > 0)
        buffer_add_char(&names, ']');
    d->names_json = buffer_str(&names);
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
    arena_done(&d->memory);
    free(d->failed);
    free(d);
}

static dispatcher *new_dispatcher(ku_app *app, bool background)
{
    dispatcher *d = mem_zero(1, sizeof(*d));
    pthread_condattr_t monotonic;

    d->app = app;
    d->background = background;
    d->owner = id_new(clock_now(NULL));
    pthread_mutex_init(&d->running, NULL);
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    scope_init(&d->scope);
    name_consumers(d);
    for (int i = 0; i < UNITS; i++) {
        unit *u = &d->units[i];
        u->app = app;
        u->handed_back = pass_take_back;
        u->context = d;
        scope_init(&u->scope);
        pass_put_idle(d, u);
    }
    return d;
}

ku_status dispatcher_open(
    ku_app *app, bool background, dispatcher **ret_dispatcher, ku_error *ret_error)
{
    db_dialect dialect = DB_SQLITE;
    dispatcher *d = new_dispatcher(app, background);

    ku_status status = db_dialect_of(app->url, &dialect, ret_error);
    d->shared = dialect != DB_SQLITE;
    if (status == KU_OK)
        status = connect_dispatcher(d, ret_error);
    if (status == KU_OK)
        status = app_run_write(app, &system_user, register_consumers, d, ret_error);
    if (status != KU_OK) {
        free_dispatcher(d);
        return status;
    }
    assert(db_is_shared(d->d) == d->shared);
    if (d->shared)
        d->bell = bell_open(app, background ? hint : NULL, d);
    if (background || d->shared)
        app_hear_commits(app, on_commit, d);
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
    }
    app_hear_commits(d->app, NULL, NULL);
    bell_close(d->bell);
    release_leases(d);
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
        status = try_pass(d, &moved, ret_error);
    release_leases(d);
    if (status == KU_OK && d->lost_by != KU_OK)
        status = error_set(ret_error, d->lost_by,
            "a transaction could not be committed; its events are still to be projected");
    else if (status == KU_OK)
        *ret_result = d->result;
    pthread_mutex_unlock(&d->running);
    return status;
}
