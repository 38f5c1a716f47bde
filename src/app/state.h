/*
 * The application from inside: what its parts share.
 *
 * Constant once threads run, except what says otherwise.
 */
#ifndef KU_APP_STATE_H
#define KU_APP_STATE_H

#include "app/call.h"
#include "app/ratelimit.h"
#include "app/registry.h"
#include "base/limits.h"
#include "base/log.h"

#include <pthread.h>

struct writer;
struct reader_pool;

struct ku_app {
    registry registry;
    char *url;
    char *docs_url; /* NULL: none */
    bool production;
    bool without_rate_limits;
    bool read_only;
    clock_source clock;
    log_sink log;
    struct writer *writers[LIMIT_WRITERS];
    int n_writers; /* 0: read-only */
    struct reader_pool *readers;
    rate_limiter *limits; /* has its own lock */

    pthread_mutex_t on_commit_lock;
    /* guarded by on_commit_lock; see app_hear_commits */
    void (*on_commit)(void *context);
    void *on_commit_context;
    struct dispatcher *dispatcher; /* the dispatch layer's own */
};

/*
 * Opens everything but the dispatcher: checks the features, opens the database, creates what is
 * missing, starts the writers and the readers.  app_close ends it.
 */
ku_status app_open(const ku_app_options *options, ku_app **ret_app, ku_error *ret_error);
void app_close(ku_app *app);

/*
 * Whose transactions a tenant's jobs go into; NULL: this process only reads.  It is always the same
 * one: jobs of one tenant meet in memory instead of in the database's locks.
 */
struct writer *app_writer(const ku_app *app, ku_id tenant);

/*
 * Calls back, on the writers' threads but never on two at once, when events were committed.  NULL:
 * nobody listens any more; when this has returned no call is under way.
 */
void app_hear_commits(ku_app *app, void (*on_commit)(void *context), void *context);
/* Events were committed: tells whoever listens. */
void app_tell_commit(ku_app *app);

/* Gives an emptied scope its application, caller and clock; memory of `user` outlives the scope. */
void app_scope_begin(ku_app *app, ku_scope *scope, const ku_user *user, ku_str trace_id,
    ku_str correlation_id, ku_str address);
/* The same for what the library does by itself in a tenant: role and user `system`. */
void app_scope_begin_system(ku_app *app, ku_scope *scope, ku_id tenant);

/* Runs the inline projections and in-transaction hooks of an event that was just appended. */
ku_status app_project(ku_scope *scope, const ku_event *event);

/* Facts for an error in the log, and the line itself; only for status >= 500. */
void app_log_failure(ku_app *app, const ku_scope *scope, ku_str what);

#endif
