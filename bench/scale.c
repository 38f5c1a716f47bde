/*
 * Growth: what an event costs in a small store and in a large one.
 *
 * The store grows tenfold from step to step.  At each size the same three things are measured:
 * creates from 64 threads, loads of streams from all over the store, and catching up with 18,000
 * events.  What stays flat is good.  On the file as it is in the end, a server is started.
 */
#include "bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_PER_FLOW = 3, SAMPLE = 4096, PROBE_FLOWS = 6000, PROBES = 5, APPENDERS = 64 };

typedef struct store {
    ku_app *app;
    int64_t events;
    ku_id sample[SAMPLE]; /* streams from all over it */
    size_t n_sample;
    ku_id written[PROBE_FLOWS];
    uint64_t random;
} store;

/* xorshift: which streams are loaded is the same in every run. */
static uint64_t next_random(store *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

/* Every stream of the store is as likely to be in the sample. */
static void grow(store *s, int64_t flows)
{
    while (flows > 0) {
        const int64_t n = flows < PROBE_FLOWS ? flows : PROBE_FLOWS;
        prepare_flows(s->app, n, s->written);
        for (int64_t i = 0; i < n; i++) {
            const uint64_t seen = (uint64_t)(s->events / EVENTS_PER_FLOW + i);
            if (s->n_sample < SAMPLE) {
                s->sample[s->n_sample++] = s->written[i];
                continue;
            }
            const uint64_t place = next_random(s) % (seen + 1);
            if (place < SAMPLE)
                s->sample[place] = s->written[i];
        }
        s->events += n * EVENTS_PER_FLOW;
        flows -= n;
    }
}

static void name_result(const store *s, const char *what, result *r)
{
    const int64_t events = s->events;

    if (events >= 1000000)
        (void)snprintf(
            r->scenario, sizeof r->scenario, "scale: %s at %.1f M", what, (double)events / 1e6);
    else
        (void)snprintf(
            r->scenario, sizeof r->scenario, "scale: %s at %.0f k", what, (double)events / 1e3);
}

static int compare_rates(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double project_once(store *s, int64_t flows)
{
    static ku_error error;
    ku_dispatch_result done;

    grow(s, flows);
    const uint64_t start = now_ns();
    check(ku_dispatch_once(s->app, &done, &error), &error, "dispatch");
    if (done.processed != flows)
        die("%lld payments were projected, not %lld", (long long)done.processed, (long long)flows);
    return (double)done.processed / seconds_since(start);
}

/* The median of a few: what growing has left to be checkpointed may fall into one of them. */
static void measure_project(bench *b, store *s)
{
    static ku_error error;
    ku_dispatch_result done;
    double rates[PROBES];

    check(ku_dispatch_once(s->app, &done, &error), &error, "dispatch");
    for (int i = 0; i < PROBES; i++)
        rates[i] = project_once(s, b->quick ? PROBE_FLOWS / 10 : PROBE_FLOWS);
    qsort(rates, PROBES, sizeof *rates, compare_rates);
    result r = {.parallel = 1, .unit = "events", .per_second = rates[PROBES / 2]};
    name_result(s, "project", &r);
    report_add(b, &r, NULL);
}

static void measure_load(bench *b, store *s)
{
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);
    const uint64_t cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), start = now_ns();
    const uint64_t until = start + (uint64_t)(b->seconds * 3e8);

    while (now_ns() < until) {
        char payload[64], text[37];
        ku_id_format(s->sample[next_random(s) % s->n_sample], text);
        (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", text);
        const uint64_t before = now_ns();
        ku_response state = prepare_ask(s->app, "showcase:query:invoice:state", payload);
        histogram_add(latencies, now_ns() - before);
        ku_response_free(&state);
    }
    result r = {
        .parallel = 1,
        .unit = "loads",
        .per_second = (double)latencies->count / seconds_since(start),
        .cpu_us = (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e3 / (double)latencies->count,
        .note = "3 events each, in process",
    };
    name_result(s, "load", &r);
    report_add(b, &r, latencies);
    free(latencies);
}

static void measure_append(bench *b, store *s)
{
    result r = {0};
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    library_create(s->app, APPENDERS, b->seconds / 3, false, &r, latencies);
    name_result(s, "append", &r);
    report_add(b, &r, latencies);
    s->events += (int64_t)latencies->count;
    free(latencies);
}

void scale_run(bench *b)
{
    if (!bench_wants(b, "scale: append load project start rest"))
        return;
    store *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->random = UINT64_C(0x9e3779b97f4a7c15);
    char *url = bench_database(b, "scale.db");

    s->app = prepare_open(url);
    for (int64_t size = 10000; size <= b->scale_events; size *= 10) {
        if (size > s->events)
            grow(s, (size - s->events) / EVENTS_PER_FLOW);
        measure_append(b, s);
        measure_load(b, s);
        measure_project(b, s);
    }
    ku_app_close(s->app);

    result size = {.unit = "events"};
    name_result(s, "", &size);
    rest_run(b, url, size.scenario + strlen("scale:  at "), s->sample[0]);
    free(url);
    free(s);
}
