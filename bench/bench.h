/*
 * kumiko-bench from inside: what its scenarios share.
 *
 * A scenario prepares its data, runs for `seconds` and adds one result per number of callers.  It
 * asserts nothing about time.  What is broken (a refused request, a database that does not open)
 * ends the program with a message and a status other than 0.
 */
#ifndef BENCH_H
#define BENCH_H

#include "kumiko.h"

#include <libpq-fe.h>
#include <sys/types.h>
#include <time.h>

enum {
    HISTOGRAM_SLOTS = 2560,
    CUSTOMERS = 100, /* whose invoices are written, and rows of the revenue list */
    GROUPS = 4,
};

/* ---- stats.c --------------------------------------------------------------------------------- */

/* Durations in nanoseconds, to within 1.6 %. */
typedef struct histogram {
    uint64_t count;
    uint64_t max;
    uint32_t slots[HISTOGRAM_SLOTS];
} histogram;

void histogram_add(histogram *h, uint64_t nanoseconds);
void histogram_merge(histogram *into, const histogram *from);
/* The duration that `share` (0 to 1) of all do not exceed; 0 if there is none. */
uint64_t histogram_at(const histogram *h, double share);

uint64_t now_ns(void);
uint64_t cpu_ns(clockid_t clock);
double seconds_since(uint64_t start_ns);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* To be done when the program ends, however it does: what came last comes first. */
void at_end(void (*ending)(void));
/* Ends the program, from whichever thread. */
_Noreturn void leave(int status);
void check(ku_status status, const ku_error *error, const char *what);

/* ---- report.c -------------------------------------------------------------------------------- */

typedef struct result {
    char scenario[48];
    int parallel;                   /* connections, threads, or commands per commit */
    const char *unit;               /* requests, events, creates … */
    double per_second;              /* 0: it is one duration, in p50 */
    double p50_us, p99_us, max_us;  /* 0: not measured */
    double cpu_us;                  /* per unit; 0: not measured */
    double floor_ratio;             /* to the bare loop of the same run; 0: there is none */
    double round_trips, statements; /* to the database, per unit; 0: not counted */
    char note[80];
} result;

typedef struct bench {
    double seconds; /* per measurement */
    bool quick;
    bool json;
    const char *only;           /* part of a scenario's name; NULL: all */
    int parallel;               /* only so many callers; 0: all numbers */
    int64_t scale_events;       /* how far the store grows */
    char program[4096];         /* the showcase */
    char dir[4096];             /* of this run; removed at the end */
    const char *url;            /* the PostgreSQL that is measured; NULL: SQLite */
    double floor_rates[GROUPS]; /* creates per second by group size; 0: not measured */
    result *results;
    size_t n_results;
} bench;

extern const int group_sizes[GROUPS]; /* 1, 16, 64, 256: of groups, threads, connections */

/* Is it to be run? */
bool bench_wants(const bench *b, const char *scenario);
bool bench_wants_parallel(const bench *b, int parallel);
/* A file in the run's folder; free() it. */
char *bench_path(const bench *b, const char *name);

/* ---- database.c ------------------------------------------------------------------------------ */

/* The URL of an empty database: a file of that name, or a schema of its own; free() it. */
char *bench_database(const bench *b, const char *name);
/* Starts a PostgreSQL below the run's folder, which ends with this program; returns its URL. */
const char *database_start_server(const bench *b);
/* Checks the URL, and sees to it that every schema is dropped when this program ends. */
void database_use(bench *b, const char *url);
PGconn *postgres_open(const char *url);
/* One text; dies of a failure.  ret_text may be NULL; NULL in the database is ''. */
void postgres_ask(PGconn *connection, const char *sql, char *ret_text, size_t size);
/* Signals that end the program, as children should have them. */
void database_child_signals(void);

/* ---- tap.c ----------------------------------------------------------------------------------- */

/* Stands between a program and PostgreSQL and counts what passes. */
typedef struct tap tap;
typedef struct tap_counts {
    int64_t statements; /* executed */
    int64_t bytes;      /* in both directions */
} tap_counts;

/* Opens a way to that database that counts; *ret_url leads there; free() it. */
tap *tap_open(const char *url, char **ret_url);
/* From now on every answer comes that much later. */
void tap_hold_back(tap *t, int milliseconds);
tap_counts tap_read(tap *t);
void tap_close(tap *t);

void report_open(const bench *b);
/* Prints it and keeps it for --json.  `latencies` may be NULL. */
void report_add(bench *b, const result *r, const histogram *latencies);
void report_close(bench *b);

/* ---- prepare.c ------------------------------------------------------------------------------- */

extern const ku_user bench_user;

ku_app *prepare_open(const char *url);
ku_app *prepare_open_limited(const char *url); /* handlers' rate limits count */
/* The name of the customer with that number, e.g. `Customer 042`. */
void prepare_customer(int number, char ret_name[32]);
/*
 * Whole flows (created, approved, paid), as handlers append them, hundreds per transaction.
 * ret_streams: NULL or room for `count` ids.
 */
void prepare_flows(ku_app *app, int64_t count, ku_id *ret_streams);
/* Streams of `events` events each, written in turns, so that no two of one stream are neighbours.
 */
void prepare_streams(ku_app *app, int count, int events, ku_id *ret_streams);
/* So many events more on each of these streams. */
void prepare_more(ku_app *app, int count, int events, const ku_id *streams);
/* Runs a write or query that must succeed; returns its answer, to be freed by ku_response_free. */
ku_response prepare_ask(ku_app *app, const char *type, const char *payload);
ku_response prepare_ask_as(ku_app *app, const ku_user *user, const char *request_id,
    const char *type, const char *payload);
/* Reads the first `"id":"…"` of an answer. */
ku_id prepare_id_of(ku_str body);

/* ---- child.c --------------------------------------------------------------------------------- */

typedef struct child {
    pid_t pid;
    int port;
    clockid_t cpu; /* the process' CPU clock */
} child;

/* Starts `showcase serve` on that database and waits until it listens. */
void child_start(const bench *b, const char *url, child *ret_child);
/* SIGTERM, and waits. */
void child_stop(child *c);
/* A whole HTTP request with a JSON body, keep-alive, signed; free() it.  path: `/api/write`. */
char *child_request(const char *path, const char *type, const char *payload);
char *child_request_of(
    const ku_user *user, const char *path, const char *type, const char *payload);
int child_connect(const child *c);
/* Sends the request on a connection of its own and insists on 200. */
void child_ask(const child *c, const char *request);

/* ---- load_http.c ----------------------------------------------------------------------------- */

/*
 * What each connection does again and again: one of `first` in turn, then each of `steps` with the
 * id from the answer to the first.  Where the id goes, the step's text has ID_PLACE.
 */
#define ID_PLACE "00000000-0000-0000-0000-000000000000"
typedef struct load_plan {
    char **first;
    size_t n_first;
    char **steps;
    size_t n_steps;
} load_plan;

typedef struct load_outcome {
    double per_second; /* requests */
    double cpu_us;     /* of the server's process, per request */
    histogram latencies;
} load_outcome;

void load_run(const bench *b, const child *c, const load_plan *plan, int connections,
    load_outcome *ret_outcome);

/* ---- scenarios ------------------------------------------------------------------------------- */

void disk_run(bench *b);
/* `group` is an index of group_sizes: so many creates per commit, threads, connections. */
void floor_run(bench *b, size_t group);
/* The same for groups of any size: creates per second. */
double floor_rate_of(bench *b, int group);
void library_run(bench *b, bool whole_flow, size_t group);
void http_write_run(bench *b, bool whole_flow, size_t group);
/* Many tenants beside the one of the others, on 64 connections; where several writers may write. */
void http_tenants_run(bench *b);
void http_read_run(bench *b);
void async_run(bench *b);
void scale_run(bench *b);
/* Start-up and rest of a server on that database; `name` says how big it is. */
void rest_run(bench *b, const char *url, const char *name, ku_id stream);
/* Round trips and statements of each kind of command, and of a server with nothing to do. */
void cost_run(bench *b);

/* In library.c, for scale.c: creates from many threads for that long. */
void library_create(ku_app *app, int threads, double seconds, bool whole_flow, result *ret_result,
    histogram *ret_h);

/* In floor.c. Bare reads of one stream: p50 in nanoseconds. */
uint64_t floor_load(const bench *b, const char *url, const ku_id *streams, int count);
/* Bare catching up of all payments in that database: events/s. */
double floor_project(const bench *b, const char *url);

/* In floor_sqlite.c and floor_postgres.c: creates in groups, with times of commits; and the two. */
void sqlite_floor_create(bench *b, int group, result *ret_result, histogram *ret_latencies);
uint64_t sqlite_floor_load(const bench *b, const char *url, const ku_id *streams, int count);
double sqlite_floor_project(const char *url);
void postgres_floor_create(bench *b, int group, result *ret_result, histogram *ret_latencies);
uint64_t postgres_floor_load(const bench *b, const char *url, const ku_id *streams, int count);
double postgres_floor_project(const char *url);

#endif
