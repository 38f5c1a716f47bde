/*
 * schema: the tables, made, shown and compared.
 *
 * `apply` does what a server does at its start in development, and what somebody who is allowed to
 * change tables does beforehand where several servers share a database.  `print` needs no database
 * but the name of its engine: it is for those who look at every table before they let it in.
 */
#include "app/schema.h"
#include "base/error.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "store/log.h"

#include <inttypes.h>
#include <string.h>

typedef enum schema_verb { SCHEMA_NONE, SCHEMA_APPLY, SCHEMA_PRINT, SCHEMA_CHECK } schema_verb;

typedef struct schema_options {
    cli_options common;
    schema_verb verb;
} schema_options;

static const char usage[] = "apply\nprint\ncheck";

static const char about[] =
    "Create the tables of the log and of the features or bring them to this version (apply), print "
    "the SQL that would create them (print), or see whether they are there (check)."
    "\v"
    "`apply` is one transaction; run twice it does nothing, and two that run at once do it one "
    "after the other. Tables of a newer program are refused. `check` changes nothing and exits "
    "with 4 if something is missing, with 5 if what is there does not fit.";

static schema_verb verb_of(const char *argument)
{
    static const char *const names[] = {
        [SCHEMA_APPLY] = "apply", [SCHEMA_PRINT] = "print", [SCHEMA_CHECK] = "check"};

    for (size_t i = SCHEMA_APPLY; i < KU_COUNT(names); i++) {
        if (strcmp(names[i], argument) == 0)
            return (schema_verb)i;
    }
    return SCHEMA_NONE;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    schema_options *schema = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 3, &schema->common);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            schema->verb = verb_of(argument);
        if (state->arg_num > 0 || schema->verb == SCHEMA_NONE)
            argp_error(state, "`%s` is not understood here", argument);
        return 0;
    case ARGP_KEY_END:
        if (schema->verb == SCHEMA_NONE)
            argp_error(state, "say what to do: apply, print or check");
        if (schema->verb == SCHEMA_PRINT && schema->common.json)
            argp_error(state, "`print` prints SQL, not JSON");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- print ---------------------------------------------------------------------------------- */

static ku_status print(const char *url, const registry *r, ku_error *ret_error)
{
    db_dialect dialect;
    buffer b = {0};

    ku_status status = db_dialect_of(url, &dialect, ret_error);
    if (status != KU_OK)
        return status;
    schema_print(r, dialect, &b);
    (void)fwrite(b.ptr, 1, b.len, stdout);
    buffer_done(&b);
    return KU_OK;
}

/* ---- apply, check --------------------------------------------------------------------------- */

/* What roles may read of the tables that have just been made. */
static ku_status grant(ku_scope *scope, const void *context)
{
    (void)context;
    return log_grant_roles(scope);
}

static ku_status apply(const char *url, const registry *r, ku_error *ret_error)
{
    db *d;

    ku_status status = db_open(url, DB_WRITER, r->statements, &d, ret_error);
    if (status != KU_OK)
        return status;
    status = schema_apply(r, d, ret_error);
    if (status == KU_OK)
        status = cli_change(d, grant, NULL, ret_error);
    db_close(d);
    return status;
}

static ku_status check(const char *url, const registry *r, ku_error *ret_error)
{
    db *d;

    ku_status status = db_open(url, DB_READER, r->statements, &d, ret_error);
    if (status != KU_OK)
        return status;
    status = db_begin(d);
    if (status == KU_OK)
        status = schema_check(r, d, ret_error);
    else
        (void)error_set(ret_error, status, "%s", db_error(d));
    db_rollback(d);
    db_close(d);
    return status;
}

static void report(const schema_options *schema, const registry *r)
{
    const int version = log_schema_newest();
    buffer b = {0};
    size_t count = 0;

    for (const row_table *t = r->tables; t != NULL; t = t->next) {
        if (count++ > 0)
            buffer_add_char(&b, ',');
        json_put_text(&b, t->name);
    }
    if (schema->common.json)
        (void)printf(
            "{\"version\":%d,\"featureTables\":[%" KU_PRI "]}\n", version, KU_FMT(buffer_str(&b)));
    else
        (void)printf("The tables are there: those of the log in version %d, and %zu of features\n",
            version, count);
    buffer_done(&b);
}

/* ---- the command ---------------------------------------------------------------------------- */

static ku_status run(const schema_options *schema, const registry *r, ku_error *ret_error)
{
    const char *url = cli_database_url(&schema->common);

    if (schema->verb == SCHEMA_PRINT)
        return print(url, r, ret_error);
    const ku_status status =
        schema->verb == SCHEMA_APPLY ? apply(url, r, ret_error) : check(url, r, ret_error);
    if (status == KU_OK)
        report(schema, r);
    return status;
}

int cmd_schema(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_features,              0, NULL, 0},
        {&cli_argp_json,                  0, NULL, 0},
        {0   }
    };
    static const struct argp argp = {NULL, parse, usage, about, children, cli_help_filter, NULL};
    schema_options schema = {0};
    const ku_feature *const *features;
    registry tables = {0};
    ku_error error = {0};

    cli_parse(program, &argp, argc, argv, &schema);
    ku_status status = cli_load_features(program, &schema.common, &features, &error);
    if (status == KU_OK)
        status = registry_build(features, NULL, &tables, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    status = run(&schema, &tables, &error);
    registry_done(&tables);
    return status == KU_OK ? 0 : cli_fail(program, status, "%s", error.message);
}
