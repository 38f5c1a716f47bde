/*
 * Token buckets per address, with a clock of the test's own.
 */
#include "http/address_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const address_key somebody = {0xffff, 0x0a630001}, another = {0xffff, 0x0a630002};
static const int64_t begin_us = INT64_C(5000000000);

static void a_bucket_counts_down_and_refuses(void **state)
{
    (void)state;
    address_limit *limit = address_limit_new(20, 64);
    for (int64_t left = 19; left >= 0; left--) {
        const address_verdict verdict = address_limit_take(limit, somebody, begin_us);
        assert_true(verdict.allowed);
        assert_int_equal(verdict.limit, 20);
        assert_int_equal(verdict.remaining, left);
        assert_int_equal(verdict.next_in_us, left > 0 ? 0 : 3000000);
    }
    for (int i = 0; i < 3; i++) { /* a refusal costs nothing */
        const address_verdict verdict = address_limit_take(limit, somebody, begin_us + 1000000);
        assert_false(verdict.allowed);
        assert_int_equal(verdict.remaining, 0);
        assert_int_equal(verdict.next_in_us, 2000000);
    }
    assert_int_equal(address_limit_take(limit, another, begin_us).remaining, 19);
    address_limit_free(limit);
}

static void it_refills_one_by_one_and_never_beyond_full(void **state)
{
    (void)state;
    address_limit *limit = address_limit_new(20, 64);
    while (address_limit_take(limit, somebody, begin_us).allowed)
        ;
    assert_false(address_limit_take(limit, somebody, begin_us + 2999999).allowed);
    assert_true(address_limit_take(limit, somebody, begin_us + 3000000).allowed);
    assert_false(address_limit_take(limit, somebody, begin_us + 3000000).allowed);
    assert_int_equal(address_limit_take(limit, somebody, begin_us + 60000000).remaining, 18);
    assert_int_equal(address_limit_take(limit, somebody, begin_us + 999000000000).remaining, 19);
    address_limit_free(limit);
}

static void more_addresses_than_places_keep_the_table_in_its_size(void **state)
{
    (void)state;
    address_limit *limit = address_limit_new(2, 64);
    const address_key busy = {1, 1};
    while (address_limit_take(limit, busy, begin_us).allowed)
        ;
    /* Each of these uses half of its bucket; whoever is being refused is forgotten last. */
    for (uint64_t i = 0; i < 10000; i++)
        assert_true(address_limit_take(limit, (address_key){2, i}, begin_us).allowed);
    assert_false(address_limit_take(limit, busy, begin_us).allowed);
    address_limit_free(limit);
}

static void addresses_are_read(void **state)
{
    (void)state;
    address_key a, b;
    assert_true(address_key_parse("192.0.2.1", &a));
    assert_true(address_key_parse("::ffff:192.0.2.1", &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(address_key_parse("192.0.2.2", &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    /* IPv6 by network */
    assert_true(address_key_parse("2001:db8:1:2::1", &a));
    assert_true(address_key_parse("2001:db8:1:2:ffff::9", &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(address_key_parse("2001:db8:1:3::1", &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_false(address_key_parse("", &b));
    assert_false(address_key_parse("192.0.2", &b));
    assert_false(address_key_parse("example.org", &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_counts_down_and_refuses),
        cmocka_unit_test(it_refills_one_by_one_and_never_beyond_full),
        cmocka_unit_test(more_addresses_than_places_keep_the_table_in_its_size),
        cmocka_unit_test(addresses_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
