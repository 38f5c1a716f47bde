/*
 * Minting, and what is kept of verified tokens.  What is refused is in guard_test.c, over sockets.
 */
#include "base/limits.h"
#include "http/principal.h"
#include "support/http_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const server_key keys[] = {
    {KU_STR_INIT("v1"), KU_STR_INIT(TEST_SECRET)                              },
    {{0},               KU_STR_INIT("the-second-secret-0123456789-0123456789")},
};
static const ku_time now = {INT64_C(1800000000) * 1000000};

/* ---- helpers --------------------------------------------------------------------------------- */

static ku_user user_named(const char *name)
{
    static const ku_str roles[] = {KU_STR_INIT("Admin"), KU_STR_INIT("\"quoted\" \xc3\xa9")};
    ku_user user = {.id = ku_str_from(name), .roles = roles, .n_roles = 2};
    assert_true(ku_id_parse(KU_STR(TEST_TENANT), &user.tenant));
    return user;
}

static ku_time later(int64_t seconds)
{
    return (ku_time){now.unix_us + seconds * 1000000};
}

static token_keys *open_keys(void)
{
    token_keys *opened = NULL;
    ku_error error;
    assert_int_equal(token_keys_new(keys, KU_COUNT(keys), &opened, &error), KU_OK);
    return opened;
}

static ku_str mint(arena *a, const char *name, int64_t lifetime_s)
{
    const ku_user user = user_named(name);
    return token_mint(a, &keys[0], NULL, &user, now, lifetime_s);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_minted_token_says_what_it_was_minted_for(void **state)
{
    (void)state;
    arena a = {0};
    token_keys *opened = open_keys();
    for (size_t i = 0; i < KU_COUNT(keys); i++) {
        const ku_user user = user_named("anna");
        token_claims claims;
        const ku_str token = token_mint(&a, &keys[i], "accounts", &user, now, 60);
        assert_true(token_verify(opened, KU_STR("accounts"), token, later(59), &a, &claims));
        assert_true(ku_id_equal(claims.user.tenant, user.tenant));
        assert_true(ku_str_is(claims.user.id, "anna"));
        assert_int_equal(claims.user.n_roles, 2);
        assert_true(ku_str_equal(claims.user.roles[1], user.roles[1]));
        assert_int_equal(claims.expires_unix_s, 1800000060);
        assert_false(token_verify(opened, KU_STR("accounts"), token, later(60), &a, &claims));
        assert_false(token_verify(opened, KU_STR("kumiko"), token, later(59), &a, &claims));
    }
    token_keys_free(opened);
    arena_done(&a);
}

static void nobody_outside_has_the_role_of_the_system(void **state)
{
    (void)state;
    static const ku_str roles[] = {KU_STR_INIT("system"), KU_STR_INIT("Admin")};
    arena a = {0};
    token_keys *opened = open_keys();
    ku_user user = user_named("eve");
    token_claims claims;
    user.roles = roles;
    const ku_str token = token_mint(&a, &keys[0], NULL, &user, now, 60);
    assert_true(token_verify(opened, KU_STR("kumiko"), token, later(1), &a, &claims));
    assert_int_equal(claims.user.n_roles, 1);
    assert_true(ku_str_is(claims.user.roles[0], "Admin"));
    token_keys_free(opened);
    arena_done(&a);
}

static void a_minted_token_names_its_key_if_it_has_a_name(void **state)
{
    (void)state;
    arena a = {0};
    const ku_user user = user_named("anna");
    const ku_str named = token_mint(&a, &keys[0], NULL, &user, now, 60);
    const ku_str nameless = token_mint(&a, &keys[1], NULL, &user, now, 60);
    /* base64url of {"alg":"HS256","kid":"v1"} and of {"alg":"HS256"} */
    assert_memory_equal(named.ptr, "eyJhbGciOiJIUzI1NiIsImtpZCI6InYxIn0.", 36);
    assert_memory_equal(nameless.ptr, "eyJhbGciOiJIUzI1NiJ9.", 21);
    arena_done(&a);
}

static void a_token_is_verified_once_and_forgotten_when_it_expires(void **state)
{
    (void)state;
    arena a = {0};
    token_keys *opened = open_keys();
    principal_cache *cache = principal_cache_new(opened, KU_STR("kumiko"), 8);
    const ku_str token = mint(&a, "anna", 60);

    principal *first = principal_of(cache, token, now);
    principal *second = principal_of(cache, token, later(59));
    assert_non_null(first);
    assert_ptr_equal(first, second);
    assert_int_equal(principal_count(cache), 1);
    assert_null(principal_of(cache, token, later(60)));
    assert_int_equal(principal_count(cache), 0);
    assert_true(ku_str_is(first->user.id, "anna")); /* whoever holds it may go on */
    principal_release(first);
    principal_release(second);
    principal_cache_free(cache);
    token_keys_free(opened);
    arena_done(&a);
}

static void a_full_cache_forgets_the_token_not_seen_for_longest(void **state)
{
    (void)state;
    arena a = {0};
    token_keys *opened = open_keys();
    principal_cache *cache = principal_cache_new(opened, KU_STR("kumiko"), 3);
    ku_str tokens[4];
    principal *held[4];
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "user-%zu", i);
        tokens[i] = mint(&a, name, 60);
        held[i] = principal_of(cache, tokens[i], now);
        assert_non_null(held[i]);
        if (i == 2)
            principal_release(principal_of(cache, tokens[0], now)); /* now 1 is the oldest */
    }
    assert_int_equal(principal_count(cache), 3);
    for (size_t i = 0; i < 4; i++) {
        if (i == 1)
            continue;
        principal *again = principal_of(cache, tokens[i], now);
        assert_ptr_equal(again, held[i]);
        principal_release(again);
    }
    principal *anew = principal_of(cache, tokens[1], now);
    assert_ptr_not_equal(anew, held[1]);
    assert_true(ku_str_equal(anew->user.id, held[1]->user.id));
    principal_release(anew);
    for (size_t i = 0; i < 4; i++)
        principal_release(held[i]);
    principal_cache_free(cache);
    token_keys_free(opened);
    arena_done(&a);
}

static void refused_tokens_take_no_place(void **state)
{
    (void)state;
    token_keys *opened = open_keys();
    principal_cache *cache = principal_cache_new(opened, KU_STR("kumiko"), 3);
    char *forged = test_token(&(test_token_spec){.secret = "another-secret-0123456789-0123456789"});
    assert_null(principal_of(cache, ku_str_from(forged), now));
    assert_null(principal_of(cache, KU_STR(""), now));
    assert_null(principal_of(cache, KU_STR("x"), now));
    assert_int_equal(principal_count(cache), 0);
    free(forged);
    principal_cache_free(cache);
    token_keys_free(opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minted_token_says_what_it_was_minted_for),
        cmocka_unit_test(nobody_outside_has_the_role_of_the_system),
        cmocka_unit_test(a_minted_token_names_its_key_if_it_has_a_name),
        cmocka_unit_test(a_token_is_verified_once_and_forgotten_when_it_expires),
        cmocka_unit_test(a_full_cache_forgets_the_token_not_seen_for_longest),
        cmocka_unit_test(refused_tokens_take_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
