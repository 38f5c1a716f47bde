/*
 * The read models of parts put, add, set, get and remove, in the write and behind it.
 *
 * Two of those behind it append, the second because of the first, and one fails at some instants of
 * the clock.  No two append because of the same event: which consumer is the first to have its turn
 * is nobody's business, and on PostgreSQL left to chance.
 */
#include "order/equal_parts.h"

/* ---- inline: sums by family ------------------------------------------------------------------ */

typedef struct family {
    ku_str family;
    int64_t parts;
    int64_t amount;
    ku_decimal price;
    ku_str last_code;
} family;
static const ku_field family_fields[] = {
    KU_FIELD(family, family, .flags = KU_KEY),
    KU_FIELD(family, parts, .flags = KU_SUM),
    KU_FIELD(family, amount, .flags = KU_SUM),
    KU_FIELD(family, price, .scale = 2, .flags = KU_SUM),
    KU_FIELD(family, last_code),
};
const ku_table part_family_table = {.name = "read_part_families", .row = KU_SHAPE(family)};

static ku_status add_to_family(ku_scope *scope, const part_row *row, int sign)
{
    const family sum = {
        .family = row->family,
        .parts = sign,
        .amount = sign * row->amount,
        .price = {sign * row->price.units, row->price.scale},
        .last_code = row->code,
    };
    return ku_row_add(scope, &part_family_table, &sum);
}

static ku_status family_came(ku_scope *scope, const ku_event *event)
{
    return add_to_family(scope, KU_CHANGE(event)->row, 1);
}

static ku_status family_went(ku_scope *scope, const ku_event *event)
{
    return add_to_family(scope, KU_CHANGE(event)->previous, -1);
}

static ku_status family_changed(ku_scope *scope, const ku_event *event)
{
    ku_status status = family_went(scope, event);
    return status == KU_OK ? family_came(scope, event) : status;
}

static const ku_on family_on[] = {
    KU_ON_ENTITY(&part_entity, KU_CREATED, family_came),
    KU_ON_ENTITY(&part_entity, KU_UPDATED, family_changed),
    KU_ON_ENTITY(&part_entity, KU_DELETED, family_went),
    KU_ON_ENTITY(&part_entity, KU_RESTORED, family_came),
    KU_END,
};
const ku_projection part_family_projection = {
    .name = "families", .table = &part_family_table, .on = family_on};

/* ---- inline: a directory by code, put and removed -------------------------------------------- */

typedef struct code {
    ku_str code;
    ku_id part;
    int64_t version;
    ku_optional_str label;
    ku_list tags;
} code;
static const ku_field code_fields[] = {
    KU_FIELD(code, code, .flags = KU_KEY),
    KU_FIELD(code, part),
    KU_FIELD(code, version),
    KU_FIELD(code, label, .flags = KU_NULLABLE),
    KU_FIELD(code, tags, .items = KU_KIND_TEXT),
};
const ku_table part_code_table = {.name = "read_part_codes", .row = KU_SHAPE(code)};

static ku_status code_gone(ku_scope *scope, const ku_event *event)
{
    const code gone = {.code = ((const part_row *)KU_CHANGE(event)->previous)->code};
    return ku_row_remove(scope, &part_code_table, &gone);
}

static ku_status code_there(ku_scope *scope, const ku_event *event)
{
    const part_row *row = KU_CHANGE(event)->row;
    const code there = {row->code, event->stream, event->version, row->label, row->tags};
    ku_status status = KU_OK;
    if (KU_CHANGE(event)->previous != NULL)
        status = code_gone(scope, event);
    return status == KU_OK ? ku_row_put(scope, &part_code_table, &there) : status;
}

static const ku_on code_on[] = {
    KU_ON_ENTITY(&part_entity, KU_CREATED, code_there),
    KU_ON_ENTITY(&part_entity, KU_UPDATED, code_there),
    KU_ON_ENTITY(&part_entity, KU_RESTORED, code_there),
    KU_ON_ENTITY(&part_entity, KU_DELETED, code_gone),
    KU_ON_ENTITY(&part_entity, KU_FORGOTTEN, code_gone),
    KU_END,
};
const ku_projection part_code_projection = {
    .name = "codes", .table = &part_code_table, .on = code_on};

/* ---- inline: moves by place and time, got, put and set --------------------------------------- */

typedef struct place {
    ku_str place;
    ku_time at;
    int64_t moves;
    ku_id last_part;
    ku_optional_str last_route;
} place;
static const ku_field place_fields[] = {
    KU_FIELD(place, place, .flags = KU_KEY),
    KU_FIELD(place, at, .flags = KU_KEY),
    KU_FIELD(place, moves),
    KU_FIELD(place, last_part),
    KU_FIELD(place, last_route),
};
const ku_table part_place_table = {
    .name = "read_part_places",
    .row = KU_SHAPE(place),
    .indexes = (const ku_index[]){{KU_COLUMNS("moves")}, KU_END},
};

static ku_status place_reached(ku_scope *scope, const ku_event *event)
{
    const part_moved *moved = KU_PAYLOAD(event, part_moved);
    place row = {.place = moved->place, .at = moved->at};
    ku_status status = ku_row_get(scope, &part_place_table, &row);
    if (status != KU_OK && status != KU_NOT_FOUND)
        return status;
    if (status == KU_OK && row.moves >= 3)
        return ku_row_remove(scope, &part_place_table, &row);
    row.moves++;
    row.last_part = event->stream;
    status = ku_row_put(scope, &part_place_table, &row);
    if (status == KU_OK && moved->route.count > 0) {
        row.last_route = (ku_optional_str){true, *(const ku_str *)moved->route.items};
        status = ku_row_set(scope, &part_place_table, KU_COLUMNS("last_route"), &row);
    }
    return status;
}

static const ku_on place_on[] = {KU_ON(part_moved, place_reached), KU_END};
const ku_projection part_place_projection = {
    .name = "places", .table = &part_place_table, .on = place_on};

/* ---- a moment later: sums, the heaviest, flags, and one that fails now and then ---------------
 */

/* By lane, too: which lane's last event is the last is left to chance like everything of the kind.
 */
typedef struct weight_sum {
    ku_str note;
    bool heavy;
    int64_t lane;
    int64_t weighings;
    int64_t grams;
    ku_time last_at;
} weight_sum;
static const ku_field weight_sum_fields[] = {
    KU_FIELD(weight_sum, note, .flags = KU_KEY),
    KU_FIELD(weight_sum, heavy, .flags = KU_KEY),
    KU_FIELD(weight_sum, lane, .flags = KU_KEY),
    KU_FIELD(weight_sum, weighings, .flags = KU_SUM),
    KU_FIELD(weight_sum, grams, .flags = KU_SUM),
    KU_FIELD(weight_sum, last_at),
};
const ku_table part_weight_sum_table = {.name = "read_part_weights", .row = KU_SHAPE(weight_sum)};
static const ku_table mood_table = {.name = "read_part_moods", .row = KU_SHAPE(weight_sum)};

static ku_status add_weight(ku_scope *scope, const ku_table *table, const ku_event *event)
{
    const part_weighed *weighed = KU_PAYLOAD(event, part_weighed);
    const weight_sum row = {
        .note = weighed->note.value,
        .heavy = weighed->grams > 500,
        .lane = event->lane,
        .weighings = 1,
        .grams = weighed->grams,
        .last_at = event->at,
    };
    return ku_row_add(scope, table, &row);
}

static ku_status weight_weighed(ku_scope *scope, const ku_event *event)
{
    return add_weight(scope, &part_weight_sum_table, event);
}

static const ku_on weight_on[] = {KU_ON(part_weighed, weight_weighed), KU_END};
const ku_multi_stream_projection part_weight_projection = {
    .name = "weights", .table = &part_weight_sum_table, .on = weight_on, .batch = 7};

/* The same, except every third second of the clock. */
static ku_status mood_weighed(ku_scope *scope, const ku_event *event)
{
    if (ku_scope_now(scope).unix_us / 1000000 % 3 == 0)
        return ku_refuse(scope, "bad_mood", "not now, %" KU_PRI "",
            KU_FMT(KU_PAYLOAD(event, part_weighed)->note.value));
    return add_weight(scope, &mood_table, event);
}

static const ku_on mood_on[] = {KU_ON(part_weighed, mood_weighed), KU_END};
const ku_multi_stream_projection part_mood_projection = {
    .name = "moods", .table = &mood_table, .on = mood_on, .max_attempts = 6};

typedef struct heaviest {
    ku_id part;
    int64_t grams;
    int64_t records;
    ku_optional_double mean;
} heaviest;
static const ku_field heaviest_fields[] = {
    KU_FIELD(heaviest, part, .flags = KU_KEY),
    KU_FIELD(heaviest, grams),
    KU_FIELD(heaviest, records),
    KU_FIELD(heaviest, mean, .flags = KU_NULLABLE),
};
static const ku_table heaviest_table = {.name = "read_part_heaviest", .row = KU_SHAPE(heaviest)};

static ku_status heaviest_weighed(ku_scope *scope, const ku_event *event)
{
    const int64_t grams = KU_PAYLOAD(event, part_weighed)->grams;
    heaviest row = {.part = event->stream};
    ku_status status = ku_row_get(scope, &heaviest_table, &row);
    if (status != KU_OK && status != KU_NOT_FOUND)
        return status;
    if (status == KU_OK && row.grams >= grams)
        return KU_OK;
    row.mean = (ku_optional_double){row.records > 0, ((double)row.grams + (double)grams) / 3};
    row.grams = grams;
    row.records++;
    return ku_row_put(scope, &heaviest_table, &row);
}

static ku_status heaviest_gone(ku_scope *scope, const ku_event *event)
{
    const heaviest row = {.part = event->stream};
    return ku_row_remove(scope, &heaviest_table, &row);
}

static const ku_on heaviest_on[] = {
    KU_ON(part_weighed, heaviest_weighed),
    KU_ON_ENTITY(&part_entity, KU_DELETED, heaviest_gone),
    KU_ON_ENTITY(&part_entity, KU_FORGOTTEN, heaviest_gone),
    KU_END,
};
const ku_multi_stream_projection part_heaviest_projection = {
    .name = "heaviest", .table = &heaviest_table, .on = heaviest_on};

/* What is too heavy is flagged, once per weighing, unless the stream has been closed meanwhile. */
static ku_status flag_weighed(ku_scope *scope, const ku_event *event)
{
    if (KU_PAYLOAD(event, part_weighed)->grams < 900)
        return KU_OK;
    bool archived;
    ku_status status = ku_stream_archived(scope, event->stream, &archived);
    if (status != KU_OK || archived)
        return status;
    const part_flagged flagged = {ku_format(scope, "too heavy in v%d", (int)event->version)};
    const ku_append append = {
        .stream = event->stream,
        .type = &part_flagged_event,
        .payload = &flagged,
        .idempotency_key = ku_format(scope, "flag %" KU_PRI, KU_FMT(ku_event_id(scope, event))),
    };
    return ku_append_event(scope, &append, NULL);
}

static const ku_on flag_on[] = {KU_ON(part_weighed, flag_weighed), KU_END};
const ku_multi_stream_projection part_flag_projection = {.name = "flags", .on = flag_on};

/* What was flagged goes away: an event that follows from one that followed from one. */
static ku_status scrap_flagged(ku_scope *scope, const ku_event *event)
{
    bool archived;
    ku_status status = ku_stream_archived(scope, event->stream, &archived);
    if (status != KU_OK || archived)
        return status;
    return KU_APPEND(scope, event->stream, part_moved, .place = KU_STR("Schrottplatz"),
        .at = event->at, .route = {&KU_PAYLOAD(event, part_flagged)->reason, 1});
}

static const ku_on scrap_on[] = {KU_ON(part_flagged, scrap_flagged), KU_END};
const ku_multi_stream_projection part_scrap_projection = {.name = "scrap", .on = scrap_on};
