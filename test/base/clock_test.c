/*
 * Ids ascend: in one thread, across threads, when the clock stands still, runs backwards, or forks.
 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, IDS_PER_THREAD = 50000 };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ku_id));
}

static void ids_are_of_version_7_and_hold_the_time(void **state)
{
    (void)state;
    ku_time now = clock_now(NULL);
    ku_id id = id_new(now);
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    assert_int_equal(ms, now.unix_us / 1000);
    assert_int_equal(id.bytes[6] >> 4, 7);
    assert_int_equal(id.bytes[8] >> 6, 2);
}

static void ids_ascend_though_the_clock_stands_still(void **state)
{
    (void)state;
    ku_time now = clock_now(NULL);
    ku_id last = id_new(now);
    /* More than the counter of one millisecond holds. */
    for (int i = 0; i < 200000; i++) {
        ku_id next = id_new(now);
        assert_true(compare_ids(&last, &next) < 0);
        assert_int_equal(next.bytes[6] >> 4, 7);
        assert_int_equal(next.bytes[8] >> 6, 2);
        last = next;
    }
}

static void ids_ascend_though_the_clock_runs_backwards(void **state)
{
    (void)state;
    int64_t now = clock_now(NULL).unix_us;
    ku_id last = id_new((ku_time){now});
    for (int i = 1; i < 1000; i++) {
        ku_id next = id_new((ku_time){now - i * 1000000});
        assert_true(compare_ids(&last, &next) < 0);
        last = next;
    }
    ku_id next = id_new((ku_time){INT64_MIN});
    assert_true(compare_ids(&last, &next) < 0);
}

static void *make_ids(void *context)
{
    ku_id *ids = context;
    for (int i = 0; i < IDS_PER_THREAD; i++)
        ids[i] = id_new(clock_now(NULL));
    return NULL;
}

static void ids_of_many_threads_ascend_in_each_and_differ_in_all(void **state)
{
    (void)state;
    ku_id *ids = calloc((size_t)THREADS * IDS_PER_THREAD, sizeof(ku_id));
    pthread_t threads[THREADS];
    assert_non_null(ids);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, ids + t * IDS_PER_THREAD), 0);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (int i = 1; i < THREADS * IDS_PER_THREAD; i++)
        assert_true(i % IDS_PER_THREAD == 0 || compare_ids(&ids[i - 1], &ids[i]) < 0);

    qsort(ids, (size_t)THREADS * IDS_PER_THREAD, sizeof(ku_id), compare_ids);
    for (int i = 1; i < THREADS * IDS_PER_THREAD; i++)
        assert_true(compare_ids(&ids[i - 1], &ids[i]) < 0);
    free(ids);
}

static void a_forked_process_makes_other_ids(void **state)
{
    (void)state;
    int ends[2];
    ku_time now = clock_now(NULL);
    (void)id_new(now);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ku_id id = id_new(now);
        _exit(write(ends[1], &id, sizeof(id)) == (ssize_t)sizeof(id) ? 0 : 1);
    }
    ku_id mine = id_new(now), theirs;
    assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, NULL, 0), child);
    /* The counter is the same in both; the 58 random bits are not. */
    assert_memory_not_equal(&mine.bytes[9], &theirs.bytes[9], 7);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static ku_time fixed(void *context)
{
    return *(ku_time *)context;
}

static void a_clock_can_be_replaced(void **state)
{
    (void)state;
    ku_time at = {123};
    clock_source source = {fixed, &at};
    assert_int_equal(clock_now(&source).unix_us, 123);
    assert_true(clock_now(NULL).unix_us > INT64_C(1700000000000000));
    int64_t before = clock_monotonic_us();
    assert_true(clock_monotonic_us() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_of_version_7_and_hold_the_time),
        cmocka_unit_test(ids_ascend_though_the_clock_stands_still),
        cmocka_unit_test(ids_ascend_though_the_clock_runs_backwards),
        cmocka_unit_test(ids_of_many_threads_ascend_in_each_and_differ_in_all),
        cmocka_unit_test(a_forked_process_makes_other_ids),
        cmocka_unit_test(a_clock_can_be_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
