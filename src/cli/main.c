/*
 * The program: subcommands over features.
 *
 * ku_main finds the subcommand and hands it the rest of the arguments.  Exit codes are those of the
 * status table (kumiko/status.h), with three of our own: see cli.h.  Whatever could not be written
 * to stdout makes the command fail, so that a full disk behind a redirection does not pass
 * unnoticed.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const cli_command commands[] = {
    {"serve",       "Serve the features over HTTP",                        cmd_serve      },
    {"token",       "Mint a token for development",                        cmd_token      },
    {"describe",    "Print the features: text, JSON or OpenAPI",           cmd_describe   },
    {"events",      "List, show and follow events",                        cmd_events     },
    {"inspect",     "Show how the state of one stream came about",         cmd_inspect    },
    {"consumers",   "List asynchronous consumers; restart a halted one",   cmd_consumers  },
    {"projections", "List projections and how far behind they are",        cmd_projections},
    {"tenants",     "List tenants; raise their lanes; roles that see one", cmd_tenants    },
    {"schema",      "Make, print or check the tables",                     cmd_schema     },
    {"check",       "Check the integrity of the event log",                cmd_check      },
};

static const char help_tail[] =
    "\n"
    "Options:\n"
    "  -?, --help     Give this help list\n"
    "  -V, --version  Print the version\n"
    "\n"
    "`%s COMMAND --help` explains a command.\n"
    "\n"
    "Exit codes: 0 done; 1 check found problems; 2 wrong usage or input; 3 not allowed;\n"
    "4 not found; 5 conflict with the present state; 6 refused, or a setting is missing;\n"
    "7 cancelled; 70 internal error; 74 output could not be written; 75 try again later.\n";

static void print_help(FILE *file, const char *name)
{
    (void)fprintf(file, "Usage: %s COMMAND [OPTION...]\n\nCommands:\n", name);
    for (size_t i = 0; i < KU_COUNT(commands); i++)
        (void)fprintf(file, "  %-12s %s\n", commands[i].name, commands[i].about);
    (void)fprintf(file, "  %-12s %s\n", "help", "Explain the program, or one command");
    (void)fprintf(file, help_tail, name);
}

static const cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < KU_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown(const char *name, const char *what, const char *argument)
{
    (void)fprintf(stderr, "%s: unknown %s `%s`\nTry `%s --help` for what there is.\n", name, what,
        argument, name);
    return CLI_EXIT_USAGE;
}

static int run_command(const char *name, const ku_feature *const *features, int argc, char **argv)
{
    const cli_command *command = find_command(argv[0]);

    if (command == NULL)
        return unknown(name, "command", argv[0]);
    const cli program = {.program = name, .command = command->name, .features = features};
    return command->run(&program, argc, argv);
}

/* `help` and `help COMMAND`. */
static int run_help(const char *name, const ku_feature *const *features, int argc, char **argv)
{
    static char help_option[] = "--help";

    if (argc < 2) {
        print_help(stdout, name);
        return 0;
    }
    char *arguments[] = {argv[1], help_option, NULL};
    return run_command(name, features, 2, arguments);
}

static int run(const char *name, const ku_feature *const *features, int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : NULL;

    if (first == NULL) {
        print_help(stderr, name);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-?") == 0 || strcmp(first, "-h") == 0) {
        print_help(stdout, name);
        return 0;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        (void)printf("%s (Kumiko %s, ABI %d)\n", name, ku_version(), KU_ABI_VERSION);
        return 0;
    }
    if (strcmp(first, "help") == 0)
        return run_help(name, features, argc - 1, argv + 1);
    if (first[0] == '-')
        return unknown(name, "option", first);
    return run_command(name, features, argc - 1, argv + 1);
}

int ku_main(int argc, char **argv, const ku_feature *const *features)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = argc == 0 ? "kumiko" : slash != NULL ? slash + 1 : argv[0];

    const int code = run(name, features, argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "%s: cannot write the output\n", name);
        return code != 0 ? code : CLI_EXIT_OUTPUT;
    }
    return code;
}
