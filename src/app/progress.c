/*
 * Progress of projections and consumers (behaviour §6.5, §0).
 *
 * Positions are dense within a lane and known per lane, so what a consumer has behind it and before
 * it are sums over lanes; neither counts events one by one.
 */
#include "app/state.h"
#include "base/error.h"
#include "store/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A scope with a read connection of its own, for callers on any thread. */
static ku_status open_scope(ku_app *app, ku_scope *scope, ku_error *ret_error)
{
    *scope = (ku_scope){.app = app};
    scope_init(scope);
    app_scope_begin_system(app, scope, (ku_id){{0}});
    ku_status status =
        db_open(app->url, DB_READER, app->registry.statements, &scope->db, ret_error);
    if (status == KU_OK && (status = db_begin(scope->db)) != KU_OK) { /* all in one snapshot */
        (void)error_set(ret_error, status, "%s", db_error(scope->db));
        db_close(scope->db);
    }
    return status;
}

static ku_status close_scope(ku_scope *scope, ku_status status, ku_error *ret_error)
{
    if (status != KU_OK) {
        ret_error->status = status;
        (void)snprintf(
            ret_error->message, sizeof(ret_error->message), "%.*s", KU_FMT(scope->error.message));
    }
    db_rollback(scope->db);
    db_close(scope->db);
    scope_done(scope);
    return status;
}

static void copy_text(char *to, size_t size, ku_str text)
{
    (void)snprintf(to, size, "%.*s", KU_FMT(text));
}

static void add_cursor(ku_consumer_info *info, const cursor *c)
{
    info->position += c->position;
    info->high_water_mark += c->head;
    info->lag += c->head - c->position;
    info->lanes++;
    if (c->updated_at.unix_us > info->updated_at.unix_us)
        info->updated_at = c->updated_at;
    /* The worst lane speaks for all: halted before backoff before idle. */
    bool halted = ku_str_is(c->status, "halted");
    bool backoff = ku_str_is(c->status, "backoff");
    bool worse = (halted && info->status[0] != 'h') || (backoff && info->status[0] == 'i');
    if (worse)
        copy_text(info->status, sizeof(info->status), c->status);
    if (worse || (c->attempts > info->attempts && c->status.ptr != NULL &&
                     ku_str_is(c->status, info->status))) {
        info->attempts = c->attempts;
        copy_text(info->last_error, sizeof(info->last_error), c->last_error);
    }
}

ku_status ku_consumer_progress(
    ku_app *app, ku_id tenant, ku_consumer_info **ret_infos, size_t *ret_count, ku_error *ret_error)
{
    ku_scope scope;
    size_t n = 0;

    for (const consumer_entry *c = app->registry.consumers; c != NULL; c = c->next)
        n++;
    ku_consumer_info *infos = mem_zero(n + 1, sizeof(*infos));
    ku_status status = open_scope(app, &scope, ret_error);
    if (status != KU_OK) {
        scope_done(&scope);
        free(infos);
        return status;
    }
    ku_consumer_info *info = infos;
    for (const consumer_entry *c = app->registry.consumers; c != NULL && status == KU_OK;
         c = c->next, info++) {
        cursor *cursors = NULL;
        size_t n_cursors = 0;
        copy_text(info->name, sizeof(info->name), c->name);
        copy_text(info->status, sizeof(info->status), KU_STR("idle"));
        status = log_cursors(&scope, c->name, tenant, &cursors, &n_cursors);
        for (size_t i = 0; i < n_cursors && status == KU_OK; i++)
            add_cursor(info, &cursors[i]);
    }
    status = close_scope(&scope, status, ret_error);
    if (status != KU_OK) {
        free(infos);
        return status;
    }
    *ret_infos = infos;
    *ret_count = n;
    return KU_OK;
}

ku_status ku_projection_progress(ku_app *app, ku_id tenant, ku_projection_info **ret_infos,
    size_t *ret_count, ku_error *ret_error)
{
    ku_scope scope;
    lane_head *lanes = NULL;
    size_t n = 0, n_lanes = 0;
    int64_t high_water_mark = 0;

    for (const projection_entry *p = app->registry.projections; p != NULL; p = p->next)
        n++;
    ku_status status = open_scope(app, &scope, ret_error);
    if (status != KU_OK) {
        scope_done(&scope);
        return status;
    }
    status = log_lanes(&scope, tenant, &lanes, &n_lanes);
    for (size_t i = 0; i < n_lanes; i++)
        high_water_mark += lanes[i].head;
    status = close_scope(&scope, status, ret_error);
    if (status != KU_OK)
        return status;
    ku_projection_info *infos = mem_zero(n + 1, sizeof(*infos));
    ku_projection_info *info = infos;
    for (const projection_entry *p = app->registry.projections; p != NULL; p = p->next, info++) {
        copy_text(info->name, sizeof(info->name), p->name);
        copy_text(info->status, sizeof(info->status), KU_STR("never-rebuilt"));
        info->high_water_mark = high_water_mark;
        copy_text(info->table, sizeof(info->table), p->table->name);
    }
    *ret_infos = infos;
    *ret_count = n;
    return KU_OK;
}
