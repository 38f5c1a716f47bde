/*
 * Events for handlers and projections: the public functions of kumiko/event.h over the log.
 *
 * What is appended is projected at once, in the same scope: inline projections see an event before
 * it has a position, and a projection that fails fails the scope.
 */
#include "app/raw.h"
#include "app/rows.h"
#include "app/state.h"
#include "store/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ku_str ku_event_id(ku_scope *scope, const ku_event *event)
{
    if (event->lane == 0)
        return arena_format(&scope->arena, "%lld", (long long)event->position);
    return arena_format(&scope->arena, "%d-%lld", (int)event->lane, (long long)event->position);
}

const void *ku_event_payload(const ku_event *event, const ku_event_type *expected)
{
    if (event->type != expected) {
        /* A projection that reads one event as another would write nonsense for years. */
        (void)fprintf(
            stderr, "kumiko: event %.*s read as %s\n", KU_FMT(event->name), expected->name);
        abort();
    }
    return event->payload;
}

/* ---- projecting ------------------------------------------------------------------------------ */

static ku_status run_hooks(ku_scope *scope, const event_entry *entry, const ku_event *event)
{
    const registry *r = &scope->app->registry;

    for (size_t i = 0; i < r->n_features; i++) {
        const ku_hook *hook = r->features[i].feature->hooks;
        for (; hook != NULL && hook->name != NULL; hook++) {
            if (hook->entity != entry->def.entity || r->features[i].disabled)
                continue;
            if (hook->phase == KU_IN_TRANSACTION) {
                ku_status status = hook->run(scope, event);
                if (status != KU_OK)
                    return status;
                continue;
            }
            row_layer *rows = scope->work->rows;
            pending_hook *pending = arena_alloc(scope->work->arena, sizeof(*pending));
            *pending = (pending_hook){.hook = hook, .feature = &r->features[i], .event = event};
            if (rows->last_hook != NULL)
                rows->last_hook->next = pending;
            else
                rows->hooks = pending;
            rows->last_hook = pending;
        }
    }
    return KU_OK;
}

ku_status app_project(ku_scope *scope, const ku_event *event)
{
    const event_def *def = event_catalog_find(scope->app->registry.catalog, event->name);
    const event_entry *entry = (const event_entry *)def; /* .def is its first member */
    const feature_entry *caller = scope->feature;
    ku_status status = KU_OK;

    assert(entry != NULL);
    for (const subscription *s = entry->inlines; s != NULL && status == KU_OK; s = s->next) {
        scope->feature = s->projection->feature;
        status = s->apply(scope, event);
        if (status != KU_OK && scope->error.status == KU_OK)
            (void)scope_fail(
                scope, status, "projection %" KU_PRI " failed", KU_FMT(s->projection->name));
    }
    if (status == KU_OK && entry->def.verb != 0)
        status = run_hooks(scope, entry, event);
    scope->feature = caller;
    if (status != KU_OK)
        rows_doom(scope, status);
    return status;
}

/* ---- appending ------------------------------------------------------------------------------- */

static ku_status need_write(ku_scope *scope, const char *what)
{
    if (scope->work != NULL)
        return KU_OK;
    return scope_fail(scope, KU_INTERNAL, "%s belongs into a write, not a query", what);
}

static ku_status find_def(ku_scope *scope, const ku_append *append, const event_def **ret_def)
{
    const event_def *def = event_catalog_of(scope->app->registry.catalog, append->type);

    if (ku_id_is_nil(append->stream))
        return scope_fail(
            scope, KU_INVALID, "an event needs a stream, and no stream has the nil id");
    if (def == NULL)
        return scope_fail(scope, KU_INTERNAL, "event %s is not registered",
            append->type != NULL ? append->type->name : "(none)");
    if (def->feature != scope->feature)
        return scope_fail(scope, KU_INTERNAL,
            "event %" KU_PRI " belongs to another feature than %" KU_PRI, KU_FMT(def->name),
            KU_FMT(scope->feature->name));
    if (append->entity != NULL && append->entity != def->entity &&
        registry_entity(&scope->app->registry, append->entity) == NULL)
        return scope_fail(scope, KU_INTERNAL, "entity %s is not registered", append->entity->name);
    *ret_def = def;
    return KU_OK;
}

static ku_status append_to_log(ku_scope *scope, const ku_append *append, const ku_event **ret_event)
{
    const event_def *def = NULL;
    ku_status status = need_write(scope, "an append");

    if (status == KU_OK)
        status = find_def(scope, append, &def);
    if (status != KU_OK)
        return status;
    const log_append entry = {
        .def = def,
        .entity = append->entity != NULL ? append->entity : def->entity,
        .stream = append->stream,
        .payload = append->payload,
        .expected_version = append->expected_version,
        .headers = append->headers,
        .n_headers = append->n_headers,
        .idempotency_key = append->idempotency_key,
    };
    return log_append_event(scope, &entry, ret_event);
}

ku_status ku_append_event(ku_scope *scope, const ku_append *append, const ku_event **ret_event)
{
    const ku_event *event = NULL;
    ku_status status = append_to_log(scope, append, &event);

    if (status == KU_OK)
        status = app_project(scope, event);
    if (status == KU_OK && ret_event != NULL)
        *ret_event = event;
    return status;
}

static int64_t detail_int(const scope_error *error, const char *name)
{
    int64_t value = 0;

    (void)ku_json_int(ku_json_get(error->details, name), &value);
    return value;
}

ku_status ku_try_append_event(
    ku_scope *scope, const ku_append *append, ku_append_result *ret_result)
{
    const ku_event *event = NULL;
    ku_append_result result = {.appended = false};
    ku_status status = append_to_log(scope, append, &event);

    if (status == KU_VERSION_CONFLICT || status == KU_IDEMPOTENT_REPLAY) {
        result.conflict = status;
        if (status == KU_VERSION_CONFLICT) {
            result.expected_version = detail_int(&scope->error, "expectedVersion");
            result.current_version = detail_int(&scope->error, "currentVersion");
        }
        ku_clear_error(scope);
        *ret_result = result;
        return KU_OK;
    }
    if (status == KU_OK)
        status = app_project(scope, event);
    if (status != KU_OK)
        return status;
    result.appended = true;
    result.event = event;
    *ret_result = result;
    return KU_OK;
}

ku_status ku_fetch_for_writing(ku_scope *scope, const ku_entity *entity, ku_id stream,
    ku_optional_int64 expected_version, ku_writable *ret_writable)
{
    ku_writable writable = {.entity = entity, .stream = stream};
    const ku_load_options options = {.missing_ok = true, .ret_version = &writable.version};
    bool archived = false;
    ku_status status = need_write(scope, "ku_fetch_for_writing");

    if (status == KU_OK)
        status = ku_stream_archived(scope, stream, &archived);
    if (status == KU_OK && archived)
        status = log_is_archived(scope, stream); /* it would load as if it were not there */
    if (status == KU_OK)
        status =
            ku_load_events(scope, entity, stream, &options, &writable.events, &writable.n_events);
    if (status == KU_OK && expected_version.set && expected_version.value != writable.version)
        status = log_version_conflict(scope, stream, expected_version.value, writable.version);
    if (status == KU_OK)
        *ret_writable = writable;
    return status;
}

ku_status ku_append_one(
    ku_scope *scope, ku_writable *writable, const ku_event_type *type, const void *payload)
{
    const ku_append append = {
        .stream = writable->stream,
        .entity = writable->entity,
        .type = type,
        .payload = payload,
        .expected_version = KU_VERSION(writable->version),
    };
    ku_status status = ku_append_event(scope, &append, NULL);

    if (status == KU_OK)
        writable->version++;
    return status;
}

ku_status app_raw_append(ku_scope *scope, const char *name, ku_id stream, int stored_version,
    ku_str payload_json, ku_optional_time at)
{
    const event_def *def = event_catalog_find(scope->app->registry.catalog, ku_str_from(name));

    if (def == NULL)
        return scope_fail(scope, KU_INTERNAL, "event %s is not registered", name);
    const log_append entry = {
        .def = def,
        .entity = def->entity,
        .stream = stream,
        .json = payload_json,
        .stored_version = stored_version,
        .at = at,
    };
    return log_append_event(scope, &entry, NULL);
}

/* ---- archive --------------------------------------------------------------------------------- */

ku_status ku_archive_stream(ku_scope *scope, const ku_entity *entity, ku_id stream, ku_str reason)
{
    ku_status status = need_write(scope, "archiving");

    return status == KU_OK ? log_archive(scope, entity, stream, reason) : status;
}

ku_status ku_restore_stream(ku_scope *scope, const ku_entity *entity, ku_id stream)
{
    ku_status status = need_write(scope, "restoring");

    return status == KU_OK ? log_restore(scope, entity, stream) : status;
}

ku_status ku_stream_archived(ku_scope *scope, ku_id stream, bool *ret_archived)
{
    stream_state state;
    ku_status status = log_stream(scope, stream, &state);

    if (status == KU_OK)
        *ret_archived = state.archived;
    return status;
}

ku_status ku_stream_version(ku_scope *scope, ku_id stream, int64_t *ret_version)
{
    stream_state state;
    ku_status status = log_stream(scope, stream, &state);

    if (status == KU_OK)
        *ret_version = state.version;
    return status;
}
