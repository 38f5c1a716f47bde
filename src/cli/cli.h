/*
 * What the subcommands share: who they are called as, their common options, their output.
 *
 * A subcommand is one function in a file of its own, cmd_<name>.c.  It parses its options with
 * argp, does its work and returns the exit code.  Results go to stdout, everything else to stderr.
 */
#ifndef KU_CLI_CLI_H
#define KU_CLI_CLI_H

#include "base/buffer.h"
#include "kumiko/app.h"

#include <argp.h>
#include <stdio.h>

enum {
    CLI_EXIT_PROBLEMS = 1, /* `check` found damage */
    CLI_EXIT_USAGE = 2,    /* as KU_INVALID */
    CLI_EXIT_OUTPUT = 74,  /* stdout could not be written */
};

/* The program and the subcommand that runs in it. */
typedef struct cli {
    const char *program;               /* `kumiko` */
    const char *command;               /* `serve` */
    const ku_feature *const *features; /* linked in; may be NULL */
} cli;

typedef struct cli_command {
    const char *name;
    const char *about; /* one line, for the list of subcommands */
    int (*run)(const cli *program, int argc, char **argv);
} cli_command;

int cmd_serve(const cli *program, int argc, char **argv);
int cmd_token(const cli *program, int argc, char **argv);
int cmd_describe(const cli *program, int argc, char **argv);
int cmd_events(const cli *program, int argc, char **argv);
int cmd_inspect(const cli *program, int argc, char **argv);
int cmd_consumers(const cli *program, int argc, char **argv);
int cmd_projections(const cli *program, int argc, char **argv);
int cmd_tenants(const cli *program, int argc, char **argv);
int cmd_schema(const cli *program, int argc, char **argv);
int cmd_check(const cli *program, int argc, char **argv);

/* ---- options.c: options that several subcommands have --------------------------------------- */

enum { CLI_FEATURE_FILES_MAX = 64 };

typedef struct cli_options {
    const char *database; /* NULL: from the environment; see cli_database_url */
    bool json;
    const char *feature_files[CLI_FEATURE_FILES_MAX];
    size_t n_feature_files;
} cli_options;

/* argp children; their input is a cli_options. */
extern const struct argp cli_argp_database; /* --database URL */
extern const struct argp cli_argp_features; /* --feature FILE … */
extern const struct argp cli_argp_json;     /* --json */

/* For a parser's ARGP_KEY_INIT: gives its `count` children, all of the above, their input. */
void cli_give_children(struct argp_state *state, size_t count, cli_options *options);

/* Leaves out what argp would add to every help list. */
char *cli_help_filter(int key, const char *text, void *input);
/* Parses; a usage error ends the process with CLI_EXIT_USAGE, --help with 0. */
void cli_parse(const cli *program, const struct argp *argp, int argc, char **argv, void *input);

/* --database, else KUMIKO_DATABASE_URL, else sqlite:kumiko.db. */
const char *cli_database_url(const cli_options *options);
/* A variable's value, or NULL if it is unset or empty. */
const char *cli_environment(const char *name);
/* KUMIKO_ENV, else NODE_ENV, else `development`. */
const char *cli_environment_kind(void);

/* A whole decimal number within the bounds; false if the text is not one. */
bool cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);
/* A UUID argument, or argp's usage error. */
ku_id cli_parse_id(struct argp_state *state, const char *what, const char *text);

/* ---- load.c --------------------------------------------------------------------------------- */

/*
 * The features that are linked in and those of the shared objects, as one NULL-terminated list that
 * is good until the next call.  KU_INVALID: a file is missing, is no feature, or was built for
 * another ABI; the message names it.
 */
ku_status cli_load_features(const cli *program, const cli_options *options,
    const ku_feature *const **ret_features, ku_error *ret_error);

/* ---- output.c ------------------------------------------------------------------------------- */

/* `kumiko serve: <message>` on stderr; returns the status' exit code. */
int cli_fail(const cli *program, ku_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what went wrong in a scope. */
int cli_fail_scope(const cli *program, ku_status status, const ku_scope *scope);

typedef enum cli_ink { INK_PLAIN, INK_BOLD, INK_DIM, INK_RED, INK_GREEN, INK_YELLOW } cli_ink;
/* The escape that starts a colour, and (INK_PLAIN) the one that ends it; empty where there are
 * none. */
const char *cli_ink_text(cli_ink ink);
/* Adds text, with what a terminal could take for a command replaced by `?`. */
void cli_add_safely(buffer *b, ku_str text);

/* A table for people: header, columns as wide as they need to be. */
typedef struct cli_column {
    const char *title;
    bool right; /* numbers */
} cli_column;

typedef struct cli_table {
    arena *arena;
    const cli_column *columns;
    size_t n_columns;
    ku_str *cells;
    size_t n_cells, capacity;
} cli_table;

void cli_table_init(cli_table *table, arena *a, const cli_column *columns, size_t n_columns);
/* The next cell, row by row; copied. */
void cli_table_add(cli_table *table, ku_str cell);
void cli_table_add_int(cli_table *table, int64_t cell);
void cli_table_print(const cli_table *table, FILE *file);

#endif
