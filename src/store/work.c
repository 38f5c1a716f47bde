/*
 * Units of work.
 *
 * A layer is a hash of streams and a list of events.  A scope's layer takes a stream from the
 * batch's layer by copying it, so dropping the layer undoes everything the scope thought of it.
 * Merging links the scope's own nodes into the batch's layer, or copies over the node that is
 * there; the memory is the scope's and outlives the batch.
 *
 * A stream whose id the scope has made itself is not looked up: it cannot be there yet, and should
 * it be, its insert says so.  How a batch ends stands in flush.c.
 */
#include "store/work.h"

#include "base/hash.h"

#include "db/sql.h"

#include <assert.h>

enum { SLOTS_FIRST = 16 };

void work_init(work *w, db *d, work *parent, arena *memory)
{
    *w = (work){.d = d, .parent = parent, .arena = memory};
}

/* ---- streams --------------------------------------------------------------------------------- */

static size_t hash_stream(ku_id tenant, ku_id stream)
{
    return (size_t)hash_id(hash_id(0, tenant), stream);
}

static stream_state *find_stream(const work *w, ku_id tenant, ku_id stream)
{
    if (w->n_slots == 0)
        return NULL;
    stream_state *state = w->slots[hash_stream(tenant, stream) & (w->n_slots - 1)];
    while (state != NULL &&
           !(ku_id_equal(state->stream, stream) && ku_id_equal(state->tenant, tenant)))
        state = state->next_;
    return state;
}

static void grow_slots(work *w)
{
    w->n_slots = w->n_slots == 0 ? SLOTS_FIRST : 4 * w->n_slots;
    w->slots = arena_alloc(w->arena, w->n_slots * sizeof(stream_state *));
    for (stream_state *state = w->first_stream; state != NULL; state = state->order_) {
        size_t slot = hash_stream(state->tenant, state->stream) & (w->n_slots - 1);
        state->next_ = w->slots[slot];
        w->slots[slot] = state;
    }
}

static void link_stream(work *w, stream_state *state)
{
    if (w->n_streams >= w->n_slots)
        grow_slots(w);
    size_t slot = hash_stream(state->tenant, state->stream) & (w->n_slots - 1);
    state->next_ = w->slots[slot];
    w->slots[slot] = state;
    state->order_ = NULL;
    if (w->last_stream != NULL)
        w->last_stream->order_ = state;
    else
        w->first_stream = state;
    w->last_stream = state;
    w->n_streams++;
}

/* What the layers know of a stream; NULL: nothing. */
static const stream_state *known_stream(const ku_scope *scope, ku_id stream)
{
    const stream_state *state = NULL;

    for (const work *w = scope->work; w != NULL && state == NULL; w = w->parent)
        state = find_stream(w, scope->tenant, stream);
    return state;
}

bool work_is_not_stored(const ku_scope *scope, ku_id stream)
{
    const stream_state *state = known_stream(scope, stream);

    if (state != NULL)
        return state->stored_version == 0;
    return scope->work != NULL && scope_made(scope, stream);
}

void work_prefetch_stream(ku_scope *scope, ku_id stream)
{
    const db_value binds[] = {db_id(scope->tenant), db_id(stream)};

    if (db_is_shared(scope->db) && known_stream(scope, stream) == NULL &&
        !work_is_not_stored(scope, stream))
        db_prefetch(scope->db, SQL_STREAM_FIND, binds, KU_COUNT(binds));
}

ku_status work_read_stream(ku_scope *scope, ku_id stream, stream_state *ret_state)
{
    const db_value binds[] = {db_id(scope->tenant), db_id(stream)};
    stream_state state = {.tenant = scope->tenant, .stream = stream, .loaded_version = -1};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, SQL_STREAM_FIND, binds, KU_COUNT(binds), &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        state.type = arena_copy(&scope->arena, db_column_text(&rows, 0));
        state.stored_version = state.version = db_column_int(&rows, 1);
        state.lane = (int32_t)db_column_int(&rows, 2);
        state.last_at.unix_us = db_column_int(&rows, 3);
        state.archived = !db_is_null(&rows, 4);
        if (state.archived) {
            state.archived_at.unix_us = db_column_int(&rows, 4);
            state.archived_by = arena_copy(&scope->arena, db_column_text(&rows, 5));
            state.archived_reason = arena_copy(&scope->arena, db_column_text(&rows, 6));
        }
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "read a stream: %s", db_error(scope->db));
    *ret_state = state;
    return KU_OK;
}

static void swap_arenas(arena *a, arena *b)
{
    arena memory = *a;

    *a = *b;
    *b = memory;
}

bool work_enter(ku_scope *scope)
{
    work *w = scope->work;

    if (w == NULL || w->home != NULL || w->arena == &scope->arena)
        return false;
    swap_arenas(&scope->arena, w->arena);
    w->home = w->arena;
    w->arena = &scope->arena; /* the layer's memory is there now */
    return true;
}

void work_leave(ku_scope *scope, bool entered)
{
    work *w = scope->work;

    if (!entered)
        return;
    w->arena = w->home;
    w->home = NULL;
    swap_arenas(&scope->arena, w->arena);
}

ku_status work_stream(ku_scope *scope, ku_id stream, stream_state **ret_state)
{
    work *w = scope->work;
    stream_state *state = find_stream(w, scope->tenant, stream);

    if (state == NULL) {
        stream_state found;
        const stream_state *above =
            w->parent != NULL ? find_stream(w->parent, scope->tenant, stream) : NULL;
        if (above != NULL) {
            found = *above;
            found.changed = false;
            found.loaded_version = -1;
        } else if (scope_made(scope, stream)) {
            found = (stream_state){.tenant = scope->tenant, .stream = stream, .loaded_version = -1};
        } else {
            bool entered = work_enter(scope);
            ku_status status = work_read_stream(scope, stream, &found);
            work_leave(scope, entered);
            if (status != KU_OK)
                return status;
        }
        state = arena_alloc(w->arena, sizeof(*state));
        *state = found;
        link_stream(w, state);
    }
    *ret_state = state;
    return KU_OK;
}

static void merge_streams(work *scope_layer)
{
    work *parent = scope_layer->parent;
    stream_state *next;

    for (stream_state *state = scope_layer->first_stream; state != NULL; state = next) {
        next = state->order_;
        state->loaded_version = -1;
        stream_state *above = find_stream(parent, state->tenant, state->stream);
        if (above == NULL) {
            link_stream(parent, state);
        } else if (state->changed) {
            stream_state *slot_next = above->next_, *order_next = above->order_;
            *above = *state;
            above->next_ = slot_next;
            above->order_ = order_next;
        }
    }
    scope_layer->slots = NULL;
    scope_layer->n_slots = scope_layer->n_streams = 0;
    scope_layer->first_stream = scope_layer->last_stream = NULL;
}

static void merge_lists(work *scope_layer)
{
    work *parent = scope_layer->parent;

    while (scope_layer->moves != NULL) {
        cursor_move *move = scope_layer->moves;
        scope_layer->moves = move->next;
        move->next = parent->moves;
        parent->moves = move;
    }
    while (scope_layer->snapshots != NULL) {
        pending_snapshot *snapshot = scope_layer->snapshots;
        scope_layer->snapshots = snapshot->next;
        snapshot->next = parent->snapshots;
        parent->snapshots = snapshot;
    }
    if (scope_layer->first != NULL) {
        if (parent->last != NULL)
            parent->last->next = scope_layer->first;
        else
            parent->first = scope_layer->first;
        parent->last = scope_layer->last;
        parent->n_events += scope_layer->n_events;
    }
    scope_layer->n_events = 0;
    scope_layer->first = scope_layer->last = NULL;
}

void work_merge(work *scope_layer)
{
    assert(scope_layer->parent != NULL);
    merge_streams(scope_layer);
    merge_lists(scope_layer);
}

void work_move_cursor(ku_scope *scope, const cursor_move *move)
{
    work *w = scope->work;
    cursor_move *kept = arena_alloc(w->arena, sizeof(*kept));

    *kept = *move;
    kept->now = scope->now;
    kept->next = w->moves;
    w->moves = kept;
}

void work_put_snapshot(ku_scope *scope, const pending_snapshot *snapshot)
{
    work *w = scope->work;
    pending_snapshot *kept = arena_alloc(w->arena, sizeof(*kept));

    *kept = *snapshot;
    kept->now = scope->now;
    kept->next = w->snapshots;
    w->snapshots = kept;
}

void work_put_request(work *batch, const pending_request *request)
{
    pending_request *kept = arena_alloc(batch->arena, sizeof(*kept));

    assert(batch->parent == NULL);
    *kept = *request;
    kept->next = batch->requests;
    batch->requests = kept;
}

/* ---- events ---------------------------------------------------------------------------------- */

static ku_status each_of_layer(ku_scope *scope, const work *w, ku_id tenant, ku_id stream,
    ku_status (*callback)(ku_scope *scope, const pending_event *pending, void *context),
    void *context)
{
    const pending_event *last = w->last; /* what the callback appends is not for this round */

    for (const pending_event *pending = w->first; pending != NULL; pending = pending->next) {
        if (ku_id_equal(pending->event.stream, stream) &&
            ku_id_equal(pending->event.tenant, tenant)) {
            ku_status status = callback(scope, pending, context);
            if (status != KU_OK)
                return status;
        }
        if (pending == last)
            break;
    }
    return KU_OK;
}

ku_status work_each_pending(ku_scope *scope, ku_id tenant, ku_id stream,
    ku_status (*callback)(ku_scope *scope, const pending_event *pending, void *context),
    void *context)
{
    const work *layers[] = {scope->work->parent, scope->work};
    ku_status status = KU_OK;

    for (size_t i = 0; i < KU_COUNT(layers) && status == KU_OK; i++) {
        /* A stream that did not move in a layer's transaction has nothing pending there. */
        const stream_state *state =
            layers[i] != NULL ? find_stream(layers[i], tenant, stream) : NULL;
        if (state != NULL && state->version > state->stored_version)
            status = each_of_layer(scope, layers[i], tenant, stream, callback, context);
    }
    return status;
}
