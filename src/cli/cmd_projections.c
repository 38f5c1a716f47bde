/*
 * projections: every read model, with how far behind it is.
 *
 * An inline projection is part of the write's transaction and so never behind.  An asynchronous one
 * is as far behind as its consumer.
 */
#include "cli/reader.h"

#include <stdlib.h>

typedef struct projections_options {
    cli_options common;
    ku_id tenant;
} projections_options;

static const struct argp_option options[] = {
    {"tenant", 't', "UUID", 0, "Only this tenant's events (default: all)", 0},
    {0 },
};

static const char about[] = "List the projections of the features and how far behind they are.";

static error_t parse(int key, char *argument, struct argp_state *state)
{
    projections_options *projections = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 3, &projections->common);
        return 0;
    case 't':
        projections->tenant = cli_parse_id(state, "--tenant", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is shown of a projection of either kind. */
typedef struct line {
    const char *name, *kind, *table, *status;
    int64_t position, high_water_mark, lag;
} line;

typedef struct printer {
    bool json;
    buffer text;
    arena arena;
    cli_table table;
} printer;

static void print_line(printer *p, const line *l)
{
    if (!p->json) {
        cli_table_add(&p->table, ku_str_from(l->name));
        cli_table_add(&p->table, ku_str_from(l->kind));
        cli_table_add(&p->table, ku_str_from(l->table));
        cli_table_add(&p->table, ku_str_from(l->status));
        cli_table_add_int(&p->table, l->high_water_mark);
        cli_table_add_int(&p->table, l->lag);
        return;
    }
    buffer_add_text(&p->text, p->text.len == 0 ? "[\n{" : ",\n{");
    json_put_key(&p->text, "name");
    json_put_text(&p->text, ku_str_from(l->name));
    json_put_key(&p->text, "kind");
    json_put_text(&p->text, ku_str_from(l->kind));
    json_put_key(&p->text, "table");
    if (*l->table != '\0')
        json_put_text(&p->text, ku_str_from(l->table));
    else
        buffer_add_text(&p->text, "null");
    json_put_key(&p->text, "status");
    json_put_text(&p->text, ku_str_from(l->status));
    buffer_format(&p->text, ",\"lastProcessedEventId\":\"%lld\"", (long long)l->position);
    json_put_key(&p->text, "highWaterMark");
    json_put_int(&p->text, l->high_water_mark);
    json_put_key(&p->text, "lag");
    json_put_int(&p->text, l->lag);
    buffer_add_char(&p->text, '}');
}

static const char *table_of_consumer(const registry *r, const char *name)
{
    for (const consumer_entry *c = r->consumers; c != NULL; c = c->next) {
        if (ku_str_is(c->name, name))
            return c->projection->table != NULL ? c->projection->table->name : "";
    }
    return "";
}

static ku_status collect(cli_reader *reader, ku_id tenant, printer *p, ku_error *ret_error)
{
    ku_projection_info *inlines = NULL;
    ku_consumer_info *consumers = NULL;
    size_t n_inlines = 0, n_consumers = 0;

    ku_status status = ku_projection_progress(reader->app, tenant, &inlines, &n_inlines, ret_error);
    if (status == KU_OK)
        status = ku_consumer_progress(reader->app, tenant, &consumers, &n_consumers, ret_error);
    for (size_t i = 0; status == KU_OK && i < n_inlines; i++) {
        const ku_projection_info *info = &inlines[i];
        print_line(p, &(line){info->name, "inline", info->table, info->status, info->position,
                          info->high_water_mark, info->lag});
    }
    for (size_t i = 0; status == KU_OK && i < n_consumers; i++) {
        const ku_consumer_info *info = &consumers[i];
        print_line(
            p, &(line){info->name, "async", table_of_consumer(&reader->app->registry, info->name),
                   info->status, info->position, info->high_water_mark, info->lag});
    }
    free(inlines);
    free(consumers);
    return status;
}

static int run(const cli *program, cli_reader *reader, const projections_options *projections)
{
    static const cli_column columns[] = {
        {"PROJECTION", false},
        {"KIND",       false},
        {"TABLE",      false},
        {"STATUS",     false},
        {"EVENTS",     true },
        {"LAG",        true }
    };
    printer p = {.json = projections->common.json};
    ku_error error = {0};

    cli_table_init(&p.table, &p.arena, columns, KU_COUNT(columns));
    const ku_status status = collect(reader, projections->tenant, &p, &error);
    if (status == KU_OK && p.json)
        (void)printf("%" KU_PRI "%s]\n", KU_FMT(p.text.len > 0 ? buffer_str(&p.text) : KU_STR("[")),
            p.text.len > 0 ? "\n" : "");
    else if (status == KU_OK)
        cli_table_print(&p.table, stdout);
    buffer_done(&p.text);
    arena_done(&p.arena);
    return status == KU_OK ? 0 : cli_fail(program, status, "%s", error.message);
}

int cmd_projections(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_features,              0, NULL, 0},
        {&cli_argp_json,                  0, NULL, 0},
        {0   }
    };
    static const struct argp argp = {options, parse, NULL, about, children, cli_help_filter, NULL};
    projections_options projections = {0};
    cli_reader reader;
    int code = 0;

    cli_parse(program, &argp, argc, argv, &projections);
    if (!cli_reader_open(program, &projections.common, &reader, &code))
        return code;
    if (reader.app->registry.n_features == 0)
        code = cli_fail(program, KU_INVALID,
            "projections are declared by features: name a shared object with --feature");
    else
        code = run(program, &reader, &projections);
    cli_reader_close(&reader);
    return code;
}
