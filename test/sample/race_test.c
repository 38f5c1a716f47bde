/*
 * Many clients at once, each on a connection of its own, all after the same thing.  Where the
 * original loses the race with 500, or lets two win, one wins here and the others are told what
 * happened (behaviour §0, §4.3).
 */
#include "sample/sample.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { RUNNERS = 24 };

/* ---- helpers --------------------------------------------------------------------------------- */

typedef struct runner {
    pthread_t thread;
    pthread_barrier_t *start;
    sample own; /* its connection and its memory */
    const char *body;
    const answer *answer;
} runner;

static void *run(void *context)
{
    runner *r = context;
    (void)pthread_barrier_wait(r->start);
    r->answer = sample_try_post(&r->own, "/api/write", r->body);
    return NULL;
}

typedef struct race {
    runner runners[RUNNERS];
} race;

/* Everybody sends the same body at the same moment; `tokens`: one for each, NULL: the sample's. */
static race *race_of(sample *s, const char *const *tokens, const char *body)
{
    race *made = calloc(1, sizeof *made);
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, RUNNERS), 0);
    for (int i = 0; i < RUNNERS; i++) {
        runner *r = &made->runners[i];
        r->start = &start;
        r->body = body;
        r->own.token = tokens != NULL ? tokens[i] : s->token;
        r->own.client = http_open(s->server.port);
        assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        assert_int_equal(pthread_join(made->runners[i].thread, NULL), 0);
        assert_non_null(made->runners[i].answer);
    }
    (void)pthread_barrier_destroy(&start);
    return made;
}

static void race_done(race *r)
{
    for (int i = 0; i < RUNNERS; i++) {
        http_close(r->runners[i].own.client);
        arena_done(&r->runners[i].own.arena);
    }
    free(r);
}

/* How many were answered with the status; each of them has that code, if one is given. */
static int with_status(const race *r, int status, const char *code)
{
    int n = 0;
    for (int i = 0; i < RUNNERS; i++) {
        const answer *a = r->runners[i].answer;
        if (a->status != status)
            continue;
        if (code != NULL)
            assert_at(a, "error.code", code);
        n++;
    }
    return n;
}

static const char *write_body(sample *s, const char *type, const char *payload)
{
    return sample_format(s, "{\"type\":\"%s\",\"payload\":%s}", type, payload);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void of_many_updates_at_one_version_one_wins(void **state)
{
    sample *s = *state;
    const answer *made = sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}");
    const char *id = at(made, "data.id");
    race *r = race_of(s, NULL,
        write_body(s, "notes:write:note:update",
            sample_format(s, "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"u\"}}", id)));
    assert_int_equal(with_status(r, 200, NULL), 1);
    assert_int_equal(with_status(r, 409, "version_conflict"), RUNNERS - 1);
    race_done(r);
    assert_at(
        sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id), "data.version", "2");
}

/* The original lets two of eight delete the same note. */
static void of_many_deletions_one_wins(void **state)
{
    sample *s = *state;
    const answer *made = sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}");
    const char *id = at(made, "data.id");
    race *r = race_of(
        s, NULL, write_body(s, "notes:write:note:delete", sample_format(s, "{\"id\":\"%s\"}", id)));
    assert_int_equal(with_status(r, 200, NULL), 1);
    assert_int_equal(
        with_status(r, 404, "not_found") + with_status(r, 409, "version_conflict"), RUNNERS - 1);
    race_done(r);
    const answer *events = sample_query(s, "probe:query:events", "{\"id\":\"%s\"}", id);
    assert_int_equal(count(events, "data"), 2);
}

static void of_many_with_one_email_address_one_is_created(void **state)
{
    sample *s = *state;
    race *r = race_of(s, NULL,
        write_body(
            s, "staff:write:employee:create", "{\"email\":\"a@example.org\",\"name\":\"N\"}"));
    assert_int_equal(with_status(r, 200, NULL), 1);
    assert_int_equal(with_status(r, 409, "unique_violation"), RUNNERS - 1);
    race_done(r);
    assert_int_equal(count(sample_query(s, "staff:query:employee:list", "{}"), "data.rows"), 1);
}

static void one_request_sent_many_times_at_once_runs_once(void **state)
{
    sample *s = *state;
    race *r = race_of(s, NULL,
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"t\"},"
        "\"requestId\":\"rid-1\"}");
    assert_int_equal(with_status(r, 200, NULL), RUNNERS);
    for (int i = 1; i < RUNNERS; i++)
        assert_at(r->runners[i].answer, "data", at(r->runners[0].answer, "data"));
    race_done(r);
    assert_int_equal(count(sample_query(s, "notes:query:note:list", "{}"), "data.rows"), 1);
}

/* The original answers most of these with 500. */
static void many_appends_to_one_stream_all_arrive(void **state)
{
    sample *s = *state;
    const answer *made =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
    const char *id = at(made, "data.id");
    race *r = race_of(s, NULL,
        write_body(s, "showcase:write:invoice:acknowledge",
            sample_format(s, "{\"id\":\"%s\",\"approverId\":\"u\"}", id)));
    assert_int_equal(with_status(r, 200, NULL), RUNNERS);
    race_done(r);
    const answer *folded =
        sample_query(s, "showcase:query:invoice:fast-state", "{\"id\":\"%s\"}", id);
    assert_at(folded, "data.version", "25");
}

/* Each by somebody else, because of the limit; all are told that it is paid. */
static void an_invoice_paid_by_many_is_paid_once(void **state)
{
    sample *s = *state;
    const answer *made =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
    const char *id = at(made, "data.id");
    assert_status(sample_write(s, "showcase:write:invoice:approve",
                      "{\"id\":\"%s\",\"amountCents\":100,\"approvedBy\":\"cfo\"}", id),
        200);
    const char *tokens[RUNNERS];
    for (int i = 0; i < RUNNERS; i++)
        tokens[i] = sample_token(s, NULL, sample_format(s, "payer-%d", i), NULL);
    race *r = race_of(s, tokens,
        write_body(s, "showcase:write:invoice:pay",
            sample_format(s, "{\"id\":\"%s\",\"amountCents\":100}", id)));
    assert_int_equal(with_status(r, 200, NULL), RUNNERS);
    race_done(r);
    const answer *folded =
        sample_query(s, "showcase:query:invoice:fast-state", "{\"id\":\"%s\"}", id);
    assert_at(folded, "data.state.status", "paid");
    assert_at(folded, "data.version", "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECIPES_TEST(of_many_updates_at_one_version_one_wins),
        RECIPES_TEST(of_many_deletions_one_wins),
        RECIPES_TEST(of_many_with_one_email_address_one_is_created),
        RECIPES_TEST(one_request_sent_many_times_at_once_runs_once),
        SHOWCASE_TEST(many_appends_to_one_stream_all_arrive),
        SHOWCASE_TEST(an_invoice_paid_by_many_is_paid_once),
    };
    return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
