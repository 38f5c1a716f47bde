/* Units, the implementation. */
#include "dispatch/unit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 60000,
    ATTEMPTS_DEFAULT = 10,
};

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
    unit *u;
    size_t capacity;
    int64_t seen;
    int64_t last_position;
    bool broken; /* the last one could not be lifted */
} reading;

static void note_error(unit *u, const ku_event *event, ku_str message)
{
    (void)snprintf(u->error, sizeof(u->error), "%.*s at %d-%lld: %.*s", KU_FMT(event->name),
        (int)event->lane, (long long)event->position, KU_FMT(message));
}

static ku_status read_event(ku_scope *scope, const stored_event *stored, void *context)
{
    reading *r = context;
    unit *u = r->u;

    if (r->broken)
        return KU_OK; /* the batch has ended before it; the rest is for later */
    if (u->n_events == r->capacity) {
        size_t capacity = r->capacity == 0 ? 64 : r->capacity * 2;
        ku_event *events = arena_alloc(&scope->arena, capacity * sizeof(*events));
        if (u->n_events > 0)
            memcpy(events, u->events, u->n_events * sizeof(*events));
        u->events = events;
        r->capacity = capacity;
    }
    ku_event *event = &u->events[u->n_events];
    ku_status status = log_lift(scope, scope->app->registry.catalog, stored, event);
    if (status != KU_OK) {
        const ku_event at = {
            .name = stored->type, .lane = stored->lane, .position = stored->position};
        note_error(u, &at, scope->error.message);
        ku_clear_error(scope);
        r->broken = true;
        return KU_OK;
    }
    u->n_events++;
    r->seen++;
    r->last_position = stored->position;
    return KU_OK;
}

void unit_prepare(unit *u, db *d, const consumer_entry *consumer, const cursor *cursor_at,
    int64_t known, int64_t limit)
{
    scope_reset(&u->scope);
    app_scope_begin_system(u->app, &u->scope, cursor_at->tenant);
    u->scope.db = d;
    u->consumer = consumer;
    u->cursor = *cursor_at;
    u->known = known > cursor_at->position ? known : cursor_at->position;
    u->limit = limit;
    u->events = NULL;
    u->n_events = 0;
    u->read_failed = false;
}

void unit_prefetch(unit *u)
{
    const lane_part part = {u->cursor.tenant, u->cursor.lane, u->known, u->cursor.head,
        u->consumer->types_json, u->limit};

    log_prefetch_lane(&u->scope, &part);
}

ku_status unit_read(unit *u)
{
    reading r = {.u = u};

    ku_status status = log_each_of_lane(&u->scope, u->cursor.tenant, u->cursor.lane, u->known,
        u->cursor.head, u->consumer->types_json, u->limit, read_event, &r);
    if (status != KU_OK)
        return status;
    u->read_failed = r.broken && u->n_events == 0;
    /* Less than a full batch: there is nothing more of these types up to the head. */
    bool all = !r.broken && r.seen < u->limit;
    u->to = all ? u->cursor.head : r.last_position;
    return KU_OK;
}

/* ---- applying -------------------------------------------------------------------------------- */

static const subscription *find_subscription(const unit *u, const ku_event *event)
{
    const event_entry *entry =
        (const event_entry *)event_catalog_find(u->app->registry.catalog, event->name);

    for (const subscription *s = entry != NULL ? entry->asyncs : NULL; s != NULL; s = s->next) {
        if (s->consumer == u->consumer)
            return s;
    }
    return NULL;
}

/* What the apply appends belongs to the trigger's user and correlation (behaviour §6.3). */
static void enter_event(const unit *u, ku_scope *scope, const ku_event *event)
{
    static const ku_str roles[] = {KU_STR_INIT("system")};

    const ku_user user = {.tenant = event->tenant, .id = event->user, .roles = roles, .n_roles = 1};
    ku_str trace_id = ku_id_text(scope, id_new(scope->now));
    app_scope_begin(u->app, scope, &user, trace_id,
        event->correlation_id.len > 0 ? event->correlation_id : trace_id, KU_STR(""));
    scope->causation_id = ku_event_id(scope, event);
    scope->feature = u->consumer->feature;
}

static ku_status apply_events(unit *u, ku_scope *scope)
{
    for (size_t i = 0; i < u->n_events; i++) {
        const ku_event *event = &u->events[i];
        const subscription *s = find_subscription(u, event);
        if (s == NULL)
            continue; /* the log gave only subscribed types; nothing to do is nothing wrong */
        enter_event(u, scope, event);
        ku_status status = s->apply(scope, event);
        if (status == KU_OK)
            status = rows_doomed(scope);
        if (status == KU_OK)
            continue;
        u->failed_at = i;
        ku_str words = scope->error.status != KU_OK ? scope->error.message
                                                    : ku_str_from(ku_status_text(status));
        note_error(u, event, words);
        return status;
    }
    return KU_OK;
}

/* The batch can only fail for what others did: it is lost without being applied. */
static bool is_lost(unit *u)
{
    if (u->lost || u->cursor.position > u->turn->broken_at)
        return true;
    u->turn->broken_at = INT64_MAX; /* it may have been this one, and is tried again */
    return false;
}

static ku_status apply_and_move(unit *u, ku_scope *scope)
{
    if (u->read_failed)
        return KU_INTERNAL;
    ku_status status = apply_events(u, scope);
    if (status != KU_OK)
        return status;
    const cursor_move move = {.consumer = u->consumer->name,
        .tenant = u->cursor.tenant,
        .lane = u->cursor.lane,
        .from = u->cursor.position,
        .to = u->to,
        .epoch = u->cursor.epoch,
        .lost = &u->lost};
    work_move_cursor(scope, &move);
    return KU_OK;
}

static ku_status unit_execute(writer_job *job, ku_scope *scope)
{
    unit *u = (unit *)job;

    u->failed_at = 0;
    u->result = UNIT_LOST;
    app_scope_begin_system(u->app, scope, u->cursor.tenant);
    if (is_lost(u))
        return KU_CONFLICT;
    ku_status status = apply_and_move(u, scope);
    u->result = status == KU_OK ? UNIT_MOVED : UNIT_FAILED;
    if (status != KU_OK)
        u->turn->broken_at = u->cursor.position;
    return status;
}

/* 100 ms, doubled per attempt, at most a minute, and a half of it by chance. */
static int64_t backoff_us(int attempts)
{
    int64_t ms = BACKOFF_MAX_MS;

    if (attempts < 10)
        ms = (int64_t)BACKOFF_FIRST_MS << attempts;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    ku_id chance = id_new((ku_time){0});
    int64_t half = ms * 500;
    return half + half * chance.bytes[15] / 255;
}

static ku_status unit_settle(writer_job *job, ku_scope *scope, ku_status executed)
{
    unit *u = (unit *)job;
    int max = u->consumer->projection->max_attempts;
    cursor *failed = &u->failed;

    if (executed == KU_OK || u->result != UNIT_FAILED || u->failed_at > 0)
        return KU_OK; /* nothing to note: what failed is not the first, and will be tried as such */
    if (max == 0)
        max = ATTEMPTS_DEFAULT;
    *failed = u->cursor;
    failed->attempts++;
    failed->status = failed->attempts >= max ? KU_STR("halted") : KU_STR("backoff");
    failed->last_error = ku_str_from(u->error);
    failed->retry_at.unix_us = scope->now.unix_us + backoff_us(failed->attempts);
    bool noted = false;
    ku_status status = log_cursor_fail(scope->db, u->consumer->name, failed, scope->now, &noted);
    if (status == KU_OK && !noted) /* read ahead of a batch that failed, or another's by now */
        u->result = UNIT_LOST;
    return status;
}

static void log_failed(const unit *u, ku_scope *scope)
{
    const cursor *failed = &u->failed;
    bool halted = ku_str_is(failed->status, "halted");
    buffer cause = {.arena = &scope->arena};

    json_put_text(&cause, failed->last_error);
    ku_str text = buffer_str(&cause);
    log_line(&u->app->log, halted ? LOG_ERROR_ : LOG_WARN_,
        halted ? "consumer halted" : "consumer backs off",
        "\"consumer\":\"%.*s\",\"tenant\":\"%.*s\",\"attempts\":%d,\"error\":%.*s",
        KU_FMT(u->consumer->name), KU_FMT(ku_id_text(scope, failed->tenant)), failed->attempts,
        KU_FMT(text));
}

static void unit_finish(writer_job *job, ku_scope *scope, ku_status committed)
{
    unit *u = (unit *)job;

    if (committed != KU_OK) {
        u->result = UNIT_LOST;
        if (u->cursor.position < u->turn->broken_at)
            u->turn->broken_at = u->cursor.position;
    }
    u->lost_by = u->lost ? KU_OK : committed;
    if (committed == KU_OK && job->executed == KU_OK)
        app_run_after_commit(u->app, scope);
    if (u->result == UNIT_FAILED && u->failed_at == 0)
        log_failed(u, scope);
    u->handed_back(u, u->context);
}

bool unit_submit(unit *u)
{
    u->job = (writer_job){.execute = unit_execute, .settle = unit_settle, .finish = unit_finish};
    u->lost = false;
    return writer_submit(app_writer(u->app, u->cursor.tenant), &u->job, true);
}

void unit_shorten(unit *u)
{
    assert(u->result == UNIT_FAILED && u->failed_at > 0);
    u->n_events = u->failed_at;
    u->to = u->events[u->failed_at - 1].position;
}

void unit_narrow(unit *u)
{
    assert(u->n_events > 0);
    if (u->n_events > 1) {
        u->result = UNIT_FAILED;
        u->failed_at = u->n_events / 2;
        unit_shorten(u);
        return;
    }
    note_error(u, &u->events[0], KU_STR("what it writes cannot be stored; the log says why"));
    u->read_failed = true;
}
