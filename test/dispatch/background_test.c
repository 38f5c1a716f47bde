/*
 * The dispatcher in the background: it wakes on commits, rests when there is nothing, backs off and
 * halts by itself, and counts each event once however many writers there are and however often the
 * process is killed.
 */
#include "dispatch/bank.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static int set_up(void **state)
{
    atomic_store(&bank_healed, false);
    atomic_store(&bank_can_lift, true);
    *state = lab_new();
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* Waits, as long as it takes, until the consumer has the status and no lag (or any, if negative).
 */
static void wait_for(lab *l, uint32_t tenant, const char *status, int64_t lag)
{
    for (;;) {
        const ku_consumer_info info = bank_info(l, tenant, "lab:projection:revenue");
        if (strcmp(info.status, status) == 0 && (lag < 0 || info.lag == lag))
            return;
        sleep_ms(5);
    }
}

/* ---- waking, resting ------------------------------------------------------------------------- */

static void a_commit_wakes_it(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, true);
    for (int i = 1; i <= 20; i++) {
        bank_put(l, 1, "ann", 1);
        wait_for(l, 1, "idle", 0);
        assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), i);
    }
}

static void what_was_left_by_the_last_process_is_done_without_a_commit(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, false);
    for (int i = 0; i < 30; i++)
        bank_put(l, 1, "ann", 1);
    lab_close(l);
    lab_open(l, &bank_feature, true);
    wait_for(l, 1, "idle", 0);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 30);
}

/* Context switches of every thread of this process but the caller's. */
static int64_t count_switches(void)
{
    int64_t sum = 0;
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[300], line[256];
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)gettid())
            continue;
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof(line), file) != NULL) {
            long long n;
            if (sscanf(line, "voluntary_ctxt_switches: %lld", &n) == 1)
                sum += n;
        }
        (void)fclose(file);
    }
    (void)closedir(dir);
    return sum;
}

static void it_rests_when_there_is_nothing_to_do(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, true);
    bank_put(l, 1, "ann", 1);
    wait_for(l, 1, "idle", 0);
    sleep_ms(2500); /* the writer's upkeep is over by then */
    const int64_t before = count_switches();
    sleep_ms(2000);
    /* The sanitizers' own thread may wake, ours do not. */
    assert_in_range(count_switches() - before, 0, 25);
}

/* ---- failing --------------------------------------------------------------------------------- */

static void a_failing_lane_backs_off_and_halts_while_others_go_on(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, true);
    for (int i = 0; i < 3; i++)
        bank_put(l, 1, "ann", 10);
    bank_put(l, 1, "ann", -1);
    bank_put(l, 1, "ann", 10);
    bank_put(l, 2, "ann", 1);
    wait_for(l, 1, "backoff", -1);
    wait_for(l, 2, "idle", 0);
    for (int i = 0; i < 8; i++) { /* its clock is the test's */
        atomic_fetch_add(&l->now_us, INT64_C(120) * 1000000);
        bank_put(l, 2, "ann", 1);
        wait_for(l, 2, "idle", 0);
        sleep_ms(20);
    }
    wait_for(l, 1, "halted", -1);
    ku_consumer_info info = bank_info(l, 1, "lab:projection:revenue");
    assert_int_equal(info.position, 3);
    assert_int_equal(info.attempts, 3);
    assert_int_equal(info.lag, 2);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 30);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "leak"), 0);
    assert_int_equal(bank_sum(l, 2, "read_revenue", "cents", "ann"), 9);
    atomic_store(&bank_healed, true);
    lab_close(l);
    lab_open(l, &bank_feature, true);
    wait_for(l, 1, "idle", 0);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), 39);
}

static ku_status fail_the_next_cursor(ku_scope *scope, void *context)
{
    (void)context;
    /* Past this transaction's own statements: begin, rows, cursor or commit of one that follows. */
    db_fail_after(scope->db, 7, KU_UNAVAILABLE);
    return KU_OK;
}

static void an_event_that_failed_once_is_tried_again_without_a_commit(void **state)
{
    lab *l = *state;

    lab_open(l, &bank_feature, true);
    bank_put(l, 1, "ann", -5);
    wait_for(l, 1, "backoff", -1);
    atomic_store(&bank_healed, true);
    /* Past any back-off; nobody commits from here on. */
    atomic_fetch_add(&l->now_us, INT64_C(120) * 1000000);
    wait_for(l, 1, "idle", 0);
    assert_int_equal(bank_sum(l, 1, "read_revenue", "cents", "ann"), -5);
}

static void a_transaction_that_is_lost_is_tried_again_without_a_commit(void **state)
{
    const ku_user user = lab_user_of(1);
    lab *l = *state;
    ku_error error;

    lab_open(l, &bank_feature, true);
    for (int i = 0; i < 10; i++) {
        const bank_deposit d = {1, "ann", 1};
        (void)app_run_write(l->app, &user, fail_the_next_cursor, NULL, &error);
        /* It may be this write that meets the failure; then it is to be told. */
        ku_status status = lab_write(l, bank_deposit_body, &d);
        assert_true(status == KU_OK || status == KU_UNAVAILABLE || status == KU_INTERNAL);
    }
    wait_for(l, 1, "idle", 0);
    assert_true(lab_logged(l, "transaction failed"));
    assert_int_equal(bank_sum(l, 1, "read_revenue", "deposits", "ann"),
        lab_sql(l, "SELECT count(*) FROM ku_events"));
    lab_assert_sound(l);
}

/* ---- exactly once ---------------------------------------------------------------------------- */

enum { THREADS = 6, WRITES = 150 };

typedef struct depositor {
    lab *l;
    uint32_t seed;
    pthread_t thread;
    int64_t sums[4]; /* by tenant */
} depositor;

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void *deposit_many(void *context)
{
    depositor *self = context;

    for (int i = 0; i < WRITES; i++) {
        uint32_t tenant = 1 + next_random(&self->seed) % 3;
        const bank_deposit d = {
            next_random(&self->seed) % 5, "ann", next_random(&self->seed) % 1000};
        const ku_user user = lab_user_of(tenant);
        char payload[80];
        ku_response response;
        const ku_request request = {.size = sizeof(request),
            .type = KU_STR("lab:write:do"),
            .payload = lab_do_payload(bank_deposit_body, &d, payload),
            .user = user};
        if (ku_write(self->l->app, &request, &response) == KU_OK)
            self->sums[tenant] += d.cents;
        ku_response_free(&response);
    }
    return NULL;
}

static void each_event_counts_once_beside_concurrent_writers(void **state)
{
    depositor depositors[THREADS];
    lab *l = *state;

    lab_open(l, &bank_feature, true);
    for (uint32_t i = 0; i < THREADS; i++) {
        depositors[i] = (depositor){.l = l, .seed = i + 1};
        assert_int_equal(
            pthread_create(&depositors[i].thread, NULL, deposit_many, &depositors[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(depositors[i].thread, NULL), 0);
    wait_for(l, 0, "idle", 0);
    for (uint32_t tenant = 1; tenant <= 3; tenant++) {
        int64_t sum = 0;
        for (int i = 0; i < THREADS; i++)
            sum += depositors[i].sums[tenant];
        assert_int_equal(bank_sum(l, tenant, "read_revenue", "cents", "ann"), sum);
    }
    assert_int_equal(lab_sql(l, "SELECT sum(deposits) FROM read_revenue"), THREADS * WRITES);
    lab_assert_sound(l);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/*
 * A child writes and projects until it is killed; what it was told is on disk it notes in a pipe,
 * one byte per write.
 */
static void child_main(lab *l, int acknowledged)
{
    uint32_t seed = (uint32_t)getpid();

    lab_open(l, &bank_feature, true);
    for (;;) {
        const bank_deposit d = {next_random(&seed) % 5, "ann", next_random(&seed) % 1000};
        const ku_user user = lab_user_of(1 + next_random(&seed) % 3);
        if (lab_as(l, true, &user, bank_deposit_body, &d) == KU_OK &&
            write(acknowledged, "w", 1) != 1)
            _exit(2);
    }
}

static int64_t count_bytes(int fd)
{
    char bytes[4096];
    int64_t sum = 0;
    ssize_t n;

    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        sum += n;
    return sum;
}

/* What the events add up to, by tenant. */
typedef struct truth {
    int64_t cents[4], deposits[4];
} truth;

static ku_status add_truth(ku_scope *scope, const ku_event *event, void *context)
{
    truth *t = context;

    (void)scope;
    t->cents[event->tenant.bytes[15]] += KU_PAYLOAD(event, deposited)->cents;
    t->deposits[event->tenant.bytes[15]]++;
    return KU_OK;
}

static ku_status read_truth(ku_scope *scope, void *context, ku_reply *reply)
{
    const ku_event_filter filter = {.all_tenants = true};

    (void)reply;
    return ku_each_event(scope, &filter, add_truth, context);
}

static void assert_true_to_the_events(lab *l, int64_t acknowledged)
{
    const ku_user system = {
        .tenant = lab_tenant(1), .id = KU_STR("s"), .roles = lab_system_roles, .n_roles = 1};
    truth t = {{0}, {0}};
    int64_t deposits = 0;

    lab_assert_ok(l, lab_as(l, false, &system, read_truth, &t));
    for (uint32_t tenant = 1; tenant <= 3; tenant++) {
        assert_int_equal(bank_sum(l, tenant, "read_revenue", "cents", "ann"), t.cents[tenant]);
        assert_int_equal(
            bank_sum(l, tenant, "read_revenue", "deposits", "ann"), t.deposits[tenant]);
        assert_int_equal(bank_sum(l, tenant, "read_heard", "times", "ann"), t.deposits[tenant]);
        deposits += t.deposits[tenant];
    }
    assert_true(deposits >= acknowledged);
}

/* Where processes share the database, what was killed has its lanes until the leases end. */
static void dispatch_all(lab *l)
{
    do {
        (void)bank_dispatch(l);
    } while (bank_info(l, 0, "lab:projection:revenue").lag > 0 ||
             bank_info(l, 0, "lab:projection:heard").lag > 0);
}

static void kill_minus_nine_at_any_moment_counts_each_event_once(void **state)
{
    lab *l = *state;
    uint32_t seed = 7;
    int64_t acknowledged = 0;

    lab_open(l, &bank_feature, false); /* so that the children find the tables */
    lab_close(l);
    for (int round = 0; round < 20; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            child_main(l, ends[1]);
        }
        (void)close(ends[1]);
        char first;
        if (read(ends[0], &first, 1) == 1) /* it runs */
            acknowledged++;
        const struct timespec moment = {0, (long)(next_random(&seed) % 60000) * 1000};
        (void)nanosleep(&moment, NULL);
        (void)kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        acknowledged += count_bytes(ends[0]);
        (void)close(ends[0]);
        if (round % 5 == 4) {
            lab_open(l, &bank_feature, false);
            lab_assert_sound(l);
            dispatch_all(l);
            assert_true_to_the_events(l, acknowledged);
            lab_close(l);
        }
    }
    assert_true(acknowledged >= 20);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while no other thread runs: it forks. */
        CASE(kill_minus_nine_at_any_moment_counts_each_event_once),
        CASE(a_commit_wakes_it),
        CASE(what_was_left_by_the_last_process_is_done_without_a_commit),
        CASE(it_rests_when_there_is_nothing_to_do),
        CASE(a_failing_lane_backs_off_and_halts_while_others_go_on),
        CASE(an_event_that_failed_once_is_tried_again_without_a_commit),
        CASE(a_transaction_that_is_lost_is_tried_again_without_a_commit),
        CASE(each_event_counts_once_beside_concurrent_writers),
    };

    return cmocka_run_group_tests_name("dispatcher", tests, NULL, NULL);
}
