/*
 * What the tests of the application share: a database of its own, a clock that the test sets, a log
 * that the test reads, and a way to run any function as a write or a query.
 *
 * A feature under test is called `lab` and lists LAB_DO among its writes and queries; lab_write
 * then runs a body as `lab:write:do`, with everything a command has.  lab_hold stops the writer so
 * that what is submitted meanwhile shares one transaction.
 */
#ifndef TEST_APP_LAB_H
#define TEST_APP_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/call.h"
#include "app/command.h"
#include "app/raw.h"
#include "app/rows.h"
#include "app/state.h"
#include "app/writer.h"
#include "base/limits.h"
#include "kumiko/app.h"
#include "store/log.h"
#include "support/database.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LAB_UNUSED __attribute__((unused))

enum { LAB_LOG_BYTES = 1 << 16 };

typedef struct lab {
    test_database *database; /* NULL: it looks into another one's */
    const char *url;
    ku_app *app;
    _Atomic int64_t now_us;
    /* of the last lab_write, lab_query, lab_call */
    ku_response response;
    pthread_mutex_t log_lock;
    char log[LAB_LOG_BYTES]; /* guarded by log_lock; NUL-terminated */
    size_t log_len;
} lab;

/* ---- tenants, users, ids --------------------------------------------------------------------- */

static const ku_str lab_roles[] LAB_UNUSED = {KU_STR_INIT("Admin"), KU_STR_INIT("User")};
static const ku_str lab_system_roles[] LAB_UNUSED = {KU_STR_INIT("system")};

static inline ku_id lab_id(uint8_t kind, uint32_t n)
{
    ku_id id = {
        {kind, 0, 0, 0, 0, 0, 0x70, 0, 0x80}
    };

    id.bytes[12] = (uint8_t)(n >> 24);
    id.bytes[13] = (uint8_t)(n >> 16);
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)n;
    return id;
}

static inline ku_id lab_tenant(uint32_t n)
{
    return lab_id(0x11, n);
}

static inline ku_user lab_user_of(uint32_t tenant)
{
    return (ku_user){
        .tenant = lab_tenant(tenant), .id = KU_STR("user1"), .roles = lab_roles, .n_roles = 2};
}

/* ---- opening --------------------------------------------------------------------------------- */

static LAB_UNUSED ku_time lab_clock(void *context)
{
    lab *l = context;

    return (ku_time){atomic_load(&l->now_us)};
}

static LAB_UNUSED void lab_log(void *context, int level, const char *line)
{
    lab *l = context;
    size_t len = strlen(line);

    (void)level;
    pthread_mutex_lock(&l->log_lock);
    if (l->log_len + len + 2 < LAB_LOG_BYTES) {
        memcpy(l->log + l->log_len, line, len + 1);
        l->log_len += len;
        memcpy(l->log + l->log_len, "\n", 2);
        l->log_len++;
    }
    pthread_mutex_unlock(&l->log_lock);
}

static LAB_UNUSED bool lab_logged(lab *l, const char *text)
{
    pthread_mutex_lock(&l->log_lock);
    bool found = strstr(l->log, text) != NULL;
    pthread_mutex_unlock(&l->log_lock);
    return found;
}

/* A database, and a clock at 2026-01-01T00:00:00Z. */
static LAB_UNUSED lab *lab_new(void)
{
    lab *l = mem_zero(1, sizeof(*l));

    l->database = test_database_new();
    l->url = l->database->url;
    atomic_store(&l->now_us, INT64_C(1767225600) * 1000000);
    pthread_mutex_init(&l->log_lock, NULL);
    return l;
}

static LAB_UNUSED void lab_close(lab *l)
{
    ku_response_free(&l->response);
    ku_app_close(l->app);
    l->app = NULL;
}

static LAB_UNUSED void lab_free(lab *l)
{
    lab_close(l);
    test_database_free(l->database);
    pthread_mutex_destroy(&l->log_lock);
    free(l);
}

static LAB_UNUSED ku_status lab_try_open(lab *l, const ku_app_options *options, ku_error *ret_error)
{
    ku_app_options o = *options;

    o.size = sizeof(o);
    if (o.url == NULL)
        o.url = l->url;
    o.log = lab_log;
    o.log_context = l;
    o.clock = lab_clock;
    o.clock_context = l;
    return ku_app_open(&o, &l->app, ret_error);
}

/* Opens with one feature; `dispatcher`: the background one. */
static LAB_UNUSED void lab_open(lab *l, const ku_feature *feature, bool dispatcher)
{
    const ku_feature *const features[] = {feature, NULL};
    ku_error error = {0};
    const ku_app_options options = {.features = features, .dispatcher = dispatcher};

    ku_status status = lab_try_open(l, &options, &error);
    if (status != KU_OK)
        fail_msg("%s", error.message);
}

/* ---- requests -------------------------------------------------------------------------------- */

typedef ku_status lab_body(ku_scope *scope, void *context, ku_reply *reply);

/* A body and its context on their way through a payload. */
typedef struct lab_do {
    int64_t body;
    int64_t context;
} lab_do;
static const ku_field lab_do_fields[] LAB_UNUSED = {
    KU_FIELD(lab_do, body),
    KU_FIELD(lab_do, context),
};

static LAB_UNUSED ku_status lab_run(ku_scope *scope, const void *input, ku_reply *reply)
{
    const lab_do *call = input;
    lab_body *body = (lab_body *)(uintptr_t)call->body;

    return body(scope, (void *)(uintptr_t)call->context, reply);
}

#define LAB_DO                                                                                     \
    {                                                                                              \
        .name = "do", .input = KU_SHAPE(lab_do), .access = KU_OPEN_TO_ALL, .run = lab_run          \
    }

static LAB_UNUSED ku_status lab_request(lab *l, bool write, ku_request request)
{
    request.size = sizeof(request);
    if (ku_id_is_nil(request.user.tenant))
        request.user = lab_user_of(1);
    ku_response_free(&l->response);
    return write ? ku_write(l->app, &request, &l->response)
                 : ku_query(l->app, &request, &l->response);
}

static LAB_UNUSED ku_status lab_send(lab *l, bool write, const char *type, const char *payload)
{
    return lab_request(
        l, write, (ku_request){.type = ku_str_from(type), .payload = ku_str_from(payload)});
}

static LAB_UNUSED ku_str lab_do_payload(lab_body *body, const void *context, char ret_text[80])
{
    (void)snprintf(ret_text, 80, "{\"body\":%lld,\"context\":%lld}", (long long)(uintptr_t)body,
        (long long)(uintptr_t)context);
    return ku_str_from(ret_text);
}

static LAB_UNUSED ku_status lab_as(
    lab *l, bool write, const ku_user *user, lab_body *body, const void *context)
{
    char payload[80];

    return lab_request(l, write,
        (ku_request){.type = write ? KU_STR("lab:write:do") : KU_STR("lab:query:do"),
            .payload = lab_do_payload(body, context, payload),
            .user = *user});
}

static LAB_UNUSED ku_status lab_write(lab *l, lab_body *body, const void *context)
{
    const ku_user user = lab_user_of(1);

    return lab_as(l, true, &user, body, context);
}

static LAB_UNUSED ku_status lab_query(lab *l, lab_body *body, const void *context)
{
    const ku_user user = lab_user_of(1);

    return lab_as(l, false, &user, body, context);
}

/* The body of the last response. */
static LAB_UNUSED const char *lab_text(const lab *l)
{
    return l->response.body.ptr != NULL ? l->response.body.ptr : "";
}

#define lab_assert_ok(l, call)                                                                     \
    do {                                                                                           \
        ku_status status_ = (call);                                                                \
        if (status_ != KU_OK)                                                                      \
            fail_msg("%s: %s", ku_status_code(status_), lab_text(l));                              \
    } while (0)

#define lab_assert_has(l, text)                                                                    \
    do {                                                                                           \
        if (strstr(lab_text(l), (text)) == NULL)                                                   \
            fail_msg("`%s` is not in %s", (text), lab_text(l));                                    \
    } while (0)

/* ---- many at once ---------------------------------------------------------------------------- */

/* A call that is submitted without waiting. */
typedef struct lab_call {
    app_call call;
    sem_t done;
    char payload[160];
} lab_call;

static LAB_UNUSED void lab_call_done(app_call *call)
{
    lab_call *c = call->transport;

    (void)sem_post(&c->done);
}

static LAB_UNUSED lab_call *lab_submit(
    lab *l, call_kind kind, const char *type, const char *payload, const char *request_id)
{
    lab_call *c = mem_zero(1, sizeof(*c));

    (void)sem_init(&c->done, 0, 0);
    (void)snprintf(c->payload, sizeof(c->payload), "%s", payload);
    c->call.kind = kind;
    c->call.type = ku_str_from(type);
    c->call.payload = ku_str_from(c->payload);
    c->call.request_id = ku_str_from(request_id);
    c->call.user = lab_user_of(1);
    c->call.trace_id = KU_STR("trace");
    c->call.correlation_id = KU_STR("correlation");
    c->call.done = lab_call_done;
    c->call.transport = c;
    app_submit(l->app, &c->call);
    return c;
}

static LAB_UNUSED lab_call *lab_submit_body(
    lab *l, lab_body *body, const void *context, const char *request_id)
{
    char payload[80];

    (void)lab_do_payload(body, context, payload);
    return lab_submit(l, CALL_WRITE, "lab:write:do", payload, request_id);
}

static LAB_UNUSED ku_status lab_wait(lab_call *c)
{
    while (sem_wait(&c->done) != 0)
        continue;
    return c->call.status;
}

static LAB_UNUSED void lab_call_free(lab_call *c)
{
    arena_done(&c->call.arena);
    (void)sem_destroy(&c->done);
    free(c);
}

/* Waits, checks, frees. */
static LAB_UNUSED void lab_expect(lab_call *c, ku_status status)
{
    ku_status got = lab_wait(c);
    if (got != status)
        fail_msg("%s instead of %s: %.*s", ku_status_code(got), ku_status_code(status),
            KU_FMT(c->call.response));
    lab_call_free(c);
}

/* ---- holding the writer ---------------------------------------------------------------------- */

typedef struct lab_hold {
    writer_job job; /* first */
    sem_t entered, leave, left;
} lab_hold;

static LAB_UNUSED ku_status lab_hold_execute(writer_job *job, ku_scope *scope)
{
    lab_hold *h = (lab_hold *)job;

    (void)scope;
    (void)sem_post(&h->entered);
    while (sem_wait(&h->leave) != 0)
        continue;
    return KU_OK;
}

static LAB_UNUSED void lab_hold_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    lab_hold *h = (lab_hold *)job;

    (void)scope;
    (void)committed;
    (void)sem_post(&h->left);
}

/* When this returns tenant 1's writer does nothing until lab_release. */
static LAB_UNUSED void lab_hold_writer(lab *l, lab_hold *h)
{
    memset(h, 0, sizeof(*h));
    h->job.execute = lab_hold_execute;
    h->job.finish = lab_hold_finish;
    (void)sem_init(&h->entered, 0, 0);
    (void)sem_init(&h->leave, 0, 0);
    (void)sem_init(&h->left, 0, 0);
    assert_true(writer_submit(app_writer(l->app, lab_tenant(1)), &h->job, true));
    while (sem_wait(&h->entered) != 0)
        continue;
}

static LAB_UNUSED void lab_release(lab_hold *h)
{
    (void)sem_post(&h->leave);
    while (sem_wait(&h->left) != 0)
        continue;
    (void)sem_destroy(&h->entered);
    (void)sem_destroy(&h->leave);
    (void)sem_destroy(&h->left);
}

/* ---- looking into the database --------------------------------------------------------------- */

/* The one integer that a statement gives, read beside the application. */
static LAB_UNUSED int64_t lab_sql(const lab *l, const char *sql)
{
    return test_database_int(l->database, sql);
}

static LAB_UNUSED void lab_print_problem(void *context, ku_str sentence)
{
    (void)context;
    print_error("%.*s\n", KU_FMT(sentence));
}

static LAB_UNUSED ku_status lab_check_body(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    return log_check(scope, lab_print_problem, NULL, context);
}

/* The log's own integrity check finds nothing. */
static LAB_UNUSED void lab_assert_sound(lab *l)
{
    check_report report = {0};

    lab_assert_ok(l, lab_query(l, lab_check_body, &report));
    assert_int_equal(report.problems, 0);
}

#endif
