/*
 * A world for the tests of commands: a database, a server on it, and something in it.
 *
 * The showcase's world has two tenants: in the first an invoice is created, approved and paid, in
 * the second one is created.  The faulty world has a consumer that halts at its first event.
 */
#ifndef TEST_CLI_WORLD_H
#define TEST_CLI_WORLD_H

#include "cli/run.h"
#include "support/database.h"
#include "support/http_client.h"
#include "support/process.h"

typedef struct world {
    test_database *database;
    const char *folder; /* the database's */
    process server;
    bool running;
    http_client *client;
    arena arena;       /* what the functions below return lives in it */
    const char *paid;  /* the invoice of the first tenant */
    const char *draft; /* that of the second */
} world;

/* cmocka fixtures: the state is a world. */
int open_showcase(void **state);
int open_fault(void **state);
int close_world(void **state);
#define SHOWCASE_TEST(f) cmocka_unit_test_setup_teardown(f, open_showcase, close_world)
#define FAULT_TEST(f) cmocka_unit_test_setup_teardown(f, open_fault, close_world)

/* Starts a server of the build in the folder; `feature` and `env` may be NULL. */
void world_start(world *w, const char *program, const char *feature, const char *const *env);
/* Stops it with SIGTERM; its exit code. */
int world_stop(world *w);

const char *format(world *w, const char *text, ...) __attribute__((format(printf, 2, 3)));
/* A write that must succeed, by an administrator of the tenant; the reply's data. */
const ku_json *write_as(world *w, const char *tenant, const char *type, const char *payload);
/* The id of a new invoice. */
const char *create_invoice(world *w, const char *tenant, const char *customer);
/* Changes the database behind everybody's back; no server may run. */
void damage(world *w, const char *sql);

/* Runs a command of the showcase in the world's folder. */
#define SHOWCASE(w, ...) RUN((w)->folder, NULL, "showcase", __VA_ARGS__)
/* Runs it with --json, successfully; the document. */
#define JSON_OF(w, ...) json_of((w), (const char *const[]){"showcase", __VA_ARGS__, "--json", NULL})
const ku_json *json_of(world *w, const char *const *arguments);
/* The text at a path of a document; see text_at. */
void assert_text(world *w, const ku_json *json, const char *path, const char *text);

#endif
