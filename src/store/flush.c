/*
 * The end of a batch: what its scopes have left is written.
 *
 * Streams go first, each compared with the version it was read at, and lane heads late, because a
 * lane's row is locked from then on.  Everything is sent sorted: two writers on one database that
 * need the same rows meet them in the same order and never wait for each other in a circle.
 *
 * Numbering sorts the events by tenant and lane, keeping their order within a lane, and moves each
 * lane's head once.  Positions are dense because the heads move in the transaction that writes the
 * events: if it fails, both are as if it had never been.
 *
 * Whatever was read without a lock is compared here.  One lost comparison fails the batch with
 * KU_VERSION_CONFLICT; nobody can say which scopes had built on what was lost, so all run again.
 */
#include "store/work.h"

#include "base/order.h"
#include "db/sql.h"

#include <assert.h>
#include <stdlib.h>

enum {
    INSERT_COLUMNS = 9,
    UPDATE_COLUMNS = 8,
    MOVE_COLUMNS = 7,
    LANE_COLUMNS = 3,
    EVENT_COLUMNS = 12,
    KEY_COLUMNS = 4,
    SNAPSHOT_COLUMNS = 7,
    REQUEST_COLUMNS = 8,
};

/* A row that is there already, or a row that was not: somebody else was faster. */
static ku_status lost_if_unique(ku_status status)
{
    return status == KU_UNIQUE_VIOLATION ? KU_VERSION_CONFLICT : status;
}

/* ---- streams --------------------------------------------------------------------------------- */

static int compare_streams(const void *a, const void *b)
{
    const stream_state *left = *(stream_state *const *)a, *right = *(stream_state *const *)b;
    int order = order_ids(left->tenant, right->tenant);

    return order != 0 ? order : order_ids(left->stream, right->stream);
}

static void bind_archive(const stream_state *state, db_value *binds)
{
    binds[0] = state->archived ? db_int(state->archived_at.unix_us) : db_null();
    binds[1] = state->archived ? db_text(state->archived_by) : db_null();
    binds[2] = state->archived ? db_text(state->archived_reason) : db_null();
}

static void bind_insert(const stream_state *s, db_value *binds)
{
    binds[0] = db_id(s->tenant);
    binds[1] = db_id(s->stream);
    binds[2] = db_text(s->type);
    binds[3] = db_int(s->lane);
    binds[4] = db_int(s->version);
    binds[5] = db_int(s->last_at.unix_us);
    bind_archive(s, binds + 6);
}

static void bind_update(const stream_state *s, db_value *binds)
{
    binds[0] = db_id(s->tenant);
    binds[1] = db_id(s->stream);
    binds[2] = db_int(s->stored_version);
    binds[3] = db_int(s->version);
    binds[4] = db_int(s->last_at.unix_us);
    bind_archive(s, binds + 5);
}

/* The streams that changed, sorted. */
static stream_state **changed_streams(work *batch, size_t *ret_count)
{
    stream_state **changed = arena_alloc(batch->arena, (batch->n_streams + 1) * sizeof(*changed));
    size_t n = 0;

    for (stream_state *s = batch->first_stream; s != NULL; s = s->order_) {
        if (s->changed)
            changed[n++] = s;
    }
    qsort(changed, n, sizeof(*changed), compare_streams);
    *ret_count = n;
    return changed;
}

ku_status work_flush_streams(work *batch)
{
    ku_mark mark = arena_mark(batch->arena);
    size_t n_changed = 0, n_inserts = 0, n_updates = 0;
    ku_status status = KU_OK;

    assert(batch->parent == NULL);
    stream_state **changed = changed_streams(batch, &n_changed);
    db_value *inserts =
        arena_alloc(batch->arena, (n_changed + 1) * INSERT_COLUMNS * sizeof(db_value));
    db_value *updates =
        arena_alloc(batch->arena, (n_changed + 1) * UPDATE_COLUMNS * sizeof(db_value));
    for (size_t i = 0; i < n_changed; i++) {
        if (changed[i]->stored_version == 0)
            bind_insert(changed[i], inserts + INSERT_COLUMNS * n_inserts++);
        else
            bind_update(changed[i], updates + UPDATE_COLUMNS * n_updates++);
    }
    batch->n_inserted = (int64_t)n_inserts;
    batch->n_updated = (int64_t)n_updates;
    if (n_inserts > 0)
        status = db_send_many(
            batch->d, SQL_STREAM_INSERT, inserts, INSERT_COLUMNS, n_inserts, &batch->inserted);
    if (status == KU_OK && n_updates > 0)
        status = db_send_many(
            batch->d, SQL_STREAM_UPDATE, updates, UPDATE_COLUMNS, n_updates, &batch->updated);
    arena_rewind(batch->arena, mark);
    return lost_if_unique(status);
}

/* ---- cursors --------------------------------------------------------------------------------- */

static int compare_moves(const void *a, const void *b)
{
    const cursor_move *left = *(cursor_move *const *)a, *right = *(cursor_move *const *)b;
    int order = order_ids(left->tenant, right->tenant);

    if (order == 0)
        order = order_texts(left->consumer, right->consumer);
    if (order == 0)
        order = order_ints(left->lane, right->lane);
    return order != 0 ? order : order_ints(left->from, right->from);
}

static bool same_cursor(const cursor_move *a, const cursor_move *b)
{
    return a->lane == b->lane && ku_id_equal(a->tenant, b->tenant) &&
           ku_str_equal(a->consumer, b->consumer);
}

/* Several moves of one cursor that follow each other, as the one that they amount to. */
typedef struct move_chain {
    cursor_move **first;
    size_t n;
    bool moved;
} move_chain;

static void lose(const move_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        if (chain->first[i]->lost != NULL)
            *chain->first[i]->lost = true;
    }
}

/*
 * The moves as chains, sorted.  False: one begins where the one before it does not end, because the
 * scope that should have gone before it has failed; its owner is told.
 */
static bool chain_moves(work *batch, move_chain **ret_chains, size_t *ret_count)
{
    size_t n_moves = 0, n = 0, n_chains = 0;
    bool whole = true;

    for (const cursor_move *m = batch->moves; m != NULL; m = m->next)
        n_moves++;
    cursor_move **moves = arena_alloc(batch->arena, (n_moves + 1) * sizeof(*moves));
    move_chain *chains = arena_alloc(batch->arena, (n_moves + 1) * sizeof(*chains));
    for (cursor_move *m = batch->moves; m != NULL; m = m->next)
        moves[n++] = m;
    qsort(moves, n, sizeof(*moves), compare_moves);
    for (size_t i = 0; i < n; i++) {
        bool follows = i > 0 && same_cursor(moves[i - 1], moves[i]);
        if (!follows) {
            chains[n_chains++] = (move_chain){.first = moves + i, .n = 1};
        } else if (moves[i - 1]->to == moves[i]->from && moves[i - 1]->epoch == moves[i]->epoch) {
            chains[n_chains - 1].n++;
        } else {
            const move_chain broken = {.first = moves + i, .n = 1};
            lose(&broken);
            whole = false;
        }
    }
    *ret_chains = chains;
    *ret_count = n_chains;
    return whole;
}

static db_value *bind_moves(work *batch, const move_chain *chains, size_t n_chains)
{
    db_value *binds = arena_alloc(batch->arena, n_chains * MOVE_COLUMNS * sizeof(*binds));
    db_value *value = binds;

    for (size_t i = 0; i < n_chains; i++) {
        const cursor_move *first = chains[i].first[0], *last = chains[i].first[chains[i].n - 1];
        *value++ = db_id(first->tenant);
        *value++ = db_text(first->consumer);
        *value++ = db_int(first->lane);
        *value++ = db_int(first->from);
        *value++ = db_int(last->to);
        *value++ = db_int(first->epoch);
        *value++ = db_int(last->now.unix_us);
    }
    return binds;
}

/* The chain of a cursor that the database says it has moved. */
static void mark_moved(const db_rows *rows, move_chain *chains, size_t n_chains)
{
    const cursor_move moved = {
        .tenant = db_column_id(rows, 0),
        .consumer = db_column_text(rows, 1),
        .lane = (int32_t)db_column_int(rows, 2),
    };

    for (size_t i = 0; i < n_chains; i++) {
        if (!chains[i].moved && same_cursor(chains[i].first[0], &moved)) {
            chains[i].moved = true;
            return;
        }
    }
}

static ku_status read_moved(db_rows *rows, move_chain *chains, size_t n_chains)
{
    bool row, whole = true;
    ku_status status;

    while ((status = db_next(rows, &row)) == KU_OK && row)
        mark_moved(rows, chains, n_chains);
    for (size_t i = 0; i < n_chains && status == KU_OK; i++) {
        if (chains[i].moved)
            continue;
        lose(&chains[i]);
        whole = false;
    }
    return status == KU_OK && !whole ? KU_VERSION_CONFLICT : status;
}

/* ---- numbering ------------------------------------------------------------------------------- */

typedef struct numbered {
    pending_event *pending;
    size_t index;
} numbered;

static int compare_lanes(const pending_event *a, const pending_event *b)
{
    int order = order_ids(a->event.tenant, b->event.tenant);

    return order != 0 ? order : order_ints(a->event.lane, b->event.lane);
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

/* The events of one lane, and what its head becomes. */
typedef struct lane_events {
    pending_event *first;
    int64_t count, head;
} lane_events;

static lane_events *part_events(work *batch, size_t *ret_count)
{
    size_t n = 0, n_lanes = 0;

    for (const pending_event *p = batch->first; p != NULL; p = p->next)
        n_lanes += p->next == NULL || compare_lanes(p, p->next) != 0 ? 1 : 0;
    lane_events *parts = arena_alloc(batch->arena, (n_lanes + 1) * sizeof(*parts));
    for (pending_event *p = batch->first; p != NULL; p = p->next) {
        if (n == 0 || compare_lanes(parts[n - 1].first, p) != 0)
            parts[n++] = (lane_events){.first = p};
        parts[n - 1].count++;
    }
    *ret_count = n;
    return parts;
}

static db_value *bind_parts(work *batch, const lane_events *parts, size_t n_parts)
{
    db_value *binds = arena_alloc(batch->arena, n_parts * LANE_COLUMNS * sizeof(*binds));
    db_value *value = binds;

    for (size_t i = 0; i < n_parts; i++) {
        *value++ = db_id(parts[i].first->event.tenant);
        *value++ = db_int(parts[i].first->event.lane);
        *value++ = db_int(parts[i].count);
    }
    return binds;
}

/* Rows come back in any order. */
static ku_status read_heads(db_rows *rows, lane_events *parts, size_t n_parts)
{
    size_t at = 0;
    bool row;
    ku_status status;

    while ((status = db_next(rows, &row)) == KU_OK && row) {
        ku_id tenant = db_column_id(rows, 0);
        int32_t lane = (int32_t)db_column_int(rows, 1);
        size_t looked_at = 0;
        while (looked_at < n_parts && !(parts[at].first->event.lane == lane &&
                                          ku_id_equal(parts[at].first->event.tenant, tenant))) {
            at = (at + 1) % n_parts;
            looked_at++;
        }
        assert(looked_at < n_parts);
        parts[at].head = db_column_int(rows, 2);
        at = (at + 1) % n_parts; /* most likely the next */
    }
    return status;
}

static void give_positions(const lane_events *parts, size_t n_parts)
{
    for (size_t i = 0; i < n_parts; i++) {
        assert(parts[i].head >= parts[i].count);
        int64_t position = parts[i].head - parts[i].count;
        pending_event *p = parts[i].first;
        for (int64_t n = 0; n < parts[i].count; n++, p = p->next)
            p->event.position = ++position;
    }
}

/* Cursors before heads: a batch whose cursor is gone need not lock the lanes. */
static ku_status move_all(work *batch, move_chain *chains, size_t n_chains)
{
    size_t n_parts = 0;
    lane_events *parts = part_events(batch, &n_parts);
    db_rows moved = {0}, heads = {0};
    ku_status status = KU_OK;

    if (n_chains > 0)
        status = db_query_many(batch->d, SQL_CURSOR_MOVE, bind_moves(batch, chains, n_chains),
            MOVE_COLUMNS, n_chains, &moved);
    if (status == KU_OK && n_parts > 0)
        status = db_query_many(batch->d, SQL_LANE_MOVE, bind_parts(batch, parts, n_parts),
            LANE_COLUMNS, n_parts, &heads);
    if (status == KU_OK)
        status = read_moved(&moved, chains, n_chains);
    if (status == KU_OK)
        status = read_heads(&heads, parts, n_parts);
    db_rows_done(&moved);
    db_rows_done(&heads);
    if (status == KU_OK)
        give_positions(parts, n_parts);
    return status;
}

ku_status work_number(work *batch)
{
    move_chain *chains = NULL;
    size_t n_chains = 0;

    assert(batch->parent == NULL);
    sort_events(batch);
    if (!chain_moves(batch, &chains, &n_chains))
        return KU_VERSION_CONFLICT;
    ku_status status = move_all(batch, chains, n_chains);
    if (status == KU_OK)
        status = db_settle(batch->d);
    if (status == KU_OK &&
        (batch->inserted != batch->n_inserted || batch->updated != batch->n_updated))
        return KU_VERSION_CONFLICT;
    return lost_if_unique(status);
}

/* ---- events ---------------------------------------------------------------------------------- */

static ku_status flush_keys(work *batch, size_t n_keys)
{
    db_value *binds = arena_alloc(batch->arena, n_keys * KEY_COLUMNS * sizeof(*binds));
    db_value *value = binds;

    for (const pending_event *p = batch->first; p != NULL; p = p->next) {
        if (p->event.idempotency_key.len == 0)
            continue;
        *value++ = db_id(p->event.tenant);
        *value++ = db_text(p->event.idempotency_key);
        *value++ = db_int(p->event.lane);
        *value++ = db_int(p->event.position);
    }
    return db_send_many(batch->d, SQL_EVENT_KEY_INSERT, binds, KEY_COLUMNS, n_keys, NULL);
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
        *value++ = db_text(event->stream_type);
    }
    ku_status status =
        db_send_many(batch->d, SQL_EVENT_INSERT, binds, EVENT_COLUMNS, batch->n_events, NULL);
    return status == KU_OK && n_keys > 0 ? flush_keys(batch, n_keys) : status;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* By what they are of; the newest of each first. */
static int compare_snapshots(const void *a, const void *b)
{
    const pending_snapshot *left = *(pending_snapshot *const *)a;
    const pending_snapshot *right = *(pending_snapshot *const *)b;
    int order = order_ids(left->tenant, right->tenant);

    if (order == 0)
        order = order_ids(left->stream, right->stream);
    if (order == 0)
        order = order_texts(left->entity, right->entity);
    return order != 0 ? order : order_ints(right->version, left->version);
}

static bool same_snapshot(const pending_snapshot *a, const pending_snapshot *b)
{
    return ku_id_equal(a->stream, b->stream) && ku_id_equal(a->tenant, b->tenant) &&
           ku_str_equal(a->entity, b->entity);
}

static ku_status flush_snapshots(work *batch)
{
    size_t n = 0, n_rows = 0;

    for (const pending_snapshot *s = batch->snapshots; s != NULL; s = s->next)
        n++;
    if (n == 0)
        return KU_OK;
    pending_snapshot **sorted = arena_alloc(batch->arena, n * sizeof(*sorted));
    n = 0;
    for (pending_snapshot *s = batch->snapshots; s != NULL; s = s->next)
        sorted[n++] = s;
    qsort(sorted, n, sizeof(*sorted), compare_snapshots);
    db_value *binds = arena_alloc(batch->arena, n * SNAPSHOT_COLUMNS * sizeof(*binds));
    db_value *value = binds;
    for (size_t i = 0; i < n; i++) {
        const pending_snapshot *s = sorted[i];
        if (i > 0 && same_snapshot(sorted[i - 1], s))
            continue;
        *value++ = db_id(s->tenant);
        *value++ = db_id(s->stream);
        *value++ = db_text(s->entity);
        *value++ = db_int(s->version);
        *value++ = db_int(s->state_version);
        *value++ = db_text(s->state);
        *value++ = db_int(s->now.unix_us);
        n_rows++;
    }
    return db_send_many(batch->d, SQL_SNAPSHOT_PUT, binds, SNAPSHOT_COLUMNS, n_rows, NULL);
}

/* ---- stored replies -------------------------------------------------------------------------- */

static int compare_requests(const void *a, const void *b)
{
    const pending_request *left = *(pending_request *const *)a;
    const pending_request *right = *(pending_request *const *)b;
    int order = order_ids(left->tenant, right->tenant);

    if (order == 0)
        order = order_texts(left->user, right->user);
    return order != 0 ? order : order_texts(left->request_id, right->request_id);
}

static void bind_request(const pending_request *r, db_value *binds)
{
    binds[0] = db_id(r->tenant);
    binds[1] = db_text(r->user);
    binds[2] = db_text(r->request_id);
    binds[3] = db_id(r->fingerprint);
    binds[4] = db_int(r->http_status);
    binds[5] = db_text(r->reply);
    binds[6] = db_int(r->expires.unix_us);
    binds[7] = db_int(r->now.unix_us);
}

/* Somebody else may have answered one of them in the meantime, which must be known before COMMIT.
 */
static ku_status flush_requests(work *batch)
{
    size_t n = 0;
    int64_t changes = 0;

    for (const pending_request *r = batch->requests; r != NULL; r = r->next)
        n++;
    if (n == 0)
        return KU_OK;
    pending_request **sorted = arena_alloc(batch->arena, n * sizeof(*sorted));
    db_value *binds = arena_alloc(batch->arena, n * REQUEST_COLUMNS * sizeof(*binds));
    n = 0;
    for (pending_request *r = batch->requests; r != NULL; r = r->next)
        sorted[n++] = r;
    qsort(sorted, n, sizeof(*sorted), compare_requests);
    for (size_t i = 0; i < n; i++)
        bind_request(sorted[i], binds + i * REQUEST_COLUMNS);
    ku_status status = db_send_many(batch->d, SQL_REQUEST_PUT, binds, REQUEST_COLUMNS, n, &changes);
    if (status == KU_OK)
        status = db_settle(batch->d);
    return status == KU_OK && changes != (int64_t)n ? KU_VERSION_CONFLICT : status;
}

ku_status work_flush_events(work *batch)
{
    ku_mark mark = arena_mark(batch->arena);
    ku_status status = KU_OK;

    assert(batch->parent == NULL);
    if (batch->n_events > 0)
        status = flush_events(batch);
    if (status == KU_OK)
        status = flush_snapshots(batch);
    if (status == KU_OK)
        status = flush_requests(batch);
    arena_rewind(batch->arena, mark);
    return lost_if_unique(status);
}
