/*
 * Opening and closing an application.
 *
 * Order matters: the registry before the connections (they prepare its statements), the first
 * writer's connection before all others (it creates the file and the tables).
 */
#include "app/reader.h"
#include "app/schema.h"
#include "app/state.h"
#include "app/writer.h"
#include "base/error.h"
#include "base/hash.h"
#include "store/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_DEFAULT = 2, READERS_MAX = 64, WRITERS_DEFAULT_SHARED = 2 };

static char *keep_text(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

/* Copies what the caller's version of the struct has; the rest is zero: the defaults. */
static ku_app_options read_options(const ku_app_options *options)
{
    ku_app_options o = {0};
    size_t size = options->size == 0 || options->size > sizeof(o) ? sizeof(o) : options->size;

    memcpy(&o, options, size);
    return o;
}

static ku_status check_read_only(ku_app *app, ku_error *ret_error)
{
    db *d = NULL;
    ku_status status = db_open(app->url, DB_READER, app->registry.statements, &d, ret_error);

    if (status != KU_OK)
        return status;
    status = schema_check_log(d, ret_error);
    db_close(d);
    return status;
}

/* How many write connections there are to be.  A file has one. */
static ku_status count_writers(const db *d, int asked, int *ret_count, ku_error *ret_error)
{
    if (asked > 1 && !db_is_shared(d))
        return error_set(ret_error, KU_INVALID, "%d writers: a file of SQLite has one", asked);
    *ret_count = asked > 0 ? asked : db_is_shared(d) ? WRITERS_DEFAULT_SHARED : 1;
    return KU_OK;
}

static ku_status open_writers(ku_app *app, int asked, ku_error *ret_error)
{
    db *d = NULL;
    int n_writers = 0;
    ku_status status = db_open(app->url, DB_WRITER, app->registry.statements, &d, ret_error);

    if (status != KU_OK)
        return status;
    status = count_writers(d, asked, &n_writers, ret_error);
    /* What is there in production was put there on purpose; a file belongs to its one process. */
    if (status == KU_OK)
        status = app->production && db_is_shared(d) ? schema_check(&app->registry, d, ret_error)
                                                    : schema_apply(&app->registry, d, ret_error);
    if (status != KU_OK) {
        db_close(d);
        return status;
    }
    app->writers[app->n_writers++] = writer_start(app, d, true);
    while (app->n_writers < n_writers) {
        status = db_open(app->url, DB_WRITER, app->registry.statements, &d, ret_error);
        if (status != KU_OK)
            return status;
        app->writers[app->n_writers++] = writer_start(app, d, false);
    }
    return KU_OK;
}

/* Where several processes write, their limits hold for all of them together. */
static ku_status share_limits(ku_app *app, ku_error *ret_error)
{
    const registry *r = &app->registry;

    if (app->without_rate_limits || app->read_only)
        return KU_OK;
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next)
        if (h->handler->rate_limit.limit > 0)
            return rate_limiter_share(app->limits, app->url, r->statements, &app->log, ret_error);
    return KU_OK;
}

ku_status app_open(const ku_app_options *options, ku_app **ret_app, ku_error *ret_error)
{
    const ku_app_options o = read_options(options);
    ku_app *app = mem_zero(1, sizeof(*app));

    app->url = keep_text(o.url != NULL ? o.url : "sqlite:kumiko.db");
    app->docs_url = keep_text(o.docs_url);
    app->production = o.production;
    app->without_rate_limits = o.without_rate_limits;
    app->read_only = o.read_only;
    app->clock = (clock_source){o.clock, o.clock_context};
    app->log = (log_sink){o.log, o.log_context, LOG_INFO_};
    app->limits = rate_limiter_new();
    pthread_mutex_init(&app->on_commit_lock, NULL);
    ku_status status = registry_build(o.features, o.disabled_features, &app->registry, ret_error);
    bool built = status == KU_OK;
    if (status == KU_OK && o.readers > READERS_MAX)
        status = error_set(ret_error, KU_INVALID, "%d readers: at most %d", o.readers, READERS_MAX);
    if (status == KU_OK && o.writers > LIMIT_WRITERS)
        status =
            error_set(ret_error, KU_INVALID, "%d writers: at most %d", o.writers, LIMIT_WRITERS);
    if (status == KU_OK)
        status =
            o.read_only ? check_read_only(app, ret_error) : open_writers(app, o.writers, ret_error);
    if (status == KU_OK)
        status = share_limits(app, ret_error);
    if (status == KU_OK)
        status = reader_pool_open(
            app, o.readers > 0 ? o.readers : READERS_DEFAULT, &app->readers, ret_error);
    if (status != KU_OK) {
        ret_error->status = status;
        if (!built)
            memset(&app->registry, 0, sizeof(app->registry));
        app_close(app);
        return status;
    }
    *ret_app = app;
    return KU_OK;
}

void app_close(ku_app *app)
{
    if (app == NULL)
        return;
    /* The last commits still have hooks to run, and the last queries snapshots to keep: the writers
     * end before the readers, and their structs behind them. */
    for (int i = 0; i < app->n_writers; i++)
        writer_stop(app->writers[i]);
    reader_pool_close(app->readers);
    for (int i = 0; i < app->n_writers; i++)
        writer_close(app->writers[i]);
    pthread_mutex_destroy(&app->on_commit_lock);
    rate_limiter_free(app->limits);
    if (app->registry.catalog != NULL)
        registry_done(&app->registry);
    free(app->url);
    free(app->docs_url);
    free(app);
}

/* ---- writers --------------------------------------------------------------------------------- */

struct writer *app_writer(const ku_app *app, ku_id tenant)
{
    if (app->n_writers == 0)
        return NULL;
    return app->writers[hash_id(0, tenant) % (uint64_t)app->n_writers];
}

void app_hear_commits(ku_app *app, void (*on_commit)(void *context), void *context)
{
    pthread_mutex_lock(&app->on_commit_lock);
    app->on_commit = on_commit;
    app->on_commit_context = context;
    pthread_mutex_unlock(&app->on_commit_lock);
}

void app_tell_commit(ku_app *app)
{
    pthread_mutex_lock(&app->on_commit_lock);
    if (app->on_commit != NULL)
        app->on_commit(app->on_commit_context);
    pthread_mutex_unlock(&app->on_commit_lock);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

void app_scope_begin(ku_app *app, ku_scope *scope, const ku_user *user, ku_str trace_id,
    ku_str correlation_id, ku_str address)
{
    scope->app = app;
    scope->tenant = user->tenant;
    scope->user = user->id;
    scope->roles = user->roles;
    scope->n_roles = user->n_roles;
    scope->now = clock_now(&app->clock);
    scope->trace_id = trace_id;
    scope->correlation_id = correlation_id;
    scope->causation_id = KU_STR("");
    scope->address = address;
}

void app_scope_begin_system(ku_app *app, ku_scope *scope, ku_id tenant)
{
    static const ku_str roles[] = {KU_STR_INIT("system")};
    const ku_user user = {.tenant = tenant,
        .id = KU_STR_INIT("00000000-0000-0000-0000-000000000000"),
        .roles = roles,
        .n_roles = 1};

    app_scope_begin(app, scope, &user, KU_STR(""), KU_STR(""), KU_STR(""));
}

void app_log_failure(ku_app *app, const ku_scope *scope, ku_str what)
{
    arena scratch = {0};
    buffer cause = {.arena = &scratch};

    json_put_text(&cause, scope->error.message);
    ku_str text = buffer_str(&cause);
    log_line(&app->log, LOG_ERROR_, "handler failed",
        "\"requestId\":\"%.*s\",\"type\":\"%.*s\",\"code\":\"%s\",\"cause\":%.*s",
        KU_FMT(scope->trace_id), KU_FMT(what), ku_status_code(scope->error.status), KU_FMT(text));
    arena_done(&scratch);
}
