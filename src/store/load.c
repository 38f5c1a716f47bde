/*
 * Reading the log.
 *
 * A stream is read in the order of its versions, a lane in the order of its positions, in pages, so
 * that memory stays bounded however long they are, also where the engine holds a whole result: in a
 * query each event lives in a mark that is rewound behind it.  Not so in a write, where a callback
 * or a migration may put things into the scope's memory that the transaction still needs.
 *
 * A write sees what it has appended itself, and what earlier scopes of its batch have: after the
 * rows of the database come the pending events of the stream.  It sees nothing beyond the version
 * at which the stream's row was read: what somebody else has appended since would only be lost at
 * the end of the batch, and the scopes run again then.
 *
 * Where a statement is a way to another machine, the row, the snapshot and the first page are asked
 * for together (log_prefetch).  Each statement of a write sees the database as it is by then, so
 * the page may begin behind a newer snapshot than the one that came; it is read again then.
 */
#include "store/log.h"

#include "db/sql.h"

#include <string.h>

enum {
    CANCEL_CHECK_EVERY = 256, /* events; asking costs a look at a socket */
    PAGE_EVENTS = 500,
};

typedef ku_status event_callback(ku_scope *scope, const ku_event *event, void *context);

static ku_status read_failed(ku_scope *scope, ku_status status, const char *what)
{
    return scope_fail(scope, status, "read %s: %s", what, db_error(scope->db));
}

static ku_status check_cancelled(ku_scope *scope, int64_t n_events)
{
    if (n_events % CANCEL_CHECK_EVERY != 0 || !ku_scope_cancelled(scope))
        return KU_OK;
    return scope_fail(scope, KU_CANCELLED, "nobody waits for the answer any more");
}

/* ---- one stream ------------------------------------------------------------------------------ */

ku_status log_stream(ku_scope *scope, ku_id stream, stream_state *ret_state)
{
    stream_state *state;

    if (scope->work == NULL)
        return work_read_stream(scope, stream, ret_state);
    ku_status status = work_stream(scope, stream, &state);
    if (status == KU_OK)
        *ret_state = *state;
    return status;
}

void log_remember_version(ku_scope *scope, ku_id stream, int64_t version)
{
    stream_state *state;

    if (scope->work == NULL)
        return;
    /* It was loaded, so it is in the layer and nothing is read. */
    ku_status status = work_stream(scope, stream, &state);
    if (status == KU_OK)
        state->loaded_version = version;
    else
        ku_clear_error(scope);
}

typedef struct stream_reading {
    const event_catalog *catalog;
    const log_range *range;
    event_callback *callback;
    void *context;
} stream_reading;

static bool is_in_range(const log_range *range, const ku_event *event)
{
    return event->version > range->after_version &&
           (range->to_version == 0 || event->version <= range->to_version) &&
           (!range->as_of.set || event->at.unix_us <= range->as_of.value.unix_us);
}

static ku_status hand_over_pending(ku_scope *scope, const pending_event *pending, void *context)
{
    const stream_reading *reading = context;

    if (!is_in_range(reading->range, &pending->event))
        return KU_OK;
    return reading->callback(scope, &pending->event, reading->context);
}

static stored_event stream_row(const ku_scope *scope, ku_id stream, const db_rows *rows)
{
    return (stored_event){
        .tenant = scope->tenant,
        .stream = stream,
        .version = db_column_int(rows, 0),
        .lane = (int32_t)db_column_int(rows, 1),
        .position = db_column_int(rows, 2),
        .stream_type = db_column_text(rows, 3),
        .type = db_column_text(rows, 4),
        .event_version = (int)db_column_int(rows, 5),
        .at = {db_column_int(rows, 6)},
        .user = db_column_text(rows, 7),
        .payload = db_column_text(rows, 8),
        .metadata = db_column_text(rows, 9),
    };
}

static int64_t last_wanted(const log_range *range)
{
    return range->to_version == 0 ? INT64_MAX : range->to_version;
}

static int64_t latest_wanted(const log_range *range)
{
    return range->as_of.set ? range->as_of.value.unix_us : INT64_MAX;
}

enum { PAGE_COLUMNS = 6, BEHIND_COLUMNS = 7 };

static void bind_page(
    const ku_scope *scope, ku_id stream, const log_range *range, db_value binds[PAGE_COLUMNS])
{
    binds[0] = db_id(scope->tenant);
    binds[1] = db_id(stream);
    binds[2] = db_int(range->after_version);
    binds[3] = db_int(last_wanted(range));
    binds[4] = db_int(latest_wanted(range));
    binds[5] = db_int(PAGE_EVENTS);
}

static void bind_behind(
    const ku_scope *scope, ku_id stream, const log_range *range, db_value binds[BEHIND_COLUMNS])
{
    binds[0] = db_id(scope->tenant);
    binds[1] = db_id(stream);
    binds[2] = db_text(ku_str_from(range->behind_snapshot_of->name));
    binds[3] = db_int(range->behind_snapshot_of->state_version);
    binds[4] = db_int(last_wanted(range));
    binds[5] = db_int(latest_wanted(range));
    binds[6] = db_int(PAGE_EVENTS);
}

void log_prefetch(ku_scope *scope, ku_id stream, const log_range *range)
{
    db_value binds[BEHIND_COLUMNS];

    if (!db_is_shared(scope->db) || work_is_not_stored(scope, stream))
        return;
    work_prefetch_stream(scope, stream);
    if (range->behind_snapshot_of == NULL) {
        bind_page(scope, stream, range, binds);
        db_prefetch(scope->db, SQL_EVENTS_OF_STREAM, binds, PAGE_COLUMNS);
        return;
    }
    log_snapshot_prefetch(scope, range->behind_snapshot_of, stream, range->to_version);
    bind_behind(scope, stream, range, binds);
    db_prefetch(scope->db, SQL_EVENTS_BEHIND_SNAPSHOT, binds, BEHIND_COLUMNS);
}

/* One page on its way to the callback. */
typedef struct page {
    const stream_reading *reading;
    ku_id stream;
    bool rewinds;
    bool joins;        /* the first event must follow the version before it */
    int64_t last;      /* version that was handed over, or the one before the page */
    int64_t n_events;  /* in all pages */
    int64_t n_in_page; /* rows of this one */
} page;

static ku_status hand_over_row(ku_scope *scope, page *p, const db_rows *rows)
{
    const stored_event stored = stream_row(scope, p->stream, rows);
    ku_mark mark = ku_scope_mark(scope);
    ku_event event;

    ku_status status = log_lift(scope, p->reading->catalog, &stored, &event);
    if (status == KU_OK)
        status = p->reading->callback(scope, &event, p->reading->context);
    if (p->rewinds)
        ku_scope_rewind(scope, mark);
    p->last = stored.version;
    return status == KU_OK ? check_cancelled(scope, ++p->n_events) : status;
}

/* *ret_joined false: the page begins elsewhere, and nothing of it was handed over. */
static ku_status read_page(ku_scope *scope, page *p, db_rows *rows, bool *ret_joined)
{
    int64_t end = p->reading->range->stream_version;
    ku_status status = KU_OK;
    bool row;

    *ret_joined = true;
    for (p->n_in_page = 0; status == KU_OK; p->n_in_page++) {
        status = db_next(rows, &row);
        if (status != KU_OK)
            return read_failed(scope, status, "events of a stream");
        if (!row)
            break;
        int64_t version = db_column_int(rows, 0);
        if (p->joins && p->n_in_page == 0 && version != p->last + 1) {
            *ret_joined = false;
            return KU_OK;
        }
        if (end > 0 && version > end)
            break; /* appended by somebody else since the stream's row was read */
        status = hand_over_row(scope, p, rows);
    }
    return status;
}

/* What log_prefetch asked for.  A short page is the last one; *ret_more says it was not. */
static ku_status read_behind_snapshot(
    ku_scope *scope, page *p, const log_range *range, bool *ret_more)
{
    db_value binds[BEHIND_COLUMNS];
    db_rows rows = {0};
    bool joined = true;

    bind_behind(scope, p->stream, range, binds);
    p->joins = true;
    ku_status status =
        db_query(scope->db, SQL_EVENTS_BEHIND_SNAPSHOT, binds, BEHIND_COLUMNS, &rows);
    if (status != KU_OK)
        status = read_failed(scope, status, "events of a stream");
    else
        status = read_page(scope, p, &rows, &joined);
    db_rows_done(&rows);
    p->joins = false;
    /* Nothing at all may be behind a newer snapshot, too. */
    bool at_end = (range->stream_version > 0 && p->last >= range->stream_version) ||
                  p->last >= last_wanted(range);
    bool may_lack = p->n_in_page == 0 && !at_end;
    *ret_more = !joined || may_lack || p->n_in_page == PAGE_EVENTS;
    return status;
}

static ku_status read_stored(
    ku_scope *scope, ku_id stream, const stream_reading *reading, bool rewinds)
{
    log_range range = *reading->range;
    page p = {
        .reading = reading, .stream = stream, .rewinds = rewinds, .last = range.after_version};
    ku_status status = KU_OK;
    bool more = true, joined;

    if (range.behind_snapshot_of != NULL && db_is_shared(scope->db))
        status = read_behind_snapshot(scope, &p, &range, &more);
    while (status == KU_OK && more) {
        db_value binds[PAGE_COLUMNS];
        db_rows rows = {0};
        range.after_version = p.last;
        bind_page(scope, stream, &range, binds);
        status = db_query(scope->db, SQL_EVENTS_OF_STREAM, binds, PAGE_COLUMNS, &rows);
        if (status != KU_OK)
            status = read_failed(scope, status, "events of a stream");
        else
            status = read_page(scope, &p, &rows, &joined);
        db_rows_done(&rows);
        more = p.n_in_page == PAGE_EVENTS;
    }
    return status;
}

ku_status log_each_of_stream(ku_scope *scope, const event_catalog *catalog, ku_id stream,
    const log_range *range, bool keep, event_callback *callback, void *context)
{
    log_range known = *range;
    stream_reading reading = {catalog, &known, callback, context};
    stream_state *state = NULL;

    if (scope->work == NULL)
        return read_stored(scope, stream, &reading, !keep);
    ku_status status = work_stream(scope, stream, &state);
    if (status == KU_OK && state->stored_version > range->after_version) {
        known.stream_version = state->stored_version;
        status = read_stored(scope, stream, &reading, false);
    }
    if (status == KU_OK)
        status = work_each_pending(scope, scope->tenant, stream, hand_over_pending, &reading);
    return status;
}

/* ---- one lane -------------------------------------------------------------------------------- */

static stored_event lane_row(ku_id tenant, int32_t lane, const db_rows *rows)
{
    return (stored_event){
        .tenant = tenant,
        .lane = lane,
        .position = db_column_int(rows, 0),
        .stream = db_column_id(rows, 1),
        .version = db_column_int(rows, 2),
        .stream_type = db_column_text(rows, 3),
        .type = db_column_text(rows, 4),
        .event_version = (int)db_column_int(rows, 5),
        .at = {db_column_int(rows, 6)},
        .user = db_column_text(rows, 7),
        .payload = db_column_text(rows, 8),
        .metadata = db_column_text(rows, 9),
    };
}

enum { LANE_COLUMNS = 6 };

/* Binds a part of a lane for the statement in *ret_sql; 0: it is empty. */
static size_t bind_lane(const lane_part *part, int *ret_sql, db_value ret_binds[LANE_COLUMNS])
{
    /* A position that nobody has is as good as the nearest one that somebody may have. */
    int64_t after = part->after_position < 0 ? 0 : part->after_position;
    int64_t to = part->to_position < POSITION_MAX ? part->to_position : POSITION_MAX;
    bool filtered = part->type_names_json.len > 0;

    ret_binds[0] = db_id(part->tenant);
    ret_binds[1] = db_int(part->lane);
    ret_binds[2] = db_int(after);
    ret_binds[3] = db_int(to);
    ret_binds[4] = db_int(part->limit);
    ret_binds[5] = db_text(part->type_names_json);
    *ret_sql = filtered ? SQL_EVENTS_OF_LANE_BY_TYPE : SQL_EVENTS_OF_LANE;
    return after >= to ? 0 : filtered ? LANE_COLUMNS : LANE_COLUMNS - 1;
}

void log_prefetch_lane(ku_scope *scope, const lane_part *part)
{
    db_value binds[LANE_COLUMNS];
    int sql;
    size_t n_binds = bind_lane(part, &sql, binds);

    if (n_binds > 0)
        db_prefetch(scope->db, sql, binds, n_binds);
}

ku_status log_each_of_lane(ku_scope *scope, ku_id tenant, int32_t lane, int64_t after_position,
    int64_t to_position, ku_str type_names_json, int64_t limit,
    ku_status (*callback)(ku_scope *scope, const stored_event *stored, void *context),
    void *context)
{
    const lane_part part = {tenant, lane, after_position, to_position, type_names_json, limit};
    db_value binds[LANE_COLUMNS];
    int sql;
    size_t n_binds = bind_lane(&part, &sql, binds);
    db_rows rows = {0};
    bool row;

    if (n_binds == 0)
        return KU_OK;
    ku_status status = db_query(scope->db, sql, binds, n_binds, &rows);
    if (status != KU_OK)
        return read_failed(scope, status, "events of a lane");
    for (int64_t n = 1; status == KU_OK; n++) {
        status = db_next(&rows, &row);
        if (status != KU_OK)
            status = read_failed(scope, status, "events of a lane");
        if (status != KU_OK || !row)
            break;
        const stored_event stored = lane_row(tenant, lane, &rows);
        status = callback(scope, &stored, context);
        if (status == KU_OK)
            status = check_cancelled(scope, n);
    }
    db_rows_done(&rows);
    return status;
}

ku_status log_lanes(ku_scope *scope, ku_id tenant, lane_head **ret_lanes, size_t *ret_count)
{
    const db_value binds[] = {db_id(tenant)};
    bool all = ku_id_is_nil(tenant);
    buffer lanes = {.arena = &scope->arena};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, all ? SQL_LANES_ALL : SQL_LANES_OF_TENANT, binds,
        all ? 0 : KU_COUNT(binds), &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const lane_head lane = {
            .tenant = db_column_id(&rows, 0),
            .lane = (int32_t)db_column_int(&rows, 1),
            .head = db_column_int(&rows, 2),
        };
        buffer_add(&lanes, &lane, sizeof(lane));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return read_failed(scope, status, "lanes");
    *ret_count = lanes.len / sizeof(lane_head);
    *ret_lanes = ku_alloc(scope, lanes.len);
    if (lanes.len > 0)
        memcpy(*ret_lanes, lanes.ptr, lanes.len);
    return KU_OK;
}
