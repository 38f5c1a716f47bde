/* Commands, the gates and the call. */
#include "app/command.h"

#include "app/rows.h"
#include "base/limits.h"

#include <string.h>

enum { SLOW_HANDLER_US = 10000 };

static ku_status gate_depth(ku_scope *scope, const command *c)
{
    if (json_depth(c->payload) - 1 <= LIMIT_PAYLOAD_DEPTH) /* the payload itself is at depth 0 */
        return KU_OK;
    ku_str params = arena_format(&scope->arena, "{\"maxDepth\":%d}", LIMIT_PAYLOAD_DEPTH);
    ku_status status = scope_issue(scope, KU_STR("payload"), "too_deep", params);
    scope->error.last_issue->i18n_key = KU_STR("errors.validation.payload_too_deep");
    return status;
}

static ku_status gate_toggle(ku_scope *scope, const handler_entry *handler)
{
    ku_str feature = handler->feature->name;

    if (!handler->feature->disabled)
        return KU_OK;
    ku_status status = ku_fail(
        scope, KU_DISABLED, "feature_disabled", "feature %" KU_PRI " is disabled", KU_FMT(feature));
    ku_detail_text(scope, "feature", feature);
    ku_detail_text(scope, "handler", handler->name);
    scope->error.i18n_params = json_new(&scope->arena, KU_JSON_OBJECT);
    json_append(scope->error.i18n_params, KU_STR("feature"), json_new_text(&scope->arena, feature));
    return status;
}

static ku_str bucket_name(ku_scope *scope, const handler_entry *handler)
{
    arena *a = &scope->arena;
    ku_str tenant = ku_id_text(scope, scope->tenant);

    switch (handler->handler->rate_limit.per) {
    case KU_PER_USER:
        return arena_format(a, "user:%" KU_PRI, KU_FMT(scope->user));
    case KU_PER_TENANT:
        return arena_format(a, "tenant:%" KU_PRI, KU_FMT(tenant));
    case KU_PER_ADDRESS:
        return arena_format(a, "ip:%" KU_PRI, KU_FMT(scope->address));
    case KU_PER_USER_AND_HANDLER:
        return arena_format(
            a, "user+handler:%" KU_PRI ":%" KU_PRI, KU_FMT(scope->user), KU_FMT(handler->name));
    case KU_PER_TENANT_AND_HANDLER:
        return arena_format(
            a, "tenant+handler:%" KU_PRI ":%" KU_PRI, KU_FMT(tenant), KU_FMT(handler->name));
    case KU_PER_ADDRESS_AND_HANDLER:
        break;
    }
    return arena_format(
        a, "ip+handler:%" KU_PRI ":%" KU_PRI, KU_FMT(scope->address), KU_FMT(handler->name));
}

/*
 * The bucket that clients are told is the spec's (`user:<id>`); the one that is kept also knows the
 * tenant and the limit, because user ids repeat across tenants and two handlers with different
 * limits must not share one (behaviour §7 lists that as a weakness).
 */
static ku_status gate_rate(ku_scope *scope, command *c, call_rate *rate)
{
    const ku_rate_limit *limit = &c->handler->handler->rate_limit;

    bool by_address = limit->per == KU_PER_ADDRESS || limit->per == KU_PER_ADDRESS_AND_HANDLER;
    if (limit->limit == 0 || c->charged || scope->app->without_rate_limits ||
        (by_address && scope->address.len == 0))
        return KU_OK;
    c->charged = true;
    ku_str name = bucket_name(scope, c->handler);
    const rate_bucket kept = {
        .tenant = scope->tenant,
        .name = arena_format(
            &scope->arena, "%" KU_PRI "/%d/%d", KU_FMT(name), limit->limit, limit->window_s),
        .limit = limit->limit,
        .window_s = limit->window_s,
    };
    rate_result result = rate_limiter_take(
        scope->app->limits, &kept, limit->cost == 0 ? 1 : limit->cost, scope->now);
    *rate = (call_rate){.set = true,
        .limit = limit->limit,
        .remaining = result.remaining,
        .reset_unix_s = (result.reset_at.unix_us + 999999) / 1000000,
        .retry_after_s = result.retry_after_s};
    if (result.allowed)
        return KU_OK;
    char reset_at[25];
    ku_time_format(result.reset_at, reset_at);
    ku_status status =
        scope_fail(scope, KU_RATE_LIMITED, "rate limited: %" KU_PRI " (limit %d per %ds)",
            KU_FMT(name), limit->limit, limit->window_s);
    ku_detail_text(scope, "bucket", name);
    ku_detail_int(scope, "limit", limit->limit);
    ku_detail_int(scope, "windowSeconds", limit->window_s);
    ku_detail_int(scope, "remaining", result.remaining);
    ku_detail_int(scope, "retryAfterSeconds", result.retry_after_s);
    ku_detail_text(scope, "resetAt", arena_copy(&scope->arena, ku_str_from(reset_at)));
    return status;
}

static ku_status gate_access(ku_scope *scope, const handler_entry *handler)
{
    const ku_access *access = &handler->handler->access;
    bool allowed = (access->open_to_all && !ku_scope_has_role(scope, "anonymous")) ||
                   (access->allow != NULL && access->allow(scope));

    for (size_t i = 0; !allowed && access->roles != NULL && access->roles[i] != NULL; i++)
        allowed = ku_scope_has_role(scope, access->roles[i]);
    if (allowed)
        return KU_OK;
    ku_status status =
        scope_fail(scope, KU_DENIED, "access denied for %" KU_PRI, KU_FMT(handler->name));
    ku_detail_text(scope, "handler", handler->name);
    return status;
}

static void log_if_slow(ku_scope *scope, const handler_entry *handler, int64_t began_us)
{
    int64_t took_us = clock_monotonic_us() - began_us;

    if (handler->write && took_us > SLOW_HANDLER_US)
        log_line(&scope->app->log, LOG_WARN_, "slow handler",
            "\"handler\":\"%" KU_PRI "\",\"ms\":%lld", KU_FMT(handler->name),
            (long long)(took_us / 1000));
}

static ku_status call_handler(ku_scope *scope, command *c)
{
    const ku_handler *handler = c->handler->handler;
    void *input = NULL;

    if (handler->verb != KU_VERB_NONE)
        return entity_run_verb(scope, c->handler->entity, handler->verb, c->payload, &c->reply);
    if (handler->input.size > 0)
        input = arena_alloc(&scope->arena, handler->input.size);
    ku_status status = shape_decode(scope, &handler->input, c->payload, KU_STR(""), input);
    if (status != KU_OK)
        return status;
    return handler->run(scope, input, &c->reply);
}

static ku_status run_gated(ku_scope *scope, command *c, bool write, call_rate *rate)
{
    ku_status status = gate_depth(scope, c);

    if (status != KU_OK)
        return status;
    c->handler = registry_handler(&scope->app->registry, write, c->type);
    if (c->handler == NULL)
        return ku_not_found(scope, "handler", c->type);
    scope->feature = c->handler->feature;
    scope->handler = c->handler;
    status = gate_toggle(scope, c->handler);
    if (status == KU_OK)
        status = gate_rate(scope, c, rate);
    if (status == KU_OK)
        status = gate_access(scope, c->handler);
    if (status != KU_OK)
        return status;
    int64_t began_us = clock_monotonic_us();
    status = call_handler(scope, c);
    log_if_slow(scope, c->handler, began_us);
    if (status == KU_OK && write)
        status = rows_doomed(scope);
    /* A handler that noted issues and forgot to return them has still refused. */
    if (status == KU_OK && scope->error.status != KU_OK && scope->error.issues != NULL)
        status = scope->error.status;
    return status;
}

ku_status command_cancelled(const ku_scope *scope)
{
    bool gone = scope->cancelled != NULL && scope->cancelled(scope->cancelled_context);
    bool late = scope->deadline_us != 0 && clock_monotonic_us() >= scope->deadline_us;

    return late && !gone ? KU_TIMEOUT : KU_CANCELLED;
}

ku_status command_run(ku_scope *scope, command *c, bool write, call_rate *rate)
{
    ku_clear_error(scope);
    c->reply = (ku_reply){.kind = REPLY_NONE};
    c->status = run_gated(scope, c, write, rate);
    if (c->status == KU_CANCELLED && command_cancelled(scope) == KU_TIMEOUT)
        c->status = scope_fail(scope, KU_TIMEOUT, "%s", ku_status_text(KU_TIMEOUT));
    if (c->status != KU_OK && scope->error.status != c->status) {
        /* A handler returned a status without words, or another than the error it set. */
        if (scope->error.status == KU_OK)
            (void)scope_fail(scope, c->status, "%s", ku_status_text(c->status));
        scope->error.status = c->status;
    }
    c->error = scope->error;
    if (c->status != KU_OK && ku_status_http(c->status) >= 500)
        app_log_failure(scope->app, scope, c->type);
    if (c->status == KU_OK)
        ku_clear_error(scope);
    return c->status;
}
