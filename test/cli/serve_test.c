/*
 * Serving, and the commands that tell how the server does: consumers, projections.
 */
#include "cli/world.h"

#include "support/http_token.h"

#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- consumers and projections -------------------------------------------------------------- */

static const char revenue[] = "showcase:projection:customer-revenue";

/* The consumer's line once its lag is gone. */
static const ku_json *wait_until_current(world *w)
{
    for (;;) {
        const ku_json *line = item_with(JSON_OF(w, "consumers"), "name", revenue);
        if (strcmp(text_at(&w->arena, line, "lag"), "0") == 0)
            return line;
        (void)usleep(20000);
    }
}

static void consumers_are_listed_with_their_lag(void **state)
{
    world *w = *state;
    const ku_json *line = wait_until_current(w);

    assert_text(w, line, "status", "idle");
    assert_text(w, line, "highWaterMark", "4");
    assert_text(w, line, "lanes", "2");
    assert_text(w, line, "attempts", "0");
    assert_text(w, line, "lastError", "null");

    ran r = SHOWCASE(w, "consumers");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "LAG");
    ASSERT_SAYS(&r, revenue);
    ran_done(&r);
}

static void projections_are_listed_with_their_lag(void **state)
{
    world *w = *state;

    (void)wait_until_current(w);
    const ku_json *all = JSON_OF(w, "projections");
    const ku_json *detail = item_with(all, "name", "showcase:projection:invoice-detail");
    const ku_json *async = item_with(all, "name", revenue);
    assert_text(w, detail, "kind", "inline");
    assert_text(w, detail, "status", "never-rebuilt");
    assert_text(w, detail, "lastProcessedEventId", "0");
    assert_text(w, detail, "lag", "0");
    assert_text(w, detail, "highWaterMark", "4");
    assert_text(w, async, "kind", "async");
    assert_text(w, async, "lag", "0");
    assert_text(w, async, "table", "read_showcase_customer_revenue");

    ran r = SHOWCASE(w, "projections");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "never-rebuilt");
    ran_done(&r);
    r = RUN(w->folder, NULL, "kumiko", "projections");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "--feature");
    ran_done(&r);
}

static const ku_json *wait_until_halted(world *w)
{
    for (;;) {
        const ku_json *line =
            item_with(json_of(w, (const char *const[]){"kumiko", "consumers", "--json", NULL}),
                "name", "fault:projection:never");
        if (strcmp(text_at(&w->arena, line, "status"), "halted") == 0)
            return line;
        (void)usleep(20000);
    }
}

static void a_halted_consumer_says_why_and_can_be_restarted(void **state)
{
    world *w = *state;
    write_as(w, TEST_TENANT, "fault:write:fault-note:create", "{\"text\":\"one\"}");
    const ku_json *line = wait_until_halted(w);

    assert_text(w, line, "attempts", "1");
    assert_text(w, line, "haltedLanes", "1");
    assert_text(w, line, "lag", "1");
    assert_non_null(strstr(text_at(&w->arena, line, "lastError"), "does not like this event"));

    assert_int_equal(world_stop(w), 0);
    ran r = RUN(w->folder, NULL, "kumiko", "consumers", "restart", "fault:projection:never");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "1 lane will run again");
    ASSERT_SAYS(&r, test_by_engine("when the server starts", "running servers see it"));
    ran_done(&r);
    const ku_json *after =
        item_with(json_of(w, (const char *const[]){"kumiko", "consumers", "--json", NULL}), "name",
            "fault:projection:never");
    assert_text(w, after, "status", "idle");
    assert_text(w, after, "lag", "1");

    r = RUN(w->folder, NULL, "kumiko", "consumers", "restart", "fault:projection:never");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "no halted lane");
    ran_done(&r);
    r = RUN(w->folder, NULL, "kumiko", "consumers", "restart", "fault:projection:other");
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, "fault:projection:other");
    ran_done(&r);
}

/* Nobody but the server can have halted it again. */
static void running_servers_see_that_a_consumer_was_restarted(void **state)
{
    world *w = *state;

    if (!test_engine_is_postgres()) {
        print_message("skipped on SQLite: the server has the file for itself\n");
        skip();
    }
    write_as(w, TEST_TENANT, "fault:write:fault-note:create", "{\"text\":\"one\"}");
    (void)wait_until_halted(w);
    ran r = RUN(w->folder, NULL, "kumiko", "consumers", "restart", "fault:projection:never");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "1 lane will run again; running servers see it within seconds");
    ran_done(&r);
    const ku_json *line = wait_until_halted(w);
    assert_text(w, line, "attempts", "1");
    assert_text(w, line, "lag", "1");
}

static void restarting_beside_a_server_says_who_has_the_file(void **state)
{
    SKIP_ON_POSTGRES("nobody owns the database alone");
    world *w = *state;
    ran r = SHOWCASE(w, "consumers", "restart", revenue);

    ASSERT_CODE(&r, 5);
    ASSERT_SAYS(&r, format(w, "process %d", (int)w->server.pid));
    ran_done(&r);
}

static void a_second_server_on_the_file_says_who_has_it(void **state)
{
    SKIP_ON_POSTGRES("nobody owns the database alone");
    world *w = *state;
    ran r = SHOWCASE(w, "serve");

    ASSERT_CODE(&r, 5);
    ASSERT_SAYS(&r, format(w, "process %d", (int)w->server.pid));
    assert_false(says(&r, "listening on"));
    ran_done(&r);
}

/* ---- serve ---------------------------------------------------------------------------------- */

static void signals_drain_and_end_with_zero(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0); /* SIGTERM */
    world_start(w, "showcase", NULL, NULL);
    http_close(w->client);
    assert_int_equal(process_stop(&w->server, SIGINT), 0);
    char *output = process_output(&w->server);
    assert_non_null(strstr(output, "listening on http://127.0.0.1:"));
    free(output);
    process_done(&w->server);
    w->running = false;
}

static void a_minted_token_is_accepted(void **state)
{
    world *w = *state;
    ran minted = SHOWCASE(w, "token", "--role", "Admin");
    http_answer answer;

    ASSERT_CODE(&minted, 0);
    minted.output[strcspn(minted.output, "\n")] = '\0';
    http_request(w->client, "POST", "/api/write", minted.output,
        "{\"type\":\"showcase:write:invoice:create\",\"payload\":{\"customer\":\"Acme\"}}", NULL,
        &answer);
    assert_int_equal(answer.status, 200);
    http_answer_done(&answer);
    ran_done(&minted);

    ran other = SHOWCASE(w, "token");
    other.output[strcspn(other.output, "\n")] = '\0';
    http_request(w->client, "POST", "/api/write", other.output,
        "{\"type\":\"showcase:write:invoice:create\",\"payload\":{\"customer\":\"Acme\"}}", NULL,
        &answer);
    assert_int_equal(answer.status, 403); /* no role */
    http_answer_done(&answer);
    ran_done(&other);
}

static void a_rotated_secret_still_verifies(void **state)
{
    static const char *const before[] = {
        "JWT_SECRET=", "JWT_SECRET_V1=" TEST_SECRET, "JWT_SECRET_CURRENT_VERSION=1", NULL};
    static const char *const after[] = {"JWT_SECRET=", "JWT_SECRET_V1=" TEST_SECRET,
        "JWT_SECRET_V2=another-secret-of-the-tests-0123456789", "JWT_SECRET_CURRENT_VERSION=2",
        NULL};
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    world_start(w, "showcase", NULL, after);
    const char *const *const environments[] = {before, after};
    for (size_t i = 0; i < KU_COUNT(environments); i++) {
        ran minted = RUN(w->folder, environments[i], "showcase", "token", "--role", "Admin");
        http_answer answer;
        minted.output[strcspn(minted.output, "\n")] = '\0';
        http_request(w->client, "POST", "/api/query", minted.output,
            "{\"type\":\"showcase:query:revenue:list\",\"payload\":{}}", NULL, &answer);
        assert_int_equal(answer.status, 200);
        http_answer_done(&answer);
        ran_done(&minted);
    }
}

static void a_feature_from_a_shared_object_is_served(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    world_start(w, "kumiko", object_path("invoicing.so"), NULL);
    assert_string_not_equal(create_invoice(w, TEST_TENANT, "Initech"), "(missing)");
}

static void a_disabled_feature_answers_403(void **state)
{
    static const char *const env[] = {"KUMIKO_DISABLED_FEATURES=showcase", NULL};
    world *w = *state;
    char *token = test_token_for(NULL, NULL, NULL);
    http_answer answer;

    assert_int_equal(world_stop(w), 0);
    world_start(w, "showcase", NULL, env);
    http_request(w->client, "POST", "/api/query", token,
        "{\"type\":\"showcase:query:revenue:list\",\"payload\":{}}", NULL, &answer);
    assert_int_equal(answer.status, 403);
    assert_true(http_body_has(&answer, "feature_disabled"));
    http_answer_done(&answer);
    free(token);
}

/* ---- colours -------------------------------------------------------------------------------- */

/* What `check` prints to a terminal. */
static char *output_at_a_terminal(world *w, const char *variable)
{
    char *output = arena_alloc(&w->arena, 4096);
    size_t length = 0;
    int terminal;

    const pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *const env[] = {
            "TERM=xterm", variable, format(w, "KUMIKO_DATABASE_URL=%s", w->database->url), NULL};
        if (chdir(w->folder) == 0)
            (void)execle(TEST_BIN_DIR "/kumiko", "kumiko", "check", (char *)NULL, env);
        _exit(99);
    }
    for (ssize_t got; (got = read(terminal, output + length, 4095 - length)) > 0;)
        length += (size_t)got;
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(terminal);
    return output;
}

static void colours_are_for_terminals_and_can_be_switched_off(void **state)
{
    world *w = *state;

    assert_non_null(strstr(output_at_a_terminal(w, "LANG=C"), "\033[32mno problems\033[0m"));
    const char *plain = output_at_a_terminal(w, "NO_COLOR=1");
    assert_non_null(strstr(plain, "no problems"));
    assert_null(strchr(plain, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(consumers_are_listed_with_their_lag),
        SHOWCASE_TEST(projections_are_listed_with_their_lag),
        FAULT_TEST(a_halted_consumer_says_why_and_can_be_restarted),
        FAULT_TEST(running_servers_see_that_a_consumer_was_restarted),
        SHOWCASE_TEST(restarting_beside_a_server_says_who_has_the_file),
        SHOWCASE_TEST(a_second_server_on_the_file_says_who_has_it),
        SHOWCASE_TEST(signals_drain_and_end_with_zero),
        SHOWCASE_TEST(a_minted_token_is_accepted),
        SHOWCASE_TEST(a_rotated_secret_still_verifies),
        SHOWCASE_TEST(a_feature_from_a_shared_object_is_served),
        SHOWCASE_TEST(a_disabled_feature_answers_403),
        SHOWCASE_TEST(colours_are_for_terminals_and_can_be_switched_off),
    };
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
