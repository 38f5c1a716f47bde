/*
 * The bell: the others hear it, many rings in a row are few on the wire, the last of them is heard,
 * and a lost connection is made anew.
 */
#include "dispatch/bank.h"
#include "dispatch/bell.h"
#include "support/pg_proxy.h"

#include <time.h>

/* One side of it: what was said when it last heard the bell. */
typedef struct listener {
    bell *bell;
    _Atomic int64_t times, last_seen;
} listener;

static _Atomic int64_t said; /* by whoever rings */

static void hear(void *context)
{
    listener *l = context;

    atomic_store(&l->last_seen, atomic_load(&said));
    atomic_fetch_add(&l->times, 1);
}

typedef struct stage {
    lab *lab; /* its own bell has nothing to ring for */
    listener first, second;
    pg_proxy *proxy;
    char url[1024];
} stage;

static int set_up(void **state)
{
    atomic_store(&said, 0);
    *state = NULL;
    if (test_engine_is_postgres()) {
        stage *s = mem_zero(1, sizeof(*s));
        s->lab = lab_new();
        *state = s;
    }
    return 0;
}

static int tear_down(void **state)
{
    stage *s = *state;

    if (s != NULL) {
        bell_close(s->first.bell);
        bell_close(s->second.bell);
        lab_close(s->lab);
        if (s->proxy != NULL)
            pg_proxy_close(s->proxy);
        lab_free(s->lab);
        free(s);
    }
    return 0;
}

static stage *stage_of(void **state)
{
    if (*state == NULL) {
        print_message("nobody else is there to hear a bell\n");
        skip();
    }
    return *state;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

static void wait_for(_Atomic int64_t *value, int64_t least)
{
    while (atomic_load(value) < least)
        sleep_ms(1);
}

/* Each hears once by itself: it has begun to listen. */
static void hang_up(listener *l, ku_app *app)
{
    l->bell = bell_open(app, hear, l);
    wait_for(&l->times, 1);
}

static void say(listener *l, int64_t what)
{
    atomic_store(&said, what);
    bell_ring(l->bell);
}

static void the_others_hear_it_and_who_rings_does_not(void **state)
{
    stage *s = stage_of(state);

    lab_open(s->lab, &bank_feature, false);
    hang_up(&s->first, s->lab->app);
    hang_up(&s->second, s->lab->app);
    const int64_t own = atomic_load(&s->first.times);
    for (int64_t i = 1; i <= 5; i++) {
        say(&s->first, i);
        wait_for(&s->second.last_seen, i);
    }
    assert_int_equal(atomic_load(&s->first.times), own);
    say(&s->second, 6);
    wait_for(&s->first.last_seen, 6);
}

static void many_rings_are_few_and_the_last_is_heard(void **state)
{
    enum { RINGS = 20000 };
    stage *s = stage_of(state);

    lab_open(s->lab, &bank_feature, false);
    hang_up(&s->first, s->lab->app);
    hang_up(&s->second, s->lab->app);
    const int64_t before = atomic_load(&s->second.times);
    const int64_t began_us = clock_monotonic_us();
    for (int64_t i = 1; i <= RINGS; i++)
        say(&s->first, i);
    wait_for(&s->second.last_seen, RINGS);
    const int64_t took_ms = (clock_monotonic_us() - began_us) / 1000;
    assert_in_range(atomic_load(&s->second.times) - before, 1, took_ms / 5 + 2);
}

static void who_only_rings_is_heard_as_well(void **state)
{
    stage *s = stage_of(state);

    lab_open(s->lab, &bank_feature, false);
    s->first.bell = bell_open(s->lab->app, NULL, NULL);
    hang_up(&s->second, s->lab->app);
    say(&s->first, 1);
    wait_for(&s->second.last_seen, 1);
    say(&s->first, 2);
    bell_close(s->first.bell); /* what was asked for is rung before it goes */
    s->first.bell = NULL;
    wait_for(&s->second.last_seen, 2);
}

static void a_commit_of_an_application_rings(void **state)
{
    stage *s = stage_of(state);

    lab_open(s->lab, &bank_feature, false); /* without a dispatcher of its own */
    hang_up(&s->second, s->lab->app);
    const int64_t before = atomic_load(&s->second.times);
    bank_put(s->lab, 1, "ann", 1);
    wait_for(&s->second.times, before + 1);
}

static void a_lost_connection_is_made_anew(void **state)
{
    stage *s = stage_of(state);

    s->proxy = pg_proxy_open(pg_proxy_port_of(s->lab->url));
    pg_proxy_url(s->proxy, s->lab->url, sizeof(s->url), s->url);
    s->lab->url = s->url;
    lab_open(s->lab, &bank_feature, false);
    hang_up(&s->first, s->lab->app);
    hang_up(&s->second, s->lab->app);
    for (int64_t round = 1; round <= 3; round++) {
        const int64_t first = atomic_load(&s->first.times);
        const int64_t second = atomic_load(&s->second.times);
        pg_proxy_cut_all(s->proxy);
        /* Each hears once by itself when it listens again: it may have missed something. */
        wait_for(&s->first.times, first + 1);
        wait_for(&s->second.times, second + 1);
        say(&s->first, round);
        wait_for(&s->second.last_seen, round);
    }
    pg_proxy_refuse(s->proxy, true);
    pg_proxy_cut_all(s->proxy);
    say(&s->first, 10); /* there is nobody to tell */
    sleep_ms(300);
    pg_proxy_refuse(s->proxy, false);
    wait_for(&s->second.last_seen, 10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_others_hear_it_and_who_rings_does_not),
        CASE(many_rings_are_few_and_the_last_is_heard),
        CASE(who_only_rings_is_heard_as_well),
        CASE(a_commit_of_an_application_rings),
        CASE(a_lost_connection_is_made_anew),
    };

    return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
