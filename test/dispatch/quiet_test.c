/*
 * What the dispatcher remembers of lanes that hold nothing for a consumer.
 */
#include "dispatch/quiet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const consumer_entry first, second;

static ku_id tenant(int number)
{
    ku_id id = {
        {(uint8_t)(number >> 8), (uint8_t)number}
    };
    return id;
}

static void an_unknown_lane_is_at_zero(void **state)
{
    (void)state;
    quiet_lanes q = {0};
    assert_int_equal(quiet_position(&q, &first, tenant(1), 0), 0);
    quiet_note(&q, &first, tenant(1), 0, 7, 100);
    assert_int_equal(quiet_position(&q, &second, tenant(1), 0), 0);
    assert_int_equal(quiet_position(&q, &first, tenant(2), 0), 0);
    assert_int_equal(quiet_position(&q, &first, tenant(1), 1), 0);
    assert_int_equal(quiet_position(&q, &first, tenant(1), 0), 7);
    quiet_done(&q);
}

static void a_lane_is_counted_once_however_often_it_is_noted(void **state)
{
    (void)state;
    quiet_lanes q = {0};
    quiet_note(&q, &first, tenant(1), 0, 7, 100);
    quiet_note(&q, &first, tenant(1), 0, 9, 200);
    assert_int_equal(q.count, 1);
    assert_int_equal(quiet_position(&q, &first, tenant(1), 0), 9);
    assert_int_equal(q.since_us, 100); /* how long the first has been waiting */
    quiet_done(&q);
}

static void thousands_of_lanes_keep_their_positions(void **state)
{
    (void)state;
    quiet_lanes q = {0};
    for (int i = 0; i < 5000; i++) {
        quiet_note(&q, &first, tenant(i), 0, i + 1, 1);
        quiet_note(&q, &second, tenant(i), 3, i + 2, 1);
    }
    assert_int_equal(q.count, 10000);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(quiet_position(&q, &first, tenant(i), 0), i + 1);
        assert_int_equal(quiet_position(&q, &second, tenant(i), 3), i + 2);
    }
    quiet_done(&q);
}

static void what_was_written_down_is_forgotten(void **state)
{
    (void)state;
    quiet_lanes q = {0};
    quiet_note(&q, &first, tenant(1), 0, 7, 100);
    quiet_clear(&q);
    assert_int_equal(q.count, 0);
    assert_int_equal(q.since_us, 0);
    assert_int_equal(quiet_position(&q, &first, tenant(1), 0), 0);
    quiet_note(&q, &first, tenant(1), 0, 8, 300);
    assert_int_equal(quiet_position(&q, &first, tenant(1), 0), 8);
    assert_int_equal(q.since_us, 300);
    quiet_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_lane_is_at_zero),
        cmocka_unit_test(a_lane_is_counted_once_however_often_it_is_noted),
        cmocka_unit_test(thousands_of_lanes_keep_their_positions),
        cmocka_unit_test(what_was_written_down_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
