/*
 * What a command costs the database: statements and round trips, and what nothing costs.
 *
 * Everything goes through a tap (tap.c).  Statements are those that were executed, per command.
 * Round trips are those that a command waits for: each answer is held back for a while, and the
 * time that a command then takes says how many of them it needed.  One caller at a time, so that
 * nothing is shared with others; under load a group of commands shares all of it.
 */
#include "bench.h"

#include "app/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARM_UP = 20, COUNTED = 100, COUNTED_QUICK = 10, HELD = 5, HELD_MS = 20 };

typedef struct cost_case cost_case;
typedef struct cost_lab {
    ku_app *app;
    tap *tap;
    int n; /* of commands so far: names and ids that differ */
    const cost_case *now;
    ku_id stream; /* an invoice, as far as the case wants it */
} cost_lab;

struct cost_case {
    const char *name;
    void (*prepare)(cost_lab *lab); /* before each command, not counted; may be NULL */
    void (*run)(cost_lab *lab);
};

/* ---- the commands ---------------------------------------------------------------------------- */

static void ask(cost_lab *lab, const char *request_id, const char *type, const char *payload)
{
    /* Users differ, so that nobody's rate limit is reached. */
    char name[32];
    ku_user user = bench_user;

    (void)snprintf(name, sizeof name, "user-%d", lab->n);
    user.id = ku_str_from(name);
    ku_response response = prepare_ask_as(lab->app, &user, request_id, type, payload);
    if (strstr(type, ":create") != NULL)
        lab->stream = prepare_id_of(response.body);
    ku_response_free(&response);
}

static void ask_stream(cost_lab *lab, const char *type, const char *more)
{
    char payload[160], text[37];

    ku_id_format(lab->stream, text);
    (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"%s}", text, more);
    ask(lab, "", type, payload);
}

static void create(cost_lab *lab)
{
    ask(lab, "", "showcase:write:invoice:create", "{\"customer\":\"Customer 001\"}");
}

static void create_once(cost_lab *lab)
{
    char request_id[32];

    (void)snprintf(request_id, sizeof request_id, "request-%d", lab->n);
    ask(lab, request_id, "showcase:write:invoice:create", "{\"customer\":\"Customer 001\"}");
}

static void approve(cost_lab *lab)
{
    ask_stream(
        lab, "showcase:write:invoice:approve", ",\"amountCents\":2500,\"approvedBy\":\"Ada\"");
}

static void pay(cost_lab *lab)
{
    ask_stream(lab, "showcase:write:invoice:pay", ",\"amountCents\":2500");
}

static void load(cost_lab *lab)
{
    ask_stream(lab, "showcase:query:invoice:state", "");
}

static void list(cost_lab *lab)
{
    ask(lab, "", "showcase:query:revenue:list", "{}");
}

static void create_and_approve(cost_lab *lab)
{
    create(lab);
    approve(lab);
}

static void whole_flow(cost_lab *lab)
{
    create_and_approve(lab);
    pay(lab);
}

static void dispatch(cost_lab *lab)
{
    static ku_error error;
    ku_dispatch_result done;

    check(ku_dispatch_once(lab->app, &done, &error), &error, "dispatch");
    if (done.processed != 1)
        die("%lld events were projected, not one", (long long)done.processed);
}

/* clang-format off */
static const cost_case cases[] = {
    {"cost: create", NULL, create},
    {"cost: create with a requestId", NULL, create_once},
    {"cost: approve (loads 1 event)", create, approve},
    {"cost: pay (loads 2 events)", create_and_approve, pay},
    {"cost: load of 3 events", whole_flow, load},
    {"cost: revenue list", NULL, list},
    {"cost: project 1 event", whole_flow, dispatch},
};
static const cost_case limited = {"cost: pay, rate limited", create_and_approve, pay};
/* clang-format on */

/* ---- measuring ------------------------------------------------------------------------------- */

static uint64_t run_once(cost_lab *lab, int held_ms)
{
    lab->n++;
    if (lab->now->prepare != NULL)
        lab->now->prepare(lab);
    tap_hold_back(lab->tap, held_ms);
    const uint64_t start = now_ns();
    lab->now->run(lab);
    const uint64_t took = now_ns() - start;
    tap_hold_back(lab->tap, 0);
    return took;
}

/* The least of a few: who shares the machine only adds to it. */
static double count_round_trips(cost_lab *lab)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < HELD; i++) {
        const uint64_t took = run_once(lab, HELD_MS);
        least = took < least ? took : least;
    }
    return (double)(least / (HELD_MS * 1000000));
}

static void pause_for(double seconds)
{
    const struct timespec pause = {
        (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&pause, NULL);
}

static void measure(bench *b, cost_lab *lab, const cost_case *what)
{
    const int count = b->quick ? COUNTED_QUICK : COUNTED;
    result r = {.parallel = 1, .unit = "commands"};
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    if (!bench_wants(b, what->name)) {
        free(latencies);
        return;
    }
    (void)snprintf(r.scenario, sizeof r.scenario, "%s", what->name);
    lab->now = what;
    if (what->run == dispatch) { /* what others have left to do */
        static ku_error error;
        ku_dispatch_result done;
        check(ku_dispatch_once(lab->app, &done, &error), &error, "dispatch");
    }
    for (int i = 0; i < WARM_UP; i++)
        (void)run_once(lab, 0);
    tap_counts counted = {0};
    for (int i = 0; i < count; i++) {
        lab->n++;
        if (what->prepare != NULL)
            what->prepare(lab);
        pause_for(0.001); /* what nobody waits for has passed by then */
        const tap_counts before = tap_read(lab->tap);
        const uint64_t start = now_ns();
        what->run(lab);
        histogram_add(latencies, now_ns() - start);
        pause_for(0.001);
        const tap_counts after = tap_read(lab->tap);
        counted.statements += after.statements - before.statements;
        counted.bytes += after.bytes - before.bytes;
    }
    r.statements = (double)counted.statements / count;
    r.round_trips = count_round_trips(lab);
    (void)snprintf(r.note, sizeof r.note, "%.0f round trips, %.1f statements, %.0f bytes",
        r.round_trips, r.statements, (double)counted.bytes / count);
    report_add(b, &r, latencies);
    free(latencies);
}

static void open_lab(const bench *b, const char *name, bool with_limits, cost_lab *ret_lab)
{
    char *through = NULL, *url = bench_database(b, name);

    *ret_lab = (cost_lab){.tap = tap_open(url, &through)};
    ret_lab->app = (with_limits ? prepare_open_limited : prepare_open)(through);
    free(through);
    free(url);
}

static void close_lab(cost_lab *lab)
{
    ku_app_close(lab->app);
    tap_close(lab->tap);
}

/* The statement of a limited call alone; and who is known to be over, which needs none. */
static void measure_limiter(bench *b, bool refused)
{
    char *url = bench_database(b, "limiter.db");
    ku_app *app = prepare_open_limited(url);
    result r = {.parallel = 1, .unit = "takes"};
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    const uint64_t start = now_ns(), until = start + (uint64_t)(b->seconds * 3e8);
    for (int n = 0; now_ns() < until; n++) {
        char name[48];
        const int length = snprintf(name, sizeof name, "user:user-%d/5/60", refused ? 0 : n % 1000);
        const rate_bucket key = {
            .tenant = bench_user.tenant,
            .name = {name, (size_t)length},
            .limit = refused ? 1 : 1000000,
            .window_s = 86400,
        };
        const uint64_t before = now_ns();
        (void)rate_limiter_take(app->limits, &key, 1, clock_now(&(clock_source){0}));
        histogram_add(latencies, now_ns() - before);
    }
    r.per_second = (double)latencies->count / seconds_since(start);
    (void)snprintf(
        r.scenario, sizeof r.scenario, "%s", refused ? "rate limit: refused" : "rate limit: taken");
    (void)snprintf(r.note, sizeof r.note, "%s",
        refused ? "known to be over: from memory" : "one statement, 1000 buckets in turn");
    report_add(b, &r, latencies);
    ku_app_close(app);
    free(latencies);
    free(url);
}

/* What a server asks when nobody asks it anything. */
static void measure_idle(bench *b)
{
    const double seconds = b->quick ? 1 : 10;
    char *through = NULL, *url = bench_database(b, "idle.db");
    child server;

    tap *t = tap_open(url, &through);
    child_start(b, through, &server);
    pause_for(b->quick ? 0.2 : 3); /* what follows a start is over by then */
    const tap_counts before = tap_read(t);
    pause_for(seconds);
    const tap_counts after = tap_read(t);
    child_stop(&server);
    tap_close(t);
    result r = {
        .scenario = "rest: queries of an idle server",
        .parallel = 1,
        .unit = "queries",
        .per_second = (double)(after.statements - before.statements) / seconds,
        .note = "statements of any kind, BEGIN and COMMIT as well",
    };
    report_add(b, &r, NULL);
    free(through);
    free(url);
}

void cost_run(bench *b)
{
    cost_lab lab;
    bool wanted = false;

    for (size_t i = 0; i < KU_COUNT(cases); i++)
        wanted = wanted || bench_wants(b, cases[i].name);
    if (wanted) {
        open_lab(b, "cost.db", false, &lab);
        for (size_t i = 0; i < KU_COUNT(cases); i++)
            measure(b, &lab, &cases[i]);
        close_lab(&lab);
    }
    if (bench_wants(b, limited.name)) {
        open_lab(b, "limits.db", true, &lab);
        measure(b, &lab, &limited);
        close_lab(&lab);
    }
    if (bench_wants(b, "rate limit: taken"))
        measure_limiter(b, false);
    if (bench_wants(b, "rate limit: refused"))
        measure_limiter(b, true);
    if (bench_wants(b, "rest: queries of an idle server"))
        measure_idle(b);
}
