/*
 * Who may pass: tokens, transports, tenants, origins, CSRF, addresses, routes.
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

#define WHO "{\"type\":\"who\"}"

static int status_of(const char *token, const char *headers)
{
    http_answer answer;
    http_request(f.client, "POST", "/api/write", token, WHO, headers, &answer);
    const int status = answer.status;
    http_answer_done(&answer);
    return status;
}

static void assert_refused(
    const char *token, const char *headers, int status, const char *code, const char *i18n_key)
{
    http_answer answer;
    char code_member[64], i18n_member[64], status_member[32];
    (void)snprintf(code_member, sizeof code_member, "{\"error\":{\"code\":\"%s\"", code);
    (void)snprintf(i18n_member, sizeof i18n_member, "\"i18nKey\":\"%s\"", i18n_key);
    (void)snprintf(status_member, sizeof status_member, "\"httpStatus\":%d", status);
    http_request(f.client, "POST", "/api/write", token, WHO, headers, &answer);
    if (answer.status != status || !http_body_has(&answer, code_member) ||
        !http_body_has(&answer, i18n_member) || !http_body_has(&answer, status_member))
        fail_msg("wanted %d %s, got %d %s", status, code, answer.status, answer.body);
    http_answer_done(&answer);
    assert_int_equal(fake.submitted, 0);
}

static void assert_token(test_token_spec spec, int status)
{
    char *token = test_token(&spec);
    int got = status_of(token, NULL);
    if (got != status)
        fail_msg("%s: %d", token, got);
    free(token);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void a_missing_token_is_401_as_in_the_contract(void **state)
{
    (void)state;
    http_answer answer;
    http_request(f.client, "POST", "/api/write", NULL, WHO, NULL, &answer);
    assert_int_equal(answer.status, 401);
    assert_string_equal(answer.body,
        "{\"error\":{\"code\":\"missing_token\",\"httpStatus\":401,\"message\":\"no auth cookie or "
        "bearer token\",\"i18nKey\":\"auth.errors.missingToken\"}}");
    http_answer_done(&answer);
    assert_refused(
        NULL, "Authorization: Basic YTpi\r\n", 401, "missing_token", "auth.errors.missingToken");
    assert_refused(
        NULL, "Authorization: Bearer \r\n", 401, "missing_token", "auth.errors.missingToken");
}

static void a_forged_token_is_401_as_in_the_contract(void **state)
{
    (void)state;
    http_answer answer;
    http_request(f.client, "POST", "/api/write", "nonsense", WHO, NULL, &answer);
    assert_int_equal(answer.status, 401);
    assert_string_equal(answer.body, "{\"error\":{\"code\":\"invalid_token\",\"httpStatus\":401,"
                                     "\"message\":\"token verification "
                                     "failed\",\"i18nKey\":\"auth.errors.invalidToken\"}}");
    http_answer_done(&answer);
    assert_refused("a.b.c", NULL, 401, "invalid_token", "auth.errors.invalidToken");
    assert_refused("..", NULL, 401, "invalid_token", "auth.errors.invalidToken");
    assert_refused(".", NULL, 401, "invalid_token", "auth.errors.invalidToken");
}

static void a_good_token_says_who_it_is(void **state)
{
    (void)state;
    http_answer answer;
    char *token = test_token_for(TEST_TENANT_OTHER, "anna", "[\"Admin\",\"Clerk\"]");
    http_request(f.client, "POST", "/api/write", token, WHO, NULL, &answer);
    assert_true(http_body_has(&answer,
        "\"tenant\":\"" TEST_TENANT_OTHER "\",\"user\":\"anna\",\"roles\":[\"Admin\",\"Clerk\"]"));
    http_answer_done(&answer);
    free(token);
}

static void the_second_request_with_a_token_is_the_same_user(void **state)
{
    (void)state;
    char *anna = test_token_for(NULL, "anna", "[]");
    char *bert = test_token_for(NULL, "bert", "[]");
    for (int i = 0; i < 4; i++) {
        http_answer answer;
        http_request(f.client, "POST", "/api/query", i % 2 ? bert : anna, WHO, NULL, &answer);
        assert_true(http_body_has(&answer, i % 2 ? "\"user\":\"bert\"" : "\"user\":\"anna\""));
        http_answer_done(&answer);
    }
    free(anna);
    free(bert);
}

static void every_change_of_one_character_breaks_a_token(void **state)
{
    (void)state;
    assert_int_equal(status_of(f.token, NULL), 200);
    const size_t len = strlen(f.token);
    for (size_t i = 0; i + 1 < len; i += 7) { /* the last has bits that mean nothing */
        const char kept = f.token[i];
        f.token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(status_of(f.token, NULL), 401);
        f.token[i] = kept;
    }
    assert_int_equal(status_of(f.token, NULL), 200);
}

static void only_hs256_is_believed(void **state)
{
    (void)state;
    static const char *const algs[] = {
        "none", "None", "", "RS256", "HS384", "HS512", "ES256", "hs256"};
    for (size_t i = 0; i < KU_COUNT(algs); i++)
        assert_token((test_token_spec){.alg = algs[i]}, 401);
    assert_token((test_token_spec){.header = "{}"}, 401);
    assert_token((test_token_spec){.header = "{\"alg\":[\"HS256\"]}"}, 401);
    assert_token((test_token_spec){.header = "{\"alg\":\"none\",\"alg\":\"HS256\"}"}, 401);
    assert_token((test_token_spec){.header = "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}"}, 401);
    assert_token((test_token_spec){.header = "[]"}, 401);
    assert_token((test_token_spec){.header = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"}, 200);
}

static void another_secret_is_not_believed(void **state)
{
    (void)state;
    assert_token((test_token_spec){.secret = "another-secret-0123456789-0123456789"}, 401);
    assert_token((test_token_spec){.secret = ""}, 401);
}

static void times_are_checked(void **state)
{
    (void)state;
    assert_token((test_token_spec){.expires_in_s = -1}, 401);
    assert_token((test_token_spec){.expires_in_s = -3600}, 401);
    assert_token((test_token_spec){.expires_in_s = 3600}, 200);
    assert_token((test_token_spec){.more = ",\"nbf\":1"}, 200);
    assert_token((test_token_spec){.more = ",\"nbf\":32503680000"}, 401);
    assert_token((test_token_spec){.more = ",\"nbf\":\"1\""}, 401);
}

static void claims_of_another_form_are_not_believed(void **state)
{
    (void)state;
#define REST ",\"iss\":\"kumiko\",\"exp\":32503680000}"
    static const char *const payloads[] = {
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[\"A\"],\"sub\":\"\"" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[\"A\"],\"sub\":7" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[\"A\"]" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":\"A\",\"sub\":\"u\"" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[\"A\",1],\"sub\":\"u\"" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"sub\":\"u\"" REST,
        "{\"tenantId\":\"ABCDEF00-0000-4000-8000-000000000001\",\"roles\":[],\"sub\":\"u\"" REST,
        "{\"tenantId\":\"tenant\",\"roles\":[],\"sub\":\"u\"" REST,
        "{\"tenantId\":1,\"roles\":[],\"sub\":\"u\"" REST,
        "{\"roles\":[],\"sub\":\"u\"" REST,
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[],\"sub\":\"u\",\"iss\":\"kumiko\"}",
        "{\"tenantId\":\"" TEST_TENANT "\",\"roles\":[],\"sub\":\"u\",\"exp\":32503680000}",
        "{\"tenantId\":\"" TEST_TENANT
        "\",\"roles\":[],\"sub\":\"u\",\"iss\":\"kumiko\",\"exp\":\"32503680000\"}",
        "{\"sub\":\"u\",\"tenantId\":\"" TEST_TENANT "\",\"roles\":[],\"sub\":\"v\"" REST,
        "[]",
        "no json",
    };
    for (size_t i = 0; i < KU_COUNT(payloads); i++)
        assert_token((test_token_spec){.payload = payloads[i]}, 401);
    assert_token((test_token_spec){.payload = "{\"tenantId\":\"" TEST_TENANT
                                              "\",\"roles\":[],\"sub\":\"u\"" REST},
        200);
    assert_token((test_token_spec){.issuer = "somebody"}, 401);
#undef REST
}

static void limits_of_a_token_hold_at_their_edges(void **state)
{
    (void)state;
    char user[LIMIT_USER_BYTES + 2], roles[16 * LIMIT_ROLES];
    memset(user, 'u', sizeof user);
    user[LIMIT_USER_BYTES] = '\0';
    assert_token((test_token_spec){.user = user}, 200);
    user[LIMIT_USER_BYTES] = 'u';
    user[LIMIT_USER_BYTES + 1] = '\0';
    assert_token((test_token_spec){.user = user}, 401);

    strcpy(roles, "[\"r\"");
    for (int i = 1; i < LIMIT_ROLES; i++)
        strcat(roles, ",\"r\"");
    strcat(roles, "]");
    assert_token((test_token_spec){.roles = roles}, 200);
    strcpy(roles + strlen(roles) - 1, ",\"r\"]");
    assert_token((test_token_spec){.roles = roles}, 401);
}

static void a_token_of_the_largest_size_fits_and_a_larger_one_is_refused(void **state)
{
    (void)state;
    for (int too_large = 0; too_large < 2; too_large++) {
        /* base64 makes 4 of 3: fill the payload until the whole has the size that is wanted */
        char *more = calloc(1, LIMIT_TOKEN_BYTES), *token = NULL;
        size_t fill = (LIMIT_TOKEN_BYTES - 400) * 3 / 4;
        for (;; fill++) {
            (void)sprintf(more, ",\"x\":\"%*s\"", (int)fill, "");
            token = test_token(&(test_token_spec){.more = more});
            if (strlen(token) >= LIMIT_TOKEN_BYTES - 1 + (size_t)too_large * 3)
                break;
            free(token);
        }
        if (!too_large)
            assert_true(strlen(token) <= LIMIT_TOKEN_BYTES);
        assert_int_equal(status_of(token, NULL), too_large ? 401 : 200);
        free(token);
        free(more);
    }
}

static void keys_rotate(void **state)
{
    (void)state;
    fixture_stop(&f);
    static const server_key keys[] = {
        {KU_STR_INIT("v2"),     KU_STR_INIT("the-second-secret-0123456789-0123456789")},
        {KU_STR_INIT("legacy"), KU_STR_INIT(TEST_SECRET)                              },
    };
    fixture_start(&f, (server_options){.keys = keys, .n_keys = 2});
    assert_token((test_token_spec){.kid = "legacy"}, 200);
    assert_token((test_token_spec){0}, 200);
    assert_token((test_token_spec){.kid = "v2", .secret = keys[0].secret.ptr}, 200);
    assert_token((test_token_spec){.secret = keys[0].secret.ptr}, 200);
    assert_token((test_token_spec){.kid = "v2"}, 401);
    assert_token((test_token_spec){.kid = "legacy", .secret = keys[0].secret.ptr}, 401);
    assert_token((test_token_spec){.kid = "v3"}, 401);
    assert_token((test_token_spec){.kid = ""}, 401);
    assert_token((test_token_spec){.header = "{\"alg\":\"HS256\",\"kid\":7}"}, 401);
}

static void another_issuer_can_be_asked_for(void **state)
{
    (void)state;
    fixture_stop(&f);
    fixture_start(&f, (server_options){.issuer = "accounts"});
    assert_token((test_token_spec){0}, 401);
    assert_token((test_token_spec){.issuer = "accounts"}, 200);
}

/* ---- transports ------------------------------------------------------------------------------ */

static char *cookie(const char *more)
{
    char *line;
    assert_true(asprintf(&line, "Cookie: kumiko_auth=%s%s\r\n", f.token, more) > 0);
    return line;
}

static void both_transports_at_once_are_ambiguous(void **state)
{
    (void)state;
    char *line = cookie("; kumiko_csrf=abc");
    assert_refused(f.token, line, 400, "ambiguous_auth", "auth.errors.ambiguousAuth");
    free(line);
    char *twice;
    assert_true(asprintf(&twice, "Authorization: Bearer %s\r\n", f.token) > 0);
    assert_refused(f.token, twice, 400, "ambiguous_auth", "auth.errors.ambiguousAuth");
    free(twice);
}

static void a_cookie_needs_its_csrf_token(void **state)
{
    (void)state;
    char *alone = cookie(""), *with = cookie("; kumiko_csrf=abcdef"), *good, *other, *shorter;
    assert_true(asprintf(&good, "%sX-CSRF-Token: abcdef\r\n", with) > 0);
    assert_true(asprintf(&other, "%sX-CSRF-Token: abcdeg\r\n", with) > 0);
    assert_true(asprintf(&shorter, "%sX-CSRF-Token: abcde\r\n", with) > 0);
    const char *const bad[] = {alone, with, other, shorter};
    for (size_t i = 0; i < KU_COUNT(bad); i++)
        assert_refused(NULL, bad[i], 403, "csrf_token_mismatch", "auth.errors.csrfTokenMismatch");
    char *empty = cookie("; kumiko_csrf="), *both_empty;
    assert_true(asprintf(&both_empty, "%sX-CSRF-Token:\r\n", empty) > 0);
    assert_refused(NULL, both_empty, 403, "csrf_token_mismatch", "auth.errors.csrfTokenMismatch");
    assert_int_equal(status_of(NULL, good), 200);
    free(alone);
    free(with);
    free(good);
    free(other);
    free(shorter);
    free(empty);
    free(both_empty);
}

static void a_bearer_needs_no_csrf_token(void **state)
{
    (void)state;
    assert_int_equal(status_of(f.token, "Cookie: kumiko_csrf=abc\r\n"), 200);
}

static void the_tenant_header_must_agree_with_the_token(void **state)
{
    (void)state;
    http_answer answer;
    assert_int_equal(status_of(f.token, "X-Tenant: " TEST_TENANT "\r\n"), 200);
    http_request(f.client, "POST", "/api/write", f.token, WHO,
        "X-Tenant: " TEST_TENANT_OTHER "\r\n", &answer);
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body,
        "{\"error\":{\"code\":\"tenant_mismatch\",\"httpStatus\":400,\"message\":\"JWT tenantId "
        "and "
        "X-Tenant header disagree\",\"i18nKey\":\"auth.errors.tenantMismatch\",\"details\":{"
        "\"jwtTenantId\":\"" TEST_TENANT "\",\"headerTenantId\":\"" TEST_TENANT_OTHER "\"}}}");
    http_answer_done(&answer);
    assert_int_equal(status_of(f.token, "X-Tenant: \"<nonsense>\r\n"), 400);
    assert_int_equal(status_of(f.token, "X-Tenant:\r\n"), 400);
}

static void only_listed_origins_may_write_with_a_cookie(void **state)
{
    (void)state;
    fixture_stop(&f);
    static const char *const origins[] = {"https://app.example", "https://other.example", NULL};
    fixture_start(&f, (server_options){.origins = origins});
    static const struct {
        const char *origin;
        int status;
    } cases[] = {
        {"Origin: https://app.example\r\n",              200},
        {"Origin: https://other.example\r\n",            200},
        {"Origin: https://app.example.evil.example\r\n", 403},
        {"Origin: http://app.example\r\n",               403},
        {"Origin: null\r\n",                             403},
        {"",                                             403},
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        char *line = cookie("; kumiko_csrf=abcdef"), *headers;
        assert_true(asprintf(&headers, "%sX-CSRF-Token: abcdef\r\n%s", line, cases[i].origin) > 0);
        assert_int_equal(status_of(NULL, headers), cases[i].status);
        free(headers);
        free(line);
    }
    assert_int_equal(status_of(f.token, "Origin: https://evil.example\r\n"), 200);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void the_limit_of_an_address_counts_down_and_refuses(void **state)
{
    (void)state;
    fixture_stop(&f);
    fixture_start(&f, (server_options){.rate_limit_per_address = 20});
    http_answer answer;
    const int64_t begin_us = clock_monotonic_us();
    for (int left = 19; left >= 0; left--) {
        char wanted[16];
        (void)snprintf(wanted, sizeof wanted, "%d", left);
        /* requests without a token count, too */
        http_request(f.client, "POST", "/api/write", left % 2 ? f.token : NULL, WHO, NULL, &answer);
        assert_int_equal(answer.status, left % 2 ? 200 : 401);
        assert_string_equal(http_header(&answer, "X-RateLimit-Limit"), "20");
        if (clock_monotonic_us() - begin_us < 3000000) /* nothing can have come back yet */
            assert_string_equal(http_header(&answer, "X-RateLimit-Remaining"), wanted);
        assert_non_null(http_header(&answer, "X-RateLimit-Reset"));
        assert_null(http_header(&answer, "Retry-After"));
        http_answer_done(&answer);
    }
    for (;;) {
        http_request(f.client, "POST", "/api/write", f.token, WHO, NULL, &answer);
        if (answer.status == 429)
            break;
        http_answer_done(&answer);
    }
    assert_string_equal(http_header(&answer, "X-RateLimit-Remaining"), "0");
    assert_in_range(atoi(http_header(&answer, "Retry-After")), 1, 3);
    assert_true(
        http_body_has(&answer, "{\"error\":{\"code\":\"rate_limited\",\"httpStatus\":429,"
                               "\"message\":\"rate limited: l1:127.0.0.1 (limit 20 per 60s)\","
                               "\"i18nKey\":\"errors.rate_limited\",\"details\":{\"bucket\":"
                               "\"l1:127.0.0.1\",\"limit\":20,\"windowSeconds\":60,"));
    http_answer_done(&answer);
    http_request(f.client, "GET", "/health", NULL, NULL, NULL, &answer);
    assert_int_equal(answer.status, 200); /* only the API is limited */
    http_answer_done(&answer);
}

static void a_spent_limit_comes_back(void **state)
{
    (void)state;
    fixture_stop(&f);
    fixture_start(&f, (server_options){.rate_limit_per_address = 600});
    while (status_of(f.token, NULL) == 200)
        ;
    while (status_of(f.token, NULL) != 200)
        (void)usleep(10000);
}

static void the_peer_is_the_client_whatever_a_header_says(void **state)
{
    (void)state;
    http_answer answer;
    http_request(
        f.client, "POST", "/api/write", f.token, WHO, "X-Forwarded-For: 10.99.0.1\r\n", &answer);
    assert_true(http_body_has(&answer, "\"address\":\"127.0.0.1\""));
    http_answer_done(&answer);
}

static void behind_a_trusted_proxy_the_first_hop_is_the_client(void **state)
{
    (void)state;
    fixture_stop(&f);
    fixture_start(&f, (server_options){.trust_proxy = true, .rate_limit_per_address = 2});
    static const struct {
        const char *headers, *address;
    } cases[] = {
        {"X-Forwarded-For: 10.99.0.1, 10.0.0.1\r\n", "\"address\":\"10.99.0.1\""  },
        {"X-Forwarded-For: 10.99.0.1\r\n",           "\"address\":\"10.99.0.1\""  },
        {"X-Forwarded-For:  2001:db8::7 \r\n",       "\"address\":\"2001:db8::7\""},
        {"X-Forwarded-For: nonsense\r\n",            "\"address\":\"127.0.0.1\""  },
        {"X-Forwarded-For: \r\n",                    "\"address\":\"127.0.0.1\""  },
    };
    http_answer answer;
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        http_request(f.client, "POST", "/api/write", f.token, WHO, cases[i].headers, &answer);
        if (answer.status != 200 || !http_body_has(&answer, cases[i].address))
            fail_msg("%s: %d %s", cases[i].headers, answer.status, answer.body);
        http_answer_done(&answer);
    }
    http_request(
        f.client, "POST", "/api/write", f.token, WHO, "X-Forwarded-For: 10.99.0.1\r\n", &answer);
    assert_int_equal(answer.status, 429);
    assert_true(http_body_has(&answer, "\"bucket\":\"l1:10.99.0.1\""));
    http_answer_done(&answer);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void unknown_paths_are_404_as_json(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/", "/nope", "/healthy", "/health/", "/API/write", "/errors"};
    http_answer answer;
    for (size_t i = 0; i < KU_COUNT(paths); i++) {
        http_request(f.client, "GET", paths[i], NULL, NULL, NULL, &answer);
        assert_int_equal(answer.status, 404);
        assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
        assert_true(
            http_body_has(&answer, "{\"error\":{\"code\":\"not_found\",\"httpStatus\":404"));
        http_answer_done(&answer);
    }
}

static void the_api_asks_for_a_token_before_it_talks_about_routes(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api/nope", "/api", "/api/", "/api/write/", "/api/health",
        "/api/stream", "/api/sse", "/api/writes"};
    http_answer answer;
    for (size_t i = 0; i < KU_COUNT(paths); i++) {
        http_request(f.client, "POST", paths[i], NULL, "{}", NULL, &answer);
        assert_int_equal(answer.status, 401);
        http_answer_done(&answer);
        http_request(f.client, "POST", paths[i], f.token, "{}", NULL, &answer);
        assert_int_equal(answer.status, 404);
        assert_true(http_body_has(&answer, "\"code\":\"not_found\""));
        http_answer_done(&answer);
    }
}

static void a_wrong_method_is_405_with_allow(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *allow;
    } cases[] = {
        {"GET",     "/api/write",           "POST"     },
        {"PUT",     "/api/query",           "POST"     },
        {"DELETE",  "/api/batch",           "POST"     },
        {"PATCH",   "/api/command",         "POST"     },
        {"OPTIONS", "/api/command",         "POST"     },
        {"POST",    "/health",              "GET, HEAD"},
        {"POST",    "/health/ready",        "GET, HEAD"},
        {"DELETE",  "/version",             "GET, HEAD"},
        {"POST",    "/errors/known_reason", "GET, HEAD"},
        {"GE",      "/health",              "GET, HEAD"},
    };
    http_answer answer;
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        http_request(f.client, cases[i].method, cases[i].path, f.token, NULL, NULL, &answer);
        assert_int_equal(answer.status, 405);
        assert_string_equal(http_header(&answer, "Allow"), cases[i].allow);
        assert_true(http_body_has(&answer, "{\"error\":{\"code\":\"method_not_allowed\""));
        http_answer_done(&answer);
    }
    http_request(f.client, "GET", "/api/write", NULL, NULL, NULL, &answer);
    assert_int_equal(answer.status, 401);
    http_answer_done(&answer);
}

static void a_refused_body_is_read_and_the_connection_goes_on(void **state)
{
    (void)state;
    char *body = malloc(300001);
    assert_non_null(body);
    memset(body, 'x', 300000);
    body[300000] = '\0';
    const int before = http_socket(f.client);
    http_answer answer;
    http_request(f.client, "POST", "/api/write", NULL, body, NULL, &answer);
    assert_int_equal(answer.status, 401);
    http_answer_done(&answer);
    assert_int_equal(status_of(f.token, NULL), 200);
    assert_int_equal(before, http_socket(f.client));
    free(body);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_missing_token_is_401_as_in_the_contract),
        CASE(a_forged_token_is_401_as_in_the_contract),
        CASE(a_good_token_says_who_it_is),
        CASE(the_second_request_with_a_token_is_the_same_user),
        CASE(every_change_of_one_character_breaks_a_token),
        CASE(only_hs256_is_believed),
        CASE(another_secret_is_not_believed),
        CASE(times_are_checked),
        CASE(claims_of_another_form_are_not_believed),
        CASE(limits_of_a_token_hold_at_their_edges),
        CASE(a_token_of_the_largest_size_fits_and_a_larger_one_is_refused),
        CASE(keys_rotate),
        CASE(another_issuer_can_be_asked_for),
        CASE(both_transports_at_once_are_ambiguous),
        CASE(a_cookie_needs_its_csrf_token),
        CASE(a_bearer_needs_no_csrf_token),
        CASE(the_tenant_header_must_agree_with_the_token),
        CASE(only_listed_origins_may_write_with_a_cookie),
        CASE(the_limit_of_an_address_counts_down_and_refuses),
        CASE(a_spent_limit_comes_back),
        CASE(the_peer_is_the_client_whatever_a_header_says),
        CASE(behind_a_trusted_proxy_the_first_hop_is_the_client),
        CASE(unknown_paths_are_404_as_json),
        CASE(the_api_asks_for_a_token_before_it_talks_about_routes),
        CASE(a_wrong_method_is_405_with_allow),
        CASE(a_refused_body_is_read_and_the_connection_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
