/*
 * What the tests of the samples share: a program under test with a database of its own, requests in
 * a line, and assertions on members of an answer by their path.
 *
 *     sample *s = *state;
 *     const answer *made = sample_write(s, "showcase:write:invoice:create",
 * "{\"customer\":\"Acme\"}"); assert_status(made, 200); assert_at(made, "data.data.customer",
 * "Acme");
 *
 * Everything that is returned lives until sample_close.  One sample belongs to one thread.
 */
#ifndef TEST_SAMPLE_SAMPLE_H
#define TEST_SAMPLE_SAMPLE_H

#include "base/arena.h"
#include "base/json.h"
#include "kumiko.h"
#include "support/database.h"
#include "support/http_client.h"
#include "support/http_token.h"
#include "support/process.h"

typedef struct answer {
    int status;
    ku_json *body;    /* NULL: it was not JSON */
    const char *text; /* as it came */
    const char *head; /* lines, each ended by a NUL */
    arena *arena;
} answer;

typedef struct sample {
    const char *program;    /* showcase, recipes */
    const char *const *env; /* for the server, NULL: nothing further */
    const char *flag;       /* of `serve`, NULL: none */
    test_database *database;
    const char *dir; /* its folder, in which the server works */
    process server;
    bool running;
    http_client *client;
    const char *token; /* whose requests these are */
    const char *admin; /* TEST_USER of TEST_TENANT, role Admin */
    arena arena;
} sample;

/* A fresh database and a server on it, signed in as the administrator.  Free with sample_close. */
sample *sample_open(const char *program);
/* Stops the server as an operator would; its exit code, which is 0 unless something is wrong. */
int sample_close(sample *s);
/* The server alone, on the same database.  Stopping returns its exit code (or minus the signal). */
void sample_start(sample *s);
int sample_stop(sample *s, int signal_number);

/* A token of another user, e.g. sample_token(s, TEST_TENANT_OTHER, "99", "[\"Admin\"]"). */
const char *sample_token(sample *s, const char *tenant, const char *user, const char *roles);
char *sample_format(sample *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- requests over HTTP ---------------------------------------------------------------------- */

const answer *sample_write(sample *s, const char *type, const char *payload, ...)
    __attribute__((format(printf, 3, 4)));
const answer *sample_query(sample *s, const char *type, const char *payload, ...)
    __attribute__((format(printf, 3, 4)));
/* Any body to any path; `headers`: lines ended by CRLF, or NULL. */
const answer *sample_post(sample *s, const char *path, const char *headers, const char *body, ...)
    __attribute__((format(printf, 4, 5)));

/* One attempt; NULL: the server went away before it had answered. */
const answer *sample_try_post(sample *s, const char *path, const char *body);

/* ---- in process ------------------------------------------------------------------------------ */

/* The same database without a server; `features` NULL: the showcase and the probe. */
ku_app *sample_app(sample *s, const ku_feature *const *features, bool read_only);
/* A write or a query of TEST_USER, role Admin, by its type. */
const answer *sample_call(sample *s, ku_app *app, const char *type, const char *payload, ...)
    __attribute__((format(printf, 4, 5)));
/*
 * Stores an event as an older program did, of TEST_USER; nothing is checked or projected.  The
 * server must not run.
 */
void sample_store_old_event(
    sample *s, const char *stream, const char *name, int version, const char *payload);
/* The first column of the first row, as text, read beside whoever has it open. */
const char *sample_sql(sample *s, const char *sql);

/* ---- answers --------------------------------------------------------------------------------- */

/*
 * The member at a path such as `error.details.fields.0.path`: text as it is, everything else as
 * JSON; "(missing)" if there is none.
 */
const char *at(const answer *a, const char *path);
/* The names of an object's members in alphabetical order: "code,message". */
const char *keys(const answer *a, const char *path);
/* Number of items or members; -1: it is not there. */
int count(const answer *a, const char *path);
/* The path of an array's item whose member has that value: "data.1"; "(missing)" if none has. */
const char *item_where(const answer *a, const char *array, const char *member, const char *value);
/* The member of that item: member_of(list, "data", "customer", "Acme", "totalCents"). */
const char *member_of(
    const answer *a, const char *array, const char *member, const char *value, const char *wanted);
/* A header of the answer; "(missing)". */
const char *header(const answer *a, const char *name);

/*
 * Each prints the whole answer when it fails; macros because they name the caller's line.  The
 * answer may be a call: it is evaluated once.
 */
#define assert_status(answer, expected) check_status((answer), (expected), __FILE__, __LINE__)
#define assert_at(answer, path, expected)                                                          \
    check_text((answer), (path), at, (expected), __FILE__, __LINE__)
#define assert_keys(answer, path, expected)                                                        \
    check_text((answer), (path), keys, (expected), __FILE__, __LINE__)
void check_status(const answer *a, int expected, const char *file, int line);
void check_text(const answer *a, const char *path,
    const char *(*read)(const answer *a, const char *path), const char *expected, const char *file,
    int line);

/* ---- groups ---------------------------------------------------------------------------------- */

/* cmocka fixtures: the state is a sample of the program. */
int open_showcase(void **state);
int open_recipes(void **state);
/* Only the database; tests in process. */
int open_folder(void **state);
int close_sample(void **state);

#define SHOWCASE_TEST(f) cmocka_unit_test_setup_teardown(f, open_showcase, close_sample)
#define RECIPES_TEST(f) cmocka_unit_test_setup_teardown(f, open_recipes, close_sample)
#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, open_folder, close_sample)

#endif
