/*
 * inspect: how the state of one stream came about.
 *
 * The stream is folded event by event with the entity's own function; after each event the state is
 * written as JSON and compared with the one before.  An entity without a fold is shown by its row,
 * which its automatic events carry.
 */
#include "app/reply.h"
#include "cli/json_text.h"
#include "cli/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_AS_OF = 256, OPTION_AT_VERSION };

typedef struct inspect_options {
    cli_options common;
    const char *entity;
    ku_id stream, tenant;
    bool has_stream, has_tenant;
    log_range range;
} inspect_options;

static const struct argp_option options[] = {
    {"tenant",                                           't', "UUID", 0, "Whose stream (default: whichever tenant has it)", 0},
    {"as-of",                                            OPTION_AS_OF, "TIME", 0, "Only what had happened by then: 2026-11-23T17:30:00Z", 0},
    {"at-version", OPTION_AT_VERSION, "N", 0, "Only up to that version", 0},
    {0                                                 },
};

static const char about[] =
    "Show the history of one stream: each event, and what it changed in the state.";

static void take_argument(inspect_options *inspect, char *argument, struct argp_state *state)
{
    switch (state->arg_num) {
    case 0:
        inspect->entity = argument;
        break;
    case 1:
        inspect->stream = cli_parse_id(state, "the id", argument);
        inspect->has_stream = true;
        break;
    default:
        argp_error(state, "too many arguments");
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    inspect_options *inspect = state->input;
    int64_t version = 0;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 3, &inspect->common);
        return 0;
    case 't':
        inspect->tenant = cli_parse_id(state, "--tenant", argument);
        inspect->has_tenant = true;
        return 0;
    case OPTION_AS_OF:
        if (!ku_time_parse(ku_str_from(argument), &inspect->range.as_of.value))
            argp_error(state, "--as-of: `%s` is not a time such as 2026-11-23T17:30:00Z", argument);
        inspect->range.as_of.set = true;
        return 0;
    case OPTION_AT_VERSION:
        if (!cli_parse_int(argument, 1, INT64_MAX, &version))
            argp_error(state, "--at-version: `%s` is not a version", argument);
        inspect->range.to_version = version;
        return 0;
    case ARGP_KEY_ARG:
        take_argument(inspect, argument, state);
        return 0;
    case ARGP_KEY_END:
        if (!inspect->has_stream)
            argp_error(state, "an entity and an id are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- folding -------------------------------------------------------------------------------- */

typedef struct inspection {
    arena *arena; /* of the scope: lives as long as the events */
    const ku_entity *entity;
    const ku_shape *shape; /* of the state, or of the row */
    void *state;
    bool present;        /* there is a state: false before the first event and after a deletion */
    const ku_json *json; /* the state after the last event */
    int64_t version;
    bool for_programs;
    bool first;
} inspection;

static void fold(inspection *in, const ku_event *event)
{
    if (event->type == NULL)
        return; /* of a type that the features do not know (any more) */
    if (in->entity->evolve != NULL) {
        in->entity->evolve(in->state, event);
        in->present = true;
        return;
    }
    if (event->type->tag >= 0)
        return; /* only automatic events carry the row */
    const ku_change *change = KU_CHANGE(event);
    in->present = change->row != NULL;
    if (in->present)
        memcpy(in->state, change->row, in->shape->size);
}

static const ku_json *state_json(inspection *in)
{
    buffer text = {.arena = in->arena};

    if (!in->present)
        return json_new(in->arena, KU_JSON_OBJECT);
    shape_encode(&text, in->shape, in->state, false);
    return cli_json(in->arena, buffer_str(&text));
}

/* ---- for people ----------------------------------------------------------------------------- */

static void add_value(buffer *b, const ku_json *json)
{
    buffer text = {0};

    json_put(&text, json);
    cli_add_safely(b, buffer_str(&text));
    buffer_done(&text);
}

static void print_change(const json_change *change)
{
    const cli_ink ink = change->from == NULL ? INK_GREEN
                        : change->to == NULL ? INK_RED
                                             : INK_YELLOW;
    const char *sign = change->from == NULL ? "+" : change->to == NULL ? "-" : "~";
    buffer line = {0};

    buffer_format(&line, "    %s%s ", cli_ink_text(ink), sign);
    cli_add_safely(&line, change->path);
    buffer_add_text(&line, ": ");
    if (change->from != NULL)
        add_value(&line, change->from);
    if (change->from != NULL && change->to != NULL)
        buffer_add_text(&line, " → ");
    if (change->to != NULL)
        add_value(&line, change->to);
    buffer_add_text(&line, cli_ink_text(INK_PLAIN));
    (void)printf("%" KU_PRI "\n", KU_FMT(buffer_str(&line)));
    buffer_done(&line);
}

static void print_event(const ku_event *event, const json_change *changes)
{
    char at[25];
    buffer line = {0};

    ku_time_format(event->at, at);
    buffer_format(&line, "\n%sv%" PRId64 "  ", cli_ink_text(INK_BOLD), event->version);
    cli_add_safely(&line, event->name);
    buffer_format(&line, "%s  %s  by ", cli_ink_text(INK_PLAIN), at);
    cli_add_safely(&line, event->user);
    if (event->stored_version != event->event_version)
        buffer_format(&line, "  (stored as version %d, lifted to %d)", event->stored_version,
            event->event_version);
    (void)printf("%" KU_PRI "\n", KU_FMT(buffer_str(&line)));
    buffer_done(&line);
    for (; changes != NULL; changes = changes->next)
        print_change(changes);
}

static void print_head(const inspect_options *inspect, const stream_state *stream)
{
    char id[37], tenant[37], at[25];

    ku_id_format(inspect->stream, id);
    ku_id_format(stream->tenant, tenant);
    (void)printf("%s%s %s%s of tenant %s, at version %" PRId64 "\n", cli_ink_text(INK_BOLD),
        inspect->entity, id, cli_ink_text(INK_PLAIN), tenant, stream->version);
    if (stream->archived) {
        buffer why = {0};
        ku_time_format(stream->archived_at, at);
        cli_add_safely(&why, stream->archived_by);
        if (stream->archived_reason.len > 0)
            buffer_add_text(&why, ": ");
        cli_add_safely(&why, stream->archived_reason);
        (void)printf("archived %s by %" KU_PRI "\n", at, KU_FMT(buffer_str(&why)));
        buffer_done(&why);
    }
}

static void print_state(const inspection *in)
{
    buffer text = {0};

    cli_json_pretty(&text, in->json, 0);
    (void)printf("\n%sstate at version %" PRId64 "%s\n%" KU_PRI "\n", cli_ink_text(INK_BOLD),
        in->version, cli_ink_text(INK_PLAIN), KU_FMT(buffer_str(&text)));
    buffer_done(&text);
}

/* ---- for programs --------------------------------------------------------------------------- */

static void put_change(buffer *b, const json_change *change)
{
    buffer_add_char(b, '{');
    json_put_key(b, "path");
    json_put_text(b, change->path);
    if (change->from != NULL) {
        json_put_key(b, "from");
        json_put(b, change->from);
    }
    if (change->to != NULL) {
        json_put_key(b, "to");
        json_put(b, change->to);
    }
    buffer_add_char(b, '}');
}

static void write_event(const ku_event *event, const json_change *changes, bool first)
{
    buffer text = {0};

    buffer_add_text(&text, first ? "{\"event\":" : ",{\"event\":");
    event_write(&text, event);
    buffer_add_text(&text, ",\"changes\":[");
    for (const json_change *change = changes; change != NULL; change = change->next) {
        if (change != changes)
            buffer_add_char(&text, ',');
        put_change(&text, change);
    }
    buffer_add_text(&text, "]}");
    (void)printf("%" KU_PRI, KU_FMT(buffer_str(&text)));
    buffer_done(&text);
}

static void write_head(const inspect_options *inspect, const stream_state *stream)
{
    buffer text = {0};

    buffer_add_char(&text, '{');
    json_put_key(&text, "entity");
    json_put_text(&text, ku_str_from(inspect->entity));
    json_put_key(&text, "id");
    json_put_id(&text, inspect->stream);
    json_put_key(&text, "tenantId");
    json_put_id(&text, stream->tenant);
    json_put_key(&text, "streamVersion");
    json_put_int(&text, stream->version);
    json_put_key(&text, "archived");
    buffer_add_text(&text, stream->archived ? "true" : "false");
    if (stream->archived) {
        json_put_key(&text, "archivedAt");
        json_put_time(&text, stream->archived_at);
        json_put_key(&text, "archivedBy");
        json_put_text(&text, stream->archived_by);
        json_put_key(&text, "archivedReason");
        json_put_text(&text, stream->archived_reason);
    }
    buffer_add_text(&text, ",\"events\":[");
    (void)printf("%" KU_PRI, KU_FMT(buffer_str(&text)));
    buffer_done(&text);
}

static void write_state(const inspection *in)
{
    buffer text = {0};

    json_put(&text, in->json);
    (void)printf("],\"version\":%" PRId64 ",\"state\":%" KU_PRI "}\n", in->version,
        KU_FMT(buffer_str(&text)));
    buffer_done(&text);
}

/* ---- the command ---------------------------------------------------------------------------- */

static ku_status on_event(ku_scope *scope, const ku_event *event, void *context)
{
    inspection *in = context;

    (void)scope;
    fold(in, event);
    const ku_json *after = state_json(in);
    const json_change *changes = cli_json_changes(in->arena, in->json, after);
    if (in->for_programs)
        write_event(event, changes, in->first);
    else
        print_event(event, changes);
    in->json = after;
    in->version = event->version;
    in->first = false;
    return KU_OK;
}

static ku_status inspect_stream(
    cli_reader *reader, const inspect_options *inspect, const entity_entry *entry)
{
    const ku_entity *entity = entry->entity;
    stream_state stream;

    ku_status status = cli_find_stream(
        reader, inspect->has_tenant ? &inspect->tenant : NULL, inspect->stream, &stream);
    if (status != KU_OK)
        return status;
    if (!ku_str_is(stream.type, entity->name))
        return scope_fail(&reader->scope, KU_INVALID,
            "the stream is of the entity %" KU_PRI ", not %s", KU_FMT(stream.type), entity->name);

    inspection in = {
        .arena = &reader->scope.arena,
        .entity = entity,
        .shape = entity->evolve != NULL ? &entity->state : &entity->row,
        .json = json_new(&reader->scope.arena, KU_JSON_OBJECT),
        .for_programs = inspect->common.json,
        .first = true,
    };
    in.state = arena_alloc(in.arena, in.shape->size);
    if (in.for_programs)
        write_head(inspect, &stream);
    else
        print_head(inspect, &stream);
    /* Kept: text in the state may be borrowed from any event. */
    status = log_each_of_stream(&reader->scope, reader->app->registry.catalog, inspect->stream,
        &inspect->range, true, on_event, &in);
    if (status != KU_OK)
        return status;
    if (in.for_programs)
        write_state(&in);
    else
        print_state(&in);
    return KU_OK;
}

static int run(const cli *program, cli_reader *reader, const inspect_options *inspect)
{
    const entity_entry *entry =
        registry_entity_named(&reader->app->registry, ku_str_from(inspect->entity));

    if (entry == NULL)
        return cli_fail(program, KU_NOT_FOUND,
            "there is no entity %s in the features (name its shared object with --feature)",
            inspect->entity);
    if (entry->entity->evolve == NULL && entry->table == NULL)
        return cli_fail(program, KU_INVALID,
            "the entity %s has neither a state nor a row: see `events list --stream`",
            inspect->entity);
    const ku_status status = inspect_stream(reader, inspect, entry);
    return status == KU_OK ? 0 : cli_fail_scope(program, status, &reader->scope);
}

int cmd_inspect(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_features,              0, NULL, 0},
        {&cli_argp_json,                  0, NULL, 0},
        {0   }
    };
    static const struct argp argp = {
        options, parse, "ENTITY ID", about, children, cli_help_filter, NULL};
    inspect_options inspect = {0};
    cli_reader reader;
    int code = 0;

    cli_parse(program, &argp, argc, argv, &inspect);
    if (!cli_reader_open(program, &inspect.common, &reader, &code))
        return code;
    code = run(program, &reader, &inspect);
    cli_reader_close(&reader);
    return code;
}
