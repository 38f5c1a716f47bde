/*
 * Consumers of several processes on one database: they share the lanes, each event counts once, and
 * what one of them leaves behind, however it ends, goes on elsewhere.
 *
 * Most processes here are applications in one program, which have nothing in common but the
 * database; two are real ones, where it matters that the whole process stands still.
 */
#include "dispatch/bank.h"
#include "dispatch/pass.h"
#include "support/pg_proxy.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* ---- applies that can be held ---------------------------------------------------------------- */

/* The next so many applies of one application say so and wait, each on its writer. */
static _Atomic(ku_app *) app_to_hold;
static _Atomic int applies_to_hold;
static _Atomic bool fail_when_let_go;
static sem_t held, let_go;
/* In a child process: it tells and is told through these instead. */
static int child_tells = -1, child_is_told = -1;

static void wait_for_semaphore(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        assert_int_equal(errno, EINTR);
}

/* True: it was held. */
static bool be_held(const ku_scope *scope)
{
    int left = atomic_load(&applies_to_hold);
    char byte = 'h';

    if (scope->app != atomic_load(&app_to_hold))
        return false;
    while (left > 0 && !atomic_compare_exchange_weak(&applies_to_hold, &left, left - 1))
        continue;
    if (left <= 0)
        return false;
    if (child_tells < 0) {
        (void)sem_post(&held);
        wait_for_semaphore(&let_go);
    } else if (write(child_tells, &byte, 1) != 1 || read(child_is_told, &byte, 1) != 1) {
        _exit(3);
    }
    return true;
}

/* Reads before it writes, as most do: its transaction has begun when it is held. */
static ku_status apply_slowly(ku_scope *scope, const ku_event *event)
{
    const deposited *paid = KU_PAYLOAD(event, deposited);
    revenue row = {.owner = paid->owner};

    ku_status status = ku_row_get(scope, &revenue_table, &row);
    if (status != KU_OK && status != KU_NOT_FOUND)
        return status;
    ku_clear_error(scope);
    if (be_held(scope) && atomic_load(&fail_when_let_go))
        return ku_refuse(scope, "held", "it was held for too long");
    const revenue one = {.owner = paid->owner, .cents = paid->cents, .deposits = 1};
    return ku_row_add(scope, &revenue_table, &one);
}

static void hold_applies(const lab *l, int n)
{
    atomic_store(&app_to_hold, l->app);
    atomic_store(&applies_to_hold, n);
}

static void let_applies_go(void)
{
    atomic_store(&applies_to_hold, 0);
    for (int i = 0; i < 64; i++) /* more than are ever in flight */
        (void)sem_post(&let_go);
}

static const ku_on slow_on[] = {KU_ON(deposited, apply_slowly), KU_END};
static const ku_multi_stream_projection slow_projection = {
    .name = "revenue", .table = &revenue_table, .on = slow_on, .batch = 2};
static const ku_feature slow_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &slow_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

/* ---- the stage ------------------------------------------------------------------------------- */

typedef struct stage {
    lab *first, *second; /* the second looks into the first's database */
    pg_proxy *proxy;     /* NULL: the second is not behind one */
    char url[1024];
} stage;

static int set_up(void **state)
{
    atomic_store(&bank_healed, false);
    atomic_store(&bank_can_lift, true);
    atomic_store(&applies_to_hold, 0);
    atomic_store(&fail_when_let_go, false);
    (void)sem_init(&held, 0, 0);
    (void)sem_init(&let_go, 0, 0);
    if (!test_engine_is_postgres()) {
        *state = NULL;
        return 0;
    }
    stage *s = mem_zero(1, sizeof(*s));
    s->first = lab_new();
    s->second = mem_zero(1, sizeof(*s->second));
    pthread_mutex_init(&s->second->log_lock, NULL);
    atomic_store(&s->second->now_us, atomic_load(&s->first->now_us));
    s->second->url = s->first->url;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    stage *s = *state;

    if (s != NULL) {
        lab_close(s->second);
        if (s->proxy != NULL)
            pg_proxy_close(s->proxy);
        lab_free(s->first);
        pthread_mutex_destroy(&s->second->log_lock);
        free(s->second);
        free(s);
    }
    (void)sem_destroy(&held);
    (void)sem_destroy(&let_go);
    return 0;
}

static stage *stage_of(void **state)
{
    if (*state == NULL) {
        print_message("one process owns an SQLite database\n");
        skip();
    }
    return *state;
}

/* The second application reaches the database through a proxy. */
static void put_proxy(stage *s)
{
    s->proxy = pg_proxy_open(pg_proxy_port_of(s->first->url));
    pg_proxy_url(s->proxy, s->first->url, sizeof(s->url), s->url);
    s->second->url = s->url;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

static int64_t lag_of(lab *l, uint32_t tenant)
{
    return bank_info(l, tenant, "lab:projection:revenue").lag;
}

static void wait_for_no_lag(lab *l, uint32_t tenant)
{
    while (lag_of(l, tenant) != 0)
        sleep_ms(5);
}

static void put_many(lab *l, uint32_t tenants, int each)
{
    for (int i = 0; i < each; i++) {
        for (uint32_t tenant = 1; tenant <= tenants; tenant++)
            bank_put(l, tenant, "ann", 10);
    }
}

static void assert_each_counts_once(const stage *s, uint32_t tenants, int64_t each)
{
    for (uint32_t tenant = 1; tenant <= tenants; tenant++) {
        assert_int_equal(bank_sum(s->first, tenant, "read_revenue", "deposits", "ann"), each);
        assert_int_equal(bank_sum(s->first, tenant, "read_revenue", "cents", "ann"), 10 * each);
    }
}

static int64_t epoch_of(const stage *s, uint32_t tenant)
{
    char sql[200], id[40];

    (void)snprintf(sql, sizeof(sql),
        "SELECT epoch FROM ku_cursors WHERE consumer = 'lab:projection:revenue' AND tenant_id = %s",
        test_id_literal(lab_tenant(tenant), id));
    return lab_sql(s->first, sql);
}

static int64_t count_leases(const stage *s)
{
    return lab_sql(s->first, "SELECT count(*) FROM ku_cursors WHERE lease_until > now()");
}

/* ---- dispatching by hand on a thread of its own ---------------------------------------------- */

typedef struct hand {
    lab *l;
    pthread_t thread;
    ku_dispatch_result result;
    ku_status status;
    ku_error error;
} hand;

static void *hand_main(void *context)
{
    hand *h = context;

    h->status = ku_dispatch_once(h->l->app, &h->result, &h->error);
    return NULL;
}

/* When this returns its first apply is held, and so will be the next, up to so many. */
static void dispatch_and_be_held(lab *l, hand *h, int applies)
{
    *h = (hand){.l = l};
    hold_applies(l, applies);
    assert_int_equal(pthread_create(&h->thread, NULL, hand_main, h), 0);
    wait_for_semaphore(&held);
}

static ku_dispatch_result let_it_go(hand *h)
{
    let_applies_go();
    assert_int_equal(pthread_join(h->thread, NULL), 0);
    if (h->status != KU_OK)
        fail_msg("%s", h->error.message);
    return h->result;
}

/* ---- sharing --------------------------------------------------------------------------------- */

enum { THREADS = 4, WRITES = 100, TENANTS = 12 };

typedef struct depositor {
    lab *l;
    pthread_t thread;
    int64_t done;
} depositor;

static void *deposit_many(void *context)
{
    static const bank_deposit d = {1, "ann", 10};
    depositor *self = context;

    for (uint32_t i = 0; i < WRITES; i++) {
        const ku_user user = lab_user_of(1 + i % TENANTS);
        char payload[80];
        ku_response response;
        const ku_request request = {.size = sizeof(request),
            .type = KU_STR("lab:write:do"),
            .payload = lab_do_payload(bank_deposit_body, &d, payload),
            .user = user};
        self->done += ku_write(self->l->app, &request, &response) == KU_OK ? 1 : 0;
        ku_response_free(&response);
    }
    return NULL;
}

static void two_applications_share_consumers_and_each_event_counts_once(void **state)
{
    stage *s = stage_of(state);
    depositor depositors[THREADS];
    int64_t done = 0;

    lab_open(s->first, &bank_feature, true);
    lab_open(s->second, &bank_feature, true);
    for (int i = 0; i < THREADS; i++) {
        depositors[i] = (depositor){.l = i % 2 == 0 ? s->first : s->second};
        assert_int_equal(
            pthread_create(&depositors[i].thread, NULL, deposit_many, &depositors[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(depositors[i].thread, NULL), 0);
        done += depositors[i].done;
    }
    assert_true(done > 0);
    wait_for_no_lag(s->first, 0);
    assert_int_equal(lab_sql(s->first, "SELECT sum(deposits)::bigint FROM read_revenue"), done);
    assert_int_equal(lab_sql(s->first, "SELECT sum(cents)::bigint FROM read_revenue"), 10 * done);
    while (bank_info(s->first, 0, "lab:projection:heard").lag > 0)
        sleep_ms(5);
    assert_int_equal(lab_sql(s->first, "SELECT sum(times)::bigint FROM read_heard"), done);
    lab_assert_sound(s->first);
}

static void what_one_has_not_come_to_is_there_for_the_other(void **state)
{
    enum { LANES = 60 };
    stage *s = stage_of(state);
    hand h;

    lab_open(s->first, &slow_feature, false);
    lab_open(s->second, &slow_feature, false);
    put_many(s->first, LANES, 1);
    dispatch_and_be_held(s->first, &h, LANES); /* all its writers hang */
    const int64_t others = bank_dispatch(s->second).processed;
    assert_in_range(others, LANES / 3, LANES - 1);
    const int64_t own = let_it_go(&h).processed;
    assert_int_equal(own + others + bank_dispatch(s->second).processed, LANES);
    assert_each_counts_once(s, LANES, 1);
    assert_int_equal(count_leases(s), 0); /* nobody holds anything after his turn */
}

/* ---- who comes later ------------------------------------------------------------------------- */

/* How many lanes are leased by the process that has the fewest of those that have any; 0 if only
 * one has. */
static int64_t smallest_share(const stage *s)
{
    return lab_sql(s->first,
        "SELECT CASE WHEN count(*) > 1 THEN min(lanes) ELSE 0 END FROM (SELECT count(*) AS lanes "
        "FROM ku_cursors WHERE lease_until > now() GROUP BY owner) AS held");
}

/* A deposit in every lane again and again, so that no lease ends by itself. */
static int64_t put_until_shared(const stage *s, lab *l, int64_t share)
{
    int64_t each = 0;

    while (smallest_share(s) < share) {
        if (each == 20000)
            fail_msg("after %lld deposits the smallest share is %lld lanes", (long long)each,
                (long long)smallest_share(s));
        put_many(l, TENANTS, 1);
        each++;
    }
    return each;
}

static void a_process_that_comes_later_gets_its_share(void **state)
{
    enum { BEFORE = 20, AFTER = 20 };
    stage *s = stage_of(state);

    lab_open(s->first, &slow_feature, true);
    put_many(s->first, TENANTS, BEFORE);
    assert_int_equal(smallest_share(s), 0);
    lab_open(s->second, &slow_feature, true);
    int64_t each = BEFORE + put_until_shared(s, s->first, TENANTS / 4);
    put_many(s->first, TENANTS, AFTER);
    each += AFTER;
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, TENANTS, each);

    /* Once more, the other way around: who has been restarted is who came later. */
    lab_close(s->first);
    lab_open(s->first, &slow_feature, true);
    each += put_until_shared(s, s->second, TENANTS / 4);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, TENANTS, each);
    lab_assert_sound(s->first);
}

/* Who has asked and is gone by the time that he would be given something. */
static void a_lane_that_was_asked_for_in_vain_goes_on(void **state)
{
    stage *s = stage_of(state);
    char sql[160], id[40];

    lab_open(s->first, &slow_feature, true);
    put_many(s->first, 1, 1);
    wait_for_no_lag(s->first, 0);
    (void)snprintf(sql, sizeof(sql), "UPDATE ku_cursors SET wanted_by = %s",
        test_id_literal(lab_id(9, 1), id));
    test_database_run(s->first->database, sql);
    put_many(s->first, 1, 1);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, 1, 2);
    assert_int_equal(
        lab_sql(s->first, "SELECT count(*) FROM ku_cursors WHERE wanted_by IS NOT NULL"), 0);
}

/* Looking, claiming, and reading each lane: nothing else.  The passes are those of the background,
 * run by hand so that they can be counted. */
static void a_process_alone_never_asks(void **state)
{
    stage *s = stage_of(state);
    db_traffic_count before, after;
    bool moved;

    lab_open(s->first, &slow_feature, false);
    dispatcher *d = s->first->app->dispatcher;
    for (int round = 0; round < 3; round++) {
        put_many(s->first, TENANTS, 1);
        db_traffic(d->d, &before);
        d->background = true;
        assert_int_equal(pass_run(d, &moved), KU_OK);
        d->background = false;
        db_traffic(d->d, &after);
        assert_true(moved);
        assert_in_range(after.statements - before.statements, 1 + TENANTS, 2 + TENANTS);
    }
    assert_each_counts_once(s, TENANTS, 3);
}

/* ---- leases ---------------------------------------------------------------------------------- */

static void a_claimed_lane_goes_on_elsewhere_only_when_its_lease_has_ended(void **state)
{
    stage *s = stage_of(state);
    hand h;

    lab_open(s->first, &slow_feature, false);
    lab_open(s->second, &slow_feature, false);
    put_many(s->first, 1, 9);
    dispatch_and_be_held(s->first, &h, 1);
    const int64_t epoch = epoch_of(s, 1);
    assert_true(epoch >= 1);

    const ku_dispatch_result early = bank_dispatch(s->second);
    if (epoch_of(s, 1) == epoch) /* however slow the machine is: the lease was there */
        assert_int_equal(early.processed, 0);
    while (lag_of(s->second, 1) > 0) {
        (void)bank_dispatch(s->second);
        sleep_ms(20);
    }
    assert_true(epoch_of(s, 1) > epoch);
    assert_each_counts_once(s, 1, 9);

    /* Its batch builds on what it has read before; nothing of it is written. */
    assert_int_equal(let_it_go(&h).processed, 0);
    assert_each_counts_once(s, 1, 9);
    put_many(s->first, 1, 1);
    assert_int_equal(bank_dispatch(s->first).processed, 1);
    assert_each_counts_once(s, 1, 10);
    lab_assert_sound(s->first);
}

/* The one that is held fails in the end: that is not noted on a lane that is another's by then. */
static void a_failure_under_an_old_lease_is_not_noted(void **state)
{
    stage *s = stage_of(state);
    hand h;

    lab_open(s->first, &slow_feature, false);
    lab_open(s->second, &slow_feature, false);
    put_many(s->first, 1, 1);
    atomic_store(&fail_when_let_go, true);
    dispatch_and_be_held(s->first, &h, 1);
    while (lag_of(s->second, 1) > 0) {
        (void)bank_dispatch(s->second);
        sleep_ms(20);
    }
    assert_int_equal(let_it_go(&h).failed, 0);
    const ku_consumer_info info = bank_info(s->first, 1, "lab:projection:revenue");
    assert_string_equal(info.status, "idle");
    assert_int_equal(info.attempts, 0);
    assert_each_counts_once(s, 1, 1);
}

static void a_dispatcher_that_hangs_loses_its_lanes_to_another(void **state)
{
    stage *s = stage_of(state);

    lab_open(s->first, &slow_feature, true);
    hold_applies(s->first, 1);
    put_many(s->first, 1, 1);
    wait_for_semaphore(&held);
    lab_open(s->second, &slow_feature, true);
    put_many(s->second, 1, 4);
    put_many(s->second, 5, 1);
    wait_for_no_lag(s->second, 0);
    assert_each_counts_once(s, 1, 6);
    let_applies_go();
    put_many(s->first, 1, 1);
    wait_for_no_lag(s->second, 0);
    assert_each_counts_once(s, 1, 7);
    lab_close(s->first);
    assert_each_counts_once(s, 1, 7);
    lab_open(s->first, &slow_feature, false);
    lab_assert_sound(s->first);
}

/* Asks the database for something each time, as what takes long mostly does. */
static ku_status apply_sleepily(ku_scope *scope, const ku_event *event)
{
    const deposited *paid = KU_PAYLOAD(event, deposited);
    const revenue one = {.owner = paid->owner, .cents = paid->cents, .deposits = 1};
    revenue nobody = {.owner = ku_id_text(scope, lab_id(9, (uint32_t)event->position))};

    if (ku_row_get(scope, &revenue_table, &nobody) != KU_NOT_FOUND)
        return KU_INTERNAL;
    ku_clear_error(scope);
    sleep_ms(60);
    return ku_row_add(scope, &revenue_table, &one);
}
static const ku_on sleepy_on[] = {KU_ON(deposited, apply_sleepily), KU_END};
static const ku_multi_stream_projection sleepy_projection = {
    .name = "revenue", .table = &revenue_table, .on = sleepy_on};
static const ku_feature sleepy_feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &sleepy_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

/* All at once would take longer than a lease, and the two would take it from each other for
 * ever. */
static void work_that_outlasts_its_lease_is_cut_until_it_does_not(void **state)
{
    enum { EVENTS = 60 };
    stage *s = stage_of(state);

    lab_open(s->first, &sleepy_feature, false);
    put_many(s->first, 1, EVENTS);
    lab_close(s->first);
    lab_open(s->first, &sleepy_feature, true);
    lab_open(s->second, &sleepy_feature, true);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, 1, EVENTS);
    assert_true(epoch_of(s, 1) > 1); /* it was taken away at least once */
}

static void who_closes_gives_its_lanes_back(void **state)
{
    stage *s = stage_of(state);

    lab_open(s->first, &slow_feature, true);
    put_many(s->first, 3, 1);
    wait_for_no_lag(s->first, 0);
    lab_close(s->first);
    assert_int_equal(count_leases(s), 0);
}

/* ---- a process that stands still ------------------------------------------------------------- */

/* Projects in the background, held at its first apply; ends when nobody talks to it any more. */
static void child_main(lab *l, int tells, int is_told)
{
    struct pollfd end = {.fd = is_told};

    child_tells = tells;
    child_is_told = is_told;
    lab_open(l, &slow_feature, true);
    hold_applies(l, 1);
    put_many(l, 1, 1);
    while ((end.revents & POLLHUP) == 0)
        (void)poll(&end, 1, -1);
    lab_close(l);
    _exit(0);
}

static void a_process_that_was_stopped_past_its_lease_cannot_write(void **state)
{
    stage *s = stage_of(state);
    int tells[2], is_told[2], how;
    char byte;

    assert_int_equal(pipe(tells), 0);
    assert_int_equal(pipe(is_told), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(is_told[1]);
        child_main(s->second, tells[1], is_told[0]);
    }
    (void)close(tells[1]);
    (void)close(is_told[0]);
    assert_int_equal(read(tells[0], &byte, 1), 1); /* it is held in its apply */
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));

    lab_open(s->first, &slow_feature, true);
    put_many(s->first, 1, 4);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, 1, 5);
    assert_true(epoch_of(s, 1) >= 2);

    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(write(is_told[1], "g", 1), 1);
    put_many(s->first, 1, 3); /* either may have the lane now */
    (void)close(is_told[1]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, 1, 8);
    lab_assert_sound(s->first);
    (void)close(tells[0]);
}

/* ---- the database is away -------------------------------------------------------------------- */

static void lost_connections_do_not_stop_it(void **state)
{
    stage *s = stage_of(state);

    put_proxy(s);
    lab_open(s->first, &slow_feature, false);
    lab_open(s->second, &slow_feature, true);
    for (int round = 1; round <= 5; round++) {
        put_many(s->first, 3, 2);
        wait_for_no_lag(s->first, 0);
        assert_each_counts_once(s, 3, 2 * round);
        pg_proxy_cut_all(s->proxy);
    }
    lab_assert_sound(s->first);
}

static int count_in_log(lab *l, const char *text)
{
    int n = 0;

    pthread_mutex_lock(&l->log_lock);
    for (const char *at = l->log; (at = strstr(at, text)) != NULL; at++)
        n++;
    pthread_mutex_unlock(&l->log_lock);
    return n;
}

static void an_outage_is_told_once_and_ends_by_itself(void **state)
{
    stage *s = stage_of(state);

    put_proxy(s);
    lab_open(s->first, &slow_feature, false);
    lab_open(s->second, &slow_feature, true);
    put_many(s->first, 1, 1);
    wait_for_no_lag(s->first, 0);
    pg_proxy_refuse(s->proxy, true);
    pg_proxy_cut_all(s->proxy);
    while (count_in_log(s->second, "dispatcher cannot read") == 0)
        sleep_ms(5);
    put_many(s->first, 1, 1);
    sleep_ms(1500); /* several attempts */
    assert_int_equal(lag_of(s->first, 1), 1);
    assert_int_equal(count_in_log(s->second, "dispatcher cannot read"), 1);
    assert_int_equal(count_in_log(s->second, "dispatcher reads again"), 0);
    pg_proxy_refuse(s->proxy, false);
    wait_for_no_lag(s->first, 0);
    assert_each_counts_once(s, 1, 2);
    assert_int_equal(count_in_log(s->second, "dispatcher cannot read"), 1);
    assert_int_equal(count_in_log(s->second, "dispatcher reads again"), 1);
}

/* ---- resting --------------------------------------------------------------------------------- */

/*
 * Counted in messages, both ways: a query that is prepared takes six to eight of them (bind,
 * describe, execute, sync and their answers).
 */
static void an_idle_process_asks_at_most_once_a_second(void **state)
{
    enum { SECONDS = 6, MESSAGES_PER_QUERY = 8 };
    stage *s = stage_of(state);
    pg_proxy_seen seen;

    put_proxy(s);
    lab_open(s->second, &slow_feature, true);
    put_many(s->second, 2, 2);
    wait_for_no_lag(s->second, 0);
    sleep_ms(3000); /* what was to be tidied up is over by then */
    pg_proxy_arm(s->proxy, PG_CUT_NOTHING, 1);
    sleep_ms(SECONDS * 1000);
    pg_proxy_look(s->proxy, &seen);
    assert_int_equal(seen.connections, 0);
    assert_true(seen.messages > 0); /* it does look */
    assert_in_range(seen.messages, 1, SECONDS * MESSAGES_PER_QUERY);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        /* First, while no other thread runs: it forks. */
        CASE(a_process_that_was_stopped_past_its_lease_cannot_write),
        CASE(two_applications_share_consumers_and_each_event_counts_once),
        CASE(what_one_has_not_come_to_is_there_for_the_other),
        CASE(a_process_that_comes_later_gets_its_share),
        CASE(a_lane_that_was_asked_for_in_vain_goes_on),
        CASE(a_process_alone_never_asks),
        CASE(a_claimed_lane_goes_on_elsewhere_only_when_its_lease_has_ended),
        CASE(a_failure_under_an_old_lease_is_not_noted),
        CASE(a_dispatcher_that_hangs_loses_its_lanes_to_another),
        CASE(work_that_outlasts_its_lease_is_cut_until_it_does_not),
        CASE(who_closes_gives_its_lanes_back),
        CASE(lost_connections_do_not_stop_it),
        CASE(an_outage_is_told_once_and_ends_by_itself),
        CASE(an_idle_process_asks_at_most_once_a_second),
    };

    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
