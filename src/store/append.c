/*
 * Appending events.
 *
 * What an append promises: the event is in the log, with the next version of its stream, if and
 * only if the transaction that carries it commits.  The caller names the version it decided on (or
 * has loaded the stream in the same scope, which names it); if the stream has moved on, the append
 * is refused and the scope can load, decide and try again.  Nothing of a refused append remains, so
 * that ku_try_append_event can make a result of it.
 *
 * An append writes nothing yet.  It checks the payload against its shape, takes the stream's row
 * into the scope's layer, compares, and makes a pending event whose payload is a copy: the caller's
 * struct may live on the stack.  Later events of the same scope and batch see the stream as moved.
 * The batch then writes everything in one transaction and gives out positions on the way (flush.c).
 * A crash before its commit leaves no trace of any of it.
 *
 * Streams of one tenant are distinct from those of another, even with equal ids.  An event's time
 * is the scope's clock, raised to the time of the stream's last event, so that "as of" and "up to
 * version" never disagree.
 */
#include "store/log.h"

#include "base/limits.h"
#include "db/sql.h"
#include "shape/shape.h"
#include "store/metadata.h"

#include <assert.h>
#include <inttypes.h>

/* ---- what is refused ------------------------------------------------------------------------- */

ku_status log_is_archived(ku_scope *scope, ku_id stream)
{
    ku_status status = ku_fail(scope, KU_CONFLICT, "stream_archived", "the stream is archived");

    ku_detail_id(scope, "entityId", stream);
    return status;
}

ku_status log_version_conflict(ku_scope *scope, ku_id stream, int64_t expected, int64_t current)
{
    ku_mark mark = ku_scope_mark(scope);
    ku_str id = ku_id_text(scope, stream);
    ku_status status = ku_fail(
        scope, KU_VERSION_CONFLICT, NULL, "version conflict for entity %" KU_PRI, KU_FMT(id));

    ku_detail_text(scope, "entityId", id);
    ku_detail_int(scope, "expectedVersion", expected);
    ku_detail_int(scope, "currentVersion", current);
    ku_scope_rewind(scope, mark);
    return status;
}

ku_status log_type_mismatch(ku_scope *scope, const stream_state *state, const char *entity)
{
    ku_status status = ku_refuse(scope, "stream_type_mismatch",
        "the stream belongs to %" KU_PRI ", not to %s", KU_FMT(state->type), entity);

    ku_detail_id(scope, "entityId", state->stream);
    ku_detail_text(scope, "streamType", state->type);
    return status;
}

static const char *stream_type_of(const log_append *append)
{
    return (append->entity != NULL ? append->entity : append->def->entity)->name;
}

static ku_status check_stream(ku_scope *scope, const log_append *append, const stream_state *state)
{
    const char *entity = stream_type_of(append);

    if (state->type.len > 0 && !ku_str_is(state->type, entity))
        return log_type_mismatch(scope, state, entity);
    if (state->archived)
        return log_is_archived(scope, state->stream);
    int64_t expected =
        append->expected_version.set ? append->expected_version.value : state->loaded_version;
    if ((append->expected_version.set || expected >= 0) && expected != state->version)
        return log_version_conflict(scope, state->stream, expected, state->version);
    return KU_OK;
}

static bool is_pending(const work *w, ku_id tenant, ku_str key)
{
    for (const pending_event *p = w->first; p != NULL; p = p->next)
        if (ku_str_equal(p->event.idempotency_key, key) && ku_id_equal(p->event.tenant, tenant))
            return true;
    return false;
}

/* Both look-ups of an append go on their way together. */
static void prefetch_key(ku_scope *scope, const log_append *append)
{
    const db_value binds[] = {db_id(scope->tenant), db_text(append->idempotency_key)};
    size_t length = append->idempotency_key.len;

    if (length == 0 || length > LIMIT_REQUEST_ID_BYTES || !db_is_shared(scope->db))
        return;
    work_prefetch_stream(scope, append->stream);
    db_prefetch(scope->db, SQL_EVENT_KEY_FIND, binds, KU_COUNT(binds));
}

static ku_status check_key(ku_scope *scope, ku_str key)
{
    const work *w = scope->work;
    const db_value binds[] = {db_id(scope->tenant), db_text(key)};
    db_rows rows = {0};

    if (key.len == 0)
        return KU_OK;
    if (key.len > LIMIT_REQUEST_ID_BYTES)
        return ku_issue(scope, "idempotencyKey", "too_big");
    bool known = is_pending(w, scope->tenant, key) ||
                 (w->parent != NULL && is_pending(w->parent, scope->tenant, key));
    if (!known) {
        ku_status status = db_query(scope->db, SQL_EVENT_KEY_FIND, binds, KU_COUNT(binds), &rows);
        if (status == KU_OK)
            status = db_next(&rows, &known);
        db_rows_done(&rows);
        if (status != KU_OK)
            return scope_fail(
                scope, status, "look for an idempotency key: %s", db_error(scope->db));
    }
    if (!known)
        return KU_OK;
    ku_status status = ku_fail(scope, KU_IDEMPOTENT_REPLAY, NULL,
        "an event with the idempotency key %" KU_PRI " exists", KU_FMT(key));
    ku_detail_text(scope, "idempotencyKey", key);
    return status;
}

/* ---- headers --------------------------------------------------------------------------------- */

static const ku_field header_fields[] = {
    KU_FIELD(ku_header, name, .length = KU_BETWEEN(1, LIMIT_NAME_BYTES)),
    KU_FIELD(ku_header, text),
    KU_FIELD(ku_header, number),
};
static const ku_shape header_shape = {
    "header", sizeof(ku_header), header_fields, KU_COUNT(header_fields)};

static ku_status check_header(ku_scope *scope, const log_append *append, size_t index)
{
    const ku_header *header = &append->headers[index];
    ku_str prefix = ku_format(scope, "headers.%zu.", index);

    for (size_t i = 0; i < index; i++)
        if (ku_str_equal(append->headers[i].name, header->name))
            return ku_issue(scope, ku_format(scope, "%sname", prefix.ptr).ptr, "not_unique");
    switch ((int)header->kind) {
    case KU_KIND_NONE:
    case KU_KIND_TEXT:
    case KU_KIND_INT:
    case KU_KIND_DOUBLE:
    case KU_KIND_BOOL:
        return shape_check(scope, &header_shape, header, prefix);
    default:
        return ku_issue(scope, ku_format(scope, "%skind", prefix.ptr).ptr, "invalid_type");
    }
}

static void put_header(buffer *b, const ku_header *header)
{
    switch ((int)header->kind) {
    case KU_KIND_INT:
        json_put_int(b, header->integer);
        return;
    case KU_KIND_DOUBLE:
        json_put_double(b, header->number);
        return;
    case KU_KIND_BOOL:
        buffer_add_text(b, header->flag ? "true" : "false");
        return;
    default:
        json_put_text(b, header->text);
        return;
    }
}

static ku_status make_headers(ku_scope *scope, const log_append *append, ku_raw *ret_headers)
{
    buffer b = {.arena = &scope->arena};

    if (append->n_headers == 0)
        return KU_OK;
    if (append->n_headers > LIMIT_HEADER_KEYS)
        return ku_issue(scope, "headers", "too_big");
    for (size_t i = 0; i < append->n_headers; i++) {
        ku_status status = check_header(scope, append, i);
        if (status != KU_OK)
            return status;
        buffer_add_char(&b, i == 0 ? '{' : ',');
        json_put_text(&b, append->headers[i].name);
        buffer_add_char(&b, ':');
        put_header(&b, &append->headers[i]);
    }
    buffer_add_char(&b, '}');
    if (b.len > LIMIT_HEADER_BYTES)
        return ku_issue(scope, "headers", "too_big");
    ret_headers->json = buffer_str(&b);
    return KU_OK;
}

/* ---- the event ------------------------------------------------------------------------------- */

static int current_version(const event_def *def)
{
    return def->type->version == 0 ? 1 : def->type->version;
}

/* Payload as text and as struct.  JSON without a struct is read as any stored event is. */
static ku_status make_payload(ku_scope *scope, const log_append *append, pending_event *pending)
{
    const ku_shape *shape = &append->def->type->payload;
    ku_event *event = &pending->event;

    if (append->payload != NULL || (append->json.len == 0 && append->change == NULL)) {
        buffer b = {.arena = &scope->arena};
        if (shape->n_fields == 0) {
            pending->payload = KU_STR("{}");
        } else {
            assert(append->payload != NULL);
            shape_encode(&b, shape, append->payload, false);
            pending->payload = buffer_str(&b);
            event->payload = shape_copy(&scope->arena, shape, append->payload);
        }
    } else {
        pending->payload = ku_copy(scope, append->json);
        event->payload = append->change;
    }
    event->json.json = pending->payload;
    if (event->payload != NULL || shape->n_fields == 0)
        return KU_OK;

    const stored_event stored = {
        .tenant = event->tenant,
        .stream = event->stream,
        .stream_type = event->stream_type,
        .type = event->name,
        .payload = pending->payload,
        .metadata = pending->metadata,
        .user = event->user,
        .version = event->version,
        .lane = event->lane,
        .event_version = event->stored_version,
        .at = event->at,
    };
    return log_lift_as(scope, append->def, &stored, event);
}

/* The lane of a new stream. */
static int32_t choose_lane(const ku_scope *scope, ku_id stream)
{
    const work *w = scope->work;
    const work *batch = w->parent != NULL ? w->parent : w;

    return batch->lanes != NULL ? lane_counts_choose(batch->lanes, scope->tenant, stream) : 0;
}

static void fill_event(
    ku_scope *scope, const log_append *append, const stream_state *state, ku_event *event)
{
    const event_def *def = append->def;

    *event = (ku_event){
        .type = def->type,
        .name = def->name,
        .tenant = scope->tenant,
        .stream = append->stream,
        .stream_type = ku_str_from(stream_type_of(append)),
        .version = state->version + 1,
        .lane = state->version == 0 ? choose_lane(scope, append->stream) : state->lane,
        .event_version = current_version(def),
        .stored_version =
            append->stored_version != 0 ? append->stored_version : current_version(def),
        .at = append->at.set ? append->at.value : scope->now,
        .user = scope->user,
        .request_id = scope->trace_id,
        .correlation_id = scope->correlation_id,
        .causation_id = scope->causation_id,
        .idempotency_key = ku_copy(scope, append->idempotency_key),
    };
    if (event->at.unix_us < state->last_at.unix_us)
        event->at = state->last_at;
}

static void keep(work *w, stream_state *state, pending_event *pending)
{
    const ku_event *event = &pending->event;

    if (w->last != NULL)
        w->last->next = pending;
    else
        w->first = pending;
    w->last = pending;
    w->n_events++;

    state->type = event->stream_type;
    state->lane = event->lane;
    state->version = event->version;
    state->last_at = event->at;
    state->changed = true;
    if (state->loaded_version >= 0)
        state->loaded_version = event->version;
}

static ku_status append_pending(
    ku_scope *scope, const log_append *append, const ku_event **ret_event)
{
    const event_def *def = append->def;
    stream_state *state;

    assert(scope->work != NULL && (append->entity != NULL || def->entity != NULL));
    if (scope->work->n_events >= LIMIT_EVENTS_PER_SCOPE)
        return ku_refuse(scope, "too_many_events", "a command appends at most %d events",
            (int)LIMIT_EVENTS_PER_SCOPE);
    if (append->payload != NULL && def->type->payload.n_fields > 0) {
        ku_status status = shape_check(scope, &def->type->payload, append->payload, (ku_str){0});
        if (status != KU_OK)
            return status;
    }
    prefetch_key(scope, append);
    ku_status status = work_stream(scope, append->stream, &state);
    if (status == KU_OK)
        status = check_stream(scope, append, state);
    if (status == KU_OK)
        status = check_key(scope, append->idempotency_key);
    if (status != KU_OK)
        return status;

    pending_event *pending = ku_alloc(scope, sizeof(*pending));
    fill_event(scope, append, state, &pending->event);
    status = make_headers(scope, append, &pending->event.headers);
    if (status != KU_OK)
        return status;
    pending->metadata = metadata_write(scope, &pending->event);
    status = make_payload(scope, append, pending);
    if (status != KU_OK)
        return status;
    keep(scope->work, state, pending);
    if (ret_event != NULL)
        *ret_event = &pending->event;
    return KU_OK;
}

ku_status log_append_event(ku_scope *scope, const log_append *append, const ku_event **ret_event)
{
    bool entered = work_enter(scope);
    ku_status status = append_pending(scope, append, ret_event);

    work_leave(scope, entered);
    return status;
}
