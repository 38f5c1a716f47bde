/*
 * Lifting: the one place where stored payloads become current.
 *
 * What is stored is never rewritten.  An event carries the version of the payload's schema that its
 * program knew; whoever reads it, for whatever purpose, gets it through log_lift, which runs the
 * migrations from that version to the current one, in memory, one step after the other, and decodes
 * the result into the type's struct.  So there is one struct per event type, the newest.
 *
 * A migration sees the payload as a JSON tree.  One that looks something up reads the event's own
 * tenant, whichever the scope's is.  A failure fails the read and says where: the event, its stream
 * and version, and the step.  An event of a version that this program does not know yet is an error
 * too, because guessing at its meaning would be worse.  An event of an unknown type is handed out
 * as it is: logs outlive features.
 */
#include "store/log.h"

#include "base/limits.h"
#include "shape/shape.h"
#include "store/change.h"
#include "store/metadata.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- failures -------------------------------------------------------------------------------- */

/*
 * The error that is set becomes one of this event; `doing` says what was tried.  What may pass
 * (the caller went away, the database is busy) keeps its status, anything else is internal.
 */
static ku_status event_failed(
    ku_scope *scope, const stored_event *stored, ku_status status, const char *doing)
{
    char stream[37], path[120] = "";
    ku_str why = ku_error_message(scope);
    const field_issue *issue = scope->error.issues;
    bool passing = status == KU_CANCELLED || status == KU_UNAVAILABLE || status == KU_TIMEOUT;

    if (issue != NULL) {
        snprintf(path, sizeof(path), "%.80s: %.30s", ku_copy(scope, issue->path).ptr,
            ku_copy(scope, issue->code).ptr);
        why = (ku_str){path, strlen(path)};
    }
    ku_id_format(stored->stream, stream);
    return scope_fail(scope, passing ? status : KU_INTERNAL,
        "event %" KU_PRI " of stream %s, version %" PRId64 ": %s%s%" KU_PRI, KU_FMT(stored->type),
        stream, stored->version, doing, why.len > 0 ? ": " : "", KU_FMT(why));
}

/* ---- migrations ------------------------------------------------------------------------------ */

static const char *const step_names[] = {
    [KU_STEP_RENAME] = "rename",
    [KU_STEP_DEFAULT] = "default",
    [KU_STEP_CONVERT] = "convert",
    [KU_STEP_REMOVE] = "remove",
};

static ku_status run_step(ku_scope *scope, const ku_step *step, ku_json *payload)
{
    ku_json *value = NULL;

    switch (step->kind) {
    case KU_STEP_RENAME:
        ku_json_rename(scope, payload, step->name, step->text);
        return KU_OK;
    case KU_STEP_DEFAULT:
        if (ku_json_get(payload, step->name) != NULL)
            return KU_OK;
        ku_status status = ku_json_parse(scope, ku_str_from(step->text), &value);
        if (status == KU_OK)
            ku_json_set(scope, payload, step->name, value);
        return status;
    case KU_STEP_CONVERT:
        return ku_json_get(payload, step->name) != NULL ? step->convert(scope, payload, step->name)
                                                        : KU_OK;
    case KU_STEP_REMOVE:
        ku_json_remove(payload, step->name);
        return KU_OK;
    case KU_STEP_END:
        break;
    }
    return scope_fail(scope, KU_INTERNAL, "there is no such kind of step");
}

/* Runs one migration; *ret_step is the step it failed at, NULL if it is a function. */
static ku_status run_migration(
    ku_scope *scope, const ku_migration *migration, ku_json *payload, const ku_step **ret_step)
{
    *ret_step = NULL;
    if (migration->steps == NULL)
        return migration->apply(scope, payload);
    if (ku_json_kind_of(payload) != KU_JSON_OBJECT)
        return scope_fail(scope, KU_INTERNAL, "the payload is not an object");
    for (const ku_step *step = migration->steps; step->kind != KU_STEP_END; step++) {
        ku_status status = run_step(scope, step, payload);
        if (status != KU_OK) {
            *ret_step = step;
            return status;
        }
    }
    return migration->apply != NULL ? migration->apply(scope, payload) : KU_OK;
}

static const ku_migration *find_migration(const ku_event_type *type, int from)
{
    for (const ku_migration *m = type->migrations; m != NULL && m->from != 0; m++)
        if (m->from == from)
            return m;
    return NULL;
}

static ku_status migrate(ku_scope *scope, const event_def *def, const stored_event *stored,
    int current, ku_json *payload)
{
    const ku_id tenant = scope->tenant;
    const ku_step *step = NULL;
    char doing[160];

    for (int version = stored->event_version; version < current; version++) {
        const ku_migration *migration = find_migration(def->type, version);
        if (migration == NULL) {
            snprintf(doing, sizeof(doing), "there is no migration from version %d", version);
            ku_clear_error(scope);
            return event_failed(scope, stored, KU_INTERNAL, doing);
        }
        scope->tenant = stored->tenant;
        ku_status status = run_migration(scope, migration, payload, &step);
        scope->tenant = tenant;
        if (status == KU_OK)
            continue;
        if (step != NULL)
            snprintf(doing, sizeof(doing), "migration from version %d, step %s of %.60s failed",
                version, step_names[step->kind], step->name);
        else
            snprintf(doing, sizeof(doing), "migration from version %d failed", version);
        return event_failed(scope, stored, status, doing);
    }
    return KU_OK;
}

/* ---- decoding -------------------------------------------------------------------------------- */

static ku_status decode(
    ku_scope *scope, const event_def *def, ku_json *payload, const void **ret_payload)
{
    const ku_shape *shape = &def->type->payload;

    if (def->verb != 0) {
        const ku_change *change = NULL;
        ku_status status = change_decode(scope, def, payload, &change);
        *ret_payload = change;
        return status;
    }
    if (shape->n_fields == 0)
        return KU_OK;
    void *struct_ = ku_alloc(scope, shape->size);
    *ret_payload = struct_;
    return shape_decode_stored(scope, shape, payload, (ku_str){0}, struct_, NULL);
}

/* Everything the row has that is not the payload; the row's text is copied in one piece. */
static ku_status fill(
    ku_scope *scope, const event_def *def, const stored_event *stored, ku_event *event)
{
    size_t size = stored->payload.len + stored->metadata.len + stored->user.len +
                  stored->idempotency_key.len + 1;
    char *text = arena_text(&scope->arena, size);
    const ku_str sources[] = {
        stored->payload, stored->metadata, stored->user, stored->idempotency_key};
    ku_str copies[KU_COUNT(sources)];

    for (size_t i = 0; i < KU_COUNT(sources); i++) {
        copies[i] = (ku_str){text, sources[i].len};
        if (sources[i].len > 0)
            memcpy(text, sources[i].ptr, sources[i].len);
        text += sources[i].len;
    }
    *text = '\0';
    *event = (ku_event){
        .type = def != NULL ? def->type : NULL,
        .name = def != NULL ? def->name : ku_copy(scope, stored->type),
        .tenant = stored->tenant,
        .stream = stored->stream,
        .version = stored->version,
        .lane = stored->lane,
        .position = stored->position,
        .event_version = stored->event_version,
        .stored_version = stored->event_version,
        .at = stored->at,
        .user = copies[2],
        .idempotency_key = copies[3],
        .json = {copies[0]},
    };
    if (def != NULL && def->entity != NULL && ku_str_is(stored->stream_type, def->entity->name))
        event->stream_type = (ku_str){def->entity->name, stored->stream_type.len};
    else
        event->stream_type = ku_copy(scope, stored->stream_type);
    if (copies[1].len == 0)
        return KU_OK;
    ku_status status = metadata_read(scope, copies[1], event);
    return status == KU_OK ? KU_OK : event_failed(scope, stored, status, "it cannot be read");
}

ku_status log_lift_as(
    ku_scope *scope, const event_def *def, const stored_event *stored, ku_event *ret_event)
{
    int current = def->type->version == 0 ? 1 : def->type->version;
    ku_event event;
    ku_json *payload = NULL;
    json_error error;
    char doing[120];

    if (stored->event_version > current) {
        ku_clear_error(scope);
        snprintf(doing, sizeof(doing), "it is stored in version %d, this program knows up to %d",
            stored->event_version, current);
        return event_failed(scope, stored, KU_INTERNAL, doing);
    }
    ku_status status = fill(scope, def, stored, &event);
    if (status != KU_OK)
        return status;
    if (!json_parse(&scope->arena, event.json.json, LIMIT_JSON_DEPTH, &payload, &error)) {
        ku_clear_error(scope);
        snprintf(doing, sizeof(doing), "the payload is not JSON: %.60s", error.what);
        return event_failed(scope, stored, KU_INTERNAL, doing);
    }
    if (event.stored_version < current) {
        status = migrate(scope, def, stored, current, payload);
        if (status != KU_OK)
            return status;
        event.event_version = current;
        event.json.json = ku_json_write(scope, payload);
    }
    status = decode(scope, def, payload, &event.payload);
    if (status != KU_OK)
        return event_failed(scope, stored, status, "the payload does not fit its shape");
    *ret_event = event;
    return KU_OK;
}

ku_status log_lift(
    ku_scope *scope, const event_catalog *catalog, const stored_event *stored, ku_event *ret_event)
{
    const event_def *def = event_catalog_find(catalog, stored->type);

    return def != NULL ? log_lift_as(scope, def, stored, ret_event)
                       : fill(scope, NULL, stored, ret_event);
}
