/*
 * Two applications on one database: nothing is locked while handlers run, so whoever is slower
 * finds out when it writes, and runs again with what is there by then.  Nobody's change is lost,
 * nobody's neighbour in a commit suffers, and nothing is answered that is not so.
 *
 * The races are made: a handler of the one application has the other one write in the middle of
 * it, on its first run or on every one.
 */
#include "app/lab.h"

/* ---- a feature ------------------------------------------------------------------------------- */

typedef struct ticked {
    int64_t by;
} ticked;
static const ku_field ticked_fields[] = {KU_FIELD(ticked, by)};
static const ku_event_type ticked_event = {.name = "ticked", .tag = 1, .payload = KU_SHAPE(ticked)};

typedef struct clock_state {
    int64_t sum;
} clock_state;
static const ku_field clock_state_fields[] = {KU_FIELD(clock_state, sum)};
static void evolve_clock(void *state, const ku_event *event)
{
    ((clock_state *)state)->sum += KU_PAYLOAD(event, ticked)->by;
}
static const ku_entity clock_entity = {.name = "clock",
    .state = KU_SHAPE(clock_state),
    .evolve = evolve_clock,
    .events = KU_LIST(ku_event_type, &ticked_event)};

typedef struct card {
    ku_str name;
    int64_t size;
} card;
static const ku_field card_fields[] = {KU_FIELD(card, name), KU_FIELD(card, size)};
static const ku_unique card_unique[] = {{KU_NAMES("name")}, KU_END};
static const ku_entity card_entity = {.name = "card", .row = KU_SHAPE(card), .unique = card_unique};

typedef struct tally {
    ku_str name;
    int64_t count;
} tally;
static const ku_field tally_fields[] = {
    KU_FIELD(tally, name, .flags = KU_KEY),
    KU_FIELD(tally, count),
};
static const ku_table tally_table = {.name = "read_tallies", .row = KU_SHAPE(tally)};
static ku_status ignore_event(ku_scope *scope, const ku_event *event)
{
    (void)scope;
    (void)event;
    return KU_OK;
}
static const ku_on tally_on[] = {KU_ON(ticked, ignore_event), KU_END};
static const ku_projection tally_projection = {
    .name = "tally", .table = &tally_table, .on = tally_on};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &clock_entity, &card_entity),
    .projections = KU_LIST(ku_projection, &tally_projection),
    .writes = writes,
    .queries = queries,
};

/* ---- two applications ------------------------------------------------------------------------ */

typedef struct pair {
    lab *one, *other;
} pair;

static int set_up(void **state)
{
    pair *p = mem_zero(1, sizeof(*p));

    p->one = lab_new();
    p->other = mem_zero(1, sizeof(*p->other));
    p->other->url = p->one->url;
    atomic_store(&p->other->now_us, atomic_load(&p->one->now_us));
    pthread_mutex_init(&p->other->log_lock, NULL);
    lab_open(p->one, &feature, false);
    lab_open(p->other, &feature, false);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    pair *p = *state;

    lab_close(p->other);
    pthread_mutex_destroy(&p->other->log_lock);
    free(p->other);
    lab_free(p->one);
    free(p);
    return 0;
}

/* What the other application does in the middle of a body, and how often. */
typedef struct intrusion {
    lab *other;
    lab_body *body; /* NULL: nothing */
    const void *context;
    int times; /* that are left */
} intrusion;

/* A body that looks, is overtaken, and writes. */
typedef struct plan {
    intrusion intrusion;
    ku_id stream;
    const char *name;
    int64_t by;
    ku_optional_int64 expected;
    int runs;
    int64_t seen, seen_later; /* in the last run */
} plan;

static void intrude(plan *p)
{
    intrusion *i = &p->intrusion;

    p->runs++;
    if (i->body == NULL || i->times == 0)
        return;
    i->times--;
    lab_assert_ok(i->other, lab_write(i->other, i->body, i->context));
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static ku_status append_tick(ku_scope *scope, const plan *p)
{
    const ticked payload = {.by = p->by};
    const ku_append append = {.stream = p->stream,
        .type = &ticked_event,
        .payload = &payload,
        .expected_version = p->expected};

    return ku_append_event(scope, &append, NULL);
}

static ku_status tick(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;

    (void)reply;
    ku_status status = append_tick(scope, p);
    intrude(p);
    return status;
}

static ku_status load_sum(ku_scope *scope, const plan *p, int64_t *ret_sum)
{
    clock_state state = {0};
    const ku_load_options options = {.missing_ok = true};
    ku_status status = ku_load_aggregate(scope, &clock_entity, p->stream, &options, &state);

    *ret_sum = state.sum;
    return status;
}

/* Doubles the sum. */
static ku_status load_and_double(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;

    (void)reply;
    ku_status status = load_sum(scope, p, &p->seen);
    intrude(p);
    if (status == KU_OK)
        status = load_sum(scope, p, &p->seen_later);
    p->by = p->seen;
    return status == KU_OK ? append_tick(scope, p) : status;
}

static ku_status tick_and_keep(ku_scope *scope, void *context, ku_reply *reply)
{
    const plan *p = context;
    ku_status status = append_tick(scope, p);

    (void)reply;
    if (status == KU_OK)
        status = append_tick(scope, p);
    return status == KU_OK ? ku_snapshot_aggregate(scope, &clock_entity, p->stream, NULL) : status;
}

static ku_status get_tally(ku_scope *scope, const plan *p, tally *ret_row)
{
    *ret_row = (tally){.name = ku_str_from(p->name)};
    ku_status status = ku_row_get(scope, &tally_table, ret_row);

    return status == KU_NOT_FOUND ? KU_OK : status;
}

static ku_status count_up(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;
    tally row;

    (void)reply;
    ku_status status = get_tally(scope, p, &row);
    intrude(p);
    p->seen = row.count;
    row.count += p->by;
    return status == KU_OK ? ku_row_put(scope, &tally_table, &row) : status;
}

/* The same with a query, which makes the row go early. */
static ku_status count_up_and_look(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;
    ku_page page;
    ku_status status = count_up(scope, context, reply);

    if (status == KU_OK)
        status = ku_query_projection(scope, &tally_table, NULL, &page);
    if (status == KU_OK)
        p->seen_later = ((const tally *)page.rows)[0].count;
    return status;
}

static ku_status remove_if_one(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;
    tally row;

    (void)reply;
    ku_status status = get_tally(scope, p, &row);
    intrude(p);
    p->seen = row.count;
    return status == KU_OK && row.count == 1 ? ku_row_remove(scope, &tally_table, &row) : status;
}

static ku_status create_card(ku_scope *scope, void *context, ku_reply *reply)
{
    plan *p = context;
    const card row = {.name = ku_str_from(p->name), .size = p->by};
    ku_status status = ku_entity_create(scope, &card_entity, (ku_id){{0}}, &row, reply, NULL);

    intrude(p);
    return status;
}

static int64_t count_events(const pair *p)
{
    return lab_sql(p->one, "SELECT count(*) FROM ku_events");
}

/* ---- cases: streams -------------------------------------------------------------------------- */

static void the_loser_of_a_race_meets_it_alone(void **state)
{
    pair *p = *state;
    const plan first = {.stream = lab_id(5, 1), .by = 1};
    plan intruder = {.stream = lab_id(5, 1), .by = 10};
    plan plans[3] = {
        {.intrusion = {p->other, tick, &intruder, 1},
         .stream = lab_id(5,          1),
         .by = 100,
         .expected = KU_VERSION(1)},
        {.stream = lab_id(5,                   2), .by = 1},
        {.stream = lab_id(5,                                    3),                  .by = 1                 },
    };
    lab_call *calls[3];
    lab_hold hold;

    lab_assert_ok(p->one, lab_write(p->one, tick, &first));
    lab_hold_writer(p->one, &hold);
    for (int i = 0; i < 3; i++)
        calls[i] = lab_submit_body(p->one, tick, &plans[i], "");
    lab_release(&hold);
    lab_expect(calls[1], KU_OK);
    lab_expect(calls[2], KU_OK);
    lab_expect(calls[0], KU_VERSION_CONFLICT);
    assert_int_equal(plans[0].runs, 2);
    assert_int_equal(count_events(p), 4);
    lab_assert_sound(p->one);
}

static void who_decides_by_what_is_there_decides_again(void **state)
{
    pair *p = *state;
    const plan first = {.stream = lab_id(5, 1), .by = 1};
    const plan intruder = {.stream = lab_id(5, 1), .by = 10};
    plan doubles = {
        .intrusion = {p->other, tick, &intruder, 1},
          .stream = lab_id(5, 1)
    };

    lab_assert_ok(p->one, lab_write(p->one, tick, &first));
    lab_assert_ok(p->one, lab_write(p->one, load_and_double, &doubles));
    assert_int_equal(doubles.runs, 2);
    assert_int_equal(doubles.seen, 11);
    assert_int_equal(doubles.seen_later, 11);
    assert_int_equal(count_events(p), 3);
    lab_assert_sound(p->one);
}

/* Within one run a stream stands still, even if a newer snapshot appears. */
static ku_status load_twice_and_refuse(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_status status = load_and_double(scope, context, reply);

    return status == KU_OK ? ku_refuse(scope, "enough", NULL) : status;
}

static void a_stream_stands_still_within_a_write(void **state)
{
    pair *p = *state;
    const plan first = {.stream = lab_id(5, 1), .by = 1};
    const plan intruder = {.stream = lab_id(5, 1), .by = 10};
    plan looks = {
        .intrusion = {p->other, tick_and_keep, &intruder, 1},
          .stream = lab_id(5, 1)
    };

    lab_assert_ok(p->one, lab_write(p->one, tick, &first));
    assert_int_equal(lab_write(p->one, load_twice_and_refuse, &looks), KU_REFUSED);
    assert_int_equal(looks.runs, 1);
    assert_int_equal(looks.seen, 1);
    assert_int_equal(looks.seen_later, 1);
    looks.intrusion.body = NULL;
    assert_int_equal(lab_write(p->one, load_twice_and_refuse, &looks), KU_REFUSED);
    assert_int_equal(looks.seen, 21);
}

static void two_that_begin_one_stream_are_told_apart(void **state)
{
    pair *p = *state;
    const plan intruder = {.stream = lab_id(5, 1), .by = 10};
    plan begins = {
        .intrusion = {p->other, tick, &intruder, 1},
        .stream = lab_id(5, 1),
        .by = 1,
        .expected = KU_VERSION(0)
    };

    assert_int_equal(lab_write(p->one, tick, &begins), KU_VERSION_CONFLICT);
    assert_int_equal(p->one->response.http_status, 409);
    assert_int_equal(count_events(p), 1);
}

static void who_is_overtaken_every_time_is_told_that_nothing_was_written(void **state)
{
    pair *p = *state;
    const plan intruder = {.stream = lab_id(5, 1), .by = 10};
    plan unlucky = {
        .intrusion = {p->other, tick, &intruder, 1000},
          .stream = lab_id(5, 1), .by = 1
    };

    assert_int_equal(lab_write(p->one, tick, &unlucky), KU_UNAVAILABLE);
    assert_int_equal(p->one->response.http_status, 503);
    lab_assert_has(p->one, "\"reason\":\"contended\"");
    lab_assert_has(p->one, "nothing was written");
    assert_true(unlucky.runs > 2);
    assert_int_equal(count_events(p), unlucky.runs);
    unlucky.intrusion.times = 0;
    lab_assert_ok(p->one, lab_write(p->one, tick, &unlucky));
    lab_assert_sound(p->one);
}

/* ---- cases: rows ----------------------------------------------------------------------------- */

static int64_t tally_of(const pair *p)
{
    return lab_sql(p->one, "SELECT coalesce(sum(count), 0) FROM read_tallies");
}

static void a_row_that_was_changed_meanwhile_is_read_again(void **state)
{
    pair *p = *state;
    plan plain = {.name = "a", .by = 1};
    plan overtaken = {
        .intrusion = {p->other, count_up, &plain, 1},
          .name = "a", .by = 100
    };

    lab_assert_ok(p->one, lab_write(p->one, count_up, &overtaken)); /* it was absent */
    assert_int_equal(overtaken.runs, 2);
    assert_int_equal(overtaken.seen, 1);
    assert_int_equal(tally_of(p), 101);
    overtaken.intrusion.times = 1;
    lab_assert_ok(p->one, lab_write(p->one, count_up, &overtaken)); /* it was there */
    assert_int_equal(overtaken.runs, 4);
    assert_int_equal(tally_of(p), 202);
}

static void a_row_that_goes_early_is_compared_then(void **state)
{
    pair *p = *state;
    plan plain = {.name = "a", .by = 1};
    plan overtaken = {
        .intrusion = {p->other, count_up, &plain, 1},
          .name = "a", .by = 100
    };

    lab_assert_ok(p->one, lab_write(p->one, count_up_and_look, &overtaken));
    assert_int_equal(overtaken.runs, 2);
    assert_int_equal(overtaken.seen_later, 101);
    overtaken.intrusion.times = 1;
    lab_assert_ok(p->one, lab_write(p->one, count_up_and_look, &overtaken));
    assert_int_equal(overtaken.seen_later, 202);
    assert_int_equal(tally_of(p), 202);
}

static void a_row_that_was_changed_meanwhile_is_not_removed(void **state)
{
    pair *p = *state;
    plan plain = {.name = "a", .by = 1};
    plan removes = {
        .intrusion = {p->other, count_up, &plain, 1},
          .name = "a"
    };

    lab_assert_ok(p->one, lab_write(p->one, count_up, &plain));
    lab_assert_ok(p->one, lab_write(p->one, remove_if_one, &removes));
    assert_int_equal(removes.seen, 2);
    assert_int_equal(tally_of(p), 2);
}

enum { COUNTERS = 3, TIMES = 40 };

typedef struct counting {
    pthread_t thread;
    lab *l;
    int done;
} counting;

static void *count_often(void *context)
{
    counting *c = context;

    while (c->done < TIMES) {
        plan up = {.name = "hot", .by = 1};
        lab_call *call = lab_submit_body(c->l, count_up, &up, "");
        ku_status status = lab_wait(call);
        lab_call_free(call);
        if (status == KU_OK)
            c->done++;
        else if (status != KU_UNAVAILABLE)
            return "a count was refused";
    }
    return NULL;
}

static void counters_of_two_applications_lose_nothing(void **state)
{
    pair *p = *state;
    counting counters[2 * COUNTERS] = {0};

    for (int i = 0; i < 2 * COUNTERS; i++) {
        counters[i].l = i % 2 == 0 ? p->one : p->other;
        assert_int_equal(pthread_create(&counters[i].thread, NULL, count_often, &counters[i]), 0);
    }
    for (int i = 0; i < 2 * COUNTERS; i++) {
        void *complaint = NULL;
        assert_int_equal(pthread_join(counters[i].thread, &complaint), 0);
        assert_null(complaint);
    }
    assert_int_equal(tally_of(p), 2 * COUNTERS * TIMES);
}

/* ---- cases: what must be there once ---------------------------------------------------------- */

static void a_unique_value_is_taken_once(void **state)
{
    pair *p = *state;
    const plan intruder = {.name = "ace", .by = 1};
    plan late = {
        .intrusion = {p->other, create_card, &intruder, 1},
          .name = "ace", .by = 2
    };

    assert_int_equal(lab_write(p->one, create_card, &late), KU_UNIQUE_VIOLATION);
    assert_int_equal(p->one->response.http_status, 409);
    lab_assert_has(p->one, "read_cards_name_uq");
    assert_int_equal(late.runs, 2);
    assert_int_equal(lab_sql(p->one, "SELECT size FROM read_cards"), 1);
}

/* The same request to the other application, in the middle of itself. */
typedef struct twice {
    lab *other;
    plan plan;
    const char *answer; /* of the other */
    char text[400];
} twice;

static ku_status tick_twice(ku_scope *scope, void *context, ku_reply *reply)
{
    twice *t = context;
    ku_status status = append_tick(scope, &t->plan);

    (void)reply;
    if (t->plan.runs++ > 0 || status != KU_OK)
        return status;
    lab_call *call = lab_submit_body(t->other, tick_twice, t, "r-1");
    assert_int_equal(lab_wait(call), KU_OK);
    (void)snprintf(t->text, sizeof(t->text), "%.*s", KU_FMT(call->call.response));
    lab_call_free(call);
    return status;
}

static void a_request_that_two_applications_have_is_answered_once(void **state)
{
    pair *p = *state;
    twice t = {
        .other = p->other, .plan = {.stream = lab_id(5, 1), .by = 1}
    };
    char payload[80];

    lab_assert_ok(p->one, lab_request(p->one, true,
                              (ku_request){.type = KU_STR("lab:write:do"),
                                  .payload = lab_do_payload(tick_twice, &t, payload),
                                  .request_id = KU_STR("r-1")}));
    assert_string_equal(lab_text(p->one), t.text);
    assert_int_equal(t.plan.runs, 2); /* one in each; then the stored answer was found */
    assert_int_equal(count_events(p), 1);
}

/* ---- cases: opening -------------------------------------------------------------------------- */

static void in_production_tables_are_not_made_by_the_way(void **state)
{
    const ku_feature *const features[] = {&feature, NULL};
    const ku_app_options strict = {.features = features, .production = true};
    ku_error error = {0};
    lab *l = lab_new();

    (void)state;
    assert_int_equal(lab_try_open(l, &strict, &error), KU_NOT_FOUND);
    assert_non_null(strstr(error.message, "run `kumiko schema apply`"));
    lab_open(l, &feature, false);
    lab_close(l);
    lab_assert_ok(l, lab_try_open(l, &strict, &error));
    lab_close(l);
    test_database_run(l->database, "ALTER TABLE read_tallies DROP COLUMN count");
    assert_int_equal(lab_try_open(l, &strict, &error), KU_NOT_FOUND);
    assert_non_null(strstr(error.message, "read_tallies"));
    assert_non_null(strstr(error.message, "run `kumiko schema apply`"));
    lab_free(l);
}

static void tenants_of_several_writers_all_get_through(void **state)
{
    enum { TENANTS = 12 };
    const ku_feature *const features[] = {&feature, NULL};
    const ku_app_options options = {.features = features, .writers = 4};
    pair *p = *state;
    ku_error error = {0};

    lab_close(p->one);
    lab_assert_ok(p->one, lab_try_open(p->one, &options, &error));
    assert_int_equal(p->one->app->n_writers, 4);
    for (uint32_t i = 0; i < TENANTS; i++) {
        plan ticks = {.stream = lab_id(5, 1), .by = 1};
        const ku_user user = lab_user_of(i);
        lab_assert_ok(p->one, lab_as(p->one, true, &user, tick, &ticks));
    }
    assert_int_equal(count_events(p), TENANTS);
    lab_assert_sound(p->one);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_loser_of_a_race_meets_it_alone),
        CASE(who_decides_by_what_is_there_decides_again),
        CASE(a_stream_stands_still_within_a_write),
        CASE(two_that_begin_one_stream_are_told_apart),
        CASE(who_is_overtaken_every_time_is_told_that_nothing_was_written),
        CASE(a_row_that_was_changed_meanwhile_is_read_again),
        CASE(a_row_that_goes_early_is_compared_then),
        CASE(a_row_that_was_changed_meanwhile_is_not_removed),
        CASE(counters_of_two_applications_lose_nothing),
        CASE(a_unique_value_is_taken_once),
        CASE(a_request_that_two_applications_have_is_answered_once),
        CASE(in_production_tables_are_not_made_by_the_way),
        CASE(tenants_of_several_writers_all_get_through),
    };

    if (!test_engine_is_postgres()) {
        print_message("a file of SQLite has one application\n");
        return 0;
    }
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
