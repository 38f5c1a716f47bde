/*
 * events: list, show, follow.
 *
 * A list shows the newest events, or with --after those behind a position.  Following looks at the
 * heads of the lanes once a second: an idle system costs one small query a second, and an event is
 * seen in its order and exactly once, because positions become visible in order.
 */
#include "app/reply.h"
#include "cli/events.h"
#include "cli/json_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_AFTER = 256, OPTION_STORED, OPTION_FOLLOW };
enum { LIMIT_DEFAULT = 50, LIMIT_LISTED = 1000000 };

typedef struct events_options {
    cli_options common;
    bool show, follow, as_stored;
    const char *id; /* of `show` */
    event_selection selection;
    buffer types; /* the JSON array, without its end */
} events_options;

static const struct argp_option options[] = {
    {"tenant",                             't', "UUID", 0, "Only this tenant's (default: all)", 0},
    {"type",                              'y', "NAME", 0, "Only events of this qualified name; may be repeated", 0},
    {"stream", 's', "UUID", 0, "Only this stream's", 0},
    {"limit",                                    'n', "N", 0, "List at most so many (default: 50)", 0},
    {"after",    OPTION_AFTER, "ID", 0, "List the first ones behind this event, not the newest", 0},
    {"follow",                                   'F', NULL, 0, "Print new events as they are committed, until interrupted", 0},
    {"stored",                                   OPTION_STORED, NULL, 0, "Payloads as they are stored, not lifted", 0},
    {0                            },
};

static const char usage[] = "[list]\nshow ID\n--follow";

static const char about[] =
    "List events, show one, or follow new ones."
    "\v"
    "With the features at hand (--feature) payloads are lifted to their present version. With "
    "--follow, --json prints one object per line.";

/* ---- arguments ------------------------------------------------------------------------------ */

static void take_argument(events_options *events, char *argument, struct argp_state *state)
{
    if (state->arg_num == 0 && strcmp(argument, "list") == 0)
        return;
    if (state->arg_num == 0 && strcmp(argument, "show") == 0)
        events->show = true;
    else if (state->arg_num == 1 && events->show)
        events->id = argument;
    else
        argp_error(state, "`%s` is not understood here", argument);
}

static void check_arguments(events_options *events, struct argp_state *state)
{
    event_selection *selection = &events->selection;

    if (events->show && events->id == NULL)
        argp_error(state, "show which event?");
    if (events->show && (events->follow || events->types.len > 0 || selection->one_stream ||
                            selection->forward || selection->limit > 0))
        argp_error(state, "show takes --tenant and --stored only");
    if (events->follow && selection->limit > 0)
        argp_error(state, "--follow has no --limit");
    if (events->id != NULL &&
        !cli_parse_event_id(events->id, &selection->after_lane, &selection->after_position))
        argp_error(state, "`%s` is not the id of an event", events->id);
    if (selection->limit == 0)
        selection->limit = LIMIT_DEFAULT;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    events_options *events = state->input;
    event_selection *selection = &events->selection;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 3, &events->common);
        return 0;
    case 't':
        selection->tenant = cli_parse_id(state, "--tenant", argument);
        selection->one_tenant = true;
        return 0;
    case 'y':
        buffer_add_char(&events->types, events->types.len == 0 ? '[' : ',');
        json_put_text(&events->types, ku_str_from(argument));
        return 0;
    case 's':
        selection->stream = cli_parse_id(state, "--stream", argument);
        selection->one_stream = true;
        return 0;
    case 'n':
        if (!cli_parse_int(argument, 1, LIMIT_LISTED, &selection->limit))
            argp_error(state, "--limit: `%s` is not a number from 1 to %d", argument, LIMIT_LISTED);
        return 0;
    case OPTION_AFTER:
        if (!cli_parse_event_id(argument, &selection->after_lane, &selection->after_position))
            argp_error(state, "--after: `%s` is not the id of an event", argument);
        selection->forward = true;
        return 0;
    case OPTION_STORED:
        events->as_stored = true;
        return 0;
    case 'F':
        events->follow = true;
        return 0;
    case ARGP_KEY_ARG:
        take_argument(events, argument, state);
        return 0;
    case ARGP_KEY_END:
        check_arguments(events, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- list ----------------------------------------------------------------------------------- */

static void write_json(const ku_event *event, const char *before, const char *after)
{
    buffer text = {0};

    event_write(&text, event);
    (void)printf("%s%" KU_PRI "%s", before, KU_FMT(buffer_str(&text)), after);
    buffer_done(&text);
}

static ku_status list_json(
    cli_reader *reader, const events_options *events, const event_key *keys, size_t count)
{
    (void)fputs("[", stdout);
    for (size_t i = 0; i < count; i++) {
        const ku_mark mark = ku_scope_mark(&reader->scope);
        ku_event event;
        const ku_status status = events_read(reader, &keys[i], events->as_stored, &event);
        if (status != KU_OK)
            return status;
        write_json(&event, i == 0 ? "\n" : ",\n", "");
        ku_scope_rewind(&reader->scope, mark);
    }
    (void)fputs(count == 0 ? "]\n" : "\n]\n", stdout);
    return KU_OK;
}

static void add_row(cli_table *table, ku_scope *scope, const ku_event *event, bool with_tenant)
{
    char text[37];

    cli_table_add(table, ku_event_id(scope, event));
    ku_time_format(event->at, text);
    cli_table_add(table, ku_str_from(text));
    if (with_tenant) {
        ku_id_format(event->tenant, text);
        cli_table_add(table, ku_str_from(text));
    }
    cli_table_add(table, event->name);
    ku_id_format(event->stream, text);
    cli_table_add(table, ku_str_from(text));
    cli_table_add_int(table, event->version);
    cli_table_add(table, event->user);
}

static ku_status list_table(
    cli_reader *reader, const events_options *events, const event_key *keys, size_t count)
{
    static const cli_column with_tenant[] = {
        {"ID",      true },
        {"TIME",    false},
        {"TENANT",  false},
        {"TYPE",    false},
        {"STREAM",  false},
        {"VERSION", true },
        {"USER",    false}
    };
    static const cli_column without_tenant[] = {
        {"ID",      true },
        {"TIME",    false},
        {"TYPE",    false},
        {"STREAM",  false},
        {"VERSION", true },
        {"USER",    false}
    };
    const bool tenants = !events->selection.one_tenant;
    arena a = {0};
    cli_table table;
    ku_status status = KU_OK;

    cli_table_init(&table, &a, tenants ? with_tenant : without_tenant,
        tenants ? KU_COUNT(with_tenant) : KU_COUNT(without_tenant));
    for (size_t i = 0; status == KU_OK && i < count; i++) {
        const ku_mark mark = ku_scope_mark(&reader->scope);
        ku_event event;
        status = events_read(reader, &keys[i], events->as_stored, &event);
        if (status == KU_OK) {
            add_row(&table, &reader->scope, &event, tenants);
            ku_scope_rewind(&reader->scope, mark);
        }
    }
    if (status == KU_OK)
        cli_table_print(&table, stdout);
    arena_done(&a);
    return status;
}

static ku_status list(cli_reader *reader, events_options *events)
{
    event_key *keys;
    size_t count;

    ku_status status = KU_OK;
    if (events->selection.forward && !events->selection.one_stream)
        status = cli_choose_tenant(reader,
            events->selection.one_tenant ? &events->selection.tenant : NULL,
            &events->selection.tenant);
    if (status == KU_OK && events->selection.forward && !events->selection.one_stream)
        events->selection.one_tenant = true;
    if (status == KU_OK)
        status = events_select(reader, &events->selection, &keys, &count);
    if (status != KU_OK)
        return status;
    status = events->common.json ? list_json(reader, events, keys, count)
                                 : list_table(reader, events, keys, count);
    free(keys);
    return status;
}

/* ---- show ----------------------------------------------------------------------------------- */

static void put_line(buffer *b, const char *name, ku_str value)
{
    if (value.len == 0)
        return;
    buffer_format(b, "%-12s ", name);
    cli_add_safely(b, value);
    buffer_add_char(b, '\n');
}

static void print_event(ku_scope *scope, const ku_event *event)
{
    char text[37];
    buffer b = {0};

    put_line(&b, "event", ku_event_id(scope, event));
    put_line(&b, "type", event->name);
    buffer_format(&b, "%-12s %d", "schema", event->event_version);
    if (event->stored_version != event->event_version)
        buffer_format(&b, ", lifted from the stored %d", event->stored_version);
    buffer_add_char(&b, '\n');
    ku_id_format(event->tenant, text);
    put_line(&b, "tenant", ku_str_from(text));
    ku_id_format(event->stream, text);
    put_line(&b, "stream", ku_str_from(text));
    put_line(&b, "entity", event->stream_type);
    buffer_format(&b, "%-12s %" PRId64 "\n", "version", event->version);
    ku_time_format(event->at, text);
    put_line(&b, "time", ku_str_from(text));
    put_line(&b, "user", event->user);
    put_line(&b, "request", event->request_id);
    put_line(&b, "correlation", event->correlation_id);
    put_line(&b, "causation", event->causation_id);
    put_line(&b, "key", event->idempotency_key);
    put_line(&b, "headers", event->headers.json);
    buffer_format(&b, "%-12s ", "payload");
    cli_json_pretty(&b, cli_json(&scope->arena, event->json.json), 13);
    (void)printf("%" KU_PRI "\n", KU_FMT(buffer_str(&b)));
    buffer_done(&b);
}

static ku_status show(cli_reader *reader, const events_options *events)
{
    const event_selection *selection = &events->selection;
    event_key key = {.lane = selection->after_lane, .position = selection->after_position};
    ku_event event;

    ku_status status =
        cli_choose_tenant(reader, selection->one_tenant ? &selection->tenant : NULL, &key.tenant);
    if (status == KU_OK)
        status = events_read(reader, &key, events->as_stored, &event);
    if (status != KU_OK)
        return status;
    if (events->common.json)
        write_json(&event, "", "\n");
    else
        print_event(&reader->scope, &event);
    return KU_OK;
}

/* ---- follow --------------------------------------------------------------------------------- */

typedef struct follower {
    cli_reader *reader;
    const events_options *events;
    lane_head *seen; /* how far each lane has been printed, in the order of log_lanes */
    size_t n_seen;
} follower;

static void print_line(ku_scope *scope, const ku_event *event)
{
    char stream[37], at[25];
    buffer line = {0};

    ku_time_format(event->at, at);
    ku_id_format(event->stream, stream);
    buffer_format(&line, "%s%s%s  %" KU_PRI "  %s", cli_ink_text(INK_DIM), at,
        cli_ink_text(INK_PLAIN), KU_FMT(ku_event_id(scope, event)), cli_ink_text(INK_BOLD));
    cli_add_safely(&line, event->name);
    buffer_format(&line, "%s  %s v%" PRId64 "  ", cli_ink_text(INK_PLAIN), stream, event->version);
    cli_add_safely(&line, event->json.json);
    (void)printf("%" KU_PRI "\n", KU_FMT(buffer_str(&line)));
    buffer_done(&line);
}

static ku_status on_new(ku_scope *scope, const stored_event *stored, void *context)
{
    const follower *f = context;
    const event_selection *selection = &f->events->selection;
    ku_event event;

    if (selection->one_stream && !ku_id_equal(stored->stream, selection->stream))
        return KU_OK;
    const ku_mark mark = ku_scope_mark(scope); /* there may be a million behind --after */
    const ku_status status = events_lift(f->reader, stored, f->events->as_stored, &event);
    if (status != KU_OK)
        return status;
    if (f->events->common.json)
        write_json(&event, "", "\n");
    else
        print_line(scope, &event);
    ku_scope_rewind(scope, mark);
    return KU_OK;
}

/* Up to where a lane has been printed; a lane that was not there before: not at all. */
static int64_t seen_of(const follower *f, const lane_head *lane)
{
    for (size_t i = 0; i < f->n_seen; i++) {
        if (f->seen[i].lane == lane->lane && ku_id_equal(f->seen[i].tenant, lane->tenant))
            return f->seen[i].head;
    }
    return 0;
}

static void keep_heads(follower *f, const lane_head *lanes, size_t count)
{
    f->seen = mem_grow(f->seen, (count + 1) * sizeof(*f->seen));
    if (count > 0)
        memcpy(f->seen, lanes, count * sizeof(*f->seen));
    f->n_seen = count;
}

static ku_status print_new(follower *f)
{
    ku_scope *scope = &f->reader->scope;
    const event_selection *selection = &f->events->selection;
    const ku_id tenant = selection->one_tenant ? selection->tenant : (ku_id){0};
    const ku_mark mark = ku_scope_mark(scope);
    lane_head *lanes;
    size_t count;

    ku_status status = log_lanes(scope, tenant, &lanes, &count);
    for (size_t i = 0; status == KU_OK && i < count; i++) {
        /* Lanes are only ever added, in order: most often the same index is the same lane. */
        const bool same = i < f->n_seen && f->seen[i].lane == lanes[i].lane &&
                          ku_id_equal(f->seen[i].tenant, lanes[i].tenant);
        const int64_t seen = same ? f->seen[i].head : seen_of(f, &lanes[i]);
        if (seen < lanes[i].head)
            status = log_each_of_lane(scope, lanes[i].tenant, lanes[i].lane, seen, lanes[i].head,
                selection->types_json, INT64_MAX, on_new, f);
    }
    if (status != KU_OK)
        return status;
    keep_heads(f, lanes, count);
    ku_scope_rewind(scope, mark);
    return KU_OK;
}

/* Where to begin: at the present heads, or for --after behind that event in its lane. */
static ku_status start_at(follower *f)
{
    const event_selection *selection = &f->events->selection;
    lane_head *lanes;
    size_t count;

    const ku_status status = log_lanes(
        &f->reader->scope, selection->one_tenant ? selection->tenant : (ku_id){0}, &lanes, &count);
    if (status != KU_OK)
        return status;
    for (size_t i = 0; selection->forward && i < count; i++) {
        if (lanes[i].lane == selection->after_lane && lanes[i].head > selection->after_position)
            lanes[i].head = selection->after_position;
    }
    keep_heads(f, lanes, count);
    return KU_OK;
}

static ku_status follow(cli_reader *reader, const events_options *events)
{
    follower f = {.reader = reader, .events = events};

    ku_status status = start_at(&f);
    while (status == KU_OK) {
        status = print_new(&f);
        if (status != KU_OK)
            break;
        if (fflush(stdout) != 0)
            break; /* nobody reads any more; ku_main says so */
        status = cli_reader_pause(reader, 1);
    }
    free(f.seen);
    return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

int cmd_events(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_features,              0, NULL, 0},
        {&cli_argp_json,                  0, NULL, 0},
        {0   }
    };
    static const struct argp argp = {options, parse, usage, about, children, cli_help_filter, NULL};
    events_options events = {0};
    cli_reader reader;
    int code = 0;

    cli_parse(program, &argp, argc, argv, &events);
    if (events.types.len > 0) {
        buffer_add_char(&events.types, ']');
        events.selection.types_json = buffer_str(&events.types);
    }
    if (cli_reader_open(program, &events.common, &reader, &code)) {
        const ku_status status = events.show     ? show(&reader, &events)
                                 : events.follow ? follow(&reader, &events)
                                                 : list(&reader, &events);
        if (status != KU_OK)
            code = cli_fail_scope(program, status, &reader.scope);
        cli_reader_close(&reader);
    }
    buffer_done(&events.types);
    return code;
}
