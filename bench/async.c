/*
 * Catching up: how fast an async projection takes in what is pending.
 *
 * The file holds whole flows, so two of three events are none of the projection's business; counted
 * are those it applies.  The floor does the same with bare statements: batches of 1,000 payments,
 * one upsert per customer, one commit per batch.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { PENDING = 100000, PENDING_QUICK = 1000 };

void async_run(bench *b)
{
    const int64_t pending = b->quick ? PENDING_QUICK : PENDING;
    static ku_error error;
    ku_dispatch_result done;

    if (!bench_wants(b, "async projection"))
        return;
    char *url = bench_database(b, "async.db");
    ku_app *app = prepare_open(url);
    prepare_flows(app, pending, NULL);

    const uint64_t cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), start = now_ns();
    check(ku_dispatch_once(app, &done, &error), &error, "dispatch");
    const double seconds = seconds_since(start);
    if (done.processed != pending || done.failed != 0)
        die("%lld of %lld payments were projected", (long long)done.processed, (long long)pending);
    result r = {
        .scenario = "async projection",
        .parallel = 1,
        .unit = "events",
        .per_second = (double)pending / seconds,
        .cpu_us = (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e3 / (double)pending,
    };
    ku_app_close(app);

    const double bare = floor_project(b, url);
    r.floor_ratio = r.per_second / bare;
    (void)snprintf(
        r.note, sizeof r.note, "%lld pending; the bare loop: %.0f/s", (long long)pending, bare);
    report_add(b, &r, NULL);
    free(url);
}
