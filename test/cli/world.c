/*
 * A world for the tests of commands, the implementation.
 */
#include "cli/world.h"

#include "support/http_token.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *format(world *w, const char *text, ...)
{
    va_list args;

    va_start(args, text);
    const ku_str made = arena_vformat(&w->arena, text, args);
    va_end(args);
    return made.ptr;
}

void world_start(world *w, const char *program, const char *feature, const char *const *env)
{
    char path[4096];
    const char *const argv[] = {path, "serve", feature != NULL ? "--feature" : NULL, feature, NULL};

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_BIN_DIR, program);
    process_start(argv, env, w->folder, &w->server);
    w->client = http_open(w->server.port);
    w->running = true;
}

int world_stop(world *w)
{
    http_close(w->client);
    const int code = process_stop(&w->server, SIGTERM);
    process_done(&w->server);
    w->running = false;
    return code;
}

const ku_json *write_as(world *w, const char *tenant, const char *type, const char *payload)
{
    char *token = test_token_for(tenant, TEST_USER, "[\"Admin\"]");
    http_answer answer;

    http_request(w->client, "POST", "/api/write", token,
        format(w, "{\"type\":\"%s\",\"payload\":%s}", type, payload), NULL, &answer);
    if (answer.status != 200)
        print_error("%s: %d %s\n", type, answer.status, answer.body);
    assert_int_equal(answer.status, 200);
    const ran as_ran = {0, answer.body};
    const ku_json *data = node_at(ran_json(&as_ran, &w->arena), "data");
    http_answer_done(&answer);
    free(token);
    return data;
}

const char *create_invoice(world *w, const char *tenant, const char *customer)
{
    const ku_json *made = write_as(
        w, tenant, "showcase:write:invoice:create", format(w, "{\"customer\":\"%s\"}", customer));

    return text_at(&w->arena, made, "id");
}

static world *world_new(void)
{
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->database = test_database_new();
    w->folder = w->database->folder;
    /* On SQLite a program's usual database is the file in its folder. */
    process_set_database(test_engine_is_postgres() ? w->database->url : NULL);
    return w;
}

int open_showcase(void **state)
{
    world *w = world_new();

    world_start(w, "showcase", NULL, NULL);
    w->paid = create_invoice(w, TEST_TENANT, "Acme");
    write_as(w, TEST_TENANT, "showcase:write:invoice:approve",
        format(w, "{\"id\":\"%s\",\"amountCents\":2500,\"approvedBy\":\"cfo\"}", w->paid));
    write_as(w, TEST_TENANT, "showcase:write:invoice:pay",
        format(w, "{\"id\":\"%s\",\"amountCents\":2500}", w->paid));
    w->draft = create_invoice(w, TEST_TENANT_OTHER, "Globex");
    *state = w;
    return 0;
}

int open_fault(void **state)
{
    world *w = world_new();

    world_start(w, "kumiko", object_path("fault.so"), NULL);
    *state = w;
    return 0;
}

int close_world(void **state)
{
    world *w = *state;

    if (w->running)
        (void)world_stop(w);
    process_set_database(NULL);
    test_database_free(w->database);
    arena_done(&w->arena);
    free(w);
    return 0;
}

const ku_json *json_of(world *w, const char *const *arguments)
{
    ran r = run_program(w->folder, NULL, arguments);

    ASSERT_CODE(&r, 0);
    const ku_json *json = ran_json(&r, &w->arena);
    ran_done(&r);
    return json;
}

void assert_text(world *w, const ku_json *json, const char *path, const char *text)
{
    assert_string_equal(text_at(&w->arena, json, path), text);
}

void damage(world *w, const char *sql)
{
    test_database_run(w->database, sql);
}
