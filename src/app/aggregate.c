/*
 * Live aggregation: a stream folded into its entity's state (behaviour §4.4, §4.6).
 *
 * The latest snapshot that fits is the start, the events behind it are folded on top.  When that
 * were
 * `.snapshot_every` or more, the state is handed to the writer as the next snapshot: later, by
 * itself, and never with an event that is not committed.
 */
#include "app/rows.h"
#include "app/state.h"
#include "app/writer.h"
#include "base/limits.h"
#include "store/log.h"

#include <stdlib.h>
#include <string.h>

/* A state on its way to the writer; it outlives the scope that folded it. */
typedef struct snapshot_job {
    writer_job job; /* first */
    arena arena;
    pending_snapshot snapshot;
} snapshot_job;

static ku_status snapshot_execute(writer_job *job, ku_scope *scope)
{
    snapshot_job *s = (snapshot_job *)job;

    scope->now = clock_now(&scope->app->clock);
    work_put_snapshot(scope, &s->snapshot);
    return KU_OK;
}

static void snapshot_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    snapshot_job *s = (snapshot_job *)job;

    (void)scope;
    (void)committed; /* the next load that finds the delta long tries again */
    arena_done(&s->arena);
    free(s);
}

static ku_str encode_state(arena *a, const ku_entity *entity, const void *state)
{
    buffer b = {.arena = a};

    shape_encode(&b, &entity->state, state, false);
    return buffer_str(&b);
}

static void refresh_snapshot(
    ku_scope *scope, const ku_entity *entity, ku_id stream, int64_t version, const void *state)
{
    struct writer *w = app_writer(scope->app, scope->tenant);

    if (w == NULL)
        return;
    snapshot_job *s = mem_zero(1, sizeof(*s));
    s->job = (writer_job){.execute = snapshot_execute, .finish = snapshot_finish};
    s->snapshot = (pending_snapshot){.tenant = scope->tenant,
        .stream = stream,
        .entity = ku_str_from(entity->name),
        .version = version,
        .state_version = entity->state_version,
        .state = encode_state(&s->arena, entity, state)};
    if (!writer_submit(w, &s->job, false))
        snapshot_finish(&s->job, NULL, KU_UNAVAILABLE);
}

/* ---- folding --------------------------------------------------------------------------------- */

typedef struct fold {
    const ku_entity *entity;
    void *state;
    int64_t version;
    int64_t folded;
    bool pending; /* an event without a position was folded: it may yet be rolled back */
} fold;

static ku_status fold_event(ku_scope *scope, const ku_event *event, void *context)
{
    fold *f = context;

    if (event->type == NULL)
        return scope_fail(scope, KU_INTERNAL,
            "stream %" KU_PRI " holds event %" KU_PRI ", which this program does not know",
            KU_FMT(ku_id_text(scope, event->stream)), KU_FMT(event->name));
    f->entity->evolve(f->state, event);
    f->version = event->version;
    f->folded++;
    f->pending = f->pending || event->position == 0;
    return KU_OK;
}

static ku_status start_from_snapshot(
    ku_scope *scope, const ku_entity *entity, ku_id stream, const log_range *range, fold *f)
{
    /* A write sees the stream as its row was; somebody else's later snapshot is beyond that. */
    int64_t newest = scope->work != NULL ? range->stream_version : INT64_MAX;
    snapshot found = {0};
    ku_json *json = NULL;
    json_error error;
    ku_status status = log_snapshot_find(scope, entity, stream, range->to_version, &found);

    if (status != KU_OK || found.version == 0 || found.version > newest ||
        found.state_version != entity->state_version)
        return status;
    if (!json_parse(&scope->arena, found.state, LIMIT_JSON_DEPTH, &json, &error))
        return scope_fail(
            scope, KU_INTERNAL, "snapshot of %s is not JSON: %s", entity->name, error.what);
    uint64_t given = 0;
    status = shape_decode_stored(scope, &entity->state, json, KU_STR(""), f->state, &given);
    if (status != KU_OK) {
        /* The struct changed without its version: the events know better. */
        ku_clear_error(scope);
        memset(f->state, 0, entity->state.size);
        return KU_OK;
    }
    f->version = found.version;
    return KU_OK;
}

/* Is there a stream to load?  KU_NOT_FOUND without an error if not. */
static ku_status find_stream(ku_scope *scope, const ku_entity *entity, ku_id stream,
    const ku_load_options *options, stream_state *ret_state)
{
    ku_status status = log_stream(scope, stream, ret_state);

    if (status != KU_OK)
        return status;
    bool visible = ret_state->version > 0 && ku_str_is(ret_state->type, entity->name) &&
                   (!ret_state->archived || options->include_archived) &&
                   (!options->at_version.set || options->at_version.value > 0);
    return visible ? KU_OK : KU_NOT_FOUND;
}

/*
 * Clients know instants to the millisecond (createdAt on the wire), the log to the microsecond: a
 * whole millisecond means all of it, so that asking as of an event's createdAt shows the event.
 */
static log_range range_of(const ku_load_options *options)
{
    log_range range = {
        .to_version = options->at_version.set ? options->at_version.value : 0,
        .as_of = options->as_of,
    };

    if (range.as_of.set && range.as_of.value.unix_us % 1000 == 0)
        range.as_of.value.unix_us += 999;
    return range;
}

/* Only the whole stream is a version to append against. */
static bool is_whole(const ku_load_options *options)
{
    return !options->as_of.set && !options->at_version.set;
}

/* Nothing to fold: the stream is missing, or it begins after the point in time. */
static ku_status load_missing(
    ku_scope *scope, const ku_entity *entity, ku_id stream, const ku_load_options *options)
{
    if (is_whole(options))
        log_remember_version(scope, stream, 0);
    if (options->missing_ok)
        return KU_OK;
    return ku_not_found(scope, entity->name, ku_id_text(scope, stream));
}

static void tell(const ku_load_options *options, int64_t version, bool snapshot_hit)
{
    if (options->ret_version != NULL)
        *options->ret_version = version;
    if (options->ret_snapshot_hit != NULL)
        *options->ret_snapshot_hit = snapshot_hit;
}

ku_status ku_load_aggregate(ku_scope *scope, const ku_entity *entity, ku_id stream,
    const ku_load_options *options, void *ret_state)
{
    static const ku_load_options defaults = {.missing_ok = false};
    const ku_load_options *o = options != NULL ? options : &defaults;
    stream_state known;
    fold f = {.entity = entity};

    if (entity->evolve == NULL)
        return scope_fail(scope, KU_INTERNAL, "entity %s has no .evolve", entity->name);
    f.state = arena_alloc(&scope->arena, entity->state.size);
    tell(o, 0, false);
    log_range range = range_of(o);
    bool from_snapshot = !o->without_snapshot && !o->as_of.set;
    range.behind_snapshot_of = from_snapshot ? entity : NULL;
    log_prefetch(scope, stream, &range);
    ku_status status = find_stream(scope, entity, stream, o, &known);
    if (status == KU_NOT_FOUND) {
        memset(ret_state, 0, entity->state.size);
        return load_missing(scope, entity, stream, o);
    }
    range.stream_version = known.stored_version;
    if (status == KU_OK && from_snapshot && known.stored_version > 0)
        status = start_from_snapshot(scope, entity, stream, &range, &f);
    int64_t snapshot_version = range.after_version = f.version;
    if (status == KU_OK)
        status = log_each_of_stream(
            scope, scope->app->registry.catalog, stream, &range, true, fold_event, &f);
    if (status != KU_OK)
        return status;
    memcpy(ret_state, f.state, entity->state.size);
    if (f.version == 0)
        return load_missing(scope, entity, stream, o);
    tell(o, f.version, snapshot_version > 0);
    if (is_whole(o)) {
        log_remember_version(scope, stream, f.version);
        if (entity->snapshot_every > 0 && f.folded >= entity->snapshot_every && !f.pending &&
            !o->without_snapshot)
            refresh_snapshot(scope, entity, stream, f.version, ret_state);
    }
    return KU_OK;
}

/* ---- the events themselves ------------------------------------------------------------------- */

typedef struct collected {
    ku_event *events;
    size_t count, capacity;
} collected;

static ku_status collect_event(ku_scope *scope, const ku_event *event, void *context)
{
    collected *c = context;

    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 16 : c->capacity * 2;
        ku_event *events = arena_alloc(&scope->arena, capacity * sizeof(*events));
        if (c->count > 0)
            memcpy(events, c->events, c->count * sizeof(*events));
        c->events = events;
        c->capacity = capacity;
    }
    c->events[c->count++] = *event;
    return KU_OK;
}

ku_status ku_load_events(ku_scope *scope, const ku_entity *entity, ku_id stream,
    const ku_load_options *options, const ku_event **ret_events, size_t *ret_count)
{
    static const ku_load_options defaults = {.missing_ok = false};
    const ku_load_options *o = options != NULL ? options : &defaults;
    stream_state known;
    collected c = {0};
    log_range range = range_of(o);

    tell(o, 0, false);
    log_prefetch(scope, stream, &range);
    ku_status status = find_stream(scope, entity, stream, o, &known);
    range.stream_version = known.stored_version;
    if (status == KU_OK)
        status = log_each_of_stream(
            scope, scope->app->registry.catalog, stream, &range, true, collect_event, &c);
    else if (status == KU_NOT_FOUND)
        status = load_missing(scope, entity, stream, o);
    if (status != KU_OK)
        return status;
    if (c.count > 0) {
        tell(o, c.events[c.count - 1].version, false);
        if (is_whole(o))
            log_remember_version(scope, stream, c.events[c.count - 1].version);
    }
    *ret_events = c.events;
    *ret_count = c.count;
    return KU_OK;
}

ku_status ku_snapshot_aggregate(
    ku_scope *scope, const ku_entity *entity, ku_id stream, int64_t *ret_version)
{
    int64_t version = 0;
    const ku_load_options options = {.without_snapshot = true, .ret_version = &version};

    if (scope->work == NULL)
        return scope_fail(scope, KU_INTERNAL, "a snapshot belongs into a write, not a query");
    void *state = arena_alloc(&scope->arena, entity->state.size);
    ku_status status = ku_load_aggregate(scope, entity, stream, &options, state);
    if (status != KU_OK)
        return status;
    const pending_snapshot pending = {
        .tenant = scope->tenant,
        .stream = stream,
        .entity = ku_str_from(entity->name),
        .version = version,
        .state_version = entity->state_version,
        .state = encode_state(scope->work->arena, entity, state),
    };
    work_put_snapshot(scope, &pending);
    if (ret_version != NULL)
        *ret_version = version;
    return KU_OK;
}
