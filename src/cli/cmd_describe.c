/*
 * describe: prints features back.
 */
#include "cli/cli.h"

#include <stdlib.h>

enum { OPTION_OPENAPI = 256 };

typedef struct describe_options {
    cli_options common;
    bool openapi;
} describe_options;

static const struct argp_option options[] = {
    {"openapi", OPTION_OPENAPI, NULL, 0, "Print OpenAPI 3.1 instead", 0},
    {0    },
};

static const char about[] =
    "Print the features: entities, events with versions and migrations, projections with what they "
    "subscribe to, handlers with roles and rate limits.  No database is needed."
    "\v"
    "Payloads and inputs are JSON Schemas in --json and --openapi.";

static error_t parse(int key, char *argument, struct argp_state *state)
{
    describe_options *describe = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 2, &describe->common);
        return 0;
    case OPTION_OPENAPI:
        describe->openapi = true;
        return 0;
    case ARGP_KEY_END:
        if (describe->openapi && describe->common.json)
            argp_error(state, "--json and --openapi are two forms: choose one");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_describe(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_features, 0, NULL, 0},
        {&cli_argp_json,              0, NULL, 0},
        {0                 }
    };
    static const struct argp argp = {options, parse, NULL, about, children, cli_help_filter, NULL};
    describe_options describe = {0};
    const ku_feature *const *features;
    ku_error error = {0};
    char *text;

    cli_parse(program, &argp, argc, argv, &describe);
    ku_status status = cli_load_features(program, &describe.common, &features, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    if (*features == NULL)
        return cli_fail(program, KU_INVALID,
            "there are no features to describe: name a shared object with --feature");

    const ku_format_kind format = describe.openapi       ? KU_DESCRIBE_OPENAPI
                                  : describe.common.json ? KU_DESCRIBE_JSON
                                                         : KU_DESCRIBE_TEXT;
    status = ku_describe(features, format, &text, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    (void)fputs(text, stdout);
    free(text);
    return 0;
}
