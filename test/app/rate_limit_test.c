/*
 * Rate limits: buckets in memory, and buckets that several processes share.
 */
#include "app/lab.h"

#include "app/ratelimit.h"

#include "db/sql.h"

/* ---- the feature ----------------------------------------------------------------------------- */

static ku_status limited(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)scope;
    (void)input;
    (void)reply;
    return KU_OK;
}

static const ku_handler writes[] = {
    LAB_DO,
    {.name = "limited",
      .access = KU_OPEN_TO_ALL,
      .run = limited,
      .rate_limit = {.per = KU_PER_USER, .limit = 3, .window_s = 30}},
    KU_END,
};
static const ku_feature feature = {.abi = KU_ABI_VERSION, .name = "lab", .writes = writes};

/* ---- helpers --------------------------------------------------------------------------------- */

enum { LIMIT = 3, WINDOW_S = 30, NOW_US = 1000000000 };

static int set_up(void **state)
{
    lab *l = lab_new();

    lab_open(l, &feature, false);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* Another process' application on the same database. */
static lab *open_beside(const lab *first)
{
    lab *l = mem_zero(1, sizeof(*l));

    l->url = first->url;
    atomic_store(&l->now_us, atomic_load(&first->now_us));
    pthread_mutex_init(&l->log_lock, NULL);
    lab_open(l, &feature, false);
    return l;
}

static ku_status call(lab *l)
{
    return lab_send(l, true, "lab:write:limited", "{}");
}

/* A limiter of its own beside the application's, with the application's log. */
static rate_limiter *share(lab *l)
{
    rate_limiter *limiter = rate_limiter_new();
    ku_error error = {0};

    if (rate_limiter_share(limiter, l->url, l->app->registry.statements, &l->app->log, &error) !=
        KU_OK)
        fail_msg("%s", error.message);
    return limiter;
}

static rate_result take(rate_limiter *limiter, uint32_t tenant, int cost, int64_t now_us)
{
    const rate_bucket key = {
        .tenant = lab_tenant(tenant),
        .name = KU_STR("user:somebody/3/30"),
        .limit = LIMIT,
        .window_s = WINDOW_S,
    };

    return rate_limiter_take(limiter, &key, cost, (ku_time){now_us});
}

static int64_t count_buckets(const lab *l)
{
    return lab_sql(l, "SELECT count(*) FROM ku_rate_buckets");
}

#define SKIP_ON_SQLITE()                                                                           \
    do {                                                                                           \
        if (!test_engine_is_postgres())                                                            \
            skip();                                                                                \
    } while (0)

/* ---- on both engines ------------------------------------------------------------------------- */

static void a_bucket_says_how_many_are_left_and_when_it_is_full(void **state)
{
    rate_limiter *limiter = share(*state);

    rate_result result = take(limiter, 1, 1, NOW_US);
    assert_true(result.allowed);
    assert_int_equal(result.remaining, 2);
    assert_int_equal(result.reset_at.unix_us, NOW_US + 10000000);
    result = take(limiter, 1, 2, NOW_US);
    assert_true(result.allowed);
    assert_int_equal(result.remaining, 0);
    assert_int_equal(result.reset_at.unix_us, NOW_US + 30000000);
    result = take(limiter, 1, 1, NOW_US + 1000000);
    assert_false(result.allowed);
    assert_int_equal(result.retry_after_s, 9);
    assert_int_equal(result.reset_at.unix_us, NOW_US + 10000000);
    result = take(limiter, 1, 1, NOW_US + 10000000);
    assert_true(result.allowed);
    rate_limiter_free(limiter);
}

static void tenants_have_buckets_of_their_own(void **state)
{
    rate_limiter *limiter = share(*state);

    assert_true(take(limiter, 1, LIMIT, NOW_US).allowed);
    assert_false(take(limiter, 1, 1, NOW_US).allowed);
    assert_true(take(limiter, 2, LIMIT, NOW_US).allowed);
    rate_limiter_free(limiter);
}

static void a_cost_beyond_what_is_left_takes_nothing(void **state)
{
    rate_limiter *limiter = share(*state);

    assert_true(take(limiter, 1, 1, NOW_US).allowed);
    assert_false(take(limiter, 1, 3, NOW_US).allowed);
    assert_true(take(limiter, 1, 2, NOW_US).allowed);
    rate_limiter_free(limiter);
}

typedef struct taker {
    pthread_t thread;
    rate_limiter *limiter;
    int allowed;
} taker;

enum { TAKERS = 4, TAKES = 100, TAKEN = 150 };

static void *take_often(void *context)
{
    taker *t = context;
    const rate_bucket key = {
        .tenant = lab_tenant(1), .name = KU_STR("tenant:busy"), .limit = TAKEN, .window_s = 60};

    for (int i = 0; i < TAKES; i++)
        t->allowed += rate_limiter_take(t->limiter, &key, 1, (ku_time){NOW_US}).allowed;
    return NULL;
}

/* Of a database that several share each half of the threads has a limiter of its own. */
static void takers_at_once_get_what_there_is_and_no_more(void **state)
{
    lab *l = *state;
    rate_limiter *first = share(l), *second = share(l);
    taker takers[TAKERS] = {0};
    int allowed = 0;

    for (int i = 0; i < TAKERS; i++) {
        takers[i].limiter = i % 2 == 1 && test_engine_is_postgres() ? second : first;
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_often, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        (void)pthread_join(takers[i].thread, NULL);
        allowed += takers[i].allowed;
    }
    assert_int_equal(allowed, TAKEN);
    rate_limiter_free(first);
    rate_limiter_free(second);
}

/* ---- where several processes share the database ---------------------------------------------- */

static void two_applications_on_one_database_share_one_limit(void **state)
{
    lab *first = *state;

    SKIP_ON_SQLITE();
    lab *second = open_beside(first);
    lab_assert_ok(first, call(first));
    lab_assert_ok(second, call(second));
    lab_assert_ok(first, call(first));
    assert_int_equal(call(second), KU_RATE_LIMITED);
    lab_assert_has(second, "\"retryAfterSeconds\":10");
    assert_int_equal(call(first), KU_RATE_LIMITED);

    atomic_fetch_add(&first->now_us, 10000000);
    atomic_fetch_add(&second->now_us, 10000000);
    lab_assert_ok(second, call(second));
    assert_int_equal(call(first), KU_RATE_LIMITED);
    assert_int_equal(call(second), KU_RATE_LIMITED);
    lab_free(second);
}

/* The row is gone, and nobody has noticed: it was not asked for. */
static void whoever_is_known_to_be_over_is_refused_without_asking(void **state)
{
    lab *l = *state;

    SKIP_ON_SQLITE();
    rate_limiter *limiter = share(l);
    assert_true(take(limiter, 1, LIMIT, NOW_US).allowed);
    test_database_run(l->database, "DELETE FROM ku_rate_buckets");
    assert_false(take(limiter, 1, 1, NOW_US).allowed);
    assert_int_equal(count_buckets(l), 0);
    /* A token is back by the limiter's own count, so it asks. */
    rate_result result = take(limiter, 1, 1, NOW_US + 10000000);
    assert_true(result.allowed);
    assert_int_equal(result.remaining, 2);
    assert_int_equal(count_buckets(l), 1);
    rate_limiter_free(limiter);
}

static void a_clock_that_is_behind_anothers_gains_nothing(void **state)
{
    lab *l = *state;

    SKIP_ON_SQLITE();
    rate_limiter *ahead = share(l), *behind = share(l);
    assert_true(take(ahead, 1, LIMIT, NOW_US + 20000000).allowed);
    assert_false(take(behind, 1, 1, NOW_US).allowed);
    assert_false(take(ahead, 1, 1, NOW_US + 20000000).allowed);
    assert_true(take(ahead, 1, 1, NOW_US + 30000000).allowed);
    rate_limiter_free(behind);
    rate_limiter_free(ahead);
}

static void without_an_answer_each_process_counts_for_itself(void **state)
{
    lab *l = *state;

    SKIP_ON_SQLITE();
    rate_limiter *limiter = share(l);
    assert_true(take(limiter, 1, 1, NOW_US).allowed);
    test_database_run(l->database, "ALTER TABLE ku_rate_buckets RENAME TO elsewhere");
    assert_true(take(limiter, 1, 1, NOW_US).allowed);
    assert_true(take(limiter, 1, 1, NOW_US).allowed);
    assert_false(take(limiter, 1, 1, NOW_US).allowed);
    assert_true(lab_logged(l, "rate limits are counted by each process for itself"));

    test_database_run(l->database, "ALTER TABLE elsewhere RENAME TO ku_rate_buckets");
    assert_int_equal(count_buckets(l), 1);
    for (uint32_t tenant = 2; count_buckets(l) == 1; tenant++) { /* until it asks again */
        (void)take(limiter, tenant, 1, NOW_US);
        (void)usleep(50000);
    }
    rate_limiter_free(limiter);
}

static void buckets_that_are_full_again_are_forgotten(void **state)
{
    lab *l = *state;
    db *d = NULL;
    ku_error error = {0};
    const db_value soon[] = {db_int(NOW_US + 9999999)}, then[] = {db_int(NOW_US + 10000000)};

    SKIP_ON_SQLITE();
    rate_limiter *limiter = share(l);
    assert_true(take(limiter, 1, 1, NOW_US).allowed);
    assert_true(take(limiter, 2, 2, NOW_US).allowed);
    rate_limiter_free(limiter);
    assert_int_equal(db_open(l->url, DB_WRITER, l->app->registry.statements, &d, &error), KU_OK);
    assert_int_equal(db_run(d, SQL_RATE_PURGE, soon, 1, NULL), KU_OK);
    assert_int_equal(count_buckets(l), 2);
    assert_int_equal(db_run(d, SQL_RATE_PURGE, then, 1, NULL), KU_OK);
    assert_int_equal(count_buckets(l), 1);
    db_close(d);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_bucket_says_how_many_are_left_and_when_it_is_full),
        CASE(tenants_have_buckets_of_their_own),
        CASE(a_cost_beyond_what_is_left_takes_nothing),
        CASE(takers_at_once_get_what_there_is_and_no_more),
        CASE(two_applications_on_one_database_share_one_limit),
        CASE(whoever_is_known_to_be_over_is_refused_without_asking),
        CASE(a_clock_that_is_behind_anothers_gains_nothing),
        CASE(without_an_answer_each_process_counts_for_itself),
        CASE(buckets_that_are_full_again_are_forgotten),
    };

    return cmocka_run_group_tests_name("rate limits", tests, NULL, NULL);
}
