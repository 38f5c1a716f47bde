/*
 * consumers: where the asynchronous consumers are, and starting a halted one again.
 *
 * What the database knows is listed, whether or not the features that it belongs to are at hand.
 * Restarting writes.  On PostgreSQL that is one more program with a connection, and running servers
 * find what it did when they next look for work.  An SQLite file has one owner: beside a running
 * server it is refused with the name of the process that has it.
 */
#include "base/error.h"
#include "cli/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct consumers_options {
    cli_options common;
    ku_id tenant;
    bool restart;
    const char *name; /* of `restart` */
} consumers_options;

static const struct argp_option options[] = {
    {"tenant", 't', "UUID", 0, "Only this tenant's lanes (default: all)", 0},
    {0 },
};

static const char usage[] = "[list]\nrestart NAME";

static const char about[] =
    "List the asynchronous consumers with status, lag and last error, or make a halted one run "
    "again."
    "\v"
    "`restart` keeps the consumer's place: the event that stopped it is tried again. On PostgreSQL "
    "it works beside running servers, which see it within seconds. An SQLite file it needs for "
    "itself, so stop the server first; the lanes run again when it starts.";

static void take_argument(consumers_options *consumers, char *argument, struct argp_state *state)
{
    if (state->arg_num == 0 && strcmp(argument, "list") == 0)
        return;
    if (state->arg_num == 0 && strcmp(argument, "restart") == 0)
        consumers->restart = true;
    else if (state->arg_num == 1 && consumers->restart)
        consumers->name = argument;
    else
        argp_error(state, "`%s` is not understood here", argument);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    consumers_options *consumers = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 2, &consumers->common);
        return 0;
    case 't':
        consumers->tenant = cli_parse_id(state, "--tenant", argument);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(consumers, argument, state);
        return 0;
    case ARGP_KEY_END:
        if (consumers->restart && consumers->name == NULL)
            argp_error(state, "restart which consumer?");
        if (consumers->restart && !ku_id_is_nil(consumers->tenant))
            argp_error(state, "restart concerns all tenants");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- list ----------------------------------------------------------------------------------- */

/* What all lanes of a consumer add up to. */
typedef struct summary {
    ku_str name;
    ku_str status; /* the worst lane's, as the next two */
    int attempts;
    ku_str last_error;
    int64_t position, head, lanes, halted;
    ku_time updated_at;
} summary;

static int severity(ku_str status)
{
    return ku_str_is(status, "halted") ? 2 : ku_str_is(status, "backoff") ? 1 : 0;
}

static ku_status summarise(cli_reader *reader, ku_str name, ku_id tenant, summary *ret_summary)
{
    cursor *cursors;
    size_t count;
    summary s = {.name = name, .status = KU_STR("idle")};

    const ku_status status = log_cursors(&reader->scope, name, tenant, &cursors, &count);
    if (status != KU_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const cursor *c = &cursors[i];
        s.position += c->position;
        s.head += c->head;
        s.lanes++;
        s.halted += severity(c->status) == 2;
        if (c->updated_at.unix_us > s.updated_at.unix_us)
            s.updated_at = c->updated_at;
        if (severity(c->status) > severity(s.status) || s.last_error.len == 0) {
            s.status = severity(c->status) > severity(s.status) ? c->status : s.status;
            s.attempts = c->attempts;
            s.last_error = c->last_error;
        }
    }
    *ret_summary = s;
    return KU_OK;
}

static void put_json(buffer *b, const summary *s)
{
    buffer_add_char(b, '{');
    json_put_key(b, "name");
    json_put_text(b, s->name);
    json_put_key(b, "status");
    json_put_text(b, s->status);
    buffer_format(b, ",\"lastProcessedEventId\":\"%" PRId64 "\"", s->position);
    json_put_key(b, "highWaterMark");
    json_put_int(b, s->head);
    json_put_key(b, "lag");
    json_put_int(b, s->head - s->position);
    json_put_key(b, "lanes");
    json_put_int(b, s->lanes);
    json_put_key(b, "haltedLanes");
    json_put_int(b, s->halted);
    json_put_key(b, "attempts");
    json_put_int(b, s->attempts);
    json_put_key(b, "lastError");
    if (s->last_error.len > 0)
        json_put_text(b, s->last_error);
    else
        buffer_add_text(b, "null");
    json_put_key(b, "updatedAt");
    if (s->updated_at.unix_us != 0)
        json_put_time(b, s->updated_at);
    else
        buffer_add_text(b, "null");
    buffer_add_char(b, '}');
}

static void add_row(cli_table *table, const summary *s)
{
    char at[25] = "";

    if (s->updated_at.unix_us != 0)
        ku_time_format(s->updated_at, at);
    cli_table_add(table, s->name);
    cli_table_add(table, s->status);
    cli_table_add_int(table, s->head - s->position);
    cli_table_add_int(table, s->head);
    cli_table_add_int(table, s->lanes);
    cli_table_add_int(table, s->attempts);
    cli_table_add(table, ku_str_from(at));
    cli_table_add(table, s->last_error);
}

static void print_table(cli_reader *reader, const summary *summaries, size_t count)
{
    static const cli_column columns[] = {
        {"CONSUMER",   false},
        {"STATUS",     false},
        {"LAG",        true },
        {"EVENTS",     true },
        {"LANES",      true },
        {"ATTEMPTS",   true },
        {"UPDATED",    false},
        {"LAST ERROR", false}
    };
    cli_table table;

    cli_table_init(&table, &reader->scope.arena, columns, KU_COUNT(columns));
    for (size_t i = 0; i < count; i++)
        add_row(&table, &summaries[i]);
    cli_table_print(&table, stdout);
}

static void print_json(const summary *summaries, size_t count)
{
    buffer b = {0};

    for (size_t i = 0; i < count; i++) {
        buffer_add_text(&b, i == 0 ? "\n" : ",\n");
        put_json(&b, &summaries[i]);
    }
    (void)printf("[%" KU_PRI "%s]\n", KU_FMT(buffer_str(&b)), count > 0 ? "\n" : "");
    buffer_done(&b);
}

static ku_status list(cli_reader *reader, const consumers_options *consumers)
{
    ku_str *names;
    size_t count;

    ku_status status = log_consumers(&reader->scope, &names, &count);
    if (status != KU_OK)
        return status;
    summary *summaries = arena_alloc(&reader->scope.arena, (count + 1) * sizeof(*summaries));
    for (size_t i = 0; status == KU_OK && i < count; i++)
        status = summarise(reader, names[i], consumers->tenant, &summaries[i]);
    if (status != KU_OK)
        return status;
    if (consumers->common.json)
        print_json(summaries, count);
    else
        print_table(reader, summaries, count);
    return KU_OK;
}

/* ---- restart -------------------------------------------------------------------------------- */

static ku_status check_known(cli_reader *reader, const char *name)
{
    ku_str *names;
    size_t count;

    const ku_status status = log_consumers(&reader->scope, &names, &count);
    if (status != KU_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (ku_str_is(names[i], name))
            return KU_OK;
    }
    return scope_fail(&reader->scope, KU_NOT_FOUND, "there is no consumer %s", name);
}

typedef struct rearmed {
    int64_t lanes;
    bool shared; /* the database is: servers may be running */
} rearmed;

static ku_status rearm(const char *url, const char *name, rearmed *ret_rearmed, ku_error *ret_error)
{
    db_catalog *statements = db_catalog_new();
    rearmed done = {0};
    db *d;

    ku_status status = db_open(url, DB_WRITER, statements, &d, ret_error);
    if (status == KU_OK) {
        done.shared = db_is_shared(d);
        status = db_begin(d);
        if (status == KU_OK)
            status = log_consumer_rearm(
                d, ku_str_from(name), clock_now(&(clock_source){0}), &done.lanes);
        if (status == KU_OK)
            status = db_commit(d);
        if (status != KU_OK)
            (void)error_set(ret_error, status, "%s", db_error(d));
        db_close(d);
    }
    db_catalog_free(statements);
    if (status == KU_OK)
        *ret_rearmed = done;
    return status;
}

static int restart(const cli *program, const consumers_options *consumers)
{
    ku_error error = {0};
    rearmed done = {0};

    const ku_status status =
        rearm(cli_database_url(&consumers->common), consumers->name, &done, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    if (consumers->common.json)
        (void)printf("{\"restartedLanes\":%" PRId64 "}\n", done.lanes);
    else if (done.lanes == 0)
        (void)printf("%s has no halted lane\n", consumers->name);
    else
        (void)printf("%s: %" PRId64 " lane%s will run again%s\n", consumers->name, done.lanes,
            done.lanes == 1 ? "" : "s",
            done.shared ? "; running servers see it within seconds" : " when the server starts");
    return 0;
}

/* ---- the command ---------------------------------------------------------------------------- */

int cmd_consumers(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_json,              0, NULL, 0},
        {0                 }
    };
    static const struct argp argp = {options, parse, usage, about, children, cli_help_filter, NULL};
    consumers_options consumers = {0};
    cli_reader reader;
    int code = 0;

    cli_parse(program, &argp, argc, argv, &consumers);
    /* Their places are in the database; the features have nothing to add. */
    const cli bare = {.program = program->program, .command = program->command};
    if (!cli_reader_open(&bare, &consumers.common, &reader, &code))
        return code;
    const ku_status status =
        consumers.restart ? check_known(&reader, consumers.name) : list(&reader, &consumers);
    if (status != KU_OK)
        code = cli_fail_scope(program, status, &reader.scope);
    cli_reader_close(&reader);
    if (status == KU_OK && consumers.restart)
        code = restart(program, &consumers);
    return code;
}
