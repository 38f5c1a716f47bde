/*
 * Two servers on one database.
 *
 * Both start at once on an empty schema and share a load over HTTP.  One is killed in the middle of
 * it: every write that was answered is there, once; a request that was not answered is repeated to
 * the other server with its id and is there once, too; and the other goes on with the consumers
 * whose leases the dead one has left.  One that was only stopped, and continues when its leases are
 * long somebody else's, spoils nothing.
 */
#include "order/ledger.h"
#include "support/http_client.h"
#include "support/http_token.h"
#include "support/process.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SERVERS = 2, CLIENTS = 8, TENANTS = 12, BEFORE = 600, AFTER = 600 };
enum { TAKE_OVER_MS = 5000, WAIT_S = 60, STOPPED_MS = 4500 };

typedef struct fixture {
    test_database *database;
    process servers[SERVERS];
    ledger *ledger;
    char *tokens[TENANTS];
    atomic_bool stop;
    atomic_int killed; /* which server; -1: none */
    atomic_int acknowledged, repeated, unanswered, unavailable;
} fixture;

typedef struct starting {
    pthread_t thread;
    process *server;
} starting;

static void *start_server(void *context)
{
    static const char *const argv[] = {TEST_BIN_DIR "/showcase", "serve", "--no-rate-limits", NULL};
    const starting *s = context;

    process_start(argv, NULL, NULL, s->server);
    return NULL;
}

/* Those from the first to before the second, all at the same time. */
static void start_servers(fixture *f, int from, int to)
{
    starting starts[SERVERS];

    process_set_database(f->database->url);
    for (int i = from; i < to; i++) {
        starts[i].server = &f->servers[i];
        assert_int_equal(pthread_create(&starts[i].thread, NULL, start_server, &starts[i]), 0);
    }
    for (int i = from; i < to; i++)
        assert_int_equal(pthread_join(starts[i].thread, NULL), 0);
    process_set_database(NULL);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    atomic_store(&f->killed, -1);
    f->database = test_database_new();
    f->ledger = ledger_new(TENANTS);
    for (int i = 0; i < TENANTS; i++) {
        char tenant[40];
        (void)snprintf(tenant, sizeof tenant, "00000000-0000-4000-8000-%012d", 100 + i);
        f->tokens[i] = test_token_for(tenant, NULL, NULL);
    }
    start_servers(f, 0, SERVERS);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    for (int i = 0; i < SERVERS; i++)
        process_done(&f->servers[i]);
    for (int i = 0; i < TENANTS; i++)
        free(f->tokens[i]);
    ledger_free(f->ledger);
    test_database_free(f->database);
    free(f);
    return 0;
}

static void wait_ms(int ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- the load -------------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    fixture *f;
    int number;
    int server; /* to which it speaks */
    http_client *http;
    char complaint[600]; /* an answer that nobody expects */
} client;

/* The connection has ended without an answer: again, or to the server that is left. */
static void connect_again(client *c)
{
    if (atomic_load(&c->f->killed) == c->server)
        c->server = 1 - c->server;
    http_close(c->http);
    c->http = http_open(c->f->servers[c->server].port);
}

/* One step; with an id it is repeated until it is done.  False: the invoice goes no further. */
static bool write_step(client *c, invoice *i, step s, bool with_id)
{
    const char *token = c->f->tokens[i->tenant];
    char payload[200], id[60] = "", body[400];
    http_answer answer;

    if (with_id)
        (void)snprintf(id, sizeof id, ",\"requestId\":\"%d-%d\"", i->number, (int)s);
    (void)snprintf(body, sizeof body, "{\"type\":\"%s\",\"payload\":%s%s}", ledger_type(s),
        ledger_payload(i, s, payload), id);
    for (;;) {
        http_send_request(c->http, "POST", "/api/write", token, body, NULL);
        if (!http_receive(c->http, &answer)) {
            connect_again(c);
            i->outcomes[s] = OUTCOME_UNKNOWN;
            atomic_fetch_add(&c->f->unanswered, 1);
        } else {
            ledger_note(i, s, answer.status, answer.body);
            if (answer.status == 503) {
                atomic_fetch_add(&c->f->unavailable, 1);
                wait_ms(10);
            }
            if (answer.status != 200 && answer.status != 503)
                (void)snprintf(c->complaint, sizeof c->complaint, "%s: %d %s", body, answer.status,
                    answer.body);
            http_answer_done(&answer);
        }
        if (i->outcomes[s] == OUTCOME_ACKNOWLEDGED) {
            atomic_fetch_add(&c->f->acknowledged, 1);
            return true;
        }
        if (!with_id || c->complaint[0] != '\0')
            return false;
        atomic_fetch_add(&c->f->repeated, 1);
    }
}

static void *write_invoices(void *context)
{
    client *c = context;

    while (!atomic_load(&c->f->stop) && c->complaint[0] == '\0') {
        invoice *i = ledger_invoice(c->f->ledger);
        step s = 0;
        while (s < STEPS && write_step(c, i, s, c->number % 4 != 3))
            s++;
        wait_ms(2); /* a fast machine must not need more memory than a slow one */
    }
    return NULL;
}

/* Half of the clients begin at each server. */
static void start_load(fixture *f, client *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        client *c = &clients[i];
        *c = (client){.f = f, .number = i, .server = i % SERVERS};
        c->http = http_open(f->servers[c->server].port);
        assert_int_equal(pthread_create(&c->thread, NULL, write_invoices, c), 0);
    }
}

static void end_load(fixture *f, client *clients)
{
    bool complained = false;

    atomic_store(&f->stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        http_close(clients[i].http);
        if (clients[i].complaint[0] != '\0') {
            print_error("%s\n", clients[i].complaint);
            complained = true;
        }
    }
    assert_false(complained);
    print_message("%d steps acknowledged, %d repeated, %d unanswered, %d unavailable\n",
        atomic_load(&f->acknowledged), atomic_load(&f->repeated), atomic_load(&f->unanswered),
        atomic_load(&f->unavailable));
}

static void wait_for_acknowledged(fixture *f, int more)
{
    const int wanted = atomic_load(&f->acknowledged) + more;
    const int64_t until = now_ms() + WAIT_S * 1000;

    while (atomic_load(&f->acknowledged) < wanted && now_ms() < until)
        wait_ms(2);
    assert_true(atomic_load(&f->acknowledged) >= wanted);
}

/* ---- who works ------------------------------------------------------------------------------- */

/* From now on payments up to here are looked at. */
static void note_heads(const fixture *f)
{
    test_database_run(f->database, "DROP TABLE IF EXISTS noted_heads");
    test_database_run(
        f->database, "CREATE TABLE noted_heads AS SELECT tenant_id, lane, head FROM ku_lanes");
}

/* How long it takes until every payment that was noted is projected. */
static int64_t wait_for_consumers(const fixture *f)
{
    const int64_t begin = now_ms();

    while (test_database_int(f->database,
               "SELECT count(*) FROM ku_events e JOIN noted_heads h USING (tenant_id, lane) "
               "LEFT JOIN ku_cursors c ON c.tenant_id = e.tenant_id AND c.lane = e.lane "
               "AND c.consumer = 'showcase:projection:customer-revenue' "
               "WHERE e.type = 'showcase:event:invoice-paid' AND e.position <= h.head "
               "AND e.position > coalesce(c.position, 0)") > 0 &&
           now_ms() < begin + WAIT_S * 1000)
        wait_ms(5);
    return now_ms() - begin;
}

static void assert_nothing_lost_or_doubled(fixture *f)
{
    ledger_assert_kept(f->ledger, f->database);
    ledger_assert_models(f->database, WAIT_S);
    ledger_assert_whole(f->database);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/*
 * Whoever has the leases when both work: after the first death they are the other's, so that the
 * second one leaves some in any case.
 */
static void of_two_servers_one_goes_on_where_the_other_was_killed(void **state)
{
    fixture *f = *state;
    client clients[CLIENTS];
    int64_t took_ms[SERVERS];

    start_load(f, clients);
    for (int i = 0; i < SERVERS; i++) {
        wait_for_acknowledged(f, BEFORE);
        atomic_store(&f->killed, i);
        assert_int_equal(process_stop(&f->servers[i], SIGKILL), -SIGKILL);
        note_heads(f);
        took_ms[i] = wait_for_consumers(f);
        print_message(
            "payments from before the death were projected within %d ms of it\n", (int)took_ms[i]);
        wait_for_acknowledged(f, AFTER);
        process_done(&f->servers[i]);
        start_servers(f, i, i + 1);
        atomic_store(&f->killed, -1);
    }
    end_load(f, clients);
    assert_true(atomic_load(&f->unanswered) > 0);
    assert_nothing_lost_or_doubled(f);
    for (int i = 0; i < SERVERS; i++) {
        assert_in_range(took_ms[i], 0, TAKE_OVER_MS);
        assert_int_equal(process_stop(&f->servers[i], SIGTERM), 0);
    }
}

static void a_server_that_was_stopped_past_its_leases_spoils_nothing(void **state)
{
    fixture *f = *state;
    client clients[CLIENTS];

    start_load(f, clients);
    for (int i = 0; i < SERVERS; i++) {
        wait_for_acknowledged(f, BEFORE);
        assert_int_equal(kill(f->servers[i].pid, SIGSTOP), 0);
        wait_ms(STOPPED_MS);
        assert_int_equal(kill(f->servers[i].pid, SIGCONT), 0);
    }
    wait_for_acknowledged(f, AFTER);
    end_load(f, clients);
    assert_nothing_lost_or_doubled(f);
    for (int i = 0; i < SERVERS; i++)
        assert_int_equal(process_stop(&f->servers[i], SIGTERM), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(of_two_servers_one_goes_on_where_the_other_was_killed),
        CASE(a_server_that_was_stopped_past_its_leases_spoils_nothing),
    };

    return cmocka_run_group_tests_name("two processes", tests, NULL, NULL);
}
