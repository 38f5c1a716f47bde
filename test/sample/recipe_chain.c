/*
 * The relay: one write, two projections that each append the next event.  What belongs together can
 * be told from the correlation id; what caused what, from the causation ids.
 *
 * Two more handlers meet a stream that has moved on: one insists on a version before it writes, one
 * asks whether it may.
 */
#include "sample/recipes.h"

typedef struct relay_started {
    ku_str runner;
} relay_started;
typedef struct relay_passed {
    ku_str runner;
} relay_passed;
typedef struct relay_finished {
    ku_str runner;
} relay_finished;

static const ku_field relay_started_fields[] = {KU_FIELD(relay_started, runner)};
static const ku_field relay_passed_fields[] = {KU_FIELD(relay_passed, runner)};
static const ku_field relay_finished_fields[] = {KU_FIELD(relay_finished, runner)};

static const ku_event_type relay_started_event = {
    .name = "relay-started", .version = 1, .tag = 1, .payload = KU_SHAPE(relay_started)};
static const ku_event_type relay_passed_event = {
    .name = "relay-passed", .version = 1, .tag = 2, .payload = KU_SHAPE(relay_passed)};
static const ku_event_type relay_finished_event = {
    .name = "relay-finished", .version = 1, .tag = 3, .payload = KU_SHAPE(relay_finished)};

static const ku_entity relay_entity = {
    .name = "relay",
    .events =
        KU_LIST(ku_event_type, &relay_started_event, &relay_passed_event, &relay_finished_event),
};

/* ---- the chain ------------------------------------------------------------------------------- */

static ku_status pass_on(ku_scope *scope, const ku_event *event)
{
    return KU_APPEND(
        scope, event->stream, relay_passed, .runner = KU_PAYLOAD(event, relay_started)->runner);
}

static ku_status finish(ku_scope *scope, const ku_event *event)
{
    return KU_APPEND(
        scope, event->stream, relay_finished, .runner = KU_PAYLOAD(event, relay_passed)->runner);
}

static const ku_on pass_on_on[] = {KU_ON(relay_started, pass_on), KU_END};
static const ku_on finish_on[] = {KU_ON(relay_passed, finish), KU_END};
static const ku_multi_stream_projection pass_on_projection = {.name = "pass-on", .on = pass_on_on};
static const ku_multi_stream_projection finish_projection = {.name = "finish", .on = finish_on};

/* ---- the writes ------------------------------------------------------------------------------ */

typedef struct start_answer {
    ku_id id;
} start_answer;
static const ku_field start_answer_fields[] = {KU_FIELD(start_answer, id)};
static const ku_shape start_answer_shape = KU_SHAPE(start_answer);

static ku_status start(ku_scope *scope, const void *input, ku_reply *reply)
{
    const relay_started *in = input;
    const start_answer answer = {ku_new_id(scope)};
    ku_status status = KU_APPEND(scope, answer.id, relay_started, .runner = in->runner);
    return status == KU_OK ? ku_reply_value(scope, &start_answer_shape, &answer, reply) : status;
}

typedef struct version_input {
    ku_id id;
    int64_t expected_version;
} version_input;
static const ku_field version_input_fields[] = {
    KU_FIELD(version_input, id),
    KU_FIELD(version_input, expected_version),
};

typedef struct version_answer {
    int64_t version;
} version_answer;
static const ku_field version_answer_fields[] = {KU_FIELD(version_answer, version)};
static const ku_shape version_answer_shape = KU_SHAPE(version_answer);

/* Two events at the version the client has seen, or none. */
static ku_status lap_twice(ku_scope *scope, const void *input, ku_reply *reply)
{
    const version_input *in = input;
    const relay_finished lap = {KU_STR("lap")};
    ku_writable relay;
    ku_status status = ku_fetch_for_writing(
        scope, &relay_entity, in->id, KU_VERSION(in->expected_version), &relay);
    for (int i = 0; i < 2 && status == KU_OK; i++)
        status = ku_append_one(scope, &relay, &relay_finished_event, &lap);
    if (status != KU_OK)
        return status;
    const version_answer answer = {relay.version};
    return ku_reply_value(scope, &version_answer_shape, &answer, reply);
}

typedef struct try_answer {
    bool appended;
    int64_t expected_version;
    int64_t current_version;
} try_answer;
static const ku_field try_answer_fields[] = {
    KU_FIELD(try_answer, appended),
    KU_FIELD(try_answer, expected_version),
    KU_FIELD(try_answer, current_version),
};
static const ku_shape try_answer_shape = KU_SHAPE(try_answer);

/* A conflict is an answer here, not an error. */
static ku_status try_lap(ku_scope *scope, const void *input, ku_reply *reply)
{
    const version_input *in = input;
    const relay_finished lap = {KU_STR("lap")};
    const ku_append append = {
        .stream = in->id,
        .type = &relay_finished_event,
        .payload = &lap,
        .expected_version = KU_VERSION(in->expected_version),
    };
    ku_append_result result;
    ku_status status = ku_try_append_event(scope, &append, &result);
    if (status != KU_OK)
        return status;
    const try_answer answer = {result.appended, result.expected_version, result.current_version};
    return ku_reply_value(scope, &try_answer_shape, &answer, reply);
}

static const ku_handler writes[] = {
    {.name = "relay:start",     KU_SHAPE(relay_started), KU_OPEN_TO_ALL, start    },
    {.name = "relay:lap-twice", KU_SHAPE(version_input), KU_OPEN_TO_ALL, lap_twice},
    {.name = "relay:try-lap",   KU_SHAPE(version_input), KU_OPEN_TO_ALL, try_lap  },
    KU_END
};

const ku_feature chain_feature = {
    .abi = KU_ABI_VERSION,
    .name = "chain",
    .entities = KU_LIST(ku_entity, &relay_entity),
    .multi_stream_projections =
        KU_LIST(ku_multi_stream_projection, &pass_on_projection, &finish_projection),
    .writes = writes,
};
