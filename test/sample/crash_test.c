/*
 * What a crash leaves.  The server is killed in the middle of a load, several times, always on the
 * same file.  Afterwards every write that was answered is there, once; a write that was not
 * answered is there once, too, as soon as its request has been repeated; and what is derived from
 * the events agrees with them.
 */
#include "sample/sample.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WORKERS = 8, ROUNDS = 4, ATTEMPTS_MAX = 4096 };

/* One request: what was sent, and the answer's `data` if there was an answer. */
typedef struct attempt {
    const char *body;
    const char *data;
} attempt;

/* A client that writes invoices until the server is gone. */
typedef struct worker {
    pthread_t thread;
    sample own; /* its connection, its memory, its user */
    int number, round;
    attempt attempts[ATTEMPTS_MAX];
    size_t n_attempts;
    const answer *refusal; /* what ended it, if it was not the end of the server */
} worker;

/* Answered writes of the round: when to pull the plug; and writes that went wrong. */
static atomic_int answered, refused;

/* ---- the load -------------------------------------------------------------------------------- */

/* Sends a write with a request id; NULL: nobody answered. */
static const answer *attempt_write(worker *w, const char *type, const char *payload)
{
    if (w->n_attempts == ATTEMPTS_MAX)
        return NULL;
    const char *body = sample_format(&w->own,
        "{\"type\":\"showcase:write:invoice:%s\",\"payload\":%s,\"requestId\":\"%d-%d-%zu\"}", type,
        payload, w->round, w->number, w->n_attempts);
    attempt *next = &w->attempts[w->n_attempts];
    *next = (attempt){.body = body};
    w->n_attempts++;
    const answer *made = sample_try_post(&w->own, "/api/write", body);
    if (made == NULL)
        return NULL;
    if (made->status != 200) {
        w->refusal = made; /* the main thread says so: a test fails on its own thread only */
        atomic_fetch_add(&refused, 1);
        return NULL;
    }
    next->data = at(made, "data");
    atomic_fetch_add(&answered, 1);
    return made;
}

static void *write_invoices(void *context)
{
    worker *w = context;
    for (int amount = 1;; amount++) {
        const answer *made = attempt_write(
            w, "create", sample_format(&w->own, "{\"customer\":\"Customer %d\"}", w->number));
        if (made == NULL)
            return NULL;
        const char *id = at(made, "data.id");
        const char *approval = sample_format(
            &w->own, "{\"id\":\"%s\",\"amountCents\":%d,\"approvedBy\":\"cfo\"}", id, amount);
        const char *payment =
            sample_format(&w->own, "{\"id\":\"%s\",\"amountCents\":%d}", id, amount);
        if (attempt_write(w, "approve", approval) == NULL ||
            attempt_write(w, "pay", payment) == NULL)
            return NULL;
    }
}

/* A load, and the end of the server after so many answers. */
static void crash_under_load(sample *s, worker *workers, int round, int kill_after)
{
    atomic_store(&answered, 0);
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        w->number = i;
        w->round = round;
        w->n_attempts = 0;
        w->own.token = s->token;
        w->own.client = http_open(s->server.port);
        assert_int_equal(pthread_create(&w->thread, NULL, write_invoices, w), 0);
    }
    const struct timespec pause = {.tv_nsec = 200 * 1000};
    while (atomic_load(&answered) < kill_after && atomic_load(&refused) == 0)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(sample_stop(s, SIGKILL), -SIGKILL);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        http_close(workers[i].own.client);
        if (workers[i].refusal != NULL)
            assert_status(workers[i].refusal, 200);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* An answered request gets its answer again; an unanswered one runs now or has run: once. */
static void repeat_everything(sample *s, worker *w)
{
    for (size_t i = 0; i < w->n_attempts; i++) {
        attempt *repeated = &w->attempts[i];
        const answer *again = sample_post(s, "/api/write", NULL, "%s", repeated->body);
        assert_status(again, 200);
        if (repeated->data != NULL)
            assert_at(again, "data", repeated->data);
        const answer *thrice = sample_post(s, "/api/write", NULL, "%s", repeated->body);
        assert_at(thrice, "data", at(again, "data"));
    }
}

static int64_t number(sample *s, const char *sql)
{
    return strtoll(sample_sql(s, sql), NULL, 10);
}

/* Revenue per customer against a sum over the events themselves. */
static void assert_revenue_agrees_with_the_events(sample *s)
{
    const answer *list;
    int64_t counted;
    const int64_t paid =
        number(s, "SELECT count(*) FROM ku_events WHERE type = 'showcase:event:invoice-paid'");
    const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
    for (;;) {
        list = sample_query(s, "showcase:query:revenue:list", "{}");
        assert_status(list, 200);
        counted = 0;
        for (int i = 0; i < count(list, "data"); i++)
            counted += strtoll(at(list, sample_format(s, "data.%d.paidInvoices", i)), NULL, 10);
        assert_true(counted <= paid);
        if (counted == paid)
            break;
        (void)nanosleep(&pause, NULL);
    }
    for (int i = 0; i < count(list, "data"); i++) {
        const char *customer = at(list, sample_format(s, "data.%d.customer", i));
        const char *total = at(list, sample_format(s, "data.%d.totalCents", i));
        const char *sql = test_by_engine("SELECT sum(payload ->> 'amountCents')",
            "SELECT sum((payload::json ->> 'amountCents')::bigint)");
        const char *customer_of = test_by_engine("payload", "payload::json");
        assert_string_equal(
            total, sample_sql(s, sample_format(s,
                                     "%s FROM ku_events WHERE type = 'showcase:event:invoice-paid' "
                                     "AND %s ->> 'customer' = '%s'",
                                     sql, customer_of, customer)));
    }
}

static void assert_check_is_clean(sample *s)
{
    static const char *const argv[] = {TEST_BIN_DIR "/showcase", "check", NULL};
    char *output = NULL;
    int exit_code = process_run(argv, NULL, s->dir, &output);
    if (exit_code != 0)
        print_error("%s\n", output);
    assert_int_equal(exit_code, 0);
    free(output);
}

/* ---- the case -------------------------------------------------------------------------------- */

static void a_killed_server_has_lost_nothing_it_answered(void **state)
{
    sample *s = *state;
    worker *workers = calloc(WORKERS, sizeof *workers);
    int64_t requests = 0;
    sample_stop(s, SIGTERM);
    s->flag = "--no-rate-limits"; /* a payment limit of five a minute is not what this is about */

    for (int round = 0; round < ROUNDS; round++) {
        sample_start(s);
        crash_under_load(s, workers, round, 50 + 97 * round);
        assert_check_is_clean(s);
        sample_start(s);
        for (int i = 0; i < WORKERS; i++) {
            repeat_everything(s, &workers[i]);
            requests += (int64_t)workers[i].n_attempts;
        }
        /* Each request is one event, neither none nor two. */
        assert_int_equal(number(s, "SELECT count(*) FROM ku_events"), requests);
        assert_revenue_agrees_with_the_events(s);
        assert_int_equal(sample_stop(s, SIGTERM), 0);
        assert_check_is_clean(s);
    }
    for (int i = 0; i < WORKERS; i++)
        arena_done(&workers[i].own.arena);
    free(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(a_killed_server_has_lost_nothing_it_answered),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
