/* Passes, the implementation. */
#include "dispatch/pass.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_IN_FLIGHT_MAX = 1000,
    BATCH_DEFAULT = 200,
    BATCHES_PER_TURN = 16,  /* of one lane before the next has its turn */
    QUIET_US_MAX = 1000000, /* how long a move of no interest may go unwritten */
    ASK_MAX = 64,           /* lanes at once */
    ASK_REST_US = 1000000, /* between two questions, doubled after one that asked for nothing … */
    ASK_REST_US_MAX = 8000000, /* … up to that */
    CAUTION_STEP = 2,
    CAUTION_MAX = 10, /* one unit of one event at a time */
};

/* ---- units ----------------------------------------------------------------------------------- */

void pass_take_back(unit *u, void *context)
{
    dispatcher *d = context;

    pthread_mutex_lock(&d->lock);
    u->next = d->handed_back;
    d->handed_back = u;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

void pass_put_idle(dispatcher *d, unit *u)
{
    pthread_mutex_lock(&d->lock);
    u->next = d->idle;
    d->idle = u;
    pthread_mutex_unlock(&d->lock);
}

static void remember_failed(dispatcher *d, const unit *u)
{
    if (d->n_failed == d->failed_capacity) {
        d->failed_capacity = d->failed_capacity == 0 ? 16 : d->failed_capacity * 2;
        d->failed = mem_grow(d->failed, d->failed_capacity * sizeof(*d->failed));
    }
    d->failed[d->n_failed++] = (failed_lane){u->consumer, u->cursor.tenant, u->cursor.lane};
}

static bool has_failed(const dispatcher *d, const consumer_entry *consumer, const cursor *c)
{
    for (size_t i = 0; i < d->n_failed; i++) {
        const failed_lane *f = &d->failed[i];
        if (f->consumer == consumer && f->lane == c->lane && ku_id_equal(f->tenant, c->tenant))
            return true;
    }
    return false;
}

static bool send_unit(dispatcher *d, unit *u)
{
    d->events_in_flight += (int64_t)u->n_events;
    d->n_in_flight++;
    u->turn->n_units++;
    return unit_submit(u);
}

static void unsend_unit(dispatcher *d, unit *u)
{
    d->events_in_flight -= (int64_t)u->n_events;
    d->n_in_flight--;
    u->turn->n_units--;
}

/* Its transaction failed, alone, and not for what time or others do: for what it applied. */
static bool is_to_blame(const unit *u)
{
    return u->result == UNIT_LOST && u->n_events > 0 && !u->read_failed &&
           (u->lost_by == KU_INTERNAL || u->lost_by == KU_UNIQUE_VIOLATION);
}

/* Cut down to what may go before its failure; false: there is nothing, or it has not failed. */
static bool cut_unit(unit *u)
{
    if (is_to_blame(u))
        unit_narrow(u);
    else if (u->result == UNIT_FAILED && u->failed_at > 0)
        unit_shorten(u);
    else
        return false;
    return true;
}

static void note_result(dispatcher *d, const unit *u)
{
    if (u->result == UNIT_LOST && u->lost_by != KU_OK)
        d->lost_by = u->lost_by;
    if (u->result == UNIT_LOST)
        d->anything_waits = true; /* nobody may commit for hours: look again by itself */
    /* Whether its lease or its transaction was over: it may have taken too long. */
    d->too_long = d->too_long || u->lost || (u->result == UNIT_LOST && u->lost_by != KU_OK);
    if (u->result != UNIT_FAILED)
        return;
    d->result.failed++;
    if (d->background)
        d->anything_waits = true; /* its time comes even if nobody commits */
    else
        remember_failed(d, u);
}

static void settle_unit(dispatcher *d, unit *u, bool *moved)
{
    unsend_unit(d, u);
    if (u->result == UNIT_MOVED) {
        d->result.processed += (int64_t)u->n_events;
        *moved = true;
    } else {
        u->turn->stopped = true;
    }
    if (cut_unit(u)) {
        if (send_unit(d, u))
            return;
        unsend_unit(d, u); /* the writer is stopping */
    } else {
        note_result(d, u);
    }
    pass_put_idle(d, u);
}

/* Takes back what the writers are done with; with `wait` at least one, if any is in flight. */
static void collect_units(dispatcher *d, bool wait, bool *moved)
{
    pthread_mutex_lock(&d->lock);
    while (wait && d->n_in_flight > 0 && d->handed_back == NULL)
        pthread_cond_wait(&d->changed, &d->lock);
    unit *list = d->handed_back;
    d->handed_back = NULL;
    pthread_mutex_unlock(&d->lock);
    while (list != NULL) {
        unit *next = list->next;
        settle_unit(d, list, moved);
        list = next;
    }
}

/* How many units and events may be in flight, and events in a batch: less under caution. */
static int cautious(const dispatcher *d, int limit)
{
    int less = limit >> d->caution;

    return less > 0 ? less : 1;
}

static unit *pop_idle(dispatcher *d)
{
    pthread_mutex_lock(&d->lock);
    unit *u = d->idle;
    if (u != NULL)
        d->idle = u->next;
    pthread_mutex_unlock(&d->lock);
    return u;
}

/* Waits until the writers are not too far behind. */
static void keep_pace(dispatcher *d, bool *moved)
{
    collect_units(d,
        d->n_in_flight >= cautious(d, UNITS) ||
            d->events_in_flight >= cautious(d, EVENTS_IN_FLIGHT_MAX),
        moved);
}

/* For the next batch of a turn, if there is to be one.  NULL: there is not. */
static unit *take_unit(dispatcher *d, const unit_turn *turn, bool *moved)
{
    keep_pace(d, moved);
    unit *u = pop_idle(d);
    while (u == NULL && d->n_in_flight > 0) { /* every one that came back was sent again */
        collect_units(d, true, moved);
        u = pop_idle(d);
    }
    if (u != NULL && turn->stopped) {
        pass_put_idle(d, u);
        return NULL;
    }
    return u;
}

/* There is always one more of them than units. */
static unit_turn *new_turn(dispatcher *d)
{
    unit_turn *t = d->turns;

    while (t->n_units > 0)
        t++;
    assert(t < d->turns + KU_COUNT(d->turns));
    *t = (unit_turn){.broken_at = INT64_MAX};
    return t;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static int batch_size(const dispatcher *d, const consumer_entry *consumer)
{
    int batch = consumer->projection->batch;

    return cautious(d, batch == 0 ? BATCH_DEFAULT : batch);
}

/* A move that no projection needs can wait for one that does, or for its time. */
static bool keeps_quiet(dispatcher *d, const unit *u)
{
    if (!d->background || d->quiet_is_due || u->n_events > 0 || u->read_failed)
        return false;
    quiet_note(
        &d->quiet, u->consumer, u->cursor.tenant, u->cursor.lane, u->to, clock_monotonic_us());
    return true;
}

static void prepare_unit(
    dispatcher *d, unit *u, const consumer_entry *consumer, const cursor *cursor_at)
{
    unit_prepare(u, d->d, consumer, cursor_at,
        quiet_position(&d->quiet, consumer, cursor_at->tenant, cursor_at->lane),
        batch_size(d, consumer));
}

/* Sends a batch that was read to its writer; *ret_more: the lane may go on behind it. */
static ku_status send_batch(dispatcher *d, unit *u, bool *ret_more)
{
    *ret_more = false;
    if (keeps_quiet(d, u)) { /* nothing of interest up to the head */
        pass_put_idle(d, u);
        return KU_OK;
    }
    const bool gives_up = u->read_failed; /* it is the writer's once it is sent */
    if (!send_unit(d, u)) {
        unsend_unit(d, u);
        pass_put_idle(d, u);
        return KU_UNAVAILABLE; /* the writer is stopping */
    }
    *ret_more = !gives_up;
    return KU_OK;
}

/* A few batches of one lane; the first has been read. */
static ku_status run_lane(dispatcher *d, unit *first, bool *moved)
{
    const consumer_entry *consumer = first->consumer;
    unit_turn *turn = new_turn(d);
    cursor at = first->cursor;
    unit *u = first;
    ku_status status = KU_OK;
    bool more = true;

    keep_pace(d, moved);
    for (int i = 1; u != NULL && status == KU_OK; i++) {
        at.position = u->to;
        at.attempts = 0;
        u->turn = turn;
        status = send_batch(d, u, &more);
        u = NULL;
        if (status == KU_OK && more && i < BATCHES_PER_TURN && at.position < at.head)
            u = take_unit(d, turn, moved);
        if (u == NULL)
            break;
        prepare_unit(d, u, consumer, &at);
        status = unit_read(u);
        if (status != KU_OK)
            pass_put_idle(d, u);
    }
    return status;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* In the background a lane that failed waits for its time; by hand it waits for the next call. */
static bool wants_turn(dispatcher *d, const consumer_entry *consumer, const cursor *c)
{
    if (ku_str_is(c->status, "halted"))
        return false;
    if (c->lease == LEASE_ANOTHERS) {
        d->anything_waits = true; /* whoever has it may have ended */
        return false;
    }
    if (!d->background)
        return !has_failed(d, consumer, c);
    if (ku_str_is(c->status, "backoff") && c->retry_at.unix_us > d->scope.now.unix_us) {
        d->anything_waits = true;
        return false;
    }
    return d->quiet_is_due || quiet_position(&d->quiet, consumer, c->tenant, c->lane) < c->head;
}

/* Some lanes that are about to have their turn. */
typedef struct handful {
    cursor cursors[UNITS];
    const consumer_entry *consumers[UNITS];
    unit *units[UNITS]; /* with their first batches; NULL: it has no turn after all */
    size_t n;
} handful;

/* Where the pass is in what it has found. */
typedef struct look {
    cursor *found;
    size_t n, first, next; /* it begins at `first` and goes around */
    const consumer_entry *consumer;
} look;

static const consumer_entry *find_consumer(const dispatcher *d, look *l, ku_str name)
{
    if (l->consumer == NULL || !ku_str_equal(l->consumer->name, name)) {
        l->consumer = d->app->registry.consumers;
        while (!ku_str_equal(l->consumer->name, name))
            l->consumer = l->consumer->next; /* it was asked for by name */
    }
    return l->consumer;
}

/* As many lanes as so many units are enough for, but at least one, if there is one. */
static void take_handful(
    dispatcher *d, look *l, int64_t units_max, size_t lanes_max, handful *ret_handful)
{
    handful *h = ret_handful;
    int64_t units = 0;

    h->n = 0;
    for (; l->next < l->n && h->n < lanes_max; l->next++) {
        const cursor *c = &l->found[(l->first + l->next) % l->n];
        const consumer_entry *consumer = find_consumer(d, l, c->consumer);
        if (!wants_turn(d, consumer, c))
            continue;
        int64_t size = batch_size(d, consumer);
        int64_t batches = (c->head - c->position + size - 1) / size;
        units += batches < BATCHES_PER_TURN ? batches : BATCHES_PER_TURN;
        if (h->n > 0 && units > units_max)
            return;
        h->cursors[h->n] = *c;
        h->consumers[h->n] = consumer;
        h->units[h->n++] = NULL;
    }
}

/*
 * Claims those that are free.  One that was another's since it was looked at has its turn in the
 * next pass, which sees what has become of it.
 */
static ku_status claim_handful(dispatcher *d, handful *h, bool *moved)
{
    cursor before[UNITS];

    if (!d->shared || h->n == 0)
        return KU_OK;
    memcpy(before, h->cursors, h->n * sizeof(*before));
    d->may_hold_leases = true;
    ku_status status = log_cursors_claim(&d->scope, d->owner, h->cursors, h->n);
    for (size_t i = 0; i < h->n && status == KU_OK; i++) {
        cursor *c = &h->cursors[i];
        if (c->lease == LEASE_ANOTHERS)
            d->anything_waits = true;
        if (c->lease != LEASE_MINE || before[i].lease == LEASE_MINE)
            continue;
        if (c->position != before[i].position || c->epoch != before[i].epoch + 1) {
            c->lease = LEASE_ANOTHERS;
            *moved = true;
        }
    }
    return status;
}

/* ---- shares ---------------------------------------------------------------------------------- */

/* Others wait for the lanes that they have asked for: they are told. */
static ku_status give_wanted(dispatcher *d, look *l)
{
    bool any = false;

    for (size_t i = 0; i < l->n && !any; i++)
        any = l->found[i].lease == LEASE_WANTED;
    if (!any)
        return KU_OK;
    ku_status status = log_cursors_give(&d->scope, d->owner, l->found, l->n);
    if (status == KU_OK)
        bell_ring(d->bell);
    return status;
}

/* Only who sees others' work waiting may have less than its share of it. */
static ku_status ask_for_lanes(dispatcher *d, const look *l)
{
    const int64_t now_us = clock_monotonic_us();
    int64_t asked = 0;
    bool any = false;

    if (!d->shared || !d->background || now_us < d->ask_next_us)
        return KU_OK;
    for (size_t i = 0; i < l->n && !any; i++)
        any = l->found[i].lease == LEASE_ANOTHERS && ku_str_is(l->found[i].status, "idle");
    if (!any)
        return KU_OK;
    d->may_hold_leases = true; /* whoever is asked may give at any time */
    ku_status status = log_cursors_ask(&d->scope, d->owner, d->names_json, ASK_MAX, &asked);
    if (asked > 0 || d->ask_rest_us == 0)
        d->ask_rest_us = ASK_REST_US;
    else if (d->ask_rest_us < ASK_REST_US_MAX)
        d->ask_rest_us *= 2;
    d->ask_next_us = now_us + d->ask_rest_us;
    return status;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static ku_status look_around(dispatcher *d, look *ret_look)
{
    *ret_look = (look){0};
    scope_reset(&d->scope);
    app_scope_begin_system(d->app, &d->scope, (ku_id){{0}});
    d->scope.db = d->d;
    if (d->names_json.len == 0)
        return KU_OK;
    ku_status status =
        log_cursors_behind(&d->scope, d->names_json, d->owner, &ret_look->found, &ret_look->n);
    /* Processes that look at once begin at different ends. */
    if (status == KU_OK && d->shared && ret_look->n > 0)
        ret_look->first = (size_t)(hash_id(0, d->owner) % ret_look->n);
    return status;
}

/* The first batches of those that are this process' own. */
static ku_status read_batches(dispatcher *d, handful *h)
{
    ku_status status = KU_OK;

    for (size_t i = 0; i < h->n; i++) {
        if (h->cursors[i].lease != LEASE_MINE)
            continue;
        h->units[i] = pop_idle(d);
        assert(h->units[i] != NULL); /* make_room */
        prepare_unit(d, h->units[i], h->consumers[i], &h->cursors[i]);
        if (d->shared)
            unit_prefetch(h->units[i]);
    }
    for (size_t i = 0; i < h->n && status == KU_OK; i++) {
        if (h->units[i] != NULL)
            status = unit_read(h->units[i]);
    }
    return status;
}

/* The same in a transaction where that takes one way to the database for all of them. */
static ku_status read_handful(dispatcher *d, handful *h)
{
    if (!d->shared)
        return read_batches(d, h);
    ku_status status = db_begin(d->d);
    if (status == KU_OK)
        status = read_batches(d, h);
    db_rollback(d->d); /* nobody waits for the end of what only reads */
    return status;
}

static ku_status run_handful(dispatcher *d, handful *h, bool *moved)
{
    ku_status status = claim_handful(d, h, moved);

    if (status == KU_OK)
        status = read_handful(d, h);
    for (size_t i = 0; i < h->n; i++) {
        if (h->units[i] == NULL)
            continue;
        if (status == KU_OK)
            status = run_lane(d, h->units[i], moved);
        else
            pass_put_idle(d, h->units[i]);
    }
    return status;
}

/*
 * How many units the next handful may need.  Leases run from the claim: where there are leases it
 * is not made before half of the units in flight have come back.
 */
static int64_t make_room(dispatcher *d, bool *moved)
{
    const int limit = cautious(d, UNITS);

    while (d->n_in_flight > (d->shared ? limit / 2 : limit - 1))
        collect_units(d, true, moved);
    return limit - d->n_in_flight;
}

static ku_status give_turns(dispatcher *d, look *l, bool *moved)
{
    handful h;
    ku_status status = KU_OK;

    while (l->next < l->n && status == KU_OK) {
        /* Lanes are read together where that saves ways to the database. */
        int64_t room = make_room(d, moved);
        take_handful(d, l, room, d->shared ? (size_t)room : 1, &h);
        status = run_handful(d, &h, moved);
    }
    return status;
}

ku_status pass_run(dispatcher *d, bool *moved)
{
    look l;

    *moved = false;
    d->anything_waits = false;
    d->too_long = false;
    d->quiet_is_due =
        d->quiet.count > 0 && clock_monotonic_us() - d->quiet.since_us >= QUIET_US_MAX;
    ku_status status = look_around(d, &l);
    if (status == KU_OK)
        status = give_wanted(d, &l);
    if (status == KU_OK)
        status = give_turns(d, &l, moved);
    while (d->n_in_flight > 0)
        collect_units(d, true, moved);
    if (status == KU_OK)
        status = ask_for_lanes(d, &l);
    if (d->quiet_is_due)
        quiet_clear(&d->quiet);
    d->anything_waits = d->anything_waits || d->quiet.count > 0;
    /* Work that outlasts its lease would be done for nothing for ever. */
    if (d->shared && d->too_long && d->caution < CAUTION_MAX)
        d->caution += CAUTION_STEP;
    else if (*moved && d->caution > 0)
        d->caution--;
    return status;
}
