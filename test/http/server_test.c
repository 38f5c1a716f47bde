/*
 * The server as a whole: its own pages, many clients at once, clients that leave, the drain.
 */
#include "fixture.h"

#include <sys/socket.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_start(&f, (server_options){0});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void get(const char *path, const char *headers, http_answer *ret_answer)
{
    http_request(f.client, "GET", path, NULL, NULL, headers, ret_answer);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void health_is_ok(void **state)
{
    (void)state;
    http_answer answer;
    get("/health", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"status\":\"ok\"}");
    assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
    http_answer_done(&answer);
    get("/health?probe=1", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_answer_done(&answer);
    http_request(f.client, "HEAD", "/health", NULL, NULL, NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_len, 0);
    http_answer_done(&answer);
}

static void a_server_that_runs_is_ready(void **state)
{
    (void)state;
    http_answer answer;
    get("/health/ready", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(http_body_has(&answer, "{\"status\":\"ready\",\"state\":\"ready\",\"uptimeSec\":"));
    assert_true(http_body_has(&answer, "\"checks\":["));
    http_answer_done(&answer);
}

static void the_version_has_its_usual_values_and_given_ones(void **state)
{
    (void)state;
    http_answer answer;
    get("/version", NULL, &answer);
    assert_string_equal(
        answer.body, "{\"version\":\"dev\",\"buildTime\":\"unknown\",\"node\":\"development\"}");
    http_answer_done(&answer);
    fixture_stop(&f);
    fixture_start(
        &f, (server_options){.version = "1.2", .build_time = "today", .environment = "x"});
    get("/version", NULL, &answer);
    assert_string_equal(
        answer.body, "{\"version\":\"1.2\",\"buildTime\":\"today\",\"node\":\"x\"}");
    http_answer_done(&answer);
}

static void errors_are_explained_to_programs_and_to_people(void **state)
{
    (void)state;
    http_answer answer;
    get("/errors/known_reason", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(answer.body, "known_reason\n\nIt is 1 < 2 & known.\n");
    http_answer_done(&answer);
    get("/errors/known_reason", "Accept: text/html,application/xhtml+xml\r\n", &answer);
    assert_string_equal(http_header(&answer, "Content-Type"), "text/html; charset=utf-8");
    assert_true(http_body_has(&answer, "<p>It is 1 &lt; 2 &amp; known.</p>"));
    http_answer_done(&answer);
    get("/errors/a_rule_of_the_application", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(http_body_has(&answer, "A rule of this application said no"));
    http_answer_done(&answer);
    get("/errors/Unheard-Of", NULL, &answer);
    assert_int_equal(answer.status, 404);
    assert_true(http_body_has(&answer, "\"code\":\"not_found\""));
    http_answer_done(&answer);
}

/* ---- opening --------------------------------------------------------------------------------- */

static ku_status try_open(server_options options, ku_error *ret_error)
{
    server *made = NULL;
    options.size = sizeof options;
    ku_status status = server_open(NULL, &options, &made, ret_error);
    if (status == KU_OK)
        server_close(made);
    return status;
}

static void settings_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const server_key key = {{0}, KU_STR_INIT(TEST_SECRET)};
    static const server_key short_key = {{0}, KU_STR_INIT("0123456789012345678901234567890")};
    ku_error error;
    assert_int_equal(try_open((server_options){.listen = "127.0.0.1:0"}, &error), KU_UNCONFIGURED);
    const server_options with_short = {.listen = "127.0.0.1:0", .keys = &short_key, .n_keys = 1};
    assert_int_equal(try_open(with_short, &error), KU_UNCONFIGURED);
    static const char *const bad[] = {"nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "",
        "127.0.0.1:99999999", "300.0.0.1:80"};
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        error.message[0] = '\0';
        const server_options options = {.listen = bad[i], .keys = &key, .n_keys = 1};
        assert_int_equal(try_open(options, &error), KU_INVALID);
        assert_int_not_equal(error.message[0], '\0');
    }
    const server_options taken = {.listen = server_address(f.server), .keys = &key, .n_keys = 1};
    assert_int_equal(try_open(taken, &error), KU_UNAVAILABLE);
    assert_non_null(strstr(error.message, "in use"));
    static const char *const good[] = {"0", ":0", "localhost:0", "127.0.0.1:0"};
    for (size_t i = 0; i < KU_COUNT(good); i++) {
        const server_options options = {.listen = good[i], .keys = &key, .n_keys = 1};
        assert_int_equal(try_open(options, &error), KU_OK);
    }
}

static void it_listens_on_ipv6_and_says_so(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        skip(); /* a machine without IPv6 */
    close(fd);
    static const server_key key = {{0}, KU_STR_INIT(TEST_SECRET)};
    const server_options options = {
        .size = sizeof options, .listen = "[::1]:0", .keys = &key, .n_keys = 1};
    server *made;
    ku_error error;
    assert_int_equal(server_open(NULL, &options, &made, &error), KU_OK);
    assert_int_equal(strncmp(server_address(made), "[::1]:", 6), 0);
    assert_true(atoi(server_address(made) + 6) > 0);
    server_close(made);
}

static void a_server_that_never_ran_closes(void **state)
{
    (void)state;
    static const server_key key = {{0}, KU_STR_INIT(TEST_SECRET)};
    ku_error error;
    const server_options options = {.listen = "127.0.0.1:0", .keys = &key, .n_keys = 1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_open(options, &error), KU_OK);
}

/* ---- many clients ---------------------------------------------------------------------------- */

enum { CLIENTS = 16, REQUESTS_EACH = 200 };

static void *send_many(void *context)
{
    const int number = (int)(intptr_t)context;
    http_client *client = http_open(f.port);
    uintptr_t wrong = 0;
    for (int i = 0; i < REQUESTS_EACH; i++) {
        char body[64], wanted[32];
        http_answer answer;
        (void)snprintf(
            body, sizeof body, "{\"type\":\"echo\",\"payload\":%d}", number * 1000000 + i);
        (void)snprintf(wanted, sizeof wanted, "{\"data\":%d}", number * 1000000 + i);
        http_request(client, "POST", "/api/write", f.token, body, NULL, &answer);
        wrong += answer.status != 200 || strcmp(answer.body, wanted) != 0;
        http_answer_done(&answer);
    }
    http_close(client);
    return (void *)wrong;
}

static void every_client_gets_its_own_answers(void **state)
{
    (void)state;
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, send_many, (void *)(intptr_t)(i + 1)), 0);
    for (int i = 0; i < CLIENTS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

/* ---- clients that leave ---------------------------------------------------------------------- */

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    http_send_request(f.client, "POST", "/api/query", f.token, "{\"type\":\"until-gone\"}", NULL);
    fake_wait_submitted(1);
    http_close(f.client);
    f.client = http_open(f.port);
    fake_wait_gone(1);

    http_send_request(f.client, "POST", "/api/query", f.token, "{\"type\":\"until-gone\"}", NULL);
    fake_wait_submitted(2);
    http_abort(f.client);
    fake_wait_gone(2);
    http_close(f.client);

    http_answer answer;
    f.client = http_open(f.port);
    expect(&f, "/api/query", "{\"type\":\"echo\"}", 200, &answer);
    http_answer_done(&answer);
}

static void a_client_that_waits_is_not_taken_for_gone(void **state)
{
    (void)state;
    http_client *other = http_open(f.port);
    http_answer answer;
    http_send_request(f.client, "POST", "/api/query", f.token, "{\"type\":\"until-gone\"}", NULL);
    fake_wait_submitted(1);
    /* what it has sent ahead does not count as leaving, either */
    http_send_request(f.client, "POST", "/api/query", f.token, "{\"type\":\"echo\"}", NULL);
    for (int i = 0; i < 20; i++) {
        http_request(other, "GET", "/health", NULL, NULL, NULL, &answer);
        http_answer_done(&answer);
    }
    pthread_mutex_lock(&fake.lock);
    assert_int_equal(fake.seen_gone, 0);
    pthread_mutex_unlock(&fake.lock);
    http_abort(f.client);
    http_close(f.client);
    f.client = other;
}

/* ---- the drain ------------------------------------------------------------------------------- */

static void stopping_answers_what_is_under_way(void **state)
{
    (void)state;
    http_client *idle = http_open(f.port), *late = http_open(f.port);
    http_answer answer;
    http_request(late, "GET", "/health", NULL, NULL, NULL, &answer);
    http_answer_done(&answer);
    http_send_request(
        f.client, "POST", "/api/write", f.token, "{\"type\":\"hold\",\"payload\":1}", NULL);
    fake_wait_submitted(1);
    server_stop(f.server);

    /* the drain has begun when a kept connection is told so */
    do {
        http_answer_done(&answer);
        http_send_request(late, "GET", "/health/ready", NULL, NULL, NULL);
        if (!http_receive(late, &answer))
            fail();
    } while (answer.status == 200);
    assert_int_equal(answer.status, 503);
    assert_true(
        http_body_has(&answer, "{\"status\":\"not_ready\",\"state\":\"draining\",\"uptimeSec\":"));
    assert_string_equal(http_header(&answer, "Connection"), "close");
    http_answer_done(&answer);
    assert_false(http_receive(late, &answer));

    fake_release();
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"data\":1}");
    assert_string_equal(http_header(&answer, "Connection"), "close");
    http_answer_done(&answer);
    fixture_drain(&f);
    http_close(idle);
    http_close(late);
}

static void stopping_refuses_new_requests(void **state)
{
    (void)state;
    http_client *ready = http_open(f.port), *late = http_open(f.port);
    http_answer answer = {0};
    http_request(late, "GET", "/health", NULL, NULL, NULL, &answer);
    http_answer_done(&answer);
    http_send_request(f.client, "POST", "/api/write", f.token, "{\"type\":\"hold\"}", NULL);
    fake_wait_submitted(1);
    server_stop(f.server);
    do {
        http_answer_done(&answer);
        http_send_request(ready, "GET", "/health/ready", NULL, NULL, NULL);
        if (!http_receive(ready, &answer))
            fail();
    } while (answer.status == 200);
    http_answer_done(&answer);

    http_send_request(late, "POST", "/api/write", f.token, "{\"type\":\"echo\"}", NULL);
    assert_true(http_receive(late, &answer));
    assert_int_equal(answer.status, 503);
    assert_true(http_body_has(&answer, "{\"error\":{\"code\":\"unavailable\",\"httpStatus\":503"));
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    assert_string_equal(http_header(&answer, "Connection"), "close");
    http_answer_done(&answer);
    assert_int_equal(fake.submitted, 1);
    fake_release();
    fixture_drain(&f);
    http_close(ready);
    http_close(late);
}

static void a_drain_that_takes_too_long_gives_up_and_says_so(void **state)
{
    (void)state;
    fixture_stop(&f);
    fixture_start(&f, (server_options){.drain_timeout_s = 1});
    http_client *second = http_open(f.port);
    http_answer answer;
    http_send_request(f.client, "POST", "/api/write", f.token, "{\"type\":\"until-gone\"}", NULL);
    fake_wait_submitted(1); /* one at a time runs, and the one that is held would hold the other */
    http_send_request(second, "POST", "/api/write", f.token, "{\"type\":\"hold\"}", NULL);
    fake_wait_submitted(2);
    fixture_drain(&f);
    fake_wait_gone(1); /* a query that asks is told that nobody waits any more */
    assert_true(http_receive(second, &answer));
    assert_int_equal(answer.status, 503);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_answer_done(&answer);
    fake_release(); /* server_close waits for what the application still has */
    http_close(second);
}

static void stopping_an_idle_server_ends_it(void **state)
{
    (void)state;
    fixture_drain(&f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(health_is_ok),
        CASE(a_server_that_runs_is_ready),
        CASE(the_version_has_its_usual_values_and_given_ones),
        CASE(errors_are_explained_to_programs_and_to_people),
        CASE(settings_that_cannot_work_are_refused),
        CASE(it_listens_on_ipv6_and_says_so),
        CASE(a_server_that_never_ran_closes),
        CASE(every_client_gets_its_own_answers),
        CASE(a_client_that_leaves_is_noticed),
        CASE(a_client_that_waits_is_not_taken_for_gone),
        CASE(stopping_answers_what_is_under_way),
        CASE(stopping_refuses_new_requests),
        CASE(a_drain_that_takes_too_long_gives_up_and_says_so),
        CASE(stopping_an_idle_server_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
