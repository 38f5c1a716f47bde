/*
 * Bodies, headers and connections: what a request may look like, and what is refused and how.
 */
#include "fixture.h"

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

/* ---- helpers --------------------------------------------------------------------------------- */

/* A body whose payload is nested so deep: 0 is a number, 1 an object of one number. */
static char *nested(const char *open, const char *close, int depth)
{
    char *text = calloc(1, 64 + (size_t)depth * 16);
    assert_non_null(text);
    strcat(text, "{\"type\":\"echo\",\"payload\":");
    for (int i = 0; i < depth; i++)
        strcat(text, open);
    strcat(text, "1");
    for (int i = 0; i < depth; i++)
        strcat(text, close);
    strcat(text, "}");
    return text;
}

/* A valid body of exactly so many bytes. */
static char *body_of(size_t size)
{
    static const char head[] = "{\"type\":\"echo\",\"payload\":\"", tail[] = "\"}";
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'a', size);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + size - (sizeof tail - 1), tail, sizeof tail);
    return text;
}

static void assert_issue(const char *path, const char *body, const char *issue)
{
    http_answer answer;
    expect(&f, path, body, 400, &answer);
    assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
    if (!http_body_has(&answer, issue))
        fail_msg("%s\nis not in\n%s", issue, answer.body);
    assert_true(http_body_has(&answer, "\"code\":\"validation_error\""));
    http_answer_done(&answer);
}

static char *request_bytes(const char *body, const char *more_headers)
{
    char *text = NULL;
    assert_true(asprintf(&text,
                    "POST /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s"
                    "Content-Length: %zu\r\n\r\n%s",
                    f.token, more_headers, strlen(body), body) > 0);
    return text;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void every_api_route_reaches_the_application_with_its_kind(void **state)
{
    (void)state;
    static const char *const routes[] = {"/api/write", "/api/batch", "/api/command", "/api/query"};
    for (int kind = CALL_WRITE; kind <= CALL_QUERY; kind++) {
        http_answer answer;
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "{\"kind\":%d,", kind);
        expect(&f, routes[kind], "{\"type\":\"who\"}", 200, &answer);
        assert_true(http_body_has(&answer, wanted));
        assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
        http_answer_done(&answer);
    }
}

static void bytes_of_a_payload_arrive_as_they_were_sent(void **state)
{
    (void)state;
    http_answer answer;
    expect(&f, "/api/query",
        "{\"type\":\"echo\",\"payload\":{\"n\":9007199254740993,\"d\":12.10,\"s\":\"\\u00e9\\n\"}}",
        200, &answer);
    assert_string_equal(
        answer.body, "{\"data\":{\"n\":9007199254740993,\"d\":12.10,\"s\":\"\xc3\xa9\\n\"}}");
    http_answer_done(&answer);
}

static void malformed_json_is_a_validation_error_of_the_root(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "{\"type\":}", "{'a':1}", "{\"a\":1} x",
        "{\"a\":01}", "nope", "{\"a\":1,}", "\xef\xbb\xbf{"};
    for (size_t i = 0; i < KU_COUNT(bodies); i++)
        assert_issue("/api/write", bodies[i], "{\"path\":\"(root)\",\"code\":\"invalid_json\"");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    assert_issue("/api/write", "{\"type\":\"\xff\"}", "\"code\":\"invalid_json\"");
    assert_issue("/api/write", "{\"type\":\"\xc0\xaf\"}", "\"code\":\"invalid_json\"");
    assert_issue("/api/write", "{\"type\":\"\xed\xa0\x80\"}", "\"code\":\"invalid_json\"");
}

static void duplicate_keys_are_refused_with_their_path(void **state)
{
    (void)state;
    assert_issue("/api/write", "{\"type\":\"echo\",\"payload\":{\"a\":{\"b\":1,\"b\":2}}}",
        "{\"path\":\"payload.a.b\",\"code\":\"duplicate_key\"");
    assert_issue("/api/write", "{\"type\":\"echo\",\"type\":\"who\"}",
        "{\"path\":\"type\",\"code\":\"duplicate_key\"");
}

static void a_body_that_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"[]", "1", "\"text\"", "null", "true"};
    for (size_t i = 0; i < KU_COUNT(bodies); i++)
        assert_issue("/api/query", bodies[i],
            "{\"path\":\"(root)\",\"code\":\"invalid_type\",\"i18nKey\":\"\","
            "\"params\":{\"expected\":\"object\"}}");
}

static void a_payload_of_depth_20_passes(void **state)
{
    (void)state;
    http_answer answer;
    char *objects = nested("{\"a\":", "}", LIMIT_PAYLOAD_DEPTH);
    char *arrays = nested("[", "]", LIMIT_PAYLOAD_DEPTH);
    expect(&f, "/api/write", objects, 200, &answer);
    http_answer_done(&answer);
    expect(&f, "/api/query", arrays, 200, &answer);
    http_answer_done(&answer);
    free(objects);
    free(arrays);
}

static void a_body_deeper_than_any_document_may_be_is_refused(void **state)
{
    (void)state;
    static const char issue[] =
        "{\"path\":\"payload\",\"code\":\"too_deep\",\"i18nKey\":"
        "\"errors.validation.payload_too_deep\",\"params\":{\"maxDepth\":20}}";
    static const int depths[] = {LIMIT_JSON_DEPTH + 1, 5000};
    for (size_t i = 0; i < KU_COUNT(depths); i++) {
        char *objects = nested("{\"a\":", "}", depths[i]);
        char *arrays = nested("[", "]", depths[i]);
        assert_issue("/api/write", objects, issue);
        assert_issue("/api/query", objects, issue);
        assert_issue("/api/command", arrays, issue);
        free(objects);
        free(arrays);
    }
}

static void a_body_of_one_mebibyte_passes(void **state)
{
    (void)state;
    http_answer answer;
    char *body = body_of(LIMIT_BODY_BYTES);
    expect(&f, "/api/write", body, 200, &answer);
    assert_int_equal(answer.body_len,
        LIMIT_BODY_BYTES - strlen("{\"type\":\"echo\",\"payload\":}") + strlen("{\"data\":}"));
    http_answer_done(&answer);
    free(body);
}

static void one_byte_more_is_payload_too_large_and_the_connection_goes_on(void **state)
{
    (void)state;
    http_answer answer;
    char *body = body_of(LIMIT_BODY_BYTES + 1);
    expect(&f, "/api/write", body, 413, &answer);
    assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
    assert_string_equal(answer.body,
        "{\"error\":{\"code\":\"payload_too_large\",\"httpStatus\":413,\"message\":"
        "\"the body is too large\",\"i18nKey\":\"errors.payloadTooLarge\"}}");
    http_answer_done(&answer);
    free(body);
    int before = http_socket(f.client);
    expect(&f, "/api/write", "{\"type\":\"echo\"}", 200, &answer);
    assert_int_equal(before, http_socket(f.client));
    http_answer_done(&answer);
}

static void a_client_that_asks_before_sending_too_much_is_told_at_once(void **state)
{
    (void)state;
    char *head;
    assert_true(asprintf(&head,
                    "POST /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
                    f.token) > 0);
    http_answer answer;
    assert_true(http_send_raw(f.client, head, strlen(head)));
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 413);
    http_answer_done(&answer);
    assert_false(http_receive(f.client, &answer));
    free(head);
}

static void an_absurd_length_is_told_at_once(void **state)
{
    (void)state;
    char *head;
    assert_true(asprintf(&head,
                    "POST /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Content-Length: 9000000000000000000\r\n\r\n{",
                    f.token) > 0);
    http_answer answer;
    assert_true(http_send_raw(f.client, head, strlen(head)));
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 413);
    http_answer_done(&answer);
    free(head);
}

static void chunked_bodies_are_read(void **state)
{
    (void)state;
    char *text;
    assert_true(
        asprintf(&text,
            "POST /api/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
            "7\r\n{\"type\"\r\n8\r\n:\"echo\",\r\nb\r\n\"payload\":7\r\n1\r\n}\r\n0\r\n\r\n",
            f.token) > 0);
    http_answer answer;
    assert_true(http_send_raw(f.client, text, strlen(text)));
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"data\":7}");
    http_answer_done(&answer);
    free(text);
}

static void a_chunked_body_that_grows_too_large_is_413(void **state)
{
    (void)state;
    char *head, *chunk = malloc(65536);
    assert_non_null(chunk);
    memset(chunk, ' ', 65536);
    assert_true(asprintf(&head,
                    "POST /api/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n",
                    f.token) > 0);
    assert_true(http_send_raw(f.client, head, strlen(head)));
    for (int i = 0; i <= LIMIT_BODY_BYTES / 65536; i++) {
        assert_true(http_send_raw(f.client, "10000\r\n", 7));
        assert_true(http_send_raw(f.client, chunk, 65536));
        assert_true(http_send_raw(f.client, "\r\n", 2));
    }
    assert_true(http_send_raw(f.client, "0\r\n\r\n", 5));
    http_answer answer;
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 413);
    http_answer_done(&answer);
    free(head);
    free(chunk);
}

static void a_body_that_arrives_byte_by_byte_is_read(void **state)
{
    (void)state;
    char *text = request_bytes("{\"type\":\"echo\",\"payload\":[1,2]}", "");
    for (const char *at = text; *at != '\0'; at++)
        assert_true(http_send_raw(f.client, at, 1));
    http_answer answer;
    assert_true(http_receive(f.client, &answer));
    assert_string_equal(answer.body, "{\"data\":[1,2]}");
    http_answer_done(&answer);
    free(text);
}

static void large_answers_arrive_whole(void **state)
{
    (void)state;
    http_answer answer;
    expect(&f, "/api/query", "{\"type\":\"text\",\"payload\":20000000}", 200, &answer);
    assert_int_equal(answer.body_len, 20000000);
    http_answer_done(&answer);
    expect(&f, "/api/query", "{\"type\":\"echo\"}", 200, &answer);
    http_answer_done(&answer);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"type\":\"echo\",\"payload\":%d}", i);
        http_send_request(
            f.client, "POST", i % 2 ? "/api/query" : "/api/write", f.token, body, NULL);
    }
    for (int i = 0; i < 50; i++) {
        char wanted[32];
        http_answer answer;
        (void)snprintf(wanted, sizeof wanted, "{\"data\":%d}", i);
        assert_true(http_receive(f.client, &answer));
        assert_string_equal(answer.body, wanted);
        http_answer_done(&answer);
    }
}

static void a_client_that_sends_no_more_still_gets_its_answer(void **state)
{
    (void)state;
    http_answer answer;
    http_send_request(
        f.client, "POST", "/api/write", f.token, "{\"type\":\"echo\",\"payload\":1}", NULL);
    http_half_close(f.client);
    assert_true(http_receive(f.client, &answer));
    assert_string_equal(answer.body, "{\"data\":1}");
    http_answer_done(&answer);
    assert_false(http_receive(f.client, &answer));
}

static void a_request_cut_off_in_its_body_reaches_nobody(void **state)
{
    (void)state;
    char *text = request_bytes("{\"type\":\"echo\",\"payload\":1}", "");
    assert_true(http_send_raw(f.client, text, strlen(text) - 3));
    http_half_close(f.client);
    http_answer answer;
    if (http_receive(f.client, &answer)) {
        assert_int_equal(answer.status, 400);
        http_answer_done(&answer);
    }
    assert_int_equal(fake.submitted, 0);
    free(text);
}

static void http_1_0_is_answered_and_closed(void **state)
{
    (void)state;
    http_answer answer;
    assert_true(http_send_raw(f.client, "GET /health HTTP/1.0\r\n\r\n", 24));
    assert_true(http_receive(f.client, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"status\":\"ok\"}");
    http_answer_done(&answer);
    assert_false(http_receive(f.client, &answer));
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    static const char *const junk[] = {"GET /health HTTP/1.1\r\n\r\n", /* no Host */
        "\r\n\r\nhello\r\n\r\n",
        "POST /api/write HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /api/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n"};
    for (size_t i = 0; i < KU_COUNT(junk); i++) {
        http_client *client = http_open(f.port);
        http_answer answer;
        assert_true(http_send_raw(client, junk[i], strlen(junk[i])));
        http_half_close(client);
        if (http_receive(client, &answer)) {
            assert_in_range(answer.status, 400, 599);
            http_answer_done(&answer);
        }
        http_close(client);
    }
    assert_int_equal(fake.submitted, 0);
}

static void a_body_with_two_lengths_is_refused_and_the_connection_closed(void **state)
{
    (void)state;
    static const char *const headers[] = {"Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"};
    for (size_t i = 0; i < KU_COUNT(headers); i++) {
        http_client *client = http_open(f.port);
        char *text;
        http_answer answer;
        assert_true(asprintf(&text,
                        "POST /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n"
                        "0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                        f.token, headers[i]) > 0);
        assert_true(http_send_raw(client, text, strlen(text)));
        assert_true(http_receive(client, &answer));
        assert_int_equal(answer.status, 400);
        http_answer_done(&answer);
        assert_false(http_receive(client, &answer));
        free(text);
        http_close(client);
    }
    assert_int_equal(fake.submitted, 0);
}

static void headers_that_do_not_fit_are_431(void **state)
{
    (void)state;
    char *big = malloc(40001), *headers;
    assert_non_null(big);
    memset(big, 'h', 40000);
    big[40000] = '\0';
    assert_true(asprintf(&headers, "X-Big: %s\r\n", big) > 0);
    http_answer answer;
    http_request(f.client, "GET", "/health", NULL, NULL, headers, &answer);
    assert_int_equal(answer.status, 431);
    http_answer_done(&answer);
    free(headers);
    free(big);
}

/* ---- ids ------------------------------------------------------------------------------------- */

static void trace_ids_are_echoed_and_handed_on(void **state)
{
    (void)state;
    http_answer answer;
    http_request(f.client, "POST", "/api/write", f.token, "{\"type\":\"who\"}",
        "X-Request-ID: abc.DEF_1:2-3\r\nx-correlation-id: order-7\r\n", &answer);
    assert_string_equal(http_header(&answer, "X-Request-ID"), "abc.DEF_1:2-3");
    assert_string_equal(http_header(&answer, "X-Correlation-ID"), "order-7");
    assert_true(http_body_has(&answer, "\"trace\":\"abc.DEF_1:2-3\",\"correlation\":\"order-7\""));
    http_answer_done(&answer);
}

static void without_ids_a_uuid_is_made_and_serves_as_both(void **state)
{
    (void)state;
    http_answer answer;
    ku_id id;
    expect(&f, "/api/write", "{\"type\":\"who\"}", 200, &answer);
    const char *made = http_header(&answer, "X-Request-ID");
    assert_true(ku_id_parse(ku_str_from(made), &id));
    assert_int_equal(id.bytes[6] >> 4, 7);
    assert_string_equal(http_header(&answer, "X-Correlation-ID"), made);
    http_answer_done(&answer);
}

static void ids_with_other_characters_or_too_long_are_replaced(void **state)
{
    (void)state;
    char longest[200] = "X-Request-ID: ", longer[200] = "X-Request-ID: ";
    memset(longest + strlen(longest), 'a', 128);
    strcat(longest, "\r\n");
    memset(longer + strlen(longer), 'a', 129);
    strcat(longer, "\r\n");
    const char *const bad[] = {"X-Request-ID: a b\r\n", "X-Request-ID: a\"b\r\n",
        "X-Request-ID: a/b\r\n", "X-Request-ID: \xc3\xa9\r\n", "X-Request-ID:\r\n", longer};
    http_answer answer;
    ku_id id;
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        http_request(
            f.client, "POST", "/api/write", f.token, "{\"type\":\"who\"}", bad[i], &answer);
        assert_true(ku_id_parse(ku_str_from(http_header(&answer, "X-Request-ID")), &id));
        http_answer_done(&answer);
    }
    http_request(f.client, "POST", "/api/write", f.token, "{\"type\":\"who\"}", longest, &answer);
    assert_int_equal(strlen(http_header(&answer, "X-Request-ID")), 128);
    http_answer_done(&answer);
}

/* ---- answers of the application -------------------------------------------------------------- */

static void a_full_queue_is_503_with_retry_after(void **state)
{
    (void)state;
    http_answer answer;
    expect(&f, "/api/write", "{\"type\":\"busy\"}", 503, &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_answer_done(&answer);
}

static void a_handlers_rate_limit_shows_in_the_headers(void **state)
{
    (void)state;
    http_answer answer;
    expect(&f, "/api/write", "{\"type\":\"limited\"}", 429, &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "12");
    assert_string_equal(http_header(&answer, "X-RateLimit-Limit"), "5");
    assert_string_equal(http_header(&answer, "X-RateLimit-Remaining"), "0");
    assert_string_equal(http_header(&answer, "X-RateLimit-Reset"), "1800000000");
    http_answer_done(&answer);
    expect(&f, "/api/write", "{\"type\":\"met\"}", 200, &answer);
    assert_string_equal(http_header(&answer, "X-RateLimit-Remaining"), "4");
    assert_null(http_header(&answer, "Retry-After"));
    http_answer_done(&answer);
    expect(&f, "/api/write", "{\"type\":\"echo\"}", 200, &answer);
    assert_null(http_header(&answer, "X-RateLimit-Limit"));
    http_answer_done(&answer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_api_route_reaches_the_application_with_its_kind),
        CASE(bytes_of_a_payload_arrive_as_they_were_sent),
        CASE(malformed_json_is_a_validation_error_of_the_root),
        CASE(invalid_utf8_is_refused),
        CASE(duplicate_keys_are_refused_with_their_path),
        CASE(a_body_that_is_no_object_is_refused),
        CASE(a_payload_of_depth_20_passes),
        CASE(a_body_deeper_than_any_document_may_be_is_refused),
        CASE(a_body_of_one_mebibyte_passes),
        CASE(one_byte_more_is_payload_too_large_and_the_connection_goes_on),
        CASE(a_client_that_asks_before_sending_too_much_is_told_at_once),
        CASE(an_absurd_length_is_told_at_once),
        CASE(chunked_bodies_are_read),
        CASE(a_chunked_body_that_grows_too_large_is_413),
        CASE(a_body_that_arrives_byte_by_byte_is_read),
        CASE(large_answers_arrive_whole),
        CASE(pipelined_requests_are_answered_in_order),
        CASE(a_client_that_sends_no_more_still_gets_its_answer),
        CASE(a_request_cut_off_in_its_body_reaches_nobody),
        CASE(http_1_0_is_answered_and_closed),
        CASE(what_is_not_http_is_refused),
        CASE(a_body_with_two_lengths_is_refused_and_the_connection_closed),
        CASE(headers_that_do_not_fit_are_431),
        CASE(trace_ids_are_echoed_and_handed_on),
        CASE(without_ids_a_uuid_is_made_and_serves_as_both),
        CASE(ids_with_other_characters_or_too_long_are_replaced),
        CASE(a_full_queue_is_503_with_retry_after),
        CASE(a_handlers_rate_limit_shows_in_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
