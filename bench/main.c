/*
 * kumiko-bench: how fast the library and its server are on this machine, beside what the bare
 * engine (SQLite or PostgreSQL) does in the same run.
 *
 * It prints and judges nothing: absolute figures move by a factor of two from machine to machine
 * and from day to day, the ratio to the floor does not.
 */
#include "bench.h"

#include <argp.h>
#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const int group_sizes[GROUPS] = {1, 16, 64, 256};

enum {
    OPTION_ONLY = 256,
    OPTION_SCALE,
    OPTION_QUICK,
    OPTION_JSON,
    OPTION_PROGRAM,
    OPTION_DIR,
    OPTION_URL,
    OPTION_POSTGRES,
};
enum { SECONDS_DEFAULT = 3, SCALE_DEFAULT = 1000000, SCALE_QUICK = 10000 };

/* clang-format off */
static const struct argp_option options[] = {
    {"only", OPTION_ONLY, "NAME", 0,
        "Only scenarios with NAME in their name, e.g. `http create`", 0},
    {"parallel", 'p', "N", 0, "Only with N callers (1, 16, 64 or 256)", 0},
    {"seconds", 's', "S", 0, "How long each measurement takes (default: 3)", 0},
    {"scale", OPTION_SCALE, "EVENTS", 0, "How far the store grows (default: 1000000)", 0},
    {"quick", OPTION_QUICK, NULL, 0, "Small stores, to see that everything runs", 0},
    {"json", OPTION_JSON, NULL, 0, "Print a JSON document; the table goes to stderr", 0},
    {"program", OPTION_PROGRAM, "PATH", 0, "The showcase (default: beside or above this one)", 0},
    {"url", OPTION_URL, "URL", 0,
        "Measure on that PostgreSQL (postgresql://…), in schemas that are dropped at the end", 0},
    {"postgres", OPTION_POSTGRES, NULL, 0,
        "Measure on a PostgreSQL that is started for it, with the defaults of its package", 0},
    {"dir", OPTION_DIR, "DIR", 0,
        "Where the databases are made: the disk that is measured (default: TMPDIR or /var/tmp)", 0},
    {0},
};
/* clang-format on */

typedef struct arguments {
    bench bench;
    const char *dir;
    const char *program;
    const char *url;
    bool postgres;
} arguments;

static double parse_number(
    struct argp_state *state, const char *text, double min, double max, const char *option)
{
    char *end = NULL;

    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= min && value <= max))
        argp_error(state, "--%s: `%s` is not a number from %g to %g", option, text, min, max);
    return value;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *a = state->input;

    switch (key) {
    case OPTION_ONLY:
        a->bench.only = argument;
        return 0;
    case 'p':
        a->bench.parallel = (int)parse_number(state, argument, 1, 256, "parallel");
        return 0;
    case 's':
        a->bench.seconds = parse_number(state, argument, 0.05, 600, "seconds");
        return 0;
    case OPTION_SCALE:
        a->bench.scale_events = (int64_t)parse_number(state, argument, 1e4, 1e9, "scale");
        return 0;
    case OPTION_QUICK:
        a->bench.quick = true;
        return 0;
    case OPTION_JSON:
        a->bench.json = true;
        return 0;
    case OPTION_PROGRAM:
        a->program = argument;
        return 0;
    case OPTION_DIR:
        a->dir = argument;
        return 0;
    case OPTION_URL:
        a->url = argument;
        return 0;
    case OPTION_POSTGRES:
        a->postgres = true;
        return 0;
    case ARGP_KEY_END:
        if (a->postgres && a->url != NULL)
            argp_error(state, "--url and --postgres: one of the two");
        if (a->bench.scale_events == 0)
            a->bench.scale_events = a->bench.quick ? SCALE_QUICK : SCALE_DEFAULT;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char about[] =
    "Measure the library in process, a server over HTTP and, as the floor, the bare engine."
    "\v"
    "Scenarios: disk, floor, library (create, flow), http (create, flow, load, revenue), async, "
    "scale (append, load, project), start, rest; on PostgreSQL also cost. CPU is microseconds per "
    "request of the server or, "
    "in process, of everything; `floor` is the rate divided by that of the bare loop.";

/* ---- the run's folder ------------------------------------------------------------------------ */

static char folder_to_remove[4096];

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder_to_remove, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(arguments *a)
{
    const char *parent = a->dir != NULL ? a->dir : getenv("TMPDIR");
    bench *b = &a->bench;

    if (parent == NULL || *parent == '\0')
        parent = "/var/tmp";
    int length = snprintf(b->dir, sizeof b->dir, "%s/kumiko-bench-XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof b->dir || mkdtemp(b->dir) == NULL)
        die("%s: no folder can be made there: %s", parent, strerror(errno));
    memcpy(folder_to_remove, b->dir, sizeof folder_to_remove);
    at_end(remove_folder);
}

char *bench_path(const bench *b, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", b->dir, name) < 0)
        die("out of memory");
    return path;
}

/* The build puts this program into bench/ and the showcase above it. */
static void find_program(arguments *a)
{
    static const char *const places[] = {"../showcase", "showcase"};
    char self[4000] = "";
    bench *b = &a->bench;

    if (a->program != NULL) {
        (void)snprintf(b->program, sizeof b->program, "%s", a->program);
    } else {
        if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
            die("/proc/self/exe: %s", strerror(errno));
        const char *folder = dirname(self);
        for (size_t i = 0; i < KU_COUNT(places); i++) {
            (void)snprintf(b->program, sizeof b->program, "%s/%s", folder, places[i]);
            if (access(b->program, X_OK) == 0)
                break;
        }
    }
    if (access(b->program, X_OK) != 0)
        die("%s: %s (see --program)", b->program, strerror(errno));
}

bool bench_wants(const bench *b, const char *scenario)
{
    return b->only == NULL || strstr(scenario, b->only) != NULL;
}

bool bench_wants_parallel(const bench *b, int parallel)
{
    return b->parallel == 0 || b->parallel == parallel;
}

/* What is compared stands close together in time: machines have moods that last for seconds. */
static void run_writes(bench *b)
{
    for (size_t group = 0; group < GROUPS; group++) {
        floor_run(b, group);
        library_run(b, false, group);
        http_write_run(b, false, group);
    }
    for (size_t group = 0; group < GROUPS; group++) {
        library_run(b, true, group);
        http_write_run(b, true, group);
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, about, NULL, NULL, NULL};
    static arguments a = {.bench.seconds = SECONDS_DEFAULT};
    bench *b = &a.bench;

    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return 2;
    find_program(&a);
    make_folder(&a);
    if (a.postgres)
        a.url = database_start_server(b);
    if (a.url != NULL)
        database_use(b, a.url);
    report_open(b);
    disk_run(b);
    if (b->url != NULL)
        cost_run(b);
    run_writes(b);
    if (b->url != NULL)
        http_tenants_run(b);
    http_read_run(b);
    async_run(b);
    scale_run(b);
    report_close(b);
    if (b->n_results == 0)
        die("no scenario has `%s` in its name", b->only != NULL ? b->only : "");
    free(b->results);
    leave(0);
}
