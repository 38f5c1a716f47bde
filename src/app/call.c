/*
 * Calls: from a request's body to commands, through the writer or a reader, to a response.
 */
#include "app/call.h"

#include "app/command.h"
#include "app/errors.h"
#include "app/reader.h"
#include "app/writer.h"
#include "base/limits.h"
#include "db/sql.h"
#include "store/log.h"

#include <openssl/evp.h>
#include <string.h>

static const int64_t request_kept_us = INT64_C(24) * 3600 * 1000000;

/* A call with what the application adds to it; in the call's arena. */
typedef struct running_call {
    writer_job job; /* first: the writer knows it by this */
    reader_job query;
    app_call *call;
    ku_app *app;
    command *commands;
    size_t n_commands;
    size_t n_run; /* commands that were run; the last of them may have failed */
    ku_id fingerprint;
    ku_time prepared_at; /* the clock by which its request id was asked for; 0: it was not */
    scope_error error;   /* of the call as a whole: a bad request id */
    bool replayed;
} running_call;

/* ---- what the client sent -------------------------------------------------------------------- */

static ku_status expect_text(
    ku_scope *scope, const ku_json *object, const char *name, ku_str path, ku_str *ret_text)
{
    const ku_json *member = ku_json_get(object, name);

    if (member != NULL && ku_json_text(member, ret_text))
        return KU_OK;
    ku_str full = path.len == 0 ? ku_str_from(name)
                                : arena_format(&scope->arena, "%" KU_PRI ".%s", KU_FMT(path), name);
    return scope_issue(scope, full, "invalid_type", KU_STR("{\"expected\":\"string\"}"));
}

static ku_status read_command(
    ku_scope *scope, const ku_json *object, ku_str path, command *ret_command)
{
    if (ku_json_kind_of(object) != KU_JSON_OBJECT)
        return scope_issue(scope, path.len == 0 ? KU_STR("(root)") : path, "invalid_type",
            KU_STR("{\"expected\":\"object\"}"));
    ret_command->payload = ku_json_get(object, "payload");
    if (ret_command->payload == NULL)
        ret_command->payload = json_new(&scope->arena, KU_JSON_OBJECT);
    return expect_text(scope, object, "type", path, &ret_command->type);
}

static const char *json_kind_name(const ku_json *json)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};

    return json == NULL ? "undefined" : names[ku_json_kind_of(json)];
}

static ku_status read_batch(ku_scope *scope, running_call *r)
{
    const ku_json *commands = ku_json_get(r->call->body, "commands");

    if (commands == NULL || ku_json_kind_of(commands) != KU_JSON_ARRAY)
        return scope_issue(scope, KU_STR("commands"), "invalid_type",
            arena_format(&scope->arena, "{\"expected\":\"array\",\"received\":\"%s\"}",
                json_kind_name(commands)));
    r->n_commands = ku_json_count(commands);
    if (r->n_commands > LIMIT_COMMANDS_PER_BATCH)
        return scope_issue(scope, KU_STR("commands"), "too_big",
            arena_format(
                &scope->arena, "{\"maximum\":%d,\"inclusive\":true}", LIMIT_COMMANDS_PER_BATCH));
    r->commands = arena_alloc(&scope->arena, (r->n_commands + 1) * sizeof(command));
    size_t i = 0;
    ku_status status = KU_OK;
    for (const ku_json *item = commands->first; item != NULL; item = item->next, i++) {
        ku_str path = arena_format(&scope->arena, "commands.%zu", i);
        ku_status one = read_command(scope, item, path, &r->commands[i]);
        status = status == KU_OK ? one : status;
    }
    return status;
}

static ku_status read_request_id(ku_scope *scope, app_call *call)
{
    const ku_json *id = ku_json_get(call->body, "requestId");

    if (id == NULL || ku_json_kind_of(id) == KU_JSON_NULL)
        return KU_OK;
    return expect_text(scope, call->body, "requestId", KU_STR(""), &call->request_id);
}

static ku_status check_request_id(ku_scope *scope, const app_call *call)
{
    if (call->request_id.len > LIMIT_REQUEST_ID_BYTES)
        return scope_issue(scope, KU_STR("requestId"), "too_big",
            arena_format(
                &scope->arena, "{\"maximum\":%d,\"inclusive\":true}", LIMIT_REQUEST_ID_BYTES));
    return KU_OK;
}

/* From the body, or from type and payload text, to commands. */
static ku_status read_call(ku_scope *scope, running_call *r)
{
    app_call *call = r->call;
    json_error error;

    if (call->body == NULL) {
        ku_str text = call->payload.len == 0 ? KU_STR("{}") : call->payload;
        r->n_commands = 1;
        r->commands = arena_alloc(&scope->arena, sizeof(command));
        r->commands->type = call->type;
        if (!json_parse(&scope->arena, text, LIMIT_JSON_DEPTH, &r->commands->payload, &error))
            return scope_issue(
                scope, error.path.len > 0 ? error.path : KU_STR("(root)"), error.code, KU_STR(""));
        return check_request_id(scope, call);
    }
    if (ku_json_kind_of(call->body) != KU_JSON_OBJECT)
        return scope_issue(
            scope, KU_STR("(root)"), "invalid_type", KU_STR("{\"expected\":\"object\"}"));
    ku_status status = KU_OK;
    if (call->kind == CALL_BATCH) {
        status = read_batch(scope, r);
    } else {
        r->n_commands = 1;
        r->commands = arena_alloc(&scope->arena, sizeof(command));
        status = read_command(scope, call->body, KU_STR(""), r->commands);
    }
    ku_status id = call->kind == CALL_QUERY ? KU_OK : read_request_id(scope, call);
    if (id == KU_OK)
        id = check_request_id(scope, call);
    return status == KU_OK ? id : status;
}

/* ---- responses ------------------------------------------------------------------------------- */

static void write_error(
    buffer *b, const ku_app *app, const app_call *call, const scope_error *error)
{
    buffer_add_text(b, call->kind == CALL_WRITE || call->kind == CALL_BATCH
                           ? "{\"isSuccess\":false,\"error\":"
                           : "{\"error\":");
    error_write(b, app, error, call->trace_id);
}

void app_call_fail(ku_app *app, app_call *call, const scope_error *error)
{
    buffer b = {.arena = &call->arena};

    write_error(&b, app, call, error);
    buffer_add_char(&b, '}');
    call->status = error->status;
    call->http_status = ku_status_http(error->status);
    call->response = buffer_str(&b);
}

static void write_batch_failure(
    buffer *b, const running_call *r, const ku_scope *scope, const command *failed)
{
    write_error(b, r->app, r->call, &failed->error);
    json_put_key(b, "failedIndex");
    json_put_int(b, (int64_t)(failed - r->commands));
    json_put_key(b, "results");
    buffer_add_char(b, '[');
    for (const command *c = r->commands; c < failed; c++) {
        buffer_add_text(b, "{\"isSuccess\":true,\"data\":");
        reply_write(b, scope, &c->reply);
        buffer_add_text(b, "},");
    }
    buffer_add_text(b, "{\"isSuccess\":false,\"error\":");
    error_write(b, r->app, &failed->error, r->call->trace_id);
    buffer_add_text(b, "}]}");
}

static void write_success(buffer *b, const running_call *r, const ku_scope *scope)
{
    switch (r->call->kind) {
    case CALL_COMMAND:
        buffer_add_text(b, "{\"ok\":true}");
        return;
    case CALL_QUERY:
        buffer_add_text(b, "{\"data\":");
        break;
    case CALL_CHECK:
        return; /* written by check_run */
    case CALL_WRITE:
        buffer_add_text(b, "{\"isSuccess\":true,\"data\":");
        break;
    case CALL_BATCH:
        buffer_add_text(b, "{\"isSuccess\":true,\"results\":[");
        for (size_t i = 0; i < r->n_commands; i++) {
            buffer_add_text(b, i > 0 ? "},{" : "{");
            buffer_add_text(b, "\"isSuccess\":true,\"data\":");
            reply_write(b, scope, &r->commands[i].reply);
        }
        buffer_add_text(b, r->n_commands > 0 ? "}]}" : "]}");
        return;
    }
    reply_write(b, scope, &r->commands[0].reply);
    buffer_add_char(b, '}');
}

static void respond(running_call *r, const ku_scope *scope, ku_status status)
{
    app_call *call = r->call;
    buffer b = {.arena = &call->arena};
    const command *last = r->n_run > 0 ? &r->commands[r->n_run - 1] : NULL;

    if (status == KU_OK) {
        call->status = KU_OK;
        call->http_status = call->kind == CALL_COMMAND ? 202 : 200;
        (void)buffer_reserve(&b, 1024);
        write_success(&b, r, scope);
        call->response = buffer_str(&b);
    } else if (r->error.status != KU_OK) {
        app_call_fail(r->app, call, &r->error);
    } else if (call->kind == CALL_BATCH) {
        write_batch_failure(&b, r, scope, last);
        call->status = status;
        call->http_status = ku_status_http(status);
        call->response = buffer_str(&b);
    } else {
        app_call_fail(r->app, call, &last->error);
    }
}

/* ---- idempotent requests (behaviour §0) ------------------------------------------------------ */

/* The first 16 bytes of SHA-256 over kind, types and payloads. */
static ku_id fingerprint_of(ku_scope *scope, const running_call *r)
{
    buffer b = {.arena = &scope->arena};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ku_id fingerprint;

    /* The kind, too: a stored answer has its form. */
    buffer_format(&b, "%d %zu", (int)r->call->kind, r->n_commands);
    for (size_t i = 0; i < r->n_commands; i++) {
        buffer_format(&b, "\n%" KU_PRI "\n", KU_FMT(r->commands[i].type));
        json_put(&b, r->commands[i].payload);
    }
    if (EVP_Digest(b.ptr, b.len, digest, &size, EVP_sha256(), NULL) != 1)
        memset(
            digest, 0, sizeof(digest)); /* no SHA-256: every request looks the same, none is lost */
    memcpy(fingerprint.bytes, digest, sizeof(fingerprint.bytes));
    return fingerprint;
}

/* Another job of this batch carries the same request: its answer is not known yet. */
static bool earlier_in_batch(const running_call *r, const ku_scope *scope)
{
    const row_layer *batch = scope->work->rows->parent;

    for (const claimed_request *c = batch->claims; c != NULL; c = c->next) {
        if (ku_id_equal(c->tenant, scope->tenant) && ku_str_equal(c->user, scope->user) &&
            ku_str_equal(c->request_id, r->call->request_id))
            return true;
    }
    return false;
}

static void claim_request(const running_call *r, ku_scope *scope)
{
    row_layer *batch = scope->work->rows->parent;
    claimed_request *claim = arena_alloc(batch->work->arena, sizeof(*claim));

    *claim = (claimed_request){.tenant = scope->tenant,
        .user = scope->user,
        .request_id = r->call->request_id,
        .next = batch->claims};
    batch->claims = claim;
}

static ku_status status_of_http(int http_status)
{
    if (http_status < 400)
        return KU_OK;
    for (ku_status status = KU_INVALID; status <= KU_UNAVAILABLE; status++) {
        if (ku_status_http(status) == http_status)
            return status;
    }
    return KU_INTERNAL;
}

/* Answers from the store if it can; *ret_run: the request is new. */
static ku_status answer_known(running_call *r, ku_scope *scope, bool *ret_run)
{
    app_call *call = r->call;
    stored_request stored;

    *ret_run = false;
    if (earlier_in_batch(r, scope)) {
        writer_defer(&r->job);
        return KU_OK;
    }
    claim_request(r, scope);
    r->fingerprint = fingerprint_of(scope, r);
    ku_status status = log_request_find(scope, call->request_id, &stored);
    if (status != KU_OK)
        return status;
    if (!stored.found) {
        *ret_run = true;
        return KU_OK;
    }
    r->replayed = true;
    if (!ku_id_equal(stored.fingerprint, r->fingerprint)) {
        status = ku_refuse(scope, "idempotency_key_reused",
            "requestId %" KU_PRI " was used with another type or payload",
            KU_FMT(call->request_id));
        ku_detail_text(scope, "requestId", call->request_id);
        return status;
    }
    call->status = status_of_http(stored.http_status);
    call->http_status = stored.http_status;
    call->response = arena_copy(&call->arena, stored.reply);
    return KU_OK;
}

/* Successes and final refusals are remembered; what may go differently next time is not. */
static bool is_final(int http_status)
{
    return http_status < 500 && http_status != 401 && http_status != 408 && http_status != 409 &&
           http_status != 429 && http_status != 499;
}

/* ---- writes ---------------------------------------------------------------------------------- */

static void start_over(ku_scope *scope)
{
    row_layer *rows = scope->work->rows;
    work *parent = scope->work->parent;

    if (rows->in_savepoint)
        db_rollback_to(scope->db);
    work_init(scope->work, scope->db, parent, scope->work->arena);
    row_layer_init(rows, rows->parent, scope->work);
    scope->work->rows = rows;
}

static ku_status run_commands(running_call *r, ku_scope *scope)
{
    ku_status status = KU_OK;

    for (r->n_run = 0; r->n_run < r->n_commands && status == KU_OK; r->n_run++) {
        command *c = &r->commands[r->n_run];
        status = command_run(scope, c, true, &r->call->rate);
        /* Only a command alone may be run again: in a batch others have seen what came before. */
        int again = r->n_commands == 1 && c->handler != NULL ? c->handler->handler->retries : 0;
        while (status == KU_VERSION_CONFLICT && !scope->work->rows->broken && again-- > 0) {
            start_over(scope);
            status = command_run(scope, c, true, &r->call->rate);
        }
    }
    return status;
}

static void call_prepare(writer_job *job, db *d)
{
    running_call *r = (running_call *)job;
    const app_call *call = r->call;

    if (call->request_id.len == 0)
        return;
    r->prepared_at = clock_now(&r->app->clock);
    log_request_prefetch(d, call->user.tenant, call->user.id, call->request_id, r->prepared_at);
}

static ku_status call_execute(writer_job *job, ku_scope *scope)
{
    running_call *r = (running_call *)job;
    app_call *call = r->call;
    bool run = true;

    app_scope_begin(
        r->app, scope, &call->user, call->trace_id, call->correlation_id, call->address);
    scope->deadline_us = call->deadline_us;
    scope->cancelled = call->cancelled;
    scope->cancelled_context = call->cancelled_context;
    if (r->prepared_at.unix_us != 0)
        scope->now = r->prepared_at;
    r->n_run = 0;
    r->replayed = false;
    r->error = (scope_error){.status = KU_OK};
    if (ku_scope_cancelled(scope)) { /* nobody waits any more: do not start */
        ku_status why = command_cancelled(scope);
        (void)scope_fail(scope, why, "%s", ku_status_text(why));
        r->error = scope->error;
        return why;
    }
    if (call->request_id.len > 0) {
        ku_status status = answer_known(r, scope, &run);
        r->error = scope->error;
        if (status != KU_OK)
            r->error.status = status;
        if (status != KU_OK || !run)
            return status;
    }
    return run_commands(r, scope);
}

static ku_status call_settle(writer_job *job, ku_scope *scope, ku_status executed)
{
    running_call *r = (running_call *)job;
    app_call *call = r->call;

    if (r->replayed && executed == KU_OK)
        return KU_OK;
    respond(r, scope, executed);
    if (call->request_id.len == 0 || r->replayed || !is_final(call->http_status))
        return KU_OK;
    const pending_request answered = {.tenant = scope->tenant,
        .fingerprint = r->fingerprint,
        .user = scope->user,
        .request_id = call->request_id,
        .reply = call->response,
        .http_status = call->http_status,
        .now = scope->now,
        .expires = {scope->now.unix_us + request_kept_us}};
    work_put_request(scope->work->parent, &answered);
    return KU_OK;
}

/* Why a call has no answer of its own: its transaction is not there, or nobody knows. */
static void fail_uncommitted(const writer_job *job, ku_scope *scope, ku_status committed)
{
    ku_clear_error(scope);
    if (job->outcome_unknown)
        (void)ku_fail(scope, KU_UNAVAILABLE, "outcome_unknown",
            "the database did not answer in time: the request may or may not have been carried "
            "out");
    else if (committed == KU_VERSION_CONFLICT || committed == KU_UNIQUE_VIOLATION)
        (void)ku_fail(scope, KU_UNAVAILABLE, "contended",
            "others kept changing the same data; nothing was written");
    else
        (void)scope_fail(scope, committed == KU_UNAVAILABLE ? KU_UNAVAILABLE : KU_INTERNAL,
            "the transaction could not be committed; nothing was written");
}

static void call_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    running_call *r = (running_call *)job;
    app_call *call = r->call;

    if (committed != KU_OK) {
        fail_uncommitted(job, scope, committed);
        app_call_fail(r->app, call, &scope->error);
    } else if (job->executed == KU_OK) {
        app_run_after_commit(r->app, scope);
    }
    call->done(call);
}

/* ---- queries --------------------------------------------------------------------------------- */

static void query_run(reader_job *job, ku_scope *scope)
{
    running_call *r = (running_call *)((char *)job - offsetof(running_call, query));
    app_call *call = r->call;

    app_scope_begin(
        r->app, scope, &call->user, call->trace_id, call->correlation_id, call->address);
    scope->deadline_us = call->deadline_us;
    scope->cancelled = call->cancelled;
    scope->cancelled_context = call->cancelled_context;
    ku_status status = command_run(scope, r->commands, false, &call->rate);
    if (status != KU_OK && reader_again(scope)) /* it has had no effect */
        status = command_run(scope, r->commands, false, &call->rate);
    r->n_run = 1;
    respond(r, scope, status);
    scope->cancelled = NULL; /* the transport's context ends with `done` */
    call->done(call);
}

static ku_status ping(db *d)
{
    db_rows rows = {0};
    bool found = false;

    ku_status status = db_query(d, SQL_PING, NULL, 0, &rows);
    if (status == KU_OK)
        status = db_next(&rows, &found);
    db_rows_done(&rows);
    return status;
}

/* What /health/ready asks: a round trip through a reader and the database (behaviour §1.8). */
static void check_run(reader_job *job, ku_scope *scope)
{
    running_call *r = (running_call *)((char *)job - offsetof(running_call, query));
    app_call *call = r->call;
    buffer b = {.arena = &call->arena};
    int64_t began_us = clock_monotonic_us();

    ku_status status = ping(scope->db);
    if (status != KU_OK && reader_again(scope))
        status = ping(scope->db);
    buffer_add_text(&b, "[{\"name\":\"db\",\"ok\":");
    buffer_add_text(&b, status == KU_OK ? "true" : "false");
    json_put_key(&b, "latencyMs");
    json_put_double(&b, (double)(clock_monotonic_us() - began_us) / 1000);
    if (status != KU_OK) {
        json_put_key(&b, "error");
        json_put_text(&b, ku_str_from(db_error(scope->db)));
    }
    buffer_add_text(&b, "}]");
    call->status = status == KU_OK ? KU_OK : KU_UNAVAILABLE;
    call->http_status = ku_status_http(call->status);
    call->response = buffer_str(&b);
    call->done(call);
}

/* ---- submitting ------------------------------------------------------------------------------ */

static void refuse_now(ku_app *app, app_call *call, ku_scope *scope)
{
    app_call_fail(app, call, &scope->error);
    scope_done(scope);
    call->done(call);
}

static bool submit_write(running_call *r)
{
    struct writer *w = app_writer(r->app, r->call->user.tenant);

    r->job.repeatable = r->call->request_id.len > 0; /* the stored reply decides */
    return w != NULL && writer_submit(w, &r->job, false);
}

void app_submit(ku_app *app, app_call *call)
{
    running_call *r = arena_alloc(&call->arena, sizeof(*r));
    ku_scope scope = {.app = app};
    bool taken;

    /* What the commands are made of lives in the call's arena: lend it to a scope for its errors.
     */
    scope.arena = call->arena;
    r->call = call;
    r->app = app;
    r->job = (writer_job){.prepare = call_prepare,
        .execute = call_execute,
        .settle = call_settle,
        .finish = call_finish};
    r->query.run = query_run;
    if (call->kind == CALL_CHECK)
        r->query.run = check_run;
    ku_status status = call->kind == CALL_CHECK ? KU_OK : read_call(&scope, r);
    call->arena = scope.arena;
    scope.arena = (arena){0};
    if (status != KU_OK) {
        refuse_now(app, call, &scope);
        return;
    }
    if (call->kind == CALL_QUERY || call->kind == CALL_CHECK)
        taken = reader_submit(app->readers, &r->query, false);
    else
        taken = submit_write(r);
    if (!taken) {
        (void)scope_fail(&scope, KU_UNAVAILABLE,
            app->read_only && call->kind != CALL_QUERY ? "this process only reads"
                                                       : "too many requests are waiting");
        refuse_now(app, call, &scope);
    }
}
