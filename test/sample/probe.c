/*
 * The probe reads through ku_each_event, as a program would that exports its history.
 */
#include "sample/probe.h"

#include "base/buffer.h"
#include "base/json.h"
#include "event-sourcing/invoicing.h"

#include <string.h>

typedef struct events_input {
    ku_id id;
} events_input;
static const ku_field events_input_fields[] = {KU_FIELD(events_input, id)};

typedef struct event_list {
    ku_id stream;
    buffer json;
} event_list;

static void put_text(buffer *json, const char *name, ku_str text)
{
    json_put_key(json, name);
    json_put_text(json, text);
}

static ku_status add_event(ku_scope *scope, const ku_event *event, void *context)
{
    event_list *list = context;
    if (!ku_id_equal(event->stream, list->stream))
        return KU_OK;
    buffer *json = &list->json;
    buffer_add_text(json, json->len > 1 ? ",{" : "{");
    put_text(json, "id", ku_event_id(scope, event));
    put_text(json, "type", event->name);
    json_put_key(json, "version");
    json_put_int(json, event->version);
    json_put_key(json, "eventVersion");
    json_put_int(json, event->event_version);
    json_put_key(json, "storedVersion");
    json_put_int(json, event->stored_version);
    put_text(json, "userId", event->user);
    put_text(json, "requestId", event->request_id);
    put_text(json, "correlationId", event->correlation_id);
    put_text(json, "causationId", event->causation_id);
    json_put_key(json, "headers");
    buffer_add_str(json, event->headers.json.len > 0 ? event->headers.json : KU_STR("null"));
    json_put_key(json, "payload");
    buffer_add_str(json, event->json.json);
    buffer_add_char(json, '}');
    return KU_OK;
}

static ku_status events(ku_scope *scope, const void *input, ku_reply *reply)
{
    const events_input *in = input;
    event_list list = {.stream = in->id};
    buffer_add_char(&list.json, '[');
    ku_status status = ku_each_event(scope, &(ku_event_filter){.batch = 10}, add_event, &list);
    buffer_add_char(&list.json, ']');
    if (status == KU_OK)
        status = ku_reply_json(scope, ku_copy(scope, buffer_str(&list.json)), reply);
    buffer_done(&list.json);
    return status;
}

enum { NAMES_MAX = 16 };

typedef struct stream_answer {
    int64_t count;
    ku_list types;
} stream_answer;
static const ku_field stream_answer_fields[] = {
    KU_FIELD(stream_answer, count),
    KU_FIELD(stream_answer, types, .items = KU_KIND_TEXT),
};
static const ku_shape stream_answer_shape = KU_SHAPE(stream_answer);

typedef struct name_set {
    int64_t count;
    ku_str names[NAMES_MAX];
    char text[NAMES_MAX][128]; /* an event is gone when the callback returns */
    size_t n_names;
} name_set;

static ku_status count_event(ku_scope *scope, const ku_event *event, void *context)
{
    name_set *set = context;
    set->count++;
    for (size_t i = 0; i < set->n_names; i++) {
        if (ku_str_equal(set->names[i], event->name))
            return KU_OK;
    }
    if (set->n_names == NAMES_MAX || event->name.len > sizeof set->text[0])
        return ku_fail(scope, KU_INTERNAL, NULL, "more kinds of events than a test has");
    memcpy(set->text[set->n_names], event->name.ptr, event->name.len);
    set->names[set->n_names] = (ku_str){set->text[set->n_names], event->name.len};
    set->n_names++;
    return KU_OK;
}

static ku_status stream(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    name_set *set = ku_alloc(scope, sizeof *set);
    const ku_event_filter invoices = {.entity = &invoice_entity, .batch = 10};
    ku_status status = ku_each_event(scope, &invoices, count_event, set);
    const stream_answer answer = {
        set->count, {set->names, set->n_names}
    };
    return status == KU_OK ? ku_reply_value(scope, &stream_answer_shape, &answer, reply) : status;
}

static const ku_handler queries[] = {
    {.name = "events", .input = KU_SHAPE(events_input), .access = KU_ROLES("Admin"), .run = events},
    {.name = "stream",                .access = KU_ROLES("Admin"),                                .run = stream                },
    KU_END,
};

const ku_feature probe_feature = {
    .abi = KU_ABI_VERSION,
    .name = "probe",
    .queries = queries,
};
