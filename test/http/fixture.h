/*
 * A server in this process, over an application that is made up: what the tests of this folder
 * share.
 *
 * Each test program includes this file once; it defines the three functions that the server calls
 * in the application, so that the real ones stay out of the link.  The made-up application runs
 * calls on a thread of its own, one after the other, as the `type` in the body says:
 *
 *   echo        200 {"data":<payload>}
 *   who         200 with everything that the transport put into the call
 *   text        200 with a body of `payload` bytes
 *   limited     429 with a rate       met  200 with a rate
 *   busy        503, answered inside app_submit
 *   hold        waits for fake_release, then echoes
 *   until-gone  waits until the client has gone away
 */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include "base/json.h"
#include "base/limits.h"
#include "http/server.h"
#include "support/http_client.h"
#include "support/http_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the application ------------------------------------------------------------------------- */

static struct fake_app {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    app_call *first, *last;
    size_t submitted, finished, seen_gone;
    bool released, stopping;
} fake;

static void fake_respond(app_call *call, int http_status, ku_str body)
{
    call->http_status = http_status;
    call->response = body;
}

static ku_str fake_type(const app_call *call)
{
    ku_str type = {0};
    (void)ku_json_text(ku_json_get(call->body, "type"), &type);
    return type;
}

static void fake_echo(app_call *call)
{
    buffer b = {.arena = &call->arena};
    buffer_add_text(&b, "{\"data\":");
    const ku_json *payload = ku_json_get(call->body, "payload");
    if (payload != NULL)
        json_put(&b, payload);
    else
        buffer_add_text(&b, "null");
    buffer_add_text(&b, "}");
    fake_respond(call, 200, buffer_str(&b));
}

static void fake_who(app_call *call)
{
    buffer b = {.arena = &call->arena};
    buffer_format(&b, "{\"kind\":%d", (int)call->kind);
    json_put_key(&b, "tenant");
    json_put_id(&b, call->user.tenant);
    json_put_key(&b, "user");
    json_put_text(&b, call->user.id);
    json_put_key(&b, "roles");
    buffer_add_text(&b, "[");
    for (size_t i = 0; i < call->user.n_roles; i++) {
        buffer_add_text(&b, i > 0 ? "," : "");
        json_put_text(&b, call->user.roles[i]);
    }
    buffer_add_text(&b, "]");
    json_put_key(&b, "trace");
    json_put_text(&b, call->trace_id);
    json_put_key(&b, "correlation");
    json_put_text(&b, call->correlation_id);
    json_put_key(&b, "address");
    json_put_text(&b, call->address);
    buffer_add_text(&b, "}");
    fake_respond(call, 200, buffer_str(&b));
}

static void fake_text(app_call *call)
{
    int64_t size = 0;
    (void)ku_json_int(ku_json_get(call->body, "payload"), &size);
    char *text = arena_text(&call->arena, (size_t)size);
    memset(text, 'x', (size_t)size);
    fake_respond(call, 200, (ku_str){text, (size_t)size});
}

static void fake_rate(app_call *call, bool limited)
{
    call->rate = (call_rate){.set = true,
        .limit = 5,
        .remaining = limited ? 0 : 4,
        .reset_unix_s = 1800000000,
        .retry_after_s = limited ? 12 : 0};
    fake_respond(call, limited ? 429 : 200, KU_STR("{}"));
}

static void fake_hold(void)
{
    pthread_mutex_lock(&fake.lock);
    while (!fake.released)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static void fake_until_gone(app_call *call)
{
    while (!call->cancelled(call->cancelled_context))
        (void)usleep(1000);
    pthread_mutex_lock(&fake.lock);
    fake.seen_gone++;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
    fake_respond(call, 499, KU_STR("{}"));
}

static void fake_run(app_call *call)
{
    const ku_str type = fake_type(call);
    if (ku_str_is(type, "who"))
        fake_who(call);
    else if (ku_str_is(type, "text"))
        fake_text(call);
    else if (ku_str_is(type, "limited") || ku_str_is(type, "met"))
        fake_rate(call, ku_str_is(type, "limited"));
    else if (ku_str_is(type, "until-gone"))
        fake_until_gone(call);
    else {
        if (ku_str_is(type, "hold"))
            fake_hold();
        fake_echo(call);
    }
    call->done(call);
    pthread_mutex_lock(&fake.lock);
    fake.finished++;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

static void *fake_work(void *context)
{
    (void)context;
    pthread_mutex_lock(&fake.lock);
    for (;;) {
        while (fake.first == NULL && !fake.stopping)
            pthread_cond_wait(&fake.changed, &fake.lock);
        app_call *call = fake.first;
        if (call == NULL)
            break;
        fake.first = call->next;
        pthread_mutex_unlock(&fake.lock);
        fake_run(call);
        pthread_mutex_lock(&fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

void app_submit(ku_app *app, app_call *call)
{
    (void)app;
    if (ku_str_is(fake_type(call), "busy")) {
        fake_respond(call, 503, KU_STR("{\"error\":{\"code\":\"unavailable\"}}"));
        call->done(call);
        return;
    }
    pthread_mutex_lock(&fake.lock);
    call->next = NULL;
    *(fake.first != NULL ? &fake.last->next : &fake.first) = call;
    fake.last = call;
    fake.submitted++;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

/* `{"error":{"code":…,"details":{"fields":[{"path","code","i18nKey","params"}]}}}` */
void app_call_fail(ku_app *app, app_call *call, const scope_error *error)
{
    (void)app;
    buffer b = {.arena = &call->arena};
    buffer_format(
        &b, "{\"error\":{\"code\":\"%s\",\"details\":{\"fields\":[", ku_status_code(error->status));
    for (const field_issue *issue = error->issues; issue != NULL; issue = issue->next) {
        buffer_add_text(&b, "{");
        json_put_key(&b, "path");
        json_put_text(&b, issue->path);
        json_put_key(&b, "code");
        json_put_text(&b, issue->code);
        json_put_key(&b, "i18nKey");
        json_put_text(&b, issue->i18n_key);
        if (issue->params.len > 0) {
            json_put_key(&b, "params");
            buffer_add_str(&b, issue->params);
        }
        buffer_add_text(&b, "}");
    }
    buffer_add_text(&b, "]}}}");
    fake_respond(call, ku_status_http(error->status), buffer_str(&b));
}

const char *app_explain_error(ku_str code_or_reason)
{
    return ku_str_is(code_or_reason, "known_reason") ? "It is 1 < 2 & known." : NULL;
}

/* Waits until so many calls have reached the application. */
static inline void fake_wait_submitted(size_t count)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.submitted < count)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_wait_gone(size_t count)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.seen_gone < count)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_release(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.released = true;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

/* ---- the server ------------------------------------------------------------------------------ */

typedef struct fixture {
    server *server;
    pthread_t thread;
    int port;
    http_client *client;
    char *token; /* the usual one */
    bool stopped;
} fixture;

static void *fixture_serve(void *context)
{
    ku_status status = server_run(context);
    return (void *)(uintptr_t)status;
}

/* Starts a server; what `options` leaves out has a usual value. */
static inline void fixture_start(fixture *f, server_options options)
{
    static const server_key key = {{0}, KU_STR_INIT(TEST_SECRET)};
    memset(f, 0, sizeof *f);
    memset(&fake, 0, sizeof fake);
    pthread_mutex_init(&fake.lock, NULL);
    pthread_cond_init(&fake.changed, NULL);
    assert_int_equal(pthread_create(&fake.thread, NULL, fake_work, NULL), 0);

    ku_error error = {0};
    options.size = sizeof options;
    if (options.listen == NULL)
        options.listen = "127.0.0.1:0";
    if (options.keys == NULL) {
        options.keys = &key;
        options.n_keys = 1;
    }
    ku_status status = server_open(NULL, &options, &f->server, &error);
    if (status != KU_OK)
        fail_msg("%s", error.message);
    f->port = atoi(strrchr(server_address(f->server), ':') + 1);
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_serve, f->server), 0);
    f->client = http_open(f->port);
    f->token = test_token_for(NULL, NULL, NULL);
}

/* Stops the server and waits until it has drained. */
static inline void fixture_drain(fixture *f)
{
    void *status = NULL;
    server_stop(f->server);
    assert_int_equal(pthread_join(f->thread, &status), 0);
    assert_int_equal((uintptr_t)status, KU_OK);
    f->stopped = true;
}

static inline void fixture_stop(fixture *f)
{
    if (!f->stopped)
        fixture_drain(f);
    server_close(f->server);
    pthread_mutex_lock(&fake.lock);
    fake.stopping = true;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
    pthread_join(fake.thread, NULL);
    pthread_cond_destroy(&fake.changed);
    pthread_mutex_destroy(&fake.lock);
    http_close(f->client);
    free(f->token);
}

/* Sends one request with the usual token on the fixture's connection and checks the status. */
static inline void expect(
    fixture *f, const char *path, const char *body, int status, http_answer *ret_answer)
{
    http_request(f->client, "POST", path, f->token, body, NULL, ret_answer);
    if (ret_answer->status != status)
        fail_msg("%s %s: %d %s", path, body, ret_answer->status, ret_answer->body);
}

#endif
