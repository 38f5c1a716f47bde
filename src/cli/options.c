/*
 * Options and variables that several subcommands share.
 *
 * Each shared option is an argp parser of its own, so that a subcommand lists exactly those that
 * have an effect on it.  A flag beats the environment, the environment beats the default.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static error_t parse_database(int key, char *argument, struct argp_state *state)
{
    cli_options *options = state->input;

    if (key != 'd')
        return ARGP_ERR_UNKNOWN;
    options->database = argument;
    return 0;
}

static error_t parse_feature(int key, char *argument, struct argp_state *state)
{
    cli_options *options = state->input;

    if (key != 'f')
        return ARGP_ERR_UNKNOWN;
    if (options->n_feature_files == CLI_FEATURE_FILES_MAX)
        argp_error(state, "at most %d features can be loaded", CLI_FEATURE_FILES_MAX);
    options->feature_files[options->n_feature_files++] = argument;
    return 0;
}

static error_t parse_json(int key, char *argument, struct argp_state *state)
{
    cli_options *options = state->input;

    (void)argument;
    if (key != 'j')
        return ARGP_ERR_UNKNOWN;
    options->json = true;
    return 0;
}

static const struct argp_option database_options[] = {
    {"database", 'd', "URL", 0,
     "The database: sqlite:PATH or postgresql://HOST/NAME (default: KUMIKO_DATABASE_URL, else "
        "sqlite:kumiko.db)", 0},
    {0    },
};
static const struct argp_option feature_options[] = {
    {"feature", 'f', "FILE", 0, "Load the features of a shared object; may be repeated", 0},
    {0  },
};
static const struct argp_option json_options[] = {
    {"json", 'j', NULL, 0, "Print JSON for programs instead of a table for people", 0},
    {0 },
};

const struct argp cli_argp_database = {.options = database_options, .parser = parse_database};
const struct argp cli_argp_features = {.options = feature_options, .parser = parse_feature};
const struct argp cli_argp_json = {.options = json_options, .parser = parse_json};

void cli_give_children(struct argp_state *state, size_t count, cli_options *options)
{
    for (size_t i = 0; i < count; i++)
        state->child_inputs[i] = options;
}

char *cli_help_filter(int key, const char *text, void *input)
{
    (void)input;
    /* argp's own words for "the text as it is". */
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)(uintptr_t)text;
}

void cli_parse(const cli *program, const struct argp *argp, int argc, char **argv, void *input)
{
    char name[256];

    /* argp takes the name for its messages from argv[0]. */
    (void)snprintf(name, sizeof(name), "%s %s", program->program, program->command);
    argv[0] = name;
    argp_err_exit_status = CLI_EXIT_USAGE;
    if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
        exit(CLI_EXIT_USAGE);
}

const char *cli_environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

const char *cli_database_url(const cli_options *options)
{
    const char *url = options->database;

    if (url == NULL)
        url = cli_environment("KUMIKO_DATABASE_URL");
    return url != NULL ? url : "sqlite:kumiko.db";
}

const char *cli_environment_kind(void)
{
    const char *kind = cli_environment("KUMIKO_ENV");

    if (kind == NULL)
        kind = cli_environment("NODE_ENV");
    return kind != NULL ? kind : "development";
}

bool cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    char *end;

    if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

ku_id cli_parse_id(struct argp_state *state, const char *what, const char *text)
{
    ku_id id = {0};

    if (!ku_id_parse(ku_str_from(text), &id))
        argp_error(state, "%s: `%s` is not a UUID", what, text);
    return id;
}
