/*
 * check: the integrity of the event log.
 *
 * Versions are dense in each stream, positions are dense in each lane, heads and stream versions
 * are right, nothing points at what is not there.  Reads everything once; works beside a running
 * server.
 */
#include "cli/reader.h"

#include <inttypes.h>

static const char about[] =
    "Check the integrity of the event log: versions without gaps in each stream, positions without "
    "gaps in each lane, heads that match, no orphans."
    "\v"
    "Exits with 0 if the log is sound, with 1 if problems were found (each is listed).";

static error_t parse(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    cli_give_children(state, 2, state->input);
    return 0;
}

typedef struct problems {
    bool json;
    buffer list; /* the items of the JSON array */
} problems;

static void on_problem(void *context, ku_str sentence)
{
    problems *found = context;
    buffer line = {0};

    if (found->json) {
        if (found->list.len > 0)
            buffer_add_char(&found->list, ',');
        json_put_text(&found->list, sentence);
        return;
    }
    cli_add_safely(&line, sentence);
    (void)printf("%s%" KU_PRI "%s\n", cli_ink_text(INK_RED), KU_FMT(buffer_str(&line)),
        cli_ink_text(INK_PLAIN));
    buffer_done(&line);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_report(const check_report *report, problems *found)
{
    if (found->json) {
        (void)printf("{\"events\":%" PRId64 ",\"streams\":%" PRId64 ",\"lanes\":%" PRId64
                     ",\"problems\":[%" KU_PRI "]}\n",
            report->events, report->streams, report->lanes, KU_FMT(buffer_str(&found->list)));
        return;
    }
    (void)printf("%" PRId64 " event%s, %" PRId64 " stream%s, %" PRId64 " lane%s: ", report->events,
        plural(report->events), report->streams, plural(report->streams), report->lanes,
        plural(report->lanes));
    if (report->problems == 0)
        (void)printf("%sno problems%s\n", cli_ink_text(INK_GREEN), cli_ink_text(INK_PLAIN));
    else
        (void)printf("%s%" PRId64 " problem%s%s\n", cli_ink_text(INK_RED), report->problems,
            plural(report->problems), cli_ink_text(INK_PLAIN));
}

int cmd_check(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_json,              0, NULL, 0},
        {0                 }
    };
    static const struct argp argp = {NULL, parse, NULL, about, children, cli_help_filter, NULL};
    cli_options options = {0};
    cli_reader reader;
    check_report report = {0};
    int code = 0;

    cli_parse(program, &argp, argc, argv, &options);
    /* The log is checked without the features: what they mean by their events is not looked at. */
    const cli bare = {.program = program->program, .command = program->command};
    if (!cli_reader_open(&bare, &options, &reader, &code))
        return code;

    problems found = {.json = options.json};
    const ku_status status = log_check(&reader.scope, on_problem, &found, &report);
    if (status != KU_OK) {
        code = cli_fail_scope(program, status, &reader.scope);
    } else {
        print_report(&report, &found);
        code = report.problems == 0 ? 0 : CLI_EXIT_PROBLEMS;
    }
    buffer_done(&found.list);
    cli_reader_close(&reader);
    return code;
}
