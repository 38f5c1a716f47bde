/*
 * The library in process: many threads call ku_write and wait, each for its own answer.
 *
 * CPU is that of the whole process, callers included.  The callers share commits; how many commands
 * a commit held is counted, and the ratio compares with the bare loop in groups of that size.
 */
#include "bench.h"

#include "app/state.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 64 };

typedef struct caller {
    pthread_t thread;
    ku_app *app;
    atomic_bool *stop;
    bool whole_flow;
    int number;
    histogram latencies;
} caller;

static ku_response ask(caller *c, const char *type, const char *payload)
{
    uint64_t start = now_ns();
    ku_response response = prepare_ask(c->app, type, payload);
    histogram_add(&c->latencies, now_ns() - start);
    return response;
}

static void approve_and_pay(caller *c, ku_id id)
{
    char payload[200], text[37];

    ku_id_format(id, text);
    (void)snprintf(payload, sizeof payload,
        "{\"id\":\"%s\",\"amountCents\":2500,\"approvedBy\":\"Ada\"}", text);
    ku_response approved = ask(c, "showcase:write:invoice:approve", payload);
    ku_response_free(&approved);
    (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\",\"amountCents\":2500}", text);
    ku_response paid = ask(c, "showcase:write:invoice:pay", payload);
    ku_response_free(&paid);
}

static void *call_until_stopped(void *context)
{
    caller *c = context;

    for (int n = c->number; !atomic_load_explicit(c->stop, memory_order_relaxed); n++) {
        char name[32], payload[64];
        prepare_customer(n % CUSTOMERS, name);
        (void)snprintf(payload, sizeof payload, "{\"customer\":\"%s\"}", name);
        ku_response created = ask(c, "showcase:write:invoice:create", payload);
        if (c->whole_flow)
            approve_and_pay(c, prepare_id_of(created.body));
        ku_response_free(&created);
    }
    return NULL;
}

void library_create(
    ku_app *app, int threads, double seconds, bool whole_flow, result *ret_result, histogram *ret_h)
{
    atomic_bool stop = false;
    caller *callers = calloc((size_t)threads, sizeof *callers);
    assert(callers != NULL);

    const uint64_t cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    const uint64_t start = now_ns();
    for (int i = 0; i < threads; i++) {
        callers[i] = (caller){.app = app, .stop = &stop, .whole_flow = whole_flow, .number = i};
        int failed = pthread_create(&callers[i].thread, NULL, call_until_stopped, &callers[i]);
        assert(failed == 0);
    }
    const struct timespec pause = {
        (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    memset(ret_h, 0, sizeof *ret_h);
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        histogram_merge(ret_h, &callers[i].latencies);
    }
    const double count = (double)ret_h->count;
    ret_result->parallel = threads;
    ret_result->unit = "requests";
    ret_result->per_second = count / seconds_since(start);
    ret_result->cpu_us = (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e3 / count;
    free(callers);
}

static void count_commit(void *context)
{
    atomic_fetch_add_explicit((atomic_long *)context, 1, memory_order_relaxed);
}

static void run_scenario(bench *b, const char *name, bool whole_flow, size_t group)
{
    const int threads = group_sizes[group];
    char file[32];
    result r = {0}, warm_up = {0};

    if (!bench_wants(b, name) || !bench_wants_parallel(b, threads))
        return;
    histogram *latencies = malloc(sizeof *latencies);
    assert(latencies != NULL);
    (void)snprintf(file, sizeof file, "library-%d-%d.db", whole_flow, threads);
    char *url = bench_database(b, file);
    ku_app *app = prepare_open(url);
    library_create(app, threads, b->seconds / 10, whole_flow, &warm_up, latencies);
    static atomic_long commits;
    atomic_store(&commits, 0);
    app_hear_commits(app, count_commit, &commits);
    library_create(app, threads, b->seconds, whole_flow, &r, latencies);
    const double per_commit = (double)latencies->count / (double)atomic_load(&commits);
    (void)snprintf(r.scenario, sizeof r.scenario, "%s", name);
    (void)snprintf(r.note, sizeof r.note, "%.1f commands per commit", per_commit);
    ku_app_close(app);
    if (!whole_flow)
        r.floor_ratio = r.per_second / floor_rate_of(b, (int)(per_commit + 0.5));
    report_add(b, &r, latencies);
    free(url);
    free(latencies);
}

void library_run(bench *b, bool whole_flow, size_t group)
{
    if (group_sizes[group] <= THREADS_MAX)
        run_scenario(b, whole_flow ? "library flow" : "library create", whole_flow, group);
}
