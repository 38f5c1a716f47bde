/*
 * The server over HTTP: writes on a new file, loads and lists on a prepared one.
 *
 * CPU is that of the server's process alone.  Each number of connections gets a server of its own
 * for writes, so that none inherits the other's file.
 */
#include "bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_STREAMS = 16, SHORT_STREAMS = 256, FLOWS_BEFORE = 1000, NEWER_THAN_SNAPSHOT = 50 };

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
}

static void add_outcome(bench *b, const char *name, int connections, double floor_rate,
    const load_outcome *outcome, const char *note)
{
    result r = {
        .parallel = connections,
        .unit = "requests",
        .per_second = outcome->per_second,
        .cpu_us = outcome->cpu_us,
        .floor_ratio = floor_rate > 0 ? outcome->per_second / floor_rate : 0,
    };
    (void)snprintf(r.scenario, sizeof r.scenario, "%s", name);
    (void)snprintf(r.note, sizeof r.note, "%s", note);
    report_add(b, &r, &outcome->latencies);
}

/* ---- writes ---------------------------------------------------------------------------------- */

static void run_writes(bench *b, const char *name, const load_plan *plan, size_t group)
{
    const bool whole_flow = plan->n_steps > 0;
    const int connections = group_sizes[group];
    char file[32];
    child server;
    load_outcome *outcome = calloc(1, sizeof *outcome);
    assert(outcome != NULL);

    (void)snprintf(file, sizeof file, "http-%d-%d.db", whole_flow, connections);
    char *url = bench_database(b, file);
    child_start(b, url, &server);
    load_run(b, &server, plan, connections, outcome);
    child_stop(&server);
    add_outcome(b, name, connections, whole_flow ? 0 : b->floor_rates[group], outcome,
        whole_flow ? "three requests are one flow" : "");
    free(url);
    free(outcome);
}

void http_write_run(bench *b, bool whole_flow, size_t group)
{
    const char *name = whole_flow ? "http flow" : "http create";
    char *creates[CUSTOMERS];

    if (!bench_wants(b, name) || !bench_wants_parallel(b, group_sizes[group]))
        return;
    char *steps[] = {
        child_request("/api/write", "showcase:write:invoice:approve",
            "{\"id\":\"" ID_PLACE "\",\"amountCents\":2500,\"approvedBy\":\"Ada\"}"),
        child_request("/api/write", "showcase:write:invoice:pay",
            "{\"id\":\"" ID_PLACE "\",\"amountCents\":2500}"),
    };
    for (int i = 0; i < CUSTOMERS; i++) {
        char customer[32], payload[64];
        prepare_customer(i, customer);
        (void)snprintf(payload, sizeof payload, "{\"customer\":\"%s\"}", customer);
        creates[i] = child_request("/api/write", "showcase:write:invoice:create", payload);
    }
    const load_plan plan = {creates, CUSTOMERS, steps, whole_flow ? KU_COUNT(steps) : 0};
    run_writes(b, name, &plan, group);
    free_texts(creates, KU_COUNT(creates));
    free_texts(steps, KU_COUNT(steps));
}

/* ---- tenants ----------------------------------------------------------------------------------
 */

enum { TENANTS = 500, TENANT_CONNECTIONS = 64 };

/* Creates of so many tenants in turn, on a database of its own. */
static void run_tenants(bench *b, int tenants, load_outcome *ret_outcome)
{
    static char *creates[TENANTS];
    char file[32];
    child server;

    for (int i = 0; i < tenants; i++) {
        char customer[32], payload[64];
        ku_user user = bench_user;
        user.tenant.bytes[14] = (unsigned char)(i >> 8);
        user.tenant.bytes[15] = (unsigned char)i;
        prepare_customer(i, customer);
        (void)snprintf(payload, sizeof payload, "{\"customer\":\"%s\"}", customer);
        creates[i] =
            child_request_of(&user, "/api/write", "showcase:write:invoice:create", payload);
    }
    (void)snprintf(file, sizeof file, "tenants-%d.db", tenants);
    char *url = bench_database(b, file);
    child_start(b, url, &server);
    load_run(b, &server, &(load_plan){creates, (size_t)tenants, NULL, 0}, TENANT_CONNECTIONS,
        ret_outcome);
    child_stop(&server);
    free_texts(creates, (size_t)tenants);
    free(url);
}

void http_tenants_run(bench *b)
{
    char note[80];
    load_outcome *many = calloc(1, sizeof *many), *one = calloc(1, sizeof *one);
    assert(many != NULL && one != NULL);

    if ((bench_wants(b, "http create, 500 tenants") || bench_wants(b, "http create, 1 tenant")) &&
        bench_wants_parallel(b, TENANT_CONNECTIONS)) {
        run_tenants(b, TENANTS, many);
        run_tenants(b, 1, one);
        add_outcome(b, "http create, 500 tenants", TENANT_CONNECTIONS, 0, many, "one lane each");
        (void)snprintf(note, sizeof note, "one lane; %.2f of the rate of 500 tenants",
            one->per_second / many->per_second);
        add_outcome(b, "http create, 1 tenant", TENANT_CONNECTIONS, 0, one, note);
    }
    free(many);
    free(one);
}

/* ---- reads ----------------------------------------------------------------------------------- */

typedef struct read_scenario {
    const char *name;
    const char *type;
    int events;    /* of each stream; 0: the query takes no stream */
    bool snapshot; /* the streams have one, `NEWER_THAN_SNAPSHOT` events old */
} read_scenario;

/* clang-format off */
static const read_scenario reads[] = {
    {"http load 3 events", "showcase:query:invoice:state", 3, false},
    {"http load 100 events", "showcase:query:invoice:state", 100, false},
    {"http load 1000 events", "showcase:query:invoice:state", 1000, false},
    {"http load 100 events, snapshot", "showcase:query:invoice:fast-state", 100, true},
    {"http load 1000 events, snapshot", "showcase:query:invoice:fast-state", 1000, true},
    {"http revenue list", "showcase:query:revenue:list", 0, false},
};
/* clang-format on */

static void take_snapshots(ku_app *app, const ku_id *streams, int count)
{
    for (int i = 0; i < count; i++) {
        char payload[64], text[37];
        ku_id_format(streams[i], text);
        (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", text);
        ku_response taken = prepare_ask(app, "showcase:write:invoice:take-snapshot", payload);
        ku_response_free(&taken);
    }
}

/* Streams for a scenario in a file that has other data, too, and all of it projected. */
static int prepare_reads(const read_scenario *scenario, const char *url, ku_id *ret_streams)
{
    const int count = scenario->events <= 3 ? SHORT_STREAMS : LONG_STREAMS;
    static ku_error error;
    ku_dispatch_result done;
    ku_app *app = prepare_open(url);

    prepare_flows(app, FLOWS_BEFORE, NULL);
    if (scenario->snapshot) {
        prepare_streams(app, count, scenario->events - NEWER_THAN_SNAPSHOT, ret_streams);
        take_snapshots(app, ret_streams, count);
        prepare_more(app, count, NEWER_THAN_SNAPSHOT, ret_streams);
    } else {
        prepare_streams(app, count, scenario->events > 0 ? scenario->events : 3, ret_streams);
    }
    check(ku_dispatch_once(app, &done, &error), &error, "dispatch");
    ku_app_close(app);
    return count;
}

static void run_read(bench *b, const read_scenario *scenario, int index)
{
    static const int connections[] = {1, 16, 64, 256};
    ku_id streams[SHORT_STREAMS];
    char *requests[SHORT_STREAMS];
    char file[32], note[80] = "";
    child server;
    double floor_rate = 0;
    load_outcome *outcome = calloc(1, sizeof *outcome);
    assert(outcome != NULL);

    (void)snprintf(file, sizeof file, "read-%d.db", index);
    char *url = bench_database(b, file);
    const int count = prepare_reads(scenario, url, streams);
    for (int i = 0; i < count; i++) {
        char payload[64] = "{}", text[37];
        ku_id_format(streams[i], text);
        if (scenario->events > 0)
            (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", text);
        requests[i] = child_request("/api/query", scenario->type, payload);
    }
    if (scenario->events > 0 && !scenario->snapshot) {
        const uint64_t bare = floor_load(b, url, streams, count);
        floor_rate = 1e9 / (double)bare;
        (void)snprintf(note, sizeof note, "the bare statement: %.1f us", (double)bare / 1e3);
    } else if (scenario->events == 0) {
        (void)snprintf(note, sizeof note, "%d rows", CUSTOMERS);
    } else {
        (void)snprintf(note, sizeof note, "%d events after it", NEWER_THAN_SNAPSHOT);
    }
    child_start(b, url, &server);
    for (size_t i = 0; i < KU_COUNT(connections); i++) {
        /* 16 and 256 say nothing that 1 and 64 do not, and a whole run is to be short. */
        if (b->parallel == 0 ? i % 2 == 1 : b->parallel != connections[i])
            continue;
        load_run(
            b, &server, &(load_plan){requests, (size_t)count, NULL, 0}, connections[i], outcome);
        add_outcome(b, scenario->name, connections[i], floor_rate, outcome, note);
    }
    child_stop(&server);
    free_texts(requests, (size_t)count);
    free(url);
    free(outcome);
}

void http_read_run(bench *b)
{
    for (size_t i = 0; i < KU_COUNT(reads); i++)
        if (bench_wants(b, reads[i].name))
            run_read(b, &reads[i], (int)i);
}
