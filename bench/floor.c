/*
 * The floor: what the engine itself costs on this machine, without anything of the library around
 * it.  Each engine's bare loops are in a file of their own; here is what they share.
 */
#include "bench.h"

#include <assert.h>
#include <stdlib.h>

static double run_group(bench *b, int group)
{
    result r = {
        .scenario = "floor: bare create",
        .parallel = group,
        .unit = "creates",
        .floor_ratio = 1,
        .note = "so many creates per commit; times of commits",
    };
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    (b->url != NULL ? postgres_floor_create : sqlite_floor_create)(b, group, &r, latencies);
    report_add(b, &r, latencies);
    free(latencies);
    return r.per_second;
}

void floor_run(bench *b, size_t group)
{
    if (bench_wants(b, "floor: bare create") && bench_wants_parallel(b, group_sizes[group]))
        b->floor_rates[group] = run_group(b, group_sizes[group]);
}

double floor_rate_of(bench *b, int group)
{
    return run_group(b, group);
}

uint64_t floor_load(const bench *b, const char *url, const ku_id *streams, int count)
{
    return (b->url != NULL ? postgres_floor_load : sqlite_floor_load)(b, url, streams, count);
}

double floor_project(const bench *b, const char *url)
{
    return b->url != NULL ? postgres_floor_project(url) : sqlite_floor_project(url);
}
