/*
 * Order: no consumer ever passes by an event.
 *
 * Twelve writers append to several tenants and lanes, with pauses wherever a transaction has a
 * seam, and roll one in twenty back.  Meanwhile two dispatchers project for two consumers; they
 * compete for the same cursors, often without asking whose the lease is, and abandon one batch in
 * ten.  At the end every committed event has been projected once by each consumer, and in order.
 *
 * The same writers and dispatchers over a plain sequence, which gives a number to a slow
 * transaction and the next to a fast one, pass by events: so the test can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/log.h"
#include "support/database.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
    WRITERS = 12,
    DISPATCHERS = 2,
    CONSUMERS = 2,
    TENANTS = 4,
    STREAMS = 12, /* of each tenant, to which everybody appends */
    EVENTS = 10000,
    SCOPES_MAX = 4,
    BATCH = 40,
    PLAIN_BATCH = 1000, /* all there is: who is far behind passes nothing by */
    PAUSE_MAX_US = 1500,
};
enum { ROLLBACK_PERCENT = 5, ABANDON_PERCENT = 10, IGNORE_LEASE_PERCENT = 30 };

static const int64_t lanes_of_tenant[TENANTS] = {1, 2, 3, 1};
static const char *const consumers[CONSUMERS] = {"test:first", "test:second"};

/* ---- the domain ------------------------------------------------------------------------------ */

typedef struct noted {
    int64_t n;
} noted;
static const ku_field noted_fields[] = {KU_FIELD(noted, n)};
static const ku_event_type noted_type = {.name = "noted", .tag = 1, .payload = KU_SHAPE(noted)};
static const ku_entity book = {.name = "book"};
static const event_def noted_def = {
    .name = KU_STR_INIT("test:event:noted"), .type = &noted_type, .entity = &book};

/* ---- the harness ----------------------------------------------------------------------------- */

typedef struct harness harness;
typedef struct worker worker;

/* How positions are given out and consumed. */
typedef struct scheme {
    /* One transaction.  KU_VERSION_CONFLICT: somebody was faster; nothing is there. */
    ku_status (*append)(worker *w, int64_t *ret_events);
    /* One turn of a dispatcher; *ret_behind: there was something to be projected. */
    ku_status (*consume)(worker *w, bool *ret_behind);
} scheme;

struct harness {
    const scheme *scheme;
    test_database *database;
    db_catalog *catalog;
    int project, plain_append, plain_events, plain_cursor, plain_move; /* statements */
    ku_id tenants[TENANTS], streams[TENANTS][STREAMS];
    _Atomic int64_t committed; /* events */
    atomic_int conflicts, retries, rolled_back, abandoned, overtaken, projected_batches;
    atomic_int writing; /* writers that still write */
    atomic_bool failed;
};

struct worker {
    harness *h;
    pthread_t thread;
    int number;
    unsigned seed;
    db *d;
    ku_id self;
    lane_counts *lanes;
    ku_scope batch_scope, scopes[SCOPES_MAX];
    work batch;
};

static int below(worker *w, int limit)
{
    return rand_r(&w->seed) % limit;
}

static bool chance(worker *w, int percent)
{
    return below(w, 100) < percent;
}

/* Mostly short, sometimes long, as transactions are. */
static void wait_a_moment(worker *w)
{
    const int us = below(w, chance(w, 5) ? 8 * PAUSE_MAX_US : PAUSE_MAX_US);
    const struct timespec pause = {.tv_nsec = us * 1000L};
    (void)nanosleep(&pause, NULL);
}

/* A failure of a thread; the main thread fails for it. */
static void complain(worker *w, const char *what, ku_status status)
{
    if (!atomic_exchange(&w->h->failed, true))
        print_error("%s: %s: %s\n", what, ku_status_code(status), db_error(w->d));
}

/* What a transaction that did not commit means; true: go on. */
static bool excuse(worker *w, const char *what, ku_status status)
{
    if (status == KU_VERSION_CONFLICT)
        atomic_fetch_add(&w->h->conflicts, 1);
    else if (db_may_retry(w->d) && strstr(db_error(w->d), "deadlock") == NULL)
        atomic_fetch_add(&w->h->retries, 1);
    else
        complain(w, what, status);
    return !atomic_load(&w->h->failed);
}

static void *write_events(void *context)
{
    worker *w = context;

    while (atomic_load(&w->h->committed) < EVENTS && !atomic_load(&w->h->failed)) {
        int64_t events = 0;
        ku_status status = w->h->scheme->append(w, &events);
        if (status == KU_OK)
            atomic_fetch_add(&w->h->committed, events);
        else if (!excuse(w, "append", status))
            break;
    }
    atomic_fetch_sub(&w->h->writing, 1);
    return NULL;
}

static void *project_events(void *context)
{
    worker *w = context;
    bool writing = true, behind = true;

    while ((writing || behind) && !atomic_load(&w->h->failed)) {
        writing = atomic_load(&w->h->writing) > 0; /* before it looks */
        ku_status status = w->h->scheme->consume(w, &behind);
        if (status != KU_OK && !excuse(w, "project", status))
            break;
        if (status != KU_OK)
            behind = true;
    }
    return NULL;
}

static worker *open_worker(harness *h, int number)
{
    worker *w = mem_zero(1, sizeof(*w));
    ku_error error = {0};

    w->h = h;
    w->number = number;
    w->seed = 7919U * (unsigned)(number + 1);
    w->self = id_new(clock_now(&(clock_source){0}));
    w->lanes = lane_counts_new();
    if (db_open(h->database->url, DB_WRITER, h->catalog, &w->d, &error) != KU_OK)
        fail_msg("%s", error.message);
    scope_init(&w->batch_scope);
    for (int i = 0; i < SCOPES_MAX; i++)
        scope_init(&w->scopes[i]);
    return w;
}

static void close_worker(worker *w)
{
    db_close(w->d);
    lane_counts_free(w->lanes);
    scope_done(&w->batch_scope);
    for (int i = 0; i < SCOPES_MAX; i++)
        scope_done(&w->scopes[i]);
    free(w);
}

static void run(harness *h)
{
    worker *workers[WRITERS + DISPATCHERS];

    atomic_store(&h->writing, WRITERS);
    for (int i = 0; i < WRITERS + DISPATCHERS; i++)
        workers[i] = open_worker(h, i);
    for (int i = 0; i < WRITERS + DISPATCHERS; i++)
        assert_int_equal(pthread_create(&workers[i]->thread, NULL,
                             i < WRITERS ? write_events : project_events, workers[i]),
            0);
    for (int i = 0; i < WRITERS + DISPATCHERS; i++) {
        assert_int_equal(pthread_join(workers[i]->thread, NULL), 0);
        close_worker(workers[i]);
    }
    print_message("%d events; %d transactions rolled back, %d conflicts, %d run again; "
                  "%d batches projected, %d abandoned, %d overtaken\n",
        (int)atomic_load(&h->committed), atomic_load(&h->rolled_back), atomic_load(&h->conflicts),
        atomic_load(&h->retries), atomic_load(&h->projected_batches), atomic_load(&h->abandoned),
        atomic_load(&h->overtaken));
    assert_false(atomic_load(&h->failed));
}

/* ---- the scheme: a head row per lane, moved last --------------------------------------------- */

static void begin_batch(worker *w)
{
    scope_reset(&w->batch_scope);
    w->batch_scope.db = w->d;
    work_init(&w->batch, w->d, NULL, &w->batch_scope.arena);
    w->batch.lanes = w->lanes;
}

static ku_scope *begin_scope(worker *w, int number, ku_id tenant)
{
    ku_scope *scope = &w->scopes[number];

    scope_reset(scope);
    scope->db = w->d;
    scope->tenant = tenant;
    scope->user = KU_STR("writer");
    scope->now = clock_now(&(clock_source){0});
    scope->trace_id = scope->correlation_id = KU_STR("order");
    scope->work = ku_alloc(scope, sizeof(work));
    work_init(scope->work, w->d, &w->batch, &scope->arena);
    return scope;
}

/* Up to three events on one stream: one that others write to as well, or a new one. */
static ku_status append_some(worker *w, ku_scope *scope, int tenant)
{
    const ku_id stream =
        chance(w, 30) ? id_new(scope->now) : w->h->streams[tenant][below(w, STREAMS)];
    ku_status status = KU_OK;

    for (int left = 1 + below(w, 3); left > 0 && status == KU_OK; left--) {
        const noted payload = {.n = w->number};
        const log_append append = {.def = &noted_def, .stream = stream, .payload = &payload};
        status = log_append_event(scope, &append, NULL);
    }
    return status;
}

/* The steps at a batch's end, with pauses between them; the transaction is still open. */
static ku_status flush(worker *w)
{
    ku_status status = work_flush_streams(&w->batch);

    wait_a_moment(w);
    if (status == KU_OK)
        status = work_number(&w->batch);
    wait_a_moment(w); /* with the heads locked */
    if (status == KU_OK)
        status = work_flush_events(&w->batch);
    wait_a_moment(w);
    return status == KU_OK ? db_settle(w->d) : status;
}

static ku_status lane_append(worker *w, int64_t *ret_events)
{
    begin_batch(w);
    ku_status status = lane_counts_refresh(w->lanes, w->d);
    if (status == KU_OK)
        status = db_begin(w->d);
    const int n_scopes = 1 + below(w, SCOPES_MAX);
    for (int i = 0; i < n_scopes && status == KU_OK; i++) {
        const int tenant = below(w, TENANTS);
        ku_scope *scope = begin_scope(w, i, w->h->tenants[tenant]);
        status = append_some(w, scope, tenant);
        if (!chance(w, 10)) /* the others have failed alone */
            work_merge(scope->work);
        wait_a_moment(w);
    }
    const int64_t events = (int64_t)w->batch.n_events;
    if (status == KU_OK)
        status = flush(w);
    if (status == KU_OK && chance(w, ROLLBACK_PERCENT)) {
        atomic_fetch_add(&w->h->rolled_back, 1);
        db_rollback(w->d);
        return KU_OK;
    }
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status != KU_OK)
        db_rollback(w->d);
    else
        *ret_events = events;
    return status;
}

/* ---- … consumed ------------------------------------------------------------------------------ */

typedef struct projecting {
    worker *w;
    const cursor *cursor;
    db_value values[BATCH * 4];
    size_t count;
    int64_t last;
} projecting;

static ku_status project_one(ku_scope *scope, const stored_event *stored, void *context)
{
    projecting *p = context;
    db_value *values = &p->values[4 * p->count];

    (void)scope;
    values[0] = db_text(p->cursor->consumer);
    values[1] = db_id(p->cursor->tenant);
    values[2] = db_int(p->cursor->lane);
    values[3] = db_int(stored->position);
    p->last = stored->position;
    p->count++;
    return KU_OK;
}

/* One batch of one lane in one transaction. */
static ku_status project_lane(worker *w, const cursor *c)
{
    projecting p = {.w = w, .cursor = c, .last = c->position};
    bool lost = false;

    begin_batch(w);
    ku_status status = db_begin(w->d);
    ku_scope *scope = begin_scope(w, 0, c->tenant);
    if (status == KU_OK)
        status = log_each_of_lane(scope, c->tenant, c->lane, c->position, c->head, (ku_str){0},
            1 + below(w, BATCH), project_one, &p);
    wait_a_moment(w);
    if (status == KU_OK && p.count > 0)
        status = db_send_many(w->d, w->h->project, p.values, 4, p.count, NULL);
    if (status == KU_OK) {
        const cursor_move move = {.consumer = c->consumer,
            .tenant = c->tenant,
            .lane = c->lane,
            .from = c->position,
            .to = p.last,
            .epoch = c->epoch,
            .lost = &lost};
        work_move_cursor(scope, &move);
        work_merge(scope->work);
        status = flush(w);
    }
    if (status == KU_OK && chance(w, ABANDON_PERCENT)) {
        atomic_fetch_add(&w->h->abandoned, 1);
        db_rollback(w->d);
        return KU_OK;
    }
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status == KU_OK) {
        atomic_fetch_add(&w->h->projected_batches, 1);
        return KU_OK;
    }
    db_rollback(w->d);
    if (status == KU_VERSION_CONFLICT && lost) {
        atomic_fetch_add(&w->h->overtaken, 1);
        return KU_OK;
    }
    return status;
}

static ku_status lane_consume(worker *w, bool *ret_behind)
{
    static const ku_str names = KU_STR_INIT("[\"test:first\",\"test:second\"]");
    ku_scope looking;
    cursor *cursors = NULL;
    size_t count = 0;

    scope_init(&looking);
    looking.db = w->d;
    looking.now = clock_now(&(clock_source){0});
    ku_status status = db_begin(w->d);
    if (status == KU_OK)
        status = log_cursors_behind(&looking, names, w->self, &cursors, &count);
    if (status == KU_OK)
        status = log_cursors_claim(&looking, w->self, cursors, count);
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status != KU_OK)
        db_rollback(w->d);
    else
        *ret_behind = count > 0;
    for (size_t i = 0; i < count && status == KU_OK; i++) {
        if (cursors[i].lease == LEASE_MINE || chance(w, IGNORE_LEASE_PERCENT))
            status = project_lane(w, &cursors[i]);
    }
    scope_done(&looking);
    return status;
}

static const scheme lanes_scheme = {lane_append, lane_consume};

/* ---- the scheme: a plain sequence ------------------------------------------------------------ */

static ku_status plain_append(worker *w, int64_t *ret_events)
{
    const db_value text = db_text(KU_STR("noted"));

    ku_status status = db_begin(w->d);
    if (status == KU_OK)
        status = db_run(w->d, w->h->plain_append, &text, 1, NULL);
    wait_a_moment(w);
    if (status == KU_OK && chance(w, ROLLBACK_PERCENT)) {
        atomic_fetch_add(&w->h->rolled_back, 1);
        db_rollback(w->d);
        return KU_OK;
    }
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status != KU_OK)
        db_rollback(w->d);
    else
        *ret_events = 1;
    return status;
}

static ku_status plain_position(worker *w, ku_str consumer, int64_t *ret_position)
{
    const db_value bind = db_text(consumer);
    db_rows rows = {0};
    bool row = false;

    ku_status status = db_query(w->d, w->h->plain_cursor, &bind, 1, &rows);
    if (status == KU_OK)
        status = db_next(&rows, &row);
    if (status == KU_OK && row)
        *ret_position = db_column_int(&rows, 0);
    db_rows_done(&rows);
    return status;
}

/* The events behind the position, into values for the projection; *position is the last one's. */
static ku_status plain_read(
    worker *w, ku_str consumer, db_value *values, size_t *ret_count, int64_t *position)
{
    const db_value binds[] = {db_int(*position), db_int(PLAIN_BATCH)};
    db_rows rows = {0};
    bool row = false;

    ku_status status = db_query(w->d, w->h->plain_events, binds, 2, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        db_value *value = &values[4 * (*ret_count)++];
        *position = db_column_int(&rows, 0);
        value[0] = db_text(consumer);
        value[1] = db_id(w->h->tenants[0]);
        value[2] = db_int(0);
        value[3] = db_int(*position);
    }
    db_rows_done(&rows);
    return status;
}

static ku_status plain_project(worker *w, ku_str consumer, bool *ret_behind)
{
    db_value values[PLAIN_BATCH * 4];
    size_t count = 0;
    int64_t from = 0, changes = 0;

    ku_status status = db_begin(w->d);
    if (status == KU_OK)
        status = plain_position(w, consumer, &from);
    int64_t to = from;
    if (status == KU_OK)
        status = plain_read(w, consumer, values, &count, &to);
    if (status == KU_OK && count > 0) {
        const db_value move[] = {db_text(consumer), db_int(from), db_int(to)};
        *ret_behind = true;
        status = db_run_many(w->d, w->h->project, values, 4, count, NULL);
        if (status == KU_OK)
            status = db_run(w->d, w->h->plain_move, move, 3, &changes);
        if (status == KU_OK && (changes == 0 || chance(w, ABANDON_PERCENT))) {
            atomic_fetch_add(changes == 0 ? &w->h->overtaken : &w->h->abandoned, 1);
            db_rollback(w->d);
            return KU_OK;
        }
        atomic_fetch_add(&w->h->projected_batches, 1);
    }
    if (status == KU_OK)
        status = db_commit(w->d);
    if (status != KU_OK)
        db_rollback(w->d);
    return status;
}

static ku_status plain_consume(worker *w, bool *ret_behind)
{
    ku_status status = KU_OK;

    *ret_behind = false;
    for (int i = 0; i < CONSUMERS && status == KU_OK; i++)
        status = plain_project(w, ku_str_from(consumers[i]), ret_behind);
    wait_a_moment(w);
    return status;
}

static const scheme plain_scheme = {plain_append, plain_consume};

/* ---- fixture --------------------------------------------------------------------------------- */

static int add(harness *h, const char *sql)
{
    return db_catalog_add(h->catalog, ku_str_from(sql));
}

static void add_statements(harness *h)
{
    h->project = add(h, "INSERT INTO projected (consumer, tenant_id, lane, position) "
                        "SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[])");
    h->plain_append = add(h, "INSERT INTO plain_events (type) VALUES ($1::text)");
    h->plain_events =
        add(h, "SELECT position FROM plain_events WHERE position > $1::bigint ORDER BY position "
               "LIMIT $2::bigint");
    h->plain_cursor = add(h, "SELECT position FROM plain_cursors WHERE consumer = $1::text");
    h->plain_move = add(h, "UPDATE plain_cursors SET position = $3::bigint "
                           "WHERE consumer = $1::text AND position = $2::bigint");
}

static void create_tables(const harness *h)
{
    /* In the order in which rows were written; nothing keeps an event from being there twice. */
    test_database_run(h->database,
        "CREATE TABLE projected (consumer text, tenant_id uuid, lane bigint, position bigint, "
        "written bigserial)");
    test_database_run(
        h->database, "CREATE TABLE plain_events (position bigserial PRIMARY KEY, type text)");
    test_database_run(
        h->database, "CREATE TABLE plain_cursors (consumer text PRIMARY KEY, position bigint)");
    test_database_run(
        h->database, "INSERT INTO plain_cursors VALUES ('test:first', 0), ('test:second', 0)");
}

static void create_log(harness *h)
{
    worker *w = open_worker(h, 0);
    const consumer_start start = {0};
    ku_error error = {0};

    if (log_schema_begin(w->d, &error) != KU_OK || log_schema_apply(w->d, &error) != KU_OK ||
        db_commit(w->d) != KU_OK)
        fail_msg("%s %s", error.message, db_error(w->d));
    begin_batch(w);
    assert_int_equal(db_begin(w->d), KU_OK);
    for (int i = 0; i < TENANTS; i++) {
        ku_scope *scope = begin_scope(w, 0, h->tenants[i]);
        assert_int_equal(log_set_lanes(scope, h->tenants[i], (int32_t)lanes_of_tenant[i]), KU_OK);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        ku_scope *scope = begin_scope(w, 0, h->tenants[0]);
        assert_int_equal(
            log_consumer_register(scope, ku_str_from(consumers[i]), &start, scope->now, NULL),
            KU_OK);
    }
    assert_int_equal(db_commit(w->d), KU_OK);
    close_worker(w);
}

static int set_up(void **state)
{
    harness *h = mem_zero(1, sizeof(*h));
    const ku_time now = clock_now(&(clock_source){0});

    h->database = test_database_new();
    h->catalog = db_catalog_new();
    for (int i = 0; i < TENANTS; i++) {
        h->tenants[i] = id_new(now);
        for (int k = 0; k < STREAMS; k++)
            h->streams[i][k] = id_new(now);
    }
    add_statements(h);
    create_tables(h);
    *state = h;
    return 0;
}

static int tear_down(void **state)
{
    harness *h = *state;

    db_catalog_free(h->catalog);
    test_database_free(h->database);
    free(h);
    return 0;
}

/* ---- cases ----------------------------------------------------------------------------------- */

#define assert_none(h, sql) assert_int_equal(test_database_int((h)->database, (sql)), 0)

static void print_problem(void *context, ku_str sentence)
{
    (void)context;
    print_error("%.*s\n", KU_FMT(sentence));
}

static void assert_log_is_whole(harness *h)
{
    worker *w = open_worker(h, 0);
    check_report report = {0};

    begin_batch(w);
    assert_int_equal(db_be_patient(w->d), KU_OK); /* it reads everything */
    assert_int_equal(db_begin(w->d), KU_OK);
    assert_int_equal(
        log_check(begin_scope(w, 0, h->tenants[0]), print_problem, NULL, &report), KU_OK);
    db_rollback(w->d);
    close_worker(w);
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.events, atomic_load(&h->committed));
}

static void every_committed_event_is_projected_once_and_in_order(void **state)
{
    harness *h = *state;

    h->scheme = &lanes_scheme;
    create_log(h);
    run(h);
    assert_true(atomic_load(&h->rolled_back) > 0 && atomic_load(&h->abandoned) > 0);
    assert_true(atomic_load(&h->conflicts) > 0 && atomic_load(&h->overtaken) > 0);

    assert_log_is_whole(h);
    assert_int_equal(
        test_database_int(h->database, "SELECT count(*) FROM ku_lanes"), 1 + 2 + 3 + 1);
    /* Positions are dense in each lane, versions follow them in each stream. */
    assert_none(h, "SELECT count(*) FROM (SELECT position - row_number() OVER "
                   "(PARTITION BY tenant_id, lane ORDER BY position) AS gap FROM ku_events) e "
                   "WHERE gap <> 0");
    assert_none(h, "SELECT count(*) FROM (SELECT version - row_number() OVER "
                   "(PARTITION BY tenant_id, stream_id ORDER BY lane, position) AS gap "
                   "FROM ku_events) e WHERE gap <> 0");
    /* Each event was projected by each consumer, neither not at all nor twice, … */
    assert_none(h, "SELECT count(*) FROM (SELECT count(p.position) AS times FROM ku_events e "
                   "CROSS JOIN (VALUES ('test:first'), ('test:second')) AS c (consumer) "
                   "LEFT JOIN projected p USING (consumer, tenant_id, lane, position) "
                   "GROUP BY c.consumer, e.tenant_id, e.lane, e.position) t WHERE times <> 1");
    assert_int_equal(test_database_int(h->database, "SELECT count(*) FROM projected"),
        CONSUMERS * atomic_load(&h->committed));
    /* … and in the order of its lane. */
    assert_none(h, "SELECT count(*) FROM (SELECT position - row_number() OVER "
                   "(PARTITION BY consumer, tenant_id, lane ORDER BY written) AS gap "
                   "FROM projected) p WHERE gap <> 0");
}

static void a_plain_sequence_lets_consumers_pass_events_by(void **state)
{
    harness *h = *state;

    h->scheme = &plain_scheme;
    run(h);
    const int64_t skipped = test_database_int(h->database,
        "SELECT count(*) FROM plain_events e WHERE NOT EXISTS (SELECT FROM projected p "
        "WHERE p.consumer = 'test:first' AND p.position = e.position)");
    print_message(
        "%d of %d events were passed by\n", (int)skipped, (int)atomic_load(&h->committed));
    assert_int_equal(test_database_int(h->database, "SELECT count(*) FROM plain_events"),
        atomic_load(&h->committed));
    assert_true(skipped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_committed_event_is_projected_once_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_plain_sequence_lets_consumers_pass_events_by, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
