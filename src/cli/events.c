/*
 * Selecting events.
 *
 * Only keys are held while selecting, at most `limit` and one chunk of them, whatever the size of
 * the log; the events are read one by one when they are printed.  The newest events of a lane are
 * found by reading backwards in chunks that grow, because a filter may let few of them through.
 *
 * Lanes are merged by time.  Within a lane the order is that of the positions, so an event that
 * claims to be older than the one in front of it counts as being of the same time.
 */
#include "cli/events.h"

#include "base/order.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CHUNK_MAX = 65536 };

typedef struct key_list {
    event_key *items;
    size_t count, capacity;
    const event_selection *selection;
} key_list;

static void add_key(key_list *list, const event_key *key)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 128 : 2 * list->capacity;
        list->items = mem_grow(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->count++] = *key;
}

static ku_status on_stored(ku_scope *scope, const stored_event *stored, void *context)
{
    const event_key key = {stored->tenant, stored->lane, stored->position, stored->at};

    (void)scope;
    add_key(context, &key);
    return KU_OK;
}

static int by_position(const void *a, const void *b)
{
    return order_ints(((const event_key *)a)->position, ((const event_key *)b)->position);
}

static int by_time(const void *a_item, const void *b_item)
{
    const event_key *a = a_item, *b = b_item;

    int order = order_ints(a->at.unix_us, b->at.unix_us);
    if (order == 0)
        order = order_ids(a->tenant, b->tenant);
    if (order == 0)
        order = order_ints(a->lane, b->lane);
    return order != 0 ? order : order_ints(a->position, b->position);
}

/* Brings one lane's keys, from `start` on, into their order and makes their times ascend. */
static void order_lane(key_list *list, size_t start)
{
    if (list->count == start)
        return;
    qsort(list->items + start, list->count - start, sizeof(*list->items), by_position);
    for (size_t i = start + 1; i < list->count; i++) {
        if (list->items[i].at.unix_us < list->items[i - 1].at.unix_us)
            list->items[i].at = list->items[i - 1].at;
    }
}

/* Keeps what is still in the running: the first or the last `limit` from `start` on. */
static void trim(key_list *list, size_t start)
{
    const size_t limit = (size_t)list->selection->limit;
    const size_t count = list->count - start;

    if (count <= limit)
        return;
    if (!list->selection->forward)
        memmove(
            list->items + start, list->items + start + count - limit, limit * sizeof(*list->items));
    list->count = start + limit;
}

static ku_status collect_newest(ku_scope *scope, const lane_head *lane, key_list *list)
{
    const event_selection *selection = list->selection;
    const size_t start = list->count;
    int64_t to = lane->head, chunk = selection->limit;

    while (to > 0 && list->count - start < (size_t)selection->limit) {
        const int64_t after = to > chunk ? to - chunk : 0;
        const ku_status status = log_each_of_lane(scope, lane->tenant, lane->lane, after, to,
            selection->types_json, INT64_MAX, on_stored, list);
        if (status != KU_OK)
            return status;
        to = after;
        chunk = chunk * 2 < CHUNK_MAX ? chunk * 2 : CHUNK_MAX;
    }
    order_lane(list, start);
    trim(list, start);
    return KU_OK;
}

static ku_status collect_lane(ku_scope *scope, const lane_head *lane, key_list *list)
{
    const event_selection *selection = list->selection;
    const size_t start = list->count;

    if (!selection->forward)
        return collect_newest(scope, lane, list);
    if (lane->lane != selection->after_lane)
        return KU_OK;
    const ku_status status =
        log_each_of_lane(scope, lane->tenant, lane->lane, selection->after_position, lane->head,
            selection->types_json, selection->limit, on_stored, list);
    order_lane(list, start);
    return status;
}

/* ---- one stream ----------------------------------------------------------------------------- */

static bool names_type(ku_scope *scope, ku_str types_json, ku_str name)
{
    ku_json *types;

    if (types_json.len == 0)
        return true;
    if (ku_json_parse(scope, types_json, &types) != KU_OK)
        return false;
    for (const ku_json *type = types->first; type != NULL; type = type->next) {
        if (ku_str_equal(type->text, name))
            return true;
    }
    return false;
}

static ku_status on_event(ku_scope *scope, const ku_event *event, void *context)
{
    const event_key key = {event->tenant, event->lane, event->position, event->at};
    key_list *list = context;
    const event_selection *selection = list->selection;

    if (selection->forward && event->position <= selection->after_position)
        return KU_OK;
    if (names_type(scope, selection->types_json, event->name))
        add_key(list, &key);
    return KU_OK;
}

static ku_status collect_stream(cli_reader *reader, key_list *list)
{
    const event_selection *selection = list->selection;
    const log_range all = {0};
    stream_state state;

    const ku_status status = cli_find_stream(
        reader, selection->one_tenant ? &selection->tenant : NULL, selection->stream, &state);
    if (status != KU_OK)
        return status;
    return log_each_of_stream(
        &reader->scope, reader->no_types, selection->stream, &all, false, on_event, list);
}

static ku_status collect_lanes(cli_reader *reader, key_list *list)
{
    const event_selection *selection = list->selection;
    const ku_id tenant = selection->one_tenant ? selection->tenant : (ku_id){0};
    lane_head *lanes;
    size_t count;

    ku_status status = log_lanes(&reader->scope, tenant, &lanes, &count);
    for (size_t i = 0; status == KU_OK && i < count; i++) {
        status = collect_lane(&reader->scope, &lanes[i], list);
        if (list->count > 4 * CHUNK_MAX) { /* many tenants: drop what cannot be shown any more */
            qsort(list->items, list->count, sizeof(*list->items), by_time);
            trim(list, 0);
        }
    }
    return status;
}

ku_status events_select(
    cli_reader *reader, const event_selection *selection, event_key **ret_keys, size_t *ret_count)
{
    key_list list = {.selection = selection};

    const ku_status status =
        selection->one_stream ? collect_stream(reader, &list) : collect_lanes(reader, &list);
    if (status != KU_OK) {
        free(list.items);
        return status;
    }
    if (list.count > 0)
        qsort(list.items, list.count, sizeof(*list.items), by_time);
    trim(&list, 0);
    *ret_keys = list.items;
    *ret_count = list.count;
    return KU_OK;
}

/* ---- reading one ---------------------------------------------------------------------------- */

ku_status events_lift(
    cli_reader *reader, const stored_event *stored, bool as_stored, ku_event *ret_event)
{
    ku_scope *scope = &reader->scope;

    if (!as_stored) {
        scope->tenant = stored->tenant; /* a migration may look up the tenant's rows */
        const ku_status status = log_lift(scope, reader->app->registry.catalog, stored, ret_event);
        if (status == KU_OK)
            return KU_OK;
        (void)fprintf(stderr, "event %" PRId64 " is shown as it is stored: %" KU_PRI "\n",
            stored->position, KU_FMT(ku_error_message(scope)));
        ku_clear_error(scope);
    }
    return log_lift(scope, reader->no_types, stored, ret_event);
}

typedef struct reading {
    cli_reader *reader;
    bool as_stored, found;
    ku_event event;
} reading;

static ku_status on_wanted(ku_scope *scope, const stored_event *stored, void *context)
{
    reading *r = context;

    (void)scope;
    r->found = true;
    return events_lift(r->reader, stored, r->as_stored, &r->event);
}

ku_status events_read(cli_reader *reader, const event_key *key, bool as_stored, ku_event *ret_event)
{
    reading r = {.reader = reader, .as_stored = as_stored};

    const ku_status status = log_each_of_lane(&reader->scope, key->tenant, key->lane,
        key->position - 1, key->position, (ku_str){0}, 1, on_wanted, &r);
    if (status != KU_OK)
        return status;
    if (!r.found)
        return scope_fail(
            &reader->scope, KU_NOT_FOUND, "there is no event %" PRId64, key->position);
    *ret_event = r.event;
    return KU_OK;
}
