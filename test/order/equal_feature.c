/*
 * The entity has a field of every kind, two rules of uniqueness (one with an optional column), soft
 * deletion, transitions and a fold with snapshots.  Its projections put, add, get and remove, in
 * the write and behind it; two behind it append, the second because of the first, and one fails at
 * some instants of the clock.  No two append because of the same event: which consumer is the first
 * to have its turn is nobody's business, and on PostgreSQL left to chance.
 */
#include "order/equal_feature.h"

/* ---- the entity ------------------------------------------------------------------------------ */

/* What JSON has as a number; the sum of some hundred still fits. */
#define AMOUNT_MAX INT64_C(9007199254740991)

enum part_grade { ROUGH, FINE, POLISHED };
static const char *const grades[] = {"rough", "fine", "polished", NULL};
static const char *const finishes[] = {"matt", "gloss", NULL};

typedef struct part_size {
    ku_str name;
    int64_t length;
} part_size;
static const ku_field part_size_fields[] = {
    KU_FIELD(part_size, name, .length = KU_BETWEEN(1, 20)),
    KU_FIELD(part_size, length, .value = KU_AT_LEAST(0)),
};
static const ku_shape part_size_shape = KU_SHAPE(part_size);

typedef struct part_frame {
    bool painted;
    ku_optional_str colour;
    ku_decimal thickness;
} part_frame;
static const ku_field part_frame_fields[] = {
    KU_FIELD(part_frame, painted),
    KU_FIELD(part_frame, colour),
    KU_FIELD(part_frame, thickness, .scale = 4),
};
static const ku_shape part_frame_shape = KU_SHAPE(part_frame);

typedef struct part_row {
    ku_str code;
    ku_str family;
    ku_optional_int64 serial;
    enum part_grade grade;
    ku_optional_enum finish;
    int64_t amount;
    ku_decimal price;
    ku_optional_decimal rebate;
    double weight;
    ku_optional_double drift;
    bool active;
    ku_optional_bool checked;
    ku_time made_at;
    ku_optional_time due_at;
    ku_optional_id owner;
    ku_optional_str label;
    ku_list tags;
    ku_optional_list numbers;
    ku_list sizes;
    part_frame frame;
    ku_optional_raw extra;
} part_row;

static const ku_field part_row_fields[] = {
    KU_FIELD(part_row, code, .length = KU_BETWEEN(1, 40)),
    KU_FIELD(part_row, family, .length = KU_AT_MOST(40)),
    KU_FIELD(part_row, serial),
    KU_FIELD(part_row, grade, .names = grades, .initial = "\"rough\""),
    KU_FIELD(part_row, finish, .names = finishes, .flags = KU_NULLABLE),
    KU_FIELD(part_row, amount, .value = KU_BETWEEN(-AMOUNT_MAX, AMOUNT_MAX), .initial = "0"),
    KU_FIELD(part_row, price, .scale = 2),
    KU_FIELD(part_row, rebate, .scale = 3, .flags = KU_NULLABLE),
    KU_FIELD(part_row, weight),
    KU_FIELD(part_row, drift),
    KU_FIELD(part_row, active, .initial = "true"),
    KU_FIELD(part_row, checked, .flags = KU_NULLABLE),
    KU_FIELD(part_row, made_at),
    KU_FIELD(part_row, due_at, .flags = KU_NULLABLE),
    KU_FIELD(part_row, owner),
    KU_FIELD(part_row, label, .flags = KU_NULLABLE),
    KU_FIELD(part_row, tags, .items = KU_KIND_TEXT, .initial = "[]"),
    KU_FIELD(part_row, numbers, .items = KU_KIND_INT),
    KU_FIELD(part_row, sizes, .of = &part_size_shape, .initial = "[]"),
    KU_NESTED(
        part_row, frame, &part_frame_shape, .initial = "{\"painted\":false,\"thickness\":\"0.5\"}"),
    KU_FIELD(
        part_row, extra, .read_roles = KU_NAMES("Admin", "HR"), .write_roles = KU_NAMES("Admin")),
};

static const ku_unique part_unique[] = {
    {KU_COLUMNS("code")},
    {KU_COLUMNS("family", "serial")},
    KU_END,
};
static const ku_transition grade_moves[] = {
    {"rough",           KU_NAMES("fine")},
    { "fine", KU_NAMES("rough",      "polished")},
    KU_END,
};
static const ku_transitions part_transitions[] = {
    {"grade", grade_moves},
    KU_END,
};

/* ---- its events, and what they add up to ----------------------------------------------------- */

enum part_event { WEIGHED = 1, MOVED, FLAGGED };

typedef struct part_weighed {
    int64_t grams;
    ku_optional_str note;
} part_weighed;
static const ku_field part_weighed_fields[] = {
    KU_FIELD(part_weighed, grams),
    KU_FIELD(part_weighed, note),
};
static const ku_event_type part_weighed_event = {
    .name = "part-weighed", .tag = WEIGHED, .payload = KU_SHAPE(part_weighed)};

typedef struct part_moved {
    ku_str place;
    ku_time at;
    ku_list route;
} part_moved;
static const ku_field part_moved_fields[] = {
    KU_FIELD(part_moved, place),
    KU_FIELD(part_moved, at),
    KU_FIELD(part_moved, route, .items = KU_KIND_TEXT),
};
static const ku_event_type part_moved_event = {
    .name = "part-moved", .tag = MOVED, .payload = KU_SHAPE(part_moved)};

typedef struct part_flagged {
    ku_str reason;
} part_flagged;
static const ku_field part_flagged_fields[] = {KU_FIELD(part_flagged, reason)};
static const ku_event_type part_flagged_event = {
    .name = "part-flagged", .tag = FLAGGED, .payload = KU_SHAPE(part_flagged)};

typedef struct part {
    ku_str code;
    ku_decimal price;
    double weight;
    int64_t weighings;
    int64_t grams;
    int64_t changes;
    bool gone;
    ku_optional_str place;
    ku_optional_time moved_at;
    ku_optional_str flag;
} part;
static const ku_field part_fields[] = {
    KU_FIELD(part, code),
    KU_FIELD(part, price, .scale = 2),
    KU_FIELD(part, weight),
    KU_FIELD(part, weighings),
    KU_FIELD(part, grams),
    KU_FIELD(part, changes),
    KU_FIELD(part, gone),
    KU_FIELD(part, place, .flags = KU_NULLABLE),
    KU_FIELD(part, moved_at, .flags = KU_NULLABLE),
    KU_FIELD(part, flag),
};
static const ku_shape part_shape = KU_SHAPE(part);

static void part_evolve(void *state, const ku_event *event)
{
    part *folded = state;
    switch (event->type->tag) {
    case KU_CREATED:
    case KU_UPDATED: {
        const part_row *row = KU_CHANGE(event)->row;
        folded->code = row->code;
        folded->price = row->price;
        folded->weight += row->weight;
        folded->changes++;
        break;
    }
    case KU_DELETED:
    case KU_FORGOTTEN:
        folded->gone = true;
        break;
    case KU_RESTORED:
        folded->gone = false;
        break;
    case WEIGHED:
        folded->weighings++;
        folded->grams += KU_PAYLOAD(event, part_weighed)->grams;
        break;
    case MOVED:
        folded->place = (ku_optional_str){true, KU_PAYLOAD(event, part_moved)->place};
        folded->moved_at = (ku_optional_time){true, KU_PAYLOAD(event, part_moved)->at};
        break;
    case FLAGGED:
        folded->flag = (ku_optional_str){true, KU_PAYLOAD(event, part_flagged)->reason};
        break;
    default:
        break;
    }
}

static const ku_entity part_entity = {
    .name = "part",
    .row = KU_SHAPE(part_row),
    .soft_delete = true,
    .unique = part_unique,
    .transitions = part_transitions,
    .state = KU_SHAPE(part),
    .state_version = 1,
    .evolve = part_evolve,
    .snapshot_every = 4,
    .events = KU_LIST(ku_event_type, &part_weighed_event, &part_moved_event, &part_flagged_event),
};

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
static const ku_table family_table = {.name = "read_part_families", .row = KU_SHAPE(family)};

static ku_status add_to_family(ku_scope *scope, const part_row *row, int sign)
{
    const family sum = {
        .family = row->family,
        .parts = sign,
        .amount = sign * row->amount,
        .price = {sign * row->price.units, row->price.scale},
        .last_code = row->code,
    };
    return ku_row_add(scope, &family_table, &sum);
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
static const ku_projection family_projection = {
    .name = "families", .table = &family_table, .on = family_on};

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
static const ku_table code_table = {.name = "read_part_codes", .row = KU_SHAPE(code)};

static ku_status code_gone(ku_scope *scope, const ku_event *event)
{
    const code gone = {.code = ((const part_row *)KU_CHANGE(event)->previous)->code};
    return ku_row_remove(scope, &code_table, &gone);
}

static ku_status code_there(ku_scope *scope, const ku_event *event)
{
    const part_row *row = KU_CHANGE(event)->row;
    const code there = {row->code, event->stream, event->version, row->label, row->tags};
    ku_status status = KU_OK;
    if (KU_CHANGE(event)->previous != NULL)
        status = code_gone(scope, event);
    return status == KU_OK ? ku_row_put(scope, &code_table, &there) : status;
}

static const ku_on code_on[] = {
    KU_ON_ENTITY(&part_entity, KU_CREATED, code_there),
    KU_ON_ENTITY(&part_entity, KU_UPDATED, code_there),
    KU_ON_ENTITY(&part_entity, KU_RESTORED, code_there),
    KU_ON_ENTITY(&part_entity, KU_DELETED, code_gone),
    KU_ON_ENTITY(&part_entity, KU_FORGOTTEN, code_gone),
    KU_END,
};
static const ku_projection code_projection = {.name = "codes", .table = &code_table, .on = code_on};

/* ---- inline: moves by place and time, got, put and set --------------------------------------- */

typedef struct place {
    ku_str place;
    ku_time at;
    int64_t moves;
    ku_id last_part;
    ku_optional_str last_grams;
} place;
static const ku_field place_fields[] = {
    KU_FIELD(place, place, .flags = KU_KEY),
    KU_FIELD(place, at, .flags = KU_KEY),
    KU_FIELD(place, moves),
    KU_FIELD(place, last_part),
    KU_FIELD(place, last_grams),
};
static const ku_table place_table = {
    .name = "read_part_places",
    .row = KU_SHAPE(place),
    .indexes = (const ku_index[]){{KU_COLUMNS("moves")}, KU_END},
};

static ku_status place_reached(ku_scope *scope, const ku_event *event)
{
    const part_moved *moved = KU_PAYLOAD(event, part_moved);
    place row = {.place = moved->place, .at = moved->at};
    ku_status status = ku_row_get(scope, &place_table, &row);
    if (status != KU_OK && status != KU_NOT_FOUND)
        return status;
    if (status == KU_OK && row.moves >= 3)
        return ku_row_remove(scope, &place_table, &row);
    row.moves++;
    row.last_part = event->stream;
    status = ku_row_put(scope, &place_table, &row);
    if (status == KU_OK && moved->route.count > 0) {
        row.last_grams = (ku_optional_str){true, *(const ku_str *)moved->route.items};
        status = ku_row_set(scope, &place_table, KU_COLUMNS("last_grams"), &row);
    }
    return status;
}

static const ku_on place_on[] = {KU_ON(part_moved, place_reached), KU_END};
static const ku_projection place_projection = {
    .name = "places", .table = &place_table, .on = place_on};

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
static const ku_table weight_sum_table = {.name = "read_part_weights", .row = KU_SHAPE(weight_sum)};
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
    return add_weight(scope, &weight_sum_table, event);
}

static const ku_on weight_on[] = {KU_ON(part_weighed, weight_weighed), KU_END};
static const ku_multi_stream_projection weight_projection = {
    .name = "weights", .table = &weight_sum_table, .on = weight_on, .batch = 7};

/* The same, except every third second of the clock. */
static ku_status mood_weighed(ku_scope *scope, const ku_event *event)
{
    if (ku_scope_now(scope).unix_us / 1000000 % 3 == 0)
        return ku_refuse(scope, "bad_mood", "not now, %" KU_PRI "",
            KU_FMT(KU_PAYLOAD(event, part_weighed)->note.value));
    return add_weight(scope, &mood_table, event);
}

static const ku_on mood_on[] = {KU_ON(part_weighed, mood_weighed), KU_END};
static const ku_multi_stream_projection mood_projection = {
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
static const ku_multi_stream_projection heaviest_projection = {
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
static const ku_multi_stream_projection flag_projection = {.name = "flags", .on = flag_on};

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
static const ku_multi_stream_projection scrap_projection = {.name = "scrap", .on = scrap_on};

/* ---- writes ---------------------------------------------------------------------------------- */

typedef struct id_input {
    ku_id id;
} id_input;
static const ku_field id_input_fields[] = {KU_FIELD(id_input, id)};

typedef struct moved_on {
    ku_id id;
    int64_t version;
} moved_on;
static const ku_field moved_on_fields[] = {
    KU_FIELD(moved_on, id),
    KU_FIELD(moved_on, version),
};
static const ku_shape moved_on_shape = KU_SHAPE(moved_on);

static ku_status reply_version(ku_scope *scope, ku_id id, ku_reply *reply)
{
    moved_on answer = {.id = id};
    ku_status status = ku_stream_version(scope, id, &answer.version);
    return status == KU_OK ? ku_reply_value(scope, &moved_on_shape, &answer, reply) : status;
}

typedef struct weigh_input {
    ku_id id;
    int64_t grams;
    ku_optional_str note;
    ku_optional_int64 expected_version;
    ku_optional_str key;
} weigh_input;
static const ku_field weigh_input_fields[] = {
    KU_FIELD(weigh_input, id),
    KU_FIELD(weigh_input, grams, .value = KU_BETWEEN(-1000, 1000)),
    KU_FIELD(weigh_input, note, .length = KU_AT_MOST(40)),
    KU_FIELD(weigh_input, expected_version),
    KU_FIELD(weigh_input, key, .length = KU_BETWEEN(1, 40)),
};

static ku_status weigh(ku_scope *scope, const void *input, ku_reply *reply)
{
    const weigh_input *in = input;
    const part_weighed weighed = {in->grams, in->note};
    const ku_header headers[] = {
        {.name = KU_STR("scale"), .kind = KU_KIND_DOUBLE, .number = (double)in->grams / 7},
        {.name = KU_STR("Waage"),                       .text = in->note.value                      },
    };
    const ku_append append = {
        .stream = in->id,
        .type = &part_weighed_event,
        .payload = &weighed,
        .expected_version = in->expected_version,
        .headers = headers,
        .n_headers = in->note.set ? 2 : 1,
        .idempotency_key = in->key.value,
    };
    ku_status status = ku_append_event(scope, &append, NULL);
    return status == KU_OK ? reply_version(scope, in->id, reply) : status;
}

typedef struct try_answer {
    bool appended;
    int64_t expected;
    int64_t version;
    ku_str conflict;
} try_answer;
static const ku_field try_answer_fields[] = {
    KU_FIELD(try_answer, appended),
    KU_FIELD(try_answer, expected),
    KU_FIELD(try_answer, version),
    KU_FIELD(try_answer, conflict),
};
static const ku_shape try_answer_shape = KU_SHAPE(try_answer);

static ku_status try_weigh(ku_scope *scope, const void *input, ku_reply *reply)
{
    const weigh_input *in = input;
    const part_weighed weighed = {in->grams, in->note};
    const ku_append append = {
        .stream = in->id,
        .type = &part_weighed_event,
        .payload = &weighed,
        .expected_version = in->expected_version,
        .idempotency_key = in->key.value,
    };
    ku_append_result result;
    ku_status status = ku_try_append_event(scope, &append, &result);
    if (status != KU_OK)
        return status;
    const try_answer answer = {result.appended, result.expected_version, result.current_version,
        ku_str_from(ku_status_code(result.conflict))};
    return ku_reply_value(scope, &try_answer_shape, &answer, reply);
}

/* Decides on the folded state, which may come from a snapshot. */
static ku_status weigh_more(ku_scope *scope, const void *input, ku_reply *reply)
{
    const weigh_input *in = input;
    part state;
    ku_status status = ku_load_aggregate(scope, &part_entity, in->id, NULL, &state);
    if (status != KU_OK)
        return status;
    if (state.gone)
        return ku_refuse(scope, "gone", "part %" KU_PRI " is gone", KU_FMT(state.code));
    const int64_t grams = (state.grams + in->grams) % 1000;
    for (int i = 0; i < 2 && status == KU_OK; i++)
        status = KU_APPEND(scope, in->id, part_weighed, .grams = grams + i, .note = in->note);
    return status == KU_OK ? reply_version(scope, in->id, reply) : status;
}

typedef struct move_input {
    ku_id id;
    ku_str place;
    ku_optional_time at;
    ku_optional_list route;
    ku_optional_int64 expected_version;
} move_input;
static const ku_field move_input_fields[] = {
    KU_FIELD(move_input, id),
    KU_FIELD(move_input, place, .length = KU_BETWEEN(1, 40)),
    KU_FIELD(move_input, at),
    KU_FIELD(move_input, route, .items = KU_KIND_TEXT),
    KU_FIELD(move_input, expected_version),
};

static ku_status move(ku_scope *scope, const void *input, ku_reply *reply)
{
    const move_input *in = input;
    ku_writable stream;
    ku_status status =
        ku_fetch_for_writing(scope, &part_entity, in->id, in->expected_version, &stream);
    if (status != KU_OK)
        return status;
    const part_moved moved = {
        .place = in->place,
        .at = in->at.set ? in->at.value : ku_scope_now(scope),
        .route = in->route.value,
    };
    status = ku_append_one(scope, &stream, &part_moved_event, &moved);
    if (status != KU_OK)
        return status;
    const moved_on answer = {in->id, stream.version};
    return ku_reply_value(scope, &moved_on_shape, &answer, reply);
}

static ku_status forget(ku_scope *scope, const void *input, ku_reply *reply)
{
    return ku_entity_forget(scope, &part_entity, ((const id_input *)input)->id, reply);
}

static ku_status archive(ku_scope *scope, const void *input, ku_reply *reply)
{
    const ku_id id = ((const id_input *)input)->id;
    ku_status status = ku_archive_stream(scope, &part_entity, id, KU_STR("Straße «zu»"));
    return status == KU_OK ? reply_version(scope, id, reply) : status;
}

static ku_status unarchive(ku_scope *scope, const void *input, ku_reply *reply)
{
    const ku_id id = ((const id_input *)input)->id;
    ku_status status = ku_restore_stream(scope, &part_entity, id);
    return status == KU_OK ? reply_version(scope, id, reply) : status;
}

static ku_status snapshot(ku_scope *scope, const void *input, ku_reply *reply)
{
    moved_on answer = {.id = ((const id_input *)input)->id};
    ku_status status = ku_snapshot_aggregate(scope, &part_entity, answer.id, &answer.version);
    return status == KU_OK ? ku_reply_value(scope, &moved_on_shape, &answer, reply) : status;
}

/* ---- queries --------------------------------------------------------------------------------- */

typedef struct state_input {
    ku_id id;
    ku_optional_time as_of;
    ku_optional_int64 at_version;
    ku_optional_bool archived;
} state_input;
static const ku_field state_input_fields[] = {
    KU_FIELD(state_input, id),
    KU_FIELD(state_input, as_of),
    KU_FIELD(state_input, at_version),
    KU_FIELD(state_input, archived),
};

static ku_load_options load_options(const state_input *in)
{
    return (ku_load_options){
        .as_of = in->as_of,
        .at_version = in->at_version,
        .include_archived = in->archived.value,
    };
}

typedef struct state_answer {
    part state;
    int64_t version;
    bool snapshot_hit;
} state_answer;
static const ku_field state_answer_fields[] = {
    KU_NESTED(state_answer, state, &part_shape),
    KU_FIELD(state_answer, version),
    KU_FIELD(state_answer, snapshot_hit),
};
static const ku_shape state_answer_shape = KU_SHAPE(state_answer);

static ku_status state(ku_scope *scope, const void *input, ku_reply *reply)
{
    const state_input *in = input;
    state_answer answer = {.version = 0};
    ku_load_options options = load_options(in);
    options.ret_version = &answer.version;
    options.ret_snapshot_hit = &answer.snapshot_hit;
    ku_status status = ku_load_aggregate(scope, &part_entity, in->id, &options, &answer.state);
    return status == KU_OK ? ku_reply_value(scope, &state_answer_shape, &answer, reply) : status;
}

typedef struct event_answer {
    ku_str id;
    ku_str name;
    int64_t version;
    ku_time at;
    ku_str user;
    ku_str causation_id;
    ku_str key;
    ku_raw payload;
    ku_optional_raw headers;
} event_answer;
static const ku_field event_answer_fields[] = {
    KU_FIELD(event_answer, id),
    KU_FIELD(event_answer, name),
    KU_FIELD(event_answer, version),
    KU_FIELD(event_answer, at),
    KU_FIELD(event_answer, user),
    KU_FIELD(event_answer, causation_id),
    KU_FIELD(event_answer, key),
    KU_FIELD(event_answer, payload),
    KU_FIELD(event_answer, headers),
};
static const ku_shape event_answer_shape = KU_SHAPE(event_answer);

static ku_status events(ku_scope *scope, const void *input, ku_reply *reply)
{
    const state_input *in = input;
    const ku_load_options options = load_options(in);
    const ku_event *found;
    size_t n;
    ku_status status = ku_load_events(scope, &part_entity, in->id, &options, &found, &n);
    if (status != KU_OK)
        return status;
    event_answer *answers = ku_alloc(scope, (n + 1) * sizeof *answers);
    for (size_t i = 0; i < n; i++)
        answers[i] = (event_answer){
            .id = ku_event_id(scope, &found[i]),
            .name = found[i].name,
            .version = found[i].version,
            .at = found[i].at,
            .user = found[i].user,
            .causation_id = found[i].causation_id,
            .key = found[i].idempotency_key,
            .payload = found[i].json,
            .headers = {found[i].headers.json.len > 0, found[i].headers},
        };
    return ku_reply_list(scope, &event_answer_shape, answers, n, reply);
}

static const char *const place_sorts[] = {"place", "at", "moves", "lastPart", "lastGrams", NULL};

typedef struct places_input {
    ku_optional_str sort;
    ku_optional_bool descending;
    ku_optional_int64 limit;
    ku_optional_str cursor;
    ku_optional_raw behind; /* only places behind this one */
} places_input;
static const ku_field places_input_fields[] = {
    KU_FIELD(places_input, sort, .one_of = place_sorts),
    KU_FIELD(places_input, descending),
    KU_FIELD(places_input, limit, .value = KU_BETWEEN(0, 100)),
    KU_FIELD(places_input, cursor),
    KU_FIELD(places_input, behind),
};

static const ku_shape place_shape = KU_SHAPE(place);
typedef struct places_answer {
    ku_list rows;
    ku_optional_str next_cursor;
    int64_t total;
} places_answer;
static const ku_field places_answer_fields[] = {
    KU_FIELD(places_answer, rows, .of = &place_shape),
    KU_FIELD(places_answer, next_cursor, .flags = KU_NULLABLE),
    KU_FIELD(places_answer, total),
};
static const ku_shape places_answer_shape = KU_SHAPE(places_answer);

/* The wire names of the sorts, as members. */
static const char *place_sort(const places_input *in)
{
    static const char *const members[] = {"place", "at", "moves", "last_part", "last_grams"};
    for (size_t i = 0; in->sort.set && i < KU_COUNT(members); i++) {
        if (ku_str_is(in->sort.value, place_sorts[i]))
            return members[i];
    }
    return NULL;
}

static ku_status places(ku_scope *scope, const void *input, ku_reply *reply)
{
    const places_input *in = input;
    const ku_filter filter = {.column = "place", .op = KU_GT, .value = in->behind.value};
    const ku_row_query query = {
        .filters = &filter,
        .n_filters = in->behind.set ? 1 : 0,
        .sort = place_sort(in),
        .descending = in->descending.value,
        .limit = in->limit.value,
        .cursor = in->cursor.value,
        .count = true,
    };
    ku_page page;
    ku_status status = ku_query_projection(scope, &place_table, &query, &page);
    if (status != KU_OK)
        return status;
    const places_answer answer = {
        {page.rows,                page.count      },
        {page.next_cursor.len > 0, page.next_cursor},
        page.total,
    };
    return ku_reply_value(scope, &places_answer_shape, &answer, reply);
}

static ku_status families(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &family_table, reply);
}

static ku_status codes(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &code_table, reply);
}

static ku_status weights(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &weight_sum_table, reply);
}

/* ---- the feature ----------------------------------------------------------------------------- */

#define STAFF KU_ROLES("User", "Admin")
#define ADMIN KU_ROLES("Admin")

/* clang-format off */
static const ku_handler writes[] = {
    {.name = "part:create", .access = STAFF, .entity = &part_entity, .verb = KU_VERB_CREATE},
    {.name = "part:update", .access = STAFF, .entity = &part_entity, .verb = KU_VERB_UPDATE},
    {.name = "part:delete", .access = ADMIN, .entity = &part_entity, .verb = KU_VERB_DELETE},
    {.name = "part:restore", .access = ADMIN, .entity = &part_entity, .verb = KU_VERB_RESTORE},
    {.name = "part:forget", .input = KU_SHAPE(id_input), .access = ADMIN, .run = forget},
    {.name = "part:weigh", .input = KU_SHAPE(weigh_input), .access = STAFF, .run = weigh},
    {.name = "part:try-weigh", .input = KU_SHAPE(weigh_input), .access = STAFF, .run = try_weigh},
    {.name = "part:weigh-more", .input = KU_SHAPE(weigh_input), .access = STAFF, .run = weigh_more},
    {.name = "part:move", .input = KU_SHAPE(move_input), .access = STAFF, .run = move},
    {.name = "part:archive", .input = KU_SHAPE(id_input), .access = ADMIN, .run = archive},
    {.name = "part:unarchive", .input = KU_SHAPE(id_input), .access = ADMIN, .run = unarchive},
    {.name = "part:snapshot", .input = KU_SHAPE(id_input), .access = STAFF, .run = snapshot},
    KU_END,
};

static const ku_handler queries[] = {
    {.name = "part:detail", .access = KU_OPEN_TO_ALL, .entity = &part_entity,
        .verb = KU_VERB_DETAIL},
    {.name = "part:list", .access = KU_OPEN_TO_ALL, .entity = &part_entity, .verb = KU_VERB_LIST},
    {.name = "part:state", .input = KU_SHAPE(state_input), .access = STAFF, .run = state},
    {.name = "part:events", .input = KU_SHAPE(state_input), .access = STAFF, .run = events},
    {.name = "places", .input = KU_SHAPE(places_input), .access = KU_OPEN_TO_ALL, .run = places},
    {.name = "families", .access = KU_OPEN_TO_ALL, .run = families},
    {.name = "codes", .access = KU_OPEN_TO_ALL, .run = codes},
    {.name = "weights", .access = KU_OPEN_TO_ALL, .run = weights},
    KU_END,
};
/* clang-format on */

const ku_feature parts_feature = {
    .abi = KU_ABI_VERSION,
    .name = "parts",
    .entities = KU_LIST(ku_entity, &part_entity),
    .projections = KU_LIST(ku_projection, &family_projection, &code_projection, &place_projection),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &weight_projection,
        &mood_projection, &heaviest_projection, &flag_projection, &scrap_projection),
    .writes = writes,
    .queries = queries,
};
