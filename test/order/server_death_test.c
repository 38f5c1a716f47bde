/*
 * PostgreSQL dies, and comes back.
 *
 * A server of the test's own is killed with all its processes in the middle of a load, several
 * times, and started again with what is on its disk.  Whatever was acknowledged is there, once;
 * callers who repeat with their request ids get every step done, once; the others know which steps
 * are there, but for those whose COMMIT was under way; and the dispatcher goes on by itself.
 *
 * The other way round: with several hosts in the URL the application finds the one that can be
 * written to, and another one when that is gone.
 */
#include "order/ledger.h"
#include "support/pg_proxy.h"
#include "support/pg_server.h"

#include <pthread.h>
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

enum { CALLERS = 8, TENANTS = 5, ROUNDS = 5, ACKNOWLEDGED_BETWEEN = 300, DISPATCH_S = 60 };

typedef struct fixture {
    pg_server *server;
    test_database *database;
    ku_app *app;
    ledger *ledger;
    atomic_bool stop;
    atomic_int acknowledged, unavailable, unknown;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->server = pg_server_open();
    (void)setenv("KUMIKO_TEST_POSTGRES", pg_server_url(f->server), 1);
    f->database = test_database_new();
    f->ledger = ledger_new(TENANTS);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    ku_app_close(f->app);
    ledger_free(f->ledger);
    test_database_free(f->database);
    pg_server_close(f->server);
    free(f);
    return 0;
}

/* ---- the load -------------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    fixture *f;
    int number;
    const char *complaint; /* an answer that nobody expects */
    char text[400];
} client;

static void wait_a_moment(void)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
}

/* False: an answer that is neither success nor 503. */
static bool count(client *c, const heard *h, const invoice *i, step s)
{
    if (h->status == KU_OK)
        atomic_fetch_add(&c->f->acknowledged, 1);
    else if (i->outcomes[s] == OUTCOME_UNKNOWN)
        atomic_fetch_add(&c->f->unknown, 1);
    else
        atomic_fetch_add(&c->f->unavailable, 1);
    if (h->status == KU_OK || h->http_status == 503)
        return true;
    (void)snprintf(c->text, sizeof c->text, "%s: %d %s", ledger_type(s), h->http_status, h->text);
    c->complaint = c->text;
    return false;
}

/* Repeats a step with its request id until it is done. */
static bool insist(client *c, invoice *i, step s)
{
    char id[40];

    (void)snprintf(id, sizeof id, "request-%d-%d", i->number, (int)s);
    for (;;) {
        const heard h = ledger_write(c->f->app, i, s, id);
        if (!count(c, &h, i, s))
            return false;
        if (h.status == KU_OK)
            return true;
        wait_a_moment();
    }
}

/* One attempt without an id; false: the invoice goes no further. */
static bool try_once(client *c, invoice *i, step s)
{
    const heard h = ledger_write(c->f->app, i, s, NULL);

    (void)count(c, &h, i, s);
    if (h.status != KU_OK)
        wait_a_moment();
    return h.status == KU_OK;
}

static void *write_invoices(void *context)
{
    client *c = context;

    while (!atomic_load(&c->f->stop) && c->complaint == NULL) {
        invoice *i = ledger_invoice(c->f->ledger);
        bool (*write)(client * c, invoice * i, step s) = c->number % 2 == 0 ? insist : try_once;
        step s = 0;
        while (s < STEPS && write(c, i, s))
            s++;
    }
    return NULL;
}

static void wait_for_acknowledged(fixture *f, int more)
{
    const int wanted = atomic_load(&f->acknowledged) + more;

    for (int tries = 0; tries < 6000 && atomic_load(&f->acknowledged) < wanted; tries++)
        wait_a_moment();
    assert_true(atomic_load(&f->acknowledged) >= wanted);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_killed_server_has_lost_nothing_that_was_acknowledged(void **state)
{
    fixture *f = *state;
    client clients[CALLERS] = {0};

    f->app = ledger_open(f->database->url, true);
    for (int i = 0; i < CALLERS; i++) {
        clients[i].f = f;
        clients[i].number = i;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, write_invoices, &clients[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        wait_for_acknowledged(f, ACKNOWLEDGED_BETWEEN);
        pg_server_kill(f->server);
        if (round > 0) /* for some it is only a moment */
            for (int i = 0; i < 50; i++)
                wait_a_moment();
        pg_server_start(f->server);
    }
    wait_for_acknowledged(f, ACKNOWLEDGED_BETWEEN);
    atomic_store(&f->stop, true);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        if (clients[i].complaint != NULL)
            print_error("%s\n", clients[i].complaint);
    }
    print_message("%d steps acknowledged, %d unavailable, %d unknown\n",
        atomic_load(&f->acknowledged), atomic_load(&f->unavailable), atomic_load(&f->unknown));
    for (int i = 0; i < CALLERS; i++)
        assert_null(clients[i].complaint);
    ledger_assert_kept(f->ledger, f->database);
    ledger_assert_models(f->database, DISPATCH_S);
    ledger_assert_whole(f->database);
}

/* Every step has to succeed at once. */
static void write_one(fixture *f)
{
    invoice *i = ledger_invoice(f->ledger);

    for (step s = 0; s < STEPS; s++) {
        const heard h = ledger_write(f->app, i, s, NULL);
        if (h.status != KU_OK)
            fail_msg("%d %s", h.http_status, h.text);
    }
}

/* The test's database behind several hosts; port 1 answers nobody. */
static void url_of(const fixture *f, const pg_server *other, size_t size, char *ret_url)
{
    (void)snprintf(ret_url, size,
        "postgresql://kumiko@127.0.0.1:1,127.0.0.1:%d,127.0.0.1:%d/postgres%s"
        "&target_session_attrs=read-write",
        pg_proxy_port_of(pg_server_url(other)), pg_proxy_port_of(f->database->url),
        strchr(f->database->url, '?'));
}

static void the_host_that_can_be_written_to_is_found(void **state)
{
    fixture *f = *state;
    char url[1200];
    pg_server *standby = pg_server_open();

    pg_server_make_read_only(standby);
    url_of(f, standby, sizeof url, url);
    f->app = ledger_open(url, false);
    write_one(f);
    ledger_assert_kept(f->ledger, f->database);
    ku_app_close(f->app);
    f->app = NULL;
    pg_server_close(standby);
}

/* Its connections stay open and refuse to write; the other host takes over. */
static void a_primary_that_is_one_no_more_is_left(void **state)
{
    fixture *f = *state;
    char url[1200], sql[100];
    pg_server *primary = pg_server_open();

    ku_app_close(ledger_open(f->database->url, false)); /* the tables are there */
    (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s", f->database->schema);
    pg_server_run(primary, sql);
    url_of(f, primary, sizeof url, url);
    f->app = ledger_open(url, false);
    write_one(f);
    assert_int_equal(ledger_events(f->database), 0);
    pg_server_make_read_only(primary);
    for (int tries = 0; tries < 500 && ledger_events(f->database) == 0; tries++) {
        write_one(f); /* until the primary's processes have heard of it */
        wait_a_moment();
    }
    assert_in_range(ledger_events(f->database), 1, STEPS);
    ku_app_close(f->app);
    f->app = NULL;
    pg_server_close(primary);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_killed_server_has_lost_nothing_that_was_acknowledged),
        CASE(the_host_that_can_be_written_to_is_found),
        CASE(a_primary_that_is_one_no_more_is_left),
    };

    return cmocka_run_group_tests_name("a server's death", tests, NULL, NULL);
}
