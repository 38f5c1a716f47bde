/*
 * What a failure leaves (architecture §9): wherever the database fails inside a transaction, the
 * transaction is there as a whole or not at all, who heard of success finds it, and the next write
 * works.
 */
#include "app/lab.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* ---- a feature that writes to everything ----------------------------------------------------- */

typedef struct moved {
    int64_t by;
    ku_str note;
} moved;
static const ku_field moved_fields[] = {KU_FIELD(moved, by), KU_FIELD(moved, note)};
static const ku_event_type moved_event = {.name = "moved", .tag = 1, .payload = KU_SHAPE(moved)};

typedef struct total {
    ku_id stream;
    int64_t sum;
    int64_t events;
} total;
static const ku_field total_fields[] = {
    KU_FIELD(total, stream, .flags = KU_KEY),
    KU_FIELD(total, sum, .flags = KU_SUM),
    KU_FIELD(total, events, .flags = KU_SUM),
};
static const ku_table total_table = {.name = "read_totals", .row = KU_SHAPE(total)};

typedef struct total_state {
    int64_t sum;
} total_state;
static const ku_field total_state_fields[] = {KU_FIELD(total_state, sum)};
static void evolve_total(void *state, const ku_event *event)
{
    ((total_state *)state)->sum += KU_PAYLOAD(event, moved)->by;
}

static const ku_entity mover = {.name = "mover",
    .state = KU_SHAPE(total_state),
    .evolve = evolve_total,
    .events = KU_LIST(ku_event_type, &moved_event)};

typedef struct card {
    ku_str name;
    int64_t size;
} card;
static const ku_field card_fields[] = {KU_FIELD(card, name), KU_FIELD(card, size)};
static const ku_unique card_unique[] = {{KU_NAMES("name")}, KU_END};
static const ku_entity card_entity = {.name = "card", .row = KU_SHAPE(card), .unique = card_unique};

static ku_status apply_total(ku_scope *scope, const ku_event *event)
{
    const total row = {.stream = event->stream, .sum = KU_PAYLOAD(event, moved)->by, .events = 1};

    return ku_row_add(scope, &total_table, &row);
}
static const ku_on total_on[] = {KU_ON(moved, apply_total), KU_END};
static const ku_projection total_projection = {
    .name = "total", .table = &total_table, .on = total_on};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &mover, &card_entity),
    .projections = KU_LIST(ku_projection, &total_projection),
    .writes = writes,
    .queries = queries,
};

/* One write: two events on streams, a card whose name must be unique, a snapshot. */
typedef struct job {
    uint32_t n;
    size_t note_bytes;
} job;

static ku_status write_job(ku_scope *scope, void *context, ku_reply *reply)
{
    const job *j = context;
    const card row = {.name = ku_format(scope, "card %u", j->n), .size = (int64_t)j->n};
    char *note = ku_alloc(scope, j->note_bytes + 1);

    (void)reply;
    memset(note, 'x', j->note_bytes);
    ku_status status = KU_APPEND(
        scope, lab_id(5, j->n % 4), moved, .by = (int64_t)j->n, .note = ku_str_from(note));
    if (status == KU_OK)
        status = KU_APPEND(scope, lab_id(5, 4 + j->n % 3), moved, .by = 1);
    if (status == KU_OK) /* the unique look-up makes rows go early, in a savepoint */
        status = ku_entity_create(scope, &card_entity, lab_id(7, j->n), &row, NULL, NULL);
    if (status == KU_OK)
        status = ku_snapshot_aggregate(scope, &mover, lab_id(5, j->n % 4), NULL);
    return status;
}

/* Each job is there as a whole or not at all, and the tables say what the events say. */
static void assert_whole(lab *l)
{
    lab_assert_sound(l);
    int64_t cards = lab_sql(l, "SELECT count(*) FROM read_cards");
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 3 * cards);
    assert_int_equal(lab_sql(l, "SELECT coalesce(sum(events), 0) FROM read_totals"), 2 * cards);
    assert_int_equal(lab_sql(l, "SELECT coalesce(sum(sum), 0) FROM read_totals"),
        cards + lab_sql(l, "SELECT coalesce(sum(size), 0) FROM read_cards"));
}

static int set_up(void **state)
{
    lab *l = lab_new();

    lab_open(l, &feature, false);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* ---- every call to the database fails once --------------------------------------------------- */

static ku_status plan_fault(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    db_fail_after(scope->db, *(const int64_t *)context, KU_UNAVAILABLE);
    return KU_OK;
}

/* Three jobs of one commit, of which call number `fault` to the database fails. */
static void run_with_fault(lab *l, int64_t fault, uint32_t first)
{
    job jobs[3];
    lab_call *calls[3];
    ku_status told[3];
    lab_hold hold;

    lab_hold_writer(l, &hold);
    lab_call *plan = lab_submit_body(l, plan_fault, &fault, "");
    for (uint32_t i = 0; i < 3; i++) {
        jobs[i] = (job){.n = first + i};
        calls[i] = lab_submit_body(l, write_job, &jobs[i], "");
    }
    lab_release(&hold);
    (void)lab_wait(plan);
    lab_call_free(plan);
    for (int i = 0; i < 3; i++) {
        told[i] = lab_wait(calls[i]);
        lab_call_free(calls[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        char sql[100];
        (void)snprintf(
            sql, sizeof(sql), "SELECT count(*) FROM read_cards WHERE size = %u", first + i);
        /* The failure comes before anything is on disk, so what was told is what is. */
        assert_int_equal(lab_sql(l, sql), told[i] == KU_OK ? 1 : 0);
    }
}

static ku_status cancel_fault(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    db_fail_after(scope->db, 0, KU_OK);
    return KU_OK;
}

static void a_failure_at_any_call_leaves_whole_jobs(void **state)
{
    lab *l = *state;
    uint32_t n = 1;

    for (int64_t fault = 1; fault <= 60; fault++) {
        run_with_fault(l, fault, n);
        n += 3;
        (void)lab_write(l, cancel_fault, NULL);
        assert_whole(l);
        const job after = {.n = n++};
        lab_assert_ok(l, lab_write(l, write_job, &after));
    }
    assert_whole(l);
}

/* ---- a disk that is full --------------------------------------------------------------------- */

/* No file of this process grows beyond that; SIGXFSZ is ignored, so that writes fail instead. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_refuses_writes_and_later_ones_work(void **state)
{
    SKIP_ON_POSTGRES("the disk is full for this process, and PostgreSQL's files are another's");
    lab *l = *state;
    uint32_t n = 1;

    (void)signal(SIGXFSZ, SIG_IGN);
    const job small = {.n = n++};
    lab_assert_ok(l, lab_write(l, write_job, &small));
    limit_files(256 * 1024);
    int refused = 0;
    while (refused < 5) {
        const job big = {.n = n++, .note_bytes = 20000};
        ku_status status = lab_write(l, write_job, &big);
        if (status != KU_OK) {
            assert_true(l->response.http_status == 503 || l->response.http_status == 500);
            refused++;
        }
        assert_true(n < 1000);
    }
    limit_files(0);
    for (int i = 0; i < 5; i++) {
        const job big = {.n = n++, .note_bytes = 20000};
        lab_assert_ok(l, lab_write(l, write_job, &big));
    }
    assert_whole(l);
    lab_close(l);
    lab_open(l, &feature, false);
    assert_whole(l);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* So much in one transaction that the engine has to write before the commit, and cannot. */
static void a_full_disk_in_mid_transaction_leaves_nothing_of_it(void **state)
{
    SKIP_ON_POSTGRES("the disk is full for this process, and PostgreSQL's files are another's");
    enum { JOBS = 200 };
    lab *l = *state;
    static job jobs[JOBS];
    static lab_call *calls[JOBS];
    lab_hold hold;

    (void)signal(SIGXFSZ, SIG_IGN);
    for (uint32_t round = 0; round < 3; round++) {
        lab_hold_writer(l, &hold);
        for (uint32_t i = 0; i < JOBS; i++) {
            jobs[i] = (job){.n = round * JOBS + i, .note_bytes = 50000};
            calls[i] = lab_submit_body(l, write_job, &jobs[i], "");
        }
        limit_files(512 * 1024);
        lab_release(&hold);
        for (uint32_t i = 0; i < JOBS; i++) {
            (void)lab_wait(calls[i]);
            lab_call_free(calls[i]);
        }
        limit_files(0);
        assert_whole(l);
    }
    const job after = {.n = 100000};
    lab_assert_ok(l, lab_write(l, write_job, &after));
    assert_whole(l);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* Writes in groups until it is killed, and says which jobs it was told are done. */
static void child_main(lab *l, uint32_t first, int told)
{
    enum { GROUP = 8 };
    job jobs[GROUP];
    lab_call *calls[GROUP];

    lab_open(l, &feature, true);
    for (uint32_t n = first;; n += GROUP) {
        for (uint32_t i = 0; i < GROUP; i++) {
            jobs[i] = (job){.n = n + i, .note_bytes = 100};
            calls[i] = lab_submit_body(l, write_job, &jobs[i], "");
        }
        for (uint32_t i = 0; i < GROUP; i++) {
            if (lab_wait(calls[i]) == KU_OK &&
                write(told, &jobs[i].n, sizeof(jobs[i].n)) != sizeof(jobs[i].n))
                _exit(2);
            lab_call_free(calls[i]);
        }
    }
}

static void kill_minus_nine_loses_nothing_that_was_told(void **state)
{
    lab *l = *state;
    uint32_t n, seed = 3, told = 0;

    lab_close(l);
    for (uint32_t round = 0; round < 15; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            child_main(l, 1 + round * 100000, ends[1]);
        }
        (void)close(ends[1]);
        static uint32_t numbers[100000];
        size_t n_numbers = 0;
        if (read(ends[0], &n, sizeof(n)) == (ssize_t)sizeof(n))
            numbers[n_numbers++] = n;
        seed = seed * 1664525u + 1013904223u;
        const struct timespec moment = {0, (long)(seed >> 8) % 30000 * 1000};
        (void)nanosleep(&moment, NULL);
        (void)kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        while (n_numbers < KU_COUNT(numbers) && read(ends[0], &n, sizeof(n)) == (ssize_t)sizeof(n))
            numbers[n_numbers++] = n;
        (void)close(ends[0]);
        lab_open(l, &feature, false);
        assert_whole(l);
        for (size_t i = 0; i < n_numbers; i++) {
            char sql[100];
            (void)snprintf(
                sql, sizeof(sql), "SELECT count(*) FROM read_cards WHERE size = %u", numbers[i]);
            assert_int_equal(lab_sql(l, sql), 1);
        }
        told += (uint32_t)n_numbers;
        lab_close(l);
    }
    assert_true(told >= 15);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(kill_minus_nine_loses_nothing_that_was_told),
        CASE(a_failure_at_any_call_leaves_whole_jobs),
        CASE(a_full_disk_refuses_writes_and_later_ones_work),
        CASE(a_full_disk_in_mid_transaction_leaves_nothing_of_it),
    };

    return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
