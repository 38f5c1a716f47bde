/*
 * Units of work.
 *
 * A layer is a hash of streams and a list of events.  A scope's layer takes a stream from the
 * batch's layer by copying it, so dropping the layer undoes everything the scope thought of it.
 * Merging links the scope's own nodes into the batch's layer, or copies over the node that is
 * there; the memory is the scope's and outlives the batch.
 *
 * Numbering sorts the events by tenant and lane, keeping their order within a lane, and moves each
 * lane's head once.  Positions are dense because the heads move in the transaction that writes the
 * events: if it fails, both are as if it had never been.  Lanes are moved in sorted order so that
 * two writers on one database never wait for each other in a circle.
 */
#include "store/work.h"

#include "base/hash.h"

#include "db/sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

void work_merge(work *scope_layer)
{
    work *parent = scope_layer->parent;
    stream_state *next;

    assert(parent != NULL);
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
    if (scope_layer->first != NULL) {
        if (parent->last != NULL)
            parent->last->next = scope_layer->first;
        else
            parent->first = scope_layer->first;
        parent->last = scope_layer->last;
        parent->n_events += scope_layer->n_events;
    }
    scope_layer->slots = NULL;
    scope_layer->n_slots = scope_layer->n_streams = scope_layer->n_events = 0;
    scope_layer->first_stream = scope_layer->last_stream = NULL;
    scope_layer->first = scope_layer->last = NULL;
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

/* ---- numbering ------------------------------------------------------------------------------- */

typedef struct numbered {
    pending_event *pending;
    size_t index;
} numbered;

static int compare_lanes(const pending_event *a, const pending_event *b)
{
    int order = memcmp(a->event.tenant.bytes, b->event.tenant.bytes, sizeof(a->event.tenant.bytes));
    if (order != 0)
        return order;
    return (a->event.lane > b->event.lane) - (a->event.lane < b->event.lane);
}

static int compare_numbered(const void *a, const void *b)
{
    const numbered *left = a, *right = b;
    int order = compare_lanes(left->pending, right->pending);

    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* Brings the list into the order of tenants and lanes. */
static void sort_events(work *batch)
{
    bool sorted = true;
    size_t n = 0;

    for (const pending_event *p = batch->first; p != NULL && p->next != NULL && sorted; p = p->next)
        sorted = compare_lanes(p, p->next) <= 0;
    if (sorted)
        return;

    numbered *events = arena_alloc(batch->arena, batch->n_events * sizeof(*events));
    for (pending_event *p = batch->first; p != NULL; p = p->next, n++)
        events[n] = (numbered){p, n};
    assert(n == batch->n_events);
    qsort(events, n, sizeof(*events), compare_numbered);
    for (size_t i = 0; i + 1 < n; i++)
        events[i].pending->next = events[i + 1].pending;
    batch->first = events[0].pending;
    batch->last = events[n - 1].pending;
    batch->last->next = NULL;
}

static ku_status move_head(db *d, const pending_event *of, int64_t by, int64_t *ret_head)
{
    const db_value binds[] = {db_id(of->event.tenant), db_int(of->event.lane), db_int(by)};
    db_rows rows = {0};
    bool row = false;

    ku_status status = db_query(d, SQL_LANE_MOVE, binds, KU_COUNT(binds), &rows);
    if (status == KU_OK)
        status = db_next(&rows, &row);
    if (status == KU_OK && row) {
        *ret_head = db_column_int(&rows, 0);
        status = db_next(&rows, &row); /* to its end, so that the statement is complete */
    }
    db_rows_done(&rows);
    return status;
}

ku_status work_number(work *batch)
{
    pending_event *end;

    assert(batch->parent == NULL);
    sort_events(batch);
    for (pending_event *first = batch->first; first != NULL; first = end) {
        int64_t count = 0, head = 0;
        for (end = first; end != NULL && compare_lanes(first, end) == 0; end = end->next)
            count++;
        ku_status status = move_head(batch->d, first, count, &head);
        if (status != KU_OK)
            return status;
        assert(head >= count);
        int64_t position = head - count;
        for (pending_event *p = first; p != end; p = p->next)
            p->event.position = ++position;
    }
    return KU_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { INSERT_COLUMNS = 9, UPDATE_COLUMNS = 8, EVENT_COLUMNS = 11, KEY_COLUMNS = 4 };

static void bind_archive(const stream_state *state, db_value *binds)
{
    binds[0] = state->archived ? db_int(state->archived_at.unix_us) : db_null();
    binds[1] = state->archived ? db_text(state->archived_by) : db_null();
    binds[2] = state->archived ? db_text(state->archived_reason) : db_null();
}

static ku_status flush_streams(work *batch)
{
    db_value *inserts =
        arena_alloc(batch->arena, batch->n_streams * INSERT_COLUMNS * sizeof(*inserts));
    db_value *updates =
        arena_alloc(batch->arena, batch->n_streams * UPDATE_COLUMNS * sizeof(*updates));
    size_t n_inserts = 0, n_updates = 0;
    int64_t changes = 0;
    ku_status status = KU_OK;

    for (const stream_state *s = batch->first_stream; s != NULL; s = s->order_) {
        if (!s->changed)
            continue;
        if (s->stored_version == 0) {
            db_value *binds = inserts + INSERT_COLUMNS * n_inserts++;
            binds[0] = db_id(s->tenant);
            binds[1] = db_id(s->stream);
            binds[2] = db_text(s->type);
            binds[3] = db_int(s->lane);
            binds[4] = db_int(s->version);
            binds[5] = db_int(s->last_at.unix_us);
            bind_archive(s, binds + 6);
        } else {
            db_value *binds = updates + UPDATE_COLUMNS * n_updates++;
            binds[0] = db_id(s->tenant);
            binds[1] = db_id(s->stream);
            binds[2] = db_int(s->stored_version);
            binds[3] = db_int(s->version);
            binds[4] = db_int(s->last_at.unix_us);
            bind_archive(s, binds + 5);
        }
    }
    if (n_inserts > 0)
        status = db_run_many(batch->d, SQL_STREAM_INSERT, inserts, INSERT_COLUMNS, n_inserts, NULL);
    if (status == KU_OK && n_updates > 0)
        status =
            db_run_many(batch->d, SQL_STREAM_UPDATE, updates, UPDATE_COLUMNS, n_updates, &changes);
    /* Somebody else has moved one of them since it was read. */
    if (status == KU_OK && changes != (int64_t)n_updates)
        return KU_VERSION_CONFLICT;
    return status == KU_UNIQUE_VIOLATION ? KU_VERSION_CONFLICT : status;
}

static ku_status flush_events(work *batch)
{
    db_value *binds = arena_alloc(batch->arena, batch->n_events * EVENT_COLUMNS * sizeof(*binds));
    db_value *value = binds;
    size_t n_keys = 0;

    for (const pending_event *p = batch->first; p != NULL; p = p->next) {
        const ku_event *event = &p->event;
        assert(event->position > 0);
        n_keys += event->idempotency_key.len > 0 ? 1 : 0;
        *value++ = db_id(event->tenant);
        *value++ = db_int(event->lane);
        *value++ = db_int(event->position);
        *value++ = db_id(event->stream);
        *value++ = db_int(event->version);
        *value++ = db_text(event->name);
        *value++ = db_int(event->stored_version);
        *value++ = db_int(event->at.unix_us);
        *value++ = db_text(event->user);
        *value++ = db_text(p->payload);
        *value++ = db_text(p->metadata);
    }
    ku_status status =
        db_run_many(batch->d, SQL_EVENT_INSERT, binds, EVENT_COLUMNS, batch->n_events, NULL);
    if (status != KU_OK || n_keys == 0)
        return status == KU_UNIQUE_VIOLATION ? KU_VERSION_CONFLICT : status;

    value = binds; /* there are fewer, and they are narrower */
    for (const pending_event *p = batch->first; p != NULL; p = p->next) {
        if (p->event.idempotency_key.len == 0)
            continue;
        *value++ = db_id(p->event.tenant);
        *value++ = db_text(p->event.idempotency_key);
        *value++ = db_int(p->event.lane);
        *value++ = db_int(p->event.position);
    }
    return db_run_many(batch->d, SQL_EVENT_KEY_INSERT, binds, KEY_COLUMNS, n_keys, NULL);
}

ku_status work_flush(work *batch)
{
    ku_mark mark = arena_mark(batch->arena);

    assert(batch->parent == NULL);
    ku_status status = flush_streams(batch);
    if (status == KU_OK && batch->n_events > 0)
        status = flush_events(batch);
    arena_rewind(batch->arena, mark);
    return status;
}
