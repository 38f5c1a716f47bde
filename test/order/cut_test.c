/*
 * Connections that are cut, between any two protocol messages.
 *
 * An application reaches its database through a proxy that cuts a connection at the n-th message,
 * for every n that a create, an approve and a pay have: nothing that was acknowledged is lost, and
 * what was not acknowledged is not there, unless COMMIT had left.  Then, and only then, the caller
 * is told that nobody knows; with a request id the library finds out by itself, and nothing is
 * there twice.  The same for what a dispatcher does.
 */
#include "order/ledger.h"
#include "support/pg_proxy.h"

#include "support/http_token.h"

#include <libpq-fe.h>
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

enum { MESSAGES_MAX = 2000, ATTEMPTS_MAX = 200, DISPATCHED = 6, BACKGROUND_CUTS = 40 };
/* New connections are told the same things again and again. */
enum { FRESH_STRIDE = 3 };

typedef struct fixture {
    test_database *database;
    pg_proxy *proxy;
    char url[1024]; /* through the proxy */
    ku_app *app;
    ledger *ledger;
    PGconn *beside; /* not through the proxy */
    PGresult *found;
    int requests, invoices; /* so far */
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->database = test_database_new();
    f->proxy = pg_proxy_open(pg_proxy_port_of(f->database->url));
    pg_proxy_url(f->proxy, f->database->url, sizeof f->url, f->url);
    f->app = ledger_open(f->url, false);
    f->ledger = ledger_new(1);
    f->beside = PQconnectdb(f->database->url);
    assert_int_equal(PQstatus(f->beside), CONNECTION_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    PQclear(f->found);
    PQfinish(f->beside);
    ku_app_close(f->app);
    pg_proxy_close(f->proxy);
    ledger_free(f->ledger);
    test_database_free(f->database);
    free(f);
    return 0;
}

/* ---- one step with a cut --------------------------------------------------------------------- */

/* The first column of the first row, beside the proxy; "" if there is none. */
static const char *look_up(fixture *f, const char *sql)
{
    PQclear(f->found);
    f->found = PQexec(f->beside, sql);
    if (PQresultStatus(f->found) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(f->beside));
    return PQntuples(f->found) > 0 ? PQgetvalue(f->found, 0, 0) : "";
}

/* How often this step of the invoice is in the database. */
static int64_t times_there(fixture *f, const invoice *i, step s)
{
    static const char *const types[STEPS] = {"showcase-invoice.created",
        "showcase:event:invoice-approved", "showcase:event:invoice-paid"};
    char sql[400];

    (void)snprintf(sql, sizeof sql,
        "SELECT count(*) FROM ku_events e WHERE type = '%s' AND stream_id IN (SELECT stream_id "
        "FROM ku_events WHERE type = '%s' AND payload = "
        "'{\"customer\":\"%s\",\"status\":\"draft\"}')",
        types[s], types[STEP_CREATE], i->customer);
    return strtoll(look_up(f, sql), NULL, 10);
}

static void learn_id(fixture *f, invoice *i)
{
    char sql[300];

    (void)snprintf(sql, sizeof sql,
        "SELECT stream_id FROM ku_events WHERE type = 'showcase-invoice.created' "
        "AND payload::json ->> 'customer' = '%s'",
        i->customer);
    (void)snprintf(i->id, sizeof i->id, "%s", look_up(f, sql));
    assert_int_equal(strlen(i->id), 36);
}

/* Without a request id: the answer says exactly what can be known.  True: it was cut in here. */
static bool write_once(fixture *f, invoice *i, step s)
{
    pg_proxy_seen before, seen;

    pg_proxy_look(f->proxy, &before);
    const heard h = ledger_write(f->app, i, s, NULL);
    pg_proxy_look(f->proxy, &seen);
    const bool cut_here = seen.cut && !before.cut;
    const bool in_doubt = cut_here && seen.in_doubt;
    const int64_t there = times_there(f, i, s);

    if (h.status != KU_OK && (h.http_status != 503 || !cut_here))
        fail_msg("message %d: %d %s", (int)seen.messages, h.http_status, h.text);
    if (in_doubt != (i->outcomes[s] == OUTCOME_UNKNOWN))
        fail_msg("message %d, COMMIT %s: %d %s", (int)seen.messages,
            in_doubt ? "had left" : "had not left", h.http_status, h.text);
    if (h.status == KU_OK)
        assert_int_equal(there, 1);
    else if (!in_doubt)
        assert_int_equal(there, 0);
    else
        assert_in_range(there, 0, 1);
    return cut_here;
}

/* What a careful caller does without a request id: looks, and tries again if it is not there. */
static void write_until_it_is_there(fixture *f, invoice *i, step s)
{
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        (void)write_once(f, i, s);
        if (times_there(f, i, s) == 1) {
            if (i->id[0] == '\0')
                learn_id(f, i);
            i->outcomes[s] = OUTCOME_ACKNOWLEDGED;
            return;
        }
    }
    fail_msg("%s", "it cannot be written any more");
}

/* With a request id the library looks by itself; the answer to a repetition is the first one. */
static void write_with_id(fixture *f, invoice *i, step s)
{
    char id[32];
    pg_proxy_seen seen;

    (void)snprintf(id, sizeof id, "request-%d", f->requests++);
    const heard first = ledger_write(f->app, i, s, id);
    if (first.status != KU_OK)
        fail_msg("%d %s", first.http_status, first.text);
    assert_int_equal(times_there(f, i, s), 1);
    pg_proxy_look(f->proxy, &seen);
    if (!seen.cut)
        return;
    const heard again = ledger_write(f->app, i, s, id);
    assert_int_equal(again.status, KU_OK);
    assert_string_equal(again.text, first.text);
    assert_int_equal(times_there(f, i, s), 1);
}

typedef void write_step(fixture *f, invoice *i, step s);

static void write_all_steps(fixture *f, write_step *write)
{
    invoice *i = ledger_invoice(f->ledger);

    f->invoices++;
    for (step s = 0; s < STEPS; s++)
        write(f, i, s);
}

static void assert_nothing_lost_or_doubled(fixture *f)
{
    assert_int_equal(ledger_events(f->database), STEPS * f->invoices);
    ledger_assert_kept(f->ledger, f->database);
    ledger_assert_whole(f->database);
}

/* ---- every message --------------------------------------------------------------------------- */

/* The program's connections are lost while it does not use them. */
static void lose_connections(fixture *f)
{
    pg_proxy_seen seen;

    pg_proxy_cut_all(f->proxy);
    pg_proxy_look(f->proxy, &seen);
}

/* Everything that a write needs is prepared on the connections. */
static void warm_up(fixture *f)
{
    pg_proxy_arm(f->proxy, PG_CUT_NOTHING, 1);
    write_all_steps(f, write_until_it_is_there);
}

/*
 * An invoice for each `stride`-th message that one takes, until there is none left to be cut at.
 */
static void sweep(fixture *f, int stride, void (*prepare)(fixture *f), write_step *write)
{
    pg_proxy_seen seen = {.cut = true};
    int n = 0, cuts = -1;

    for (; seen.cut; cuts++) {
        n += stride;
        assert_true(n < MESSAGES_MAX);
        prepare(f);
        pg_proxy_arm(f->proxy, PG_CUT_AT_MESSAGE, n);
        write_all_steps(f, write);
        pg_proxy_look(f->proxy, &seen);
    }
    print_message("%d cuts\n", cuts);
    assert_true(n > 3 * 6); /* each step begins, reads, writes and commits, and hears of it */
    assert_nothing_lost_or_doubled(f);
}

static void a_caller_is_told_what_can_be_known_wherever_it_is_cut(void **state)
{
    sweep(*state, 1, warm_up, write_until_it_is_there);
}

static void a_caller_is_told_what_can_be_known_on_new_connections(void **state)
{
    sweep(*state, FRESH_STRIDE, lose_connections, write_until_it_is_there);
}

static void a_request_with_an_id_succeeds_wherever_it_is_cut(void **state)
{
    sweep(*state, 1, warm_up, write_with_id);
}

static void a_request_with_an_id_succeeds_on_new_connections(void **state)
{
    sweep(*state, FRESH_STRIDE, lose_connections, write_with_id);
}

/* ---- COMMIT ---------------------------------------------------------------------------------- */

static void commit_that_does_not_arrive_is_an_unknown_outcome(void **state)
{
    fixture *f = *state;

    warm_up(f);
    invoice *i = ledger_invoice(f->ledger);
    pg_proxy_arm(f->proxy, PG_CUT_BEFORE_COMMIT, 1);
    const heard h = ledger_write(f->app, i, STEP_CREATE, NULL);
    assert_int_equal(h.http_status, 503);
    assert_int_equal(i->outcomes[STEP_CREATE], OUTCOME_UNKNOWN);
    assert_int_equal(times_there(f, i, STEP_CREATE), 0);
    assert_int_equal(ledger_write(f->app, i, STEP_CREATE, NULL).status, KU_OK);
}

static void commit_whose_answer_does_not_arrive_is_an_unknown_outcome(void **state)
{
    fixture *f = *state;

    warm_up(f);
    invoice *i = ledger_invoice(f->ledger);
    pg_proxy_arm(f->proxy, PG_CUT_AFTER_COMMIT, 1);
    const heard h = ledger_write(f->app, i, STEP_CREATE, NULL);
    assert_int_equal(h.http_status, 503);
    assert_int_equal(i->outcomes[STEP_CREATE], OUTCOME_UNKNOWN);
    assert_int_equal(times_there(f, i, STEP_CREATE), 1);
    learn_id(f, i);
    assert_int_equal(ledger_write(f->app, i, STEP_APPROVE, NULL).status, KU_OK);
}

static void a_request_with_an_id_is_looked_up_after_commit(void **state)
{
    static const pg_cut cuts[] = {PG_CUT_BEFORE_COMMIT, PG_CUT_AFTER_COMMIT};
    fixture *f = *state;
    pg_proxy_seen seen;

    for (size_t c = 0; c < KU_COUNT(cuts); c++) {
        warm_up(f);
        f->invoices++;
        invoice *i = ledger_invoice(f->ledger);
        for (step s = 0; s < STEPS; s++) {
            pg_proxy_arm(f->proxy, cuts[c], 1);
            write_with_id(f, i, s);
            pg_proxy_look(f->proxy, &seen);
            assert_true(seen.cut && seen.in_doubt);
        }
    }
    assert_nothing_lost_or_doubled(f);
}

/* ---- while the server is away ---------------------------------------------------------------- */

static void a_server_that_is_away_is_no_unknown_outcome(void **state)
{
    fixture *f = *state;
    invoice *i = ledger_invoice(f->ledger);

    pg_proxy_refuse(f->proxy, true);
    lose_connections(f);
    const heard h = ledger_write(f->app, i, STEP_CREATE, NULL);
    assert_int_equal(h.http_status, 503);
    assert_int_equal(i->outcomes[STEP_CREATE], OUTCOME_REFUSED);
    pg_proxy_refuse(f->proxy, false);
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (ledger_write(f->app, i, STEP_CREATE, NULL).status == KU_OK)
            break;
        assert_int_equal(i->outcomes[STEP_CREATE], OUTCOME_REFUSED);
    }
    f->invoices++;
    assert_int_equal(i->outcomes[STEP_CREATE], OUTCOME_ACKNOWLEDGED);
    assert_int_equal(times_there(f, i, STEP_CREATE), 1);
}

static int query_state(fixture *f, const invoice *i)
{
    static const ku_str roles[] = {KU_STR_INIT("Admin")};
    char payload[80];
    ku_response response;

    (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", i->id);
    ku_request request = {
        .size = sizeof request,
        .type = KU_STR("showcase:query:invoice:state"),
        .payload = ku_str_from(payload),
        .user = {.id = KU_STR(TEST_USER), .roles = roles, .n_roles = KU_COUNT(roles)},
    };
    assert_true(ku_id_parse(KU_STR(TEST_TENANT), &request.user.tenant));
    (void)ku_query(f->app, &request, &response);
    if (response.http_status == 200)
        assert_non_null(strstr(response.body.ptr, "\"status\":\"paid\""));
    const int status = response.http_status;
    ku_response_free(&response);
    return status;
}

static void a_query_is_answered_or_unavailable_wherever_it_is_cut(void **state)
{
    fixture *f = *state;
    pg_proxy_seen seen = {.cut = true};
    int n = 0;

    invoice *i = ledger_invoice(f->ledger);
    for (step s = 0; s < STEPS; s++)
        write_until_it_is_there(f, i, s);
    while (seen.cut) {
        assert_true(++n < MESSAGES_MAX);
        pg_proxy_arm(f->proxy, PG_CUT_AT_MESSAGE, n);
        const int status = query_state(f, i);
        pg_proxy_look(f->proxy, &seen);
        assert_true(status == 200 || (status == 503 && seen.cut));
        pg_proxy_arm(f->proxy, PG_CUT_NOTHING, 1);
        assert_int_equal(query_state(f, i), 200);
    }
    assert_true(n > 4);
}

/* ---- the dispatcher -------------------------------------------------------------------------- */

static void dispatch_until_done(fixture *f)
{
    ku_dispatch_result result;
    ku_error error = {0};
    ku_status status = KU_UNAVAILABLE;

    for (int attempt = 0; attempt < ATTEMPTS_MAX && status != KU_OK; attempt++) {
        status = ku_dispatch_once(f->app, &result, &error);
        if (status != KU_OK && status != KU_UNAVAILABLE)
            fail_msg("%s: %s", ku_status_code(status), error.message);
    }
    assert_int_equal(status, KU_OK);
}

static void a_dispatcher_projects_once_wherever_it_is_cut(void **state)
{
    fixture *f = *state;
    pg_proxy_seen seen = {.cut = true};
    int n = 0;

    while (seen.cut) {
        assert_true(++n < MESSAGES_MAX);
        for (int k = 0; k < DISPATCHED; k++)
            warm_up(f);
        pg_proxy_arm(f->proxy, PG_CUT_AT_MESSAGE, n);
        dispatch_until_done(f);
        pg_proxy_look(f->proxy, &seen);
        ledger_assert_models(f->database, 0);
    }
    print_message("cut at each of %d messages\n", n - 1);
    assert_true(n > 6);
    assert_nothing_lost_or_doubled(f);
}

/* At messages that nobody chose: connections of all kinds work at the same time. */
static void the_background_dispatcher_goes_on_after_every_cut(void **state)
{
    fixture *f = *state;
    unsigned seed = 20261;

    ku_app_close(f->app);
    f->app = ledger_open(f->url, true);
    for (int cut = 0; cut < BACKGROUND_CUTS; cut++) {
        const pg_cut kinds[] = {PG_CUT_AT_MESSAGE, PG_CUT_AT_MESSAGE, PG_CUT_AFTER_COMMIT};
        const pg_cut kind = kinds[cut % 3];
        pg_proxy_arm(f->proxy, kind, 1 + rand_r(&seed) % (kind == PG_CUT_AT_MESSAGE ? 100 : 4));
        write_all_steps(f, write_with_id);
    }
    pg_proxy_arm(f->proxy, PG_CUT_NOTHING, 1);
    ledger_assert_models(f->database, 60);
    assert_nothing_lost_or_doubled(f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(commit_that_does_not_arrive_is_an_unknown_outcome),
        CASE(commit_whose_answer_does_not_arrive_is_an_unknown_outcome),
        CASE(a_request_with_an_id_is_looked_up_after_commit),
        CASE(a_server_that_is_away_is_no_unknown_outcome),
        CASE(a_query_is_answered_or_unavailable_wherever_it_is_cut),
        CASE(a_caller_is_told_what_can_be_known_wherever_it_is_cut),
        CASE(a_caller_is_told_what_can_be_known_on_new_connections),
        CASE(a_request_with_an_id_succeeds_wherever_it_is_cut),
        CASE(a_request_with_an_id_succeeds_on_new_connections),
        CASE(a_dispatcher_projects_once_wherever_it_is_cut),
        CASE(the_background_dispatcher_goes_on_after_every_cut),
    };

    return cmocka_run_group_tests_name("cut connections", tests, NULL, NULL);
}
