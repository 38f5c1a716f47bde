/*
 * tenants: which there are, over how many lanes their streams are spread, and who else may see
 * them.
 *
 * Changes take the database's write lock: an SQLite file has to be there for this command alone, on
 * PostgreSQL servers go on and hear of it within seconds.
 */
#include "base/error.h"
#include "base/limits.h"
#include "cli/change.h"
#include "cli/reader.h"

#include <inttypes.h>
#include <string.h>

typedef enum tenants_verb {
    TENANTS_LIST,
    TENANTS_SET_LANES,
    TENANTS_ALLOW_ROLE,
    TENANTS_REVOKE_ROLE,
} tenants_verb;

static const char *const verbs[] = {
    [TENANTS_LIST] = "list",
    [TENANTS_SET_LANES] = "set-lanes",
    [TENANTS_ALLOW_ROLE] = "allow-role",
    [TENANTS_REVOKE_ROLE] = "revoke-role",
};

typedef struct tenants_options {
    cli_options common;
    tenants_verb verb;
    ku_id tenant;
    int64_t lanes;
    const char *role;
} tenants_options;

static const char usage[] =
    "[list]\nset-lanes TENANT NUMBER\nallow-role TENANT ROLE\nrevoke-role TENANT ROLE";

static const char about[] =
    "List the tenants with lanes and events, give one more lanes, or let a role of the database "
    "look at one tenant's rows and no others."
    "\v"
    "Lanes can only become more. They are for tenants that write more than one lane can take: "
    "order holds within a lane, and streams that are there stay where they are. Roles are "
    "PostgreSQL's; they may read, never write.";

static void take_argument(tenants_options *tenants, char *argument, struct argp_state *state)
{
    if (state->arg_num == 0) {
        for (size_t i = 0; i < KU_COUNT(verbs); i++) {
            if (strcmp(verbs[i], argument) == 0) {
                tenants->verb = (tenants_verb)i;
                return;
            }
        }
    }
    if (state->arg_num == 0 || tenants->verb == TENANTS_LIST || state->arg_num > 2)
        argp_error(state, "`%s` is not understood here", argument);
    else if (state->arg_num == 1)
        tenants->tenant = cli_parse_id(state, "TENANT", argument);
    else if (tenants->verb != TENANTS_SET_LANES)
        tenants->role = argument;
    else if (!cli_parse_int(argument, 1, LIMIT_LANES, &tenants->lanes))
        argp_error(state, "`%s`: a tenant has 1 to %d lanes", argument, (int)LIMIT_LANES);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    tenants_options *tenants = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 2, &tenants->common);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(tenants, argument, state);
        return 0;
    case ARGP_KEY_END:
        if (tenants->verb == TENANTS_SET_LANES && tenants->lanes == 0)
            argp_error(state, "set-lanes of which TENANT, to what NUMBER?");
        if (tenants->verb > TENANTS_SET_LANES && tenants->role == NULL)
            argp_error(state, "%s: say which TENANT and which ROLE", verbs[tenants->verb]);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- list ----------------------------------------------------------------------------------- */

static void print_json(const tenant_lanes *all, size_t count)
{
    buffer b = {0};

    for (size_t i = 0; i < count; i++) {
        char id[37];
        ku_id_format(all[i].tenant, id);
        buffer_format(&b, "%s{\"tenantId\":\"%s\",\"lanes\":%" PRId32 ",\"events\":%" PRId64 "}",
            i == 0 ? "\n" : ",\n", id, all[i].lanes, all[i].events);
    }
    (void)printf("[%" KU_PRI "%s]\n", KU_FMT(buffer_str(&b)), count > 0 ? "\n" : "");
    buffer_done(&b);
}

static void print_table(cli_reader *reader, const tenant_lanes *all, size_t count)
{
    static const cli_column columns[] = {
        {"TENANT", false},
        {"LANES",  true },
        {"EVENTS", true }
    };
    cli_table table;

    cli_table_init(&table, &reader->scope.arena, columns, KU_COUNT(columns));
    for (size_t i = 0; i < count; i++) {
        char id[37];
        ku_id_format(all[i].tenant, id);
        cli_table_add(&table, ku_str_from(id));
        cli_table_add_int(&table, all[i].lanes);
        cli_table_add_int(&table, all[i].events);
    }
    cli_table_print(&table, stdout);
}

static ku_status list(cli_reader *reader, const tenants_options *tenants)
{
    tenant_lanes *all;
    size_t count;

    const ku_status status = log_tenants(&reader->scope, &all, &count);
    if (status != KU_OK)
        return status;
    if (tenants->common.json)
        print_json(all, count);
    else
        print_table(reader, all, count);
    return KU_OK;
}

/* ---- changes -------------------------------------------------------------------------------- */

static ku_status change_in(ku_scope *scope, const void *context)
{
    const tenants_options *tenants = context;
    const ku_str role = tenants->role == NULL ? (ku_str){0} : ku_str_from(tenants->role);

    if (tenants->verb == TENANTS_SET_LANES)
        return log_set_lanes(scope, tenants->tenant, (int32_t)tenants->lanes);
    return tenants->verb == TENANTS_ALLOW_ROLE ? log_allow_role(scope, tenants->tenant, role)
                                               : log_revoke_role(scope, tenants->tenant, role);
}

static ku_status change(const char *url, const tenants_options *tenants, ku_error *ret_error)
{
    db_catalog *statements = db_catalog_new();
    db *d;

    ku_status status = db_open(url, DB_WRITER, statements, &d, ret_error);
    if (status == KU_OK) {
        status = cli_change(d, change_in, tenants, ret_error);
        db_close(d);
    }
    db_catalog_free(statements);
    return status;
}

static void print_change(const tenants_options *tenants)
{
    char id[37];
    buffer b = {0};

    ku_id_format(tenants->tenant, id);
    if (tenants->verb == TENANTS_SET_LANES && tenants->common.json) {
        (void)printf("{\"tenantId\":\"%s\",\"lanes\":%" PRId64 "}\n", id, tenants->lanes);
    } else if (tenants->verb == TENANTS_SET_LANES) {
        (void)printf("%s: new streams are spread over %" PRId64 " lane%s\n", id, tenants->lanes,
            tenants->lanes == 1 ? "" : "s");
    } else if (tenants->common.json) {
        json_put_text(&b, ku_str_from(tenants->role));
        (void)printf("{\"tenantId\":\"%s\",\"role\":%" KU_PRI ",\"allowed\":%s}\n", id,
            KU_FMT(buffer_str(&b)), tenants->verb == TENANTS_ALLOW_ROLE ? "true" : "false");
    } else {
        cli_add_safely(&b, ku_str_from(tenants->role));
        (void)printf("%s: the role %" KU_PRI " may %s its rows\n", id, KU_FMT(buffer_str(&b)),
            tenants->verb == TENANTS_ALLOW_ROLE ? "see" : "no longer see");
    }
    buffer_done(&b);
}

/* ---- the command ---------------------------------------------------------------------------- */

int cmd_tenants(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_json,              0, NULL, 0},
        {0                 }
    };
    static const struct argp argp = {NULL, parse, usage, about, children, cli_help_filter, NULL};
    tenants_options tenants = {0};
    ku_error error = {0};
    cli_reader reader;
    int code = 0;

    cli_parse(program, &argp, argc, argv, &tenants);
    /* Tenants are the log's; the features have nothing to add.  A change, too, begins with reading:
     * it wants tables that are there and of this version. */
    const cli bare = {.program = program->program, .command = program->command};
    if (!cli_reader_open(&bare, &tenants.common, &reader, &code))
        return code;
    ku_status status = tenants.verb == TENANTS_LIST ? list(&reader, &tenants) : KU_OK;
    if (status != KU_OK)
        code = cli_fail_scope(program, status, &reader.scope);
    cli_reader_close(&reader);
    if (tenants.verb == TENANTS_LIST)
        return code;
    status = change(cli_database_url(&tenants.common), &tenants, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    print_change(&tenants);
    return 0;
}
