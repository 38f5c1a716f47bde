/*
 * Calls go in as a transport gives them, so that batches and bodies that are no requests are among
 * them.
 *
 * A load that finds many events behind a snapshot leaves the next snapshot to the writer, for
 * later.  Whether the next call meets it would be a matter of time: after each round of calls a
 * write that does nothing goes through the same writer, and what was left to it is done.
 */
#include "order/equal_world.h"

#include "app/raw.h"
#include "app/state.h"
#include "base/limits.h"
#include "order/equal_dump.h"
#include "order/equal_names.h"
#include "store/log.h"
#include "support/database.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LANES = 3 };

struct world {
    const char *name;
    test_database *database;
    const _Atomic int64_t *now_us;
    ku_app *app;
    id_names names;
    arena cursor_memory;
    ku_str next_cursor;
};

/* ---- opening --------------------------------------------------------------------------------- */

static ku_time world_clock(void *context)
{
    const world *w = context;
    return (ku_time){atomic_load(w->now_us)};
}

static void drop_line(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static ku_user system_of(ku_id tenant)
{
    static const ku_str roles[] = {KU_STR_INIT("system")};
    return (ku_user){.tenant = tenant, .id = KU_STR("system"), .roles = roles, .n_roles = 1};
}

/* Runs a function as a write of the tenant. */
static void run_write(
    world *w, ku_id tenant, ku_status (*run)(ku_scope *scope, void *context), void *context)
{
    static ku_error error;
    const ku_user user = system_of(tenant);
    if (app_run_write(w->app, &user, run, context, &error) != KU_OK)
        fail_msg("%s: %s", w->name, error.message);
}

static ku_status set_lanes(ku_scope *scope, void *context)
{
    (void)context;
    return log_set_lanes(scope, ku_scope_tenant(scope), LANES);
}

static void open_app(world *w, const ku_feature *const *features)
{
    static ku_error error;
    const ku_app_options options = {
        .size = sizeof options,
        .url = w->database->url,
        .features = features,
        .log = drop_line,
        .clock = world_clock,
        .clock_context = w,
    };
    if (ku_app_open(&options, &w->app, &error) != KU_OK)
        fail_msg("%s: %s", w->name, error.message);
}

/* A number of lanes is looked up now and then: who opens afterwards knows the new one. */
world *world_open(
    bool postgres, const ku_feature *const *features, const _Atomic int64_t *now_us, ku_id laned)
{
    world *w = mem_zero(1, sizeof *w);
    w->name = postgres ? "PostgreSQL" : "SQLite";
    w->database = test_database_new_on(postgres);
    w->now_us = now_us;
    open_app(w, features);
    run_write(w, laned, set_lanes, NULL);
    ku_app_close(w->app);
    open_app(w, features);
    return w;
}

void world_close(world *w)
{
    ku_app_close(w->app);
    test_database_free(w->database);
    names_done(&w->names);
    arena_done(&w->cursor_memory);
    free(w);
}

const char *world_name(const world *w)
{
    return w->name;
}

/* ---- calls ----------------------------------------------------------------------------------- */

typedef struct running {
    app_call call;
    sem_t done;
} running;

static void call_done(app_call *call)
{
    (void)sem_post(call->transport);
}

static ku_str shown(const world *w, arena *memory, ku_str text)
{
    buffer b = {.arena = memory};
    names_show(&w->names, text, &b);
    return buffer_str(&b);
}

static ku_str hidden(world *w, arena *memory, ku_str text)
{
    buffer b = {.arena = memory};
    names_hide(&w->names, text, &b);
    return buffer_str(&b);
}

static void submit(world *w, const equal_call *given, running *r)
{
    app_call *call = &r->call;
    json_error error;
    (void)sem_init(&r->done, 0, 0);
    call->kind = given->kind;
    call->user = given->user;
    call->type = given->type;
    call->payload = shown(w, &call->arena, given->payload);
    call->request_id = given->request_id;
    call->trace_id = given->trace_id;
    if (call->trace_id.len == 0) {
        char *text = arena_alloc(&call->arena, 37);
        ku_id_format(id_new(world_clock(w)), text);
        call->trace_id = (ku_str){text, 36};
    }
    call->correlation_id = given->correlation_id.len > 0 ? given->correlation_id : call->trace_id;
    call->address = given->address;
    call->done = call_done;
    call->transport = &r->done;
    if (given->body.len > 0) {
        const ku_str body = shown(w, &call->arena, given->body);
        if (!json_parse(&call->arena, body, LIMIT_JSON_DEPTH, &call->body, &error))
            fail_msg("%s: not JSON: %" KU_PRI, error.what, KU_FMT(body));
    }
    app_submit(w->app, call);
}

static ku_status do_nothing(ku_scope *scope, void *context)
{
    (void)scope;
    (void)context;
    return KU_OK;
}

void world_call(world *w, const equal_call *calls, size_t n, arena *memory, ku_str *ret_answers)
{
    running *all = mem_zero(n, sizeof *all);
    for (size_t i = 0; i < n; i++)
        submit(w, &calls[i], &all[i]);
    for (size_t i = 0; i < n; i++) {
        while (sem_wait(&all[i].done) != 0)
            assert(errno == EINTR);
        (void)sem_destroy(&all[i].done);
        const ku_str body = all[i].call.response;
        ret_answers[i] = arena_format(
            memory, "%d %" KU_PRI, all[i].call.http_status, KU_FMT(hidden(w, memory, body)));
        arena_reset(&w->cursor_memory);
        w->next_cursor = arena_copy(&w->cursor_memory, names_next_cursor(body));
        arena_done(&all[i].call.arena);
    }
    free(all);
    run_write(w, calls[0].user.tenant, do_nothing, NULL);
}

ku_str world_next_cursor(const world *w)
{
    return w->next_cursor;
}

/* ---- consumers ------------------------------------------------------------------------------- */

ku_str world_dispatch(world *w, arena *memory)
{
    static ku_error error;
    ku_dispatch_result result;
    error.message[0] = '\0';
    const ku_status status = ku_dispatch_once(w->app, &result, &error);
    if (status != KU_OK)
        return arena_format(memory, "%s: %s", ku_status_code(status), error.message);
    return arena_format(
        memory, "%" PRId64 " dispatched, %" PRId64 " failed", result.processed, result.failed);
}

ku_str world_progress(world *w, arena *memory)
{
    static ku_error error;
    ku_consumer_info *infos;
    size_t n;
    buffer b = {.arena = memory};
    if (ku_consumer_progress(w->app, (ku_id){{0}}, &infos, &n, &error) != KU_OK)
        fail_msg("%s: %s", w->name, error.message);
    for (size_t i = 0; i < n; i++)
        buffer_format(&b,
            "%s %s at %" PRId64 " of %" PRId64 " lag %" PRId64 " lanes %" PRId64
            " attempts %d (%s) %" PRId64 "\n",
            infos[i].name, infos[i].status, infos[i].position, infos[i].high_water_mark,
            infos[i].lag, infos[i].lanes, infos[i].attempts, infos[i].last_error,
            infos[i].updated_at.unix_us);
    free(infos);
    return hidden(w, memory, buffer_str(&b));
}

/* ---- looking into the database --------------------------------------------------------------- */

void world_dump(world *w, buffer *ret_lines)
{
    buffer lines = {0};
    dump_tables(w->database, world_clock(w), &lines);
    names_hide(&w->names, buffer_str(&lines), ret_lines);
    buffer_done(&lines);
}

void world_sql(world *w, const char *sql)
{
    test_database_run(w->database, sql);
}

static void print_problem(void *context, ku_str sentence)
{
    print_error("%s: %" KU_PRI "\n", (const char *)context, KU_FMT(sentence));
}

typedef struct soundness {
    const char *name;
    check_report report;
} soundness;

static ku_status check(ku_scope *scope, void *context)
{
    soundness *found = context;
    return log_check(scope, print_problem, (void *)(uintptr_t)found->name, &found->report);
}

bool world_is_sound(world *w)
{
    soundness found = {.name = w->name};
    run_write(w, (ku_id){{1}}, check, &found);
    return found.report.problems == 0;
}
