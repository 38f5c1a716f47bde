/*
 * Iterating over events in bounded memory (ku_each_event).
 *
 * Lane after lane, in batches behind a position; each event is lifted, given to the callback and
 * forgotten.  The types are filtered by the database.
 */
#include "app/state.h"
#include "store/log.h"

enum { BATCH_DEFAULT = 1000 };

typedef struct iteration {
    const ku_event_filter *filter;
    ku_status (*callback)(ku_scope *scope, const ku_event *event, void *context);
    void *context;
    int64_t last_position;
    int64_t seen;
} iteration;

static bool passes(const ku_event_filter *filter, const stored_event *stored)
{
    if (filter->entity != NULL && !ku_str_is(stored->stream_type, filter->entity->name))
        return false;
    if (filter->from.set && stored->at.unix_us < filter->from.value.unix_us)
        return false;
    return !filter->to.set || stored->at.unix_us <= filter->to.value.unix_us;
}

static ku_status visit(ku_scope *scope, const stored_event *stored, void *context)
{
    iteration *it = context;
    ku_event event;

    it->last_position = stored->position;
    it->seen++;
    if (ku_scope_cancelled(scope))
        return scope_fail(scope, KU_CANCELLED, "the caller has gone away");
    if (!passes(it->filter, stored))
        return KU_OK;
    ku_mark mark = ku_scope_mark(scope);
    ku_status status = log_lift(scope, scope->app->registry.catalog, stored, &event);
    if (status == KU_OK)
        status = it->callback(scope, &event, it->context);
    if (status == KU_OK) /* a failure's words live behind the mark */
        ku_scope_rewind(scope, mark);
    return status;
}

/* The filter's types as a JSON array of qualified names; empty: all. */
static ku_status type_names(ku_scope *scope, const ku_event_filter *filter, ku_str *ret_names)
{
    buffer b = {.arena = &scope->arena};

    if (filter->types == NULL && filter->names == NULL) {
        *ret_names = KU_STR("");
        return KU_OK;
    }
    buffer_add_char(&b, '[');
    for (size_t i = 0; filter->types != NULL && filter->types[i] != NULL; i++) {
        const event_def *def = event_catalog_of(scope->app->registry.catalog, filter->types[i]);
        if (def == NULL)
            return scope_fail(
                scope, KU_INTERNAL, "event %s is not registered", filter->types[i]->name);
        buffer_add_text(&b, b.len > 1 ? "," : "");
        json_put_text(&b, def->name);
    }
    for (size_t i = 0; filter->names != NULL && filter->names[i] != NULL; i++) {
        buffer_add_text(&b, b.len > 1 ? "," : "");
        json_put_text(&b, ku_str_from(filter->names[i]));
    }
    buffer_add_char(&b, ']');
    *ret_names = buffer_str(&b);
    return KU_OK;
}

static ku_status each_of_lane(
    ku_scope *scope, const lane_head *lane, ku_str names, size_t batch, iteration *it)
{
    ku_status status = KU_OK;

    it->last_position = it->filter->after_position;
    do {
        it->seen = 0;
        status = log_each_of_lane(scope, lane->tenant, lane->lane, it->last_position, lane->head,
            names, (int64_t)batch, visit, it);
    } while (status == KU_OK && it->seen == (int64_t)batch);
    return status;
}

ku_status ku_each_event(ku_scope *scope, const ku_event_filter *filter,
    ku_status (*callback)(ku_scope *scope, const ku_event *event, void *context), void *context)
{
    iteration it = {.filter = filter, .callback = callback, .context = context};
    lane_head *lanes = NULL;
    size_t n_lanes = 0;
    ku_str names;
    ku_id tenant = scope->tenant;

    if (filter->all_tenants && !ku_scope_has_role(scope, "system"))
        return scope_fail(scope, KU_DENIED, "events of all tenants are for the role system");
    ku_status status = type_names(scope, filter, &names);
    if (status == KU_OK)
        status =
            log_lanes(scope, filter->all_tenants ? (ku_id){{0}} : scope->tenant, &lanes, &n_lanes);
    for (size_t i = 0; i < n_lanes && status == KU_OK; i++) {
        /* The nil tenant asks the log for all lanes, and means its own. */
        if (!filter->all_tenants && !ku_id_equal(lanes[i].tenant, tenant))
            continue;
        scope->tenant = lanes[i].tenant; /* a migration looks things up in the event's tenant */
        status = each_of_lane(
            scope, &lanes[i], names, filter->batch == 0 ? BATCH_DEFAULT : filter->batch, &it);
    }
    scope->tenant = tenant;
    return status;
}
