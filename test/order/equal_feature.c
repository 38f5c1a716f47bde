/*
 * Parts: the entity has a field of every kind, two rules of uniqueness (one with an optional
 * column), soft deletion, transitions and a fold with snapshots.
 */
#include "order/equal_feature.h"

#include "order/equal_parts.h"

/* ---- the entity ------------------------------------------------------------------------------ */

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

static const ku_field part_frame_fields[] = {
    KU_FIELD(part_frame, painted),
    KU_FIELD(part_frame, colour),
    KU_FIELD(part_frame, thickness, .scale = 4),
};
static const ku_shape part_frame_shape = KU_SHAPE(part_frame);

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

static const ku_field part_weighed_fields[] = {
    KU_FIELD(part_weighed, grams),
    KU_FIELD(part_weighed, note),
};
const ku_event_type part_weighed_event = {
    .name = "part-weighed", .tag = WEIGHED, .payload = KU_SHAPE(part_weighed)};

static const ku_field part_moved_fields[] = {
    KU_FIELD(part_moved, place),
    KU_FIELD(part_moved, at),
    KU_FIELD(part_moved, route, .items = KU_KIND_TEXT),
};
const ku_event_type part_moved_event = {
    .name = "part-moved", .tag = MOVED, .payload = KU_SHAPE(part_moved)};

static const ku_field part_flagged_fields[] = {KU_FIELD(part_flagged, reason)};
const ku_event_type part_flagged_event = {
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

const ku_entity part_entity = {
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

static const char *const place_sorts[] = {"place", "at", "moves", "lastPart", "lastRoute", NULL};

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

typedef struct places_answer {
    ku_list rows;
    ku_optional_str next_cursor;
    int64_t total;
} places_answer;
static const ku_field places_answer_fields[] = {
    KU_FIELD(places_answer, rows, .of = &part_place_table.row),
    KU_FIELD(places_answer, next_cursor, .flags = KU_NULLABLE),
    KU_FIELD(places_answer, total),
};
static const ku_shape places_answer_shape = KU_SHAPE(places_answer);

/* The wire names of the sorts, as members. */
static const char *place_sort(const places_input *in)
{
    static const char *const members[] = {"place", "at", "moves", "last_part", "last_route"};
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
    ku_status status = ku_query_projection(scope, &part_place_table, &query, &page);
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
    return ku_reply_table(scope, &part_family_table, reply);
}

static ku_status codes(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &part_code_table, reply);
}

static ku_status weights(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &part_weight_sum_table, reply);
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
    .projections = KU_LIST(
        ku_projection, &part_family_projection, &part_code_projection, &part_place_projection),
    .multi_stream_projections =
        KU_LIST(ku_multi_stream_projection, &part_weight_projection, &part_mood_projection,
            &part_heaviest_projection, &part_flag_projection, &part_scrap_projection),
    .writes = writes,
    .queries = queries,
};
