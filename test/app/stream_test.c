/*
 * Streams through the public functions: appending at a version, trying, fetching, folding as it
 * was, snapshots, archive, and walking over everything in bounded memory.
 */
#include "app/lab.h"

/* ---- the domain ------------------------------------------------------------------------------ */

typedef struct added {
    int64_t n;
    ku_str text;
} added;
static const ku_field added_fields[] = {KU_FIELD(added, n), KU_FIELD(added, text)};
static const ku_event_type added_event = {.name = "added", .tag = 1, .payload = KU_SHAPE(added)};
typedef struct cleared {
    bool all;
} cleared;
static const ku_field cleared_fields[] = {KU_FIELD(cleared, all)};
static const ku_event_type cleared_event = {
    .name = "cleared", .tag = 2, .payload = KU_SHAPE(cleared)};
static const ku_event_type other_event = {.name = "other", .tag = 1, .payload = KU_SHAPE(cleared)};
typedef cleared other;

typedef struct pot_state {
    int64_t sum;
    int64_t folds;
    ku_str last;
} pot_state;
static const ku_field pot_state_fields[] = {
    KU_FIELD(pot_state, sum),
    KU_FIELD(pot_state, folds),
    KU_FIELD(pot_state, last),
};

static void evolve_pot(void *state, const ku_event *event)
{
    pot_state *s = state;

    s->folds++;
    if (event->type->tag == 2) {
        s->sum = 0;
        return;
    }
    s->sum += KU_PAYLOAD(event, added)->n;
    s->last = KU_PAYLOAD(event, added)->text;
}

/* The same pot as three programs know it: without snapshots, with, and with another fold. */
#define POT_EVENTS KU_LIST(ku_event_type, &added_event, &cleared_event)
static const ku_entity plain_pot = {
    .name = "pot", .state = KU_SHAPE(pot_state), .evolve = evolve_pot, .events = POT_EVENTS};
static const ku_entity pot = {.name = "pot",
    .state = KU_SHAPE(pot_state),
    .evolve = evolve_pot,
    .snapshot_every = 5,
    .events = POT_EVENTS};
static const ku_entity pot_two = {.name = "pot",
    .state = KU_SHAPE(pot_state),
    .state_version = 2,
    .evolve = evolve_pot,
    .events = POT_EVENTS};
static const ku_entity bin = {.name = "bin", .events = KU_LIST(ku_event_type, &other_event)};

typedef struct sheet {
    ku_str name;
} sheet;
static const ku_field sheet_fields[] = {KU_FIELD(sheet, name)};
static const ku_entity sheet_entity = {.name = "sheet", .row = KU_SHAPE(sheet)};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {LAB_DO, KU_END};
#define FEATURE(pot_entity)                                                                        \
    {                                                                                              \
        .abi = KU_ABI_VERSION, .name = "lab",                                                      \
        .entities = KU_LIST(ku_entity, &(pot_entity), &bin, &sheet_entity), .writes = writes,      \
        .queries = queries                                                                         \
    }
static const ku_feature plain_feature = FEATURE(plain_pot);
static const ku_feature feature = FEATURE(pot);
static const ku_feature feature_two = FEATURE(pot_two);

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

static ku_id stream_of(uint32_t n)
{
    return lab_id(5, n);
}

/* Appends 1, 2, … n to the pot, a second apart, each in a write of its own. */
static ku_status add_one(ku_scope *scope, void *context, ku_reply *reply)
{
    const int64_t *n = context;

    (void)reply;
    return KU_APPEND(
        scope, stream_of(1), added, .n = *n, .text = ku_format(scope, "text %lld", (long long)*n));
}

static void fill(lab *l, uint32_t tenant, int64_t n)
{
    const ku_user user = lab_user_of(tenant);

    for (int64_t i = 1; i <= n; i++) {
        atomic_fetch_add(&l->now_us, 1000000);
        lab_assert_ok(l, lab_as(l, true, &user, add_one, &i));
    }
}

/* ---- versions -------------------------------------------------------------------------------- */

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return ku_fail(scope, KU_INTERNAL, NULL, "line %d: %s", __LINE__, #condition);         \
    } while (0)

static ku_append appending(const added *payload)
{
    return (ku_append){.stream = stream_of(1), .type = &added_event, .payload = payload};
}

static ku_status versions_body(ku_scope *scope, void *context, ku_reply *reply)
{
    const added payload = {.n = 1};
    ku_append append = appending(&payload);
    const ku_event *event = NULL;
    ku_append_result result;
    int64_t version = -1;

    (void)context;
    (void)reply;
    append.expected_version = KU_VERSION(0);
    NEED(ku_append_event(scope, &append, &event) == KU_OK && event->version == 1);
    NEED(ku_try_append_event(scope, &append, &result) == KU_OK && !result.appended);
    NEED(result.conflict == KU_VERSION_CONFLICT);
    NEED(result.expected_version == 0 && result.current_version == 1);
    NEED(ku_error_message(scope).len == 0);
    append.expected_version = (ku_optional_int64){false, 0}; /* any */
    append.idempotency_key = KU_STR("once");
    NEED(ku_append_event(scope, &append, &event) == KU_OK && event->version == 2);
    NEED(ku_try_append_event(scope, &append, &result) == KU_OK && !result.appended);
    NEED(result.conflict == KU_IDEMPOTENT_REPLAY);
    append.idempotency_key = KU_STR("");
    NEED(ku_try_append_event(scope, &append, &result) == KU_OK && result.appended);
    NEED(result.event->version == 3);
    NEED(ku_stream_version(scope, stream_of(1), &version) == KU_OK && version == 3);
    NEED(ku_append_event(scope,
             &(ku_append){
                 .stream = stream_of(1), .type = &other_event, .payload = &(other){.all = true}},
             NULL) == KU_REFUSED);
    NEED(ku_str_is(ku_error_reason(scope), "stream_type_mismatch"));
    ku_clear_error(scope);
    return KU_OK;
}

static void a_stale_version_is_told_and_trying_survives_it(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, versions_body, NULL));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 3);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_event_keys"), 1);
}

static ku_status stale_by_load(ku_scope *scope, void *context, ku_reply *reply)
{
    pot_state state;
    const added payload = {.n = 1};
    ku_append append = appending(&payload);

    (void)context;
    (void)reply;
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), NULL, &state) == KU_OK && state.sum == 6);
    NEED(ku_append_event(scope, &append, NULL) == KU_OK); /* moves what was loaded with it */
    NEED(ku_append_event(scope, &append, NULL) == KU_OK);
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), NULL, &state) == KU_OK && state.sum == 8);
    append.expected_version = KU_VERSION(3);
    return ku_append_event(scope, &append, NULL);
}

static void loading_names_the_version_that_an_append_expects(void **state)
{
    lab *l = *state;

    fill(l, 1, 3);
    assert_int_equal(lab_write(l, stale_by_load, NULL), KU_VERSION_CONFLICT);
    lab_assert_has(l, "\"expectedVersion\":3,\"currentVersion\":5");
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 3);
}

/* What was seen of the past is no version to append against. */
static ku_status load_past_then_append(ku_scope *scope, void *context, ku_reply *reply)
{
    pot_state state;
    const added payload = {.n = 10};
    const ku_append append = appending(&payload);
    int64_t version = -1;
    const ku_load_options long_ago = {
        .as_of = {true, {1}},
          .missing_ok = true, .ret_version = &version
    };
    const ku_load_options second = {.at_version = KU_VERSION(2), .ret_version = &version};
    const ku_load_options nothing = {
        .at_version = KU_VERSION(0), .missing_ok = true, .ret_version = &version};

    (void)context;
    (void)reply;
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), &long_ago, &state) == KU_OK);
    NEED(version == 0 && state.folds == 0);
    NEED(ku_append_event(scope, &append, NULL) == KU_OK);
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), &second, &state) == KU_OK);
    NEED(version == 2 && state.sum == 3);
    NEED(ku_append_event(scope, &append, NULL) == KU_OK);
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), &nothing, &state) == KU_OK);
    NEED(version == 0 && state.folds == 0);
    return ku_append_event(scope, &append, NULL);
}

static void looking_at_the_past_expects_nothing_of_an_append(void **state)
{
    lab *l = *state;

    fill(l, 1, 3);
    lab_assert_ok(l, lab_write(l, load_past_then_append, NULL));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 6);
}

static ku_status fetch_and_append(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_writable writable;
    const ku_optional_int64 *expected = context;

    (void)reply;
    ku_status status = ku_fetch_for_writing(scope, &pot, stream_of(1), *expected, &writable);
    if (status != KU_OK)
        return status;
    NEED(writable.version == 3 && writable.n_events == 3);
    NEED(KU_PAYLOAD(&writable.events[2], added)->n == 3);
    NEED(ku_append_one(scope, &writable, &added_event, &(added){.n = 4}) == KU_OK);
    NEED(writable.version == 4);
    NEED(ku_append_one(scope, &writable, &cleared_event, &(cleared){.all = true}) == KU_OK);
    NEED(writable.version == 5);
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 1) == KU_OK);
    return ku_append_one(scope, &writable, &added_event, &(added){.n = 4});
}

static void what_was_fetched_is_appended_to_at_its_version(void **state)
{
    static const ku_optional_int64 any = {false, 0}, stale = {true, 2};
    lab *l = *state;

    fill(l, 1, 3);
    assert_int_equal(lab_write(l, fetch_and_append, &stale), KU_VERSION_CONFLICT);
    lab_assert_has(l, "\"expectedVersion\":2,\"currentVersion\":3");
    assert_int_equal(lab_write(l, fetch_and_append, &any), KU_VERSION_CONFLICT);
    lab_assert_has(l, "\"expectedVersion\":5,\"currentVersion\":6");
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 3);
}

/* ---- rewinding ------------------------------------------------------------------------------- */

static ku_status append_in_a_loop(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    for (int64_t i = 1; i <= 200; i++) {
        ku_mark mark = ku_scope_mark(scope);
        ku_status status = KU_APPEND(scope, stream_of((uint32_t)i % 3 + 1), added, .n = i,
            .text = ku_format(scope, "text %lld", (long long)i));
        const sheet row = {.name = ku_format(scope, "sheet %lld", (long long)i)};
        if (status == KU_OK)
            status = ku_entity_create(scope, &sheet_entity, (ku_id){{0}}, &row, NULL, NULL);
        ku_scope_rewind(scope, mark);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static void a_handler_may_rewind_its_scope_between_appends(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, append_in_a_loop, NULL));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 400);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_sheets WHERE name = 'sheet 77'"), 1);
    assert_int_equal(
        lab_sql(l,
            test_by_engine("SELECT count(*) FROM ku_events WHERE payload ->> 'text' = 'text 133'",
                "SELECT count(*) FROM ku_events WHERE payload::json ->> 'text' = 'text 133'")),
        1);
    lab_assert_sound(l);
}

/* ---- folding --------------------------------------------------------------------------------- */

typedef struct expected_fold {
    const ku_entity *entity;
    ku_load_options options;
    ku_status status;
    int64_t sum, version;
    int hit; /* -1: either */
} expected_fold;

static ku_status fold_body(ku_scope *scope, void *context, ku_reply *reply)
{
    const expected_fold *e = context;
    pot_state state = {.sum = -1};
    int64_t version = -1;
    bool hit = false;
    ku_load_options options = e->options;

    (void)reply;
    options.ret_version = &version;
    options.ret_snapshot_hit = &hit;
    ku_status status = ku_load_aggregate(scope, e->entity, stream_of(1), &options, &state);
    if (status != e->status)
        return ku_fail(scope, KU_INTERNAL, NULL, "%s", ku_status_code(status));
    ku_clear_error(scope);
    if (status != KU_OK)
        return KU_OK;
    if (state.sum != e->sum || version != e->version || (e->hit >= 0 && hit != (e->hit == 1)) ||
        state.folds != version)
        return ku_fail(scope, KU_INTERNAL, NULL, "sum %lld version %lld hit %d folds %lld",
            (long long)state.sum, (long long)version, (int)hit, (long long)state.folds);
    return KU_OK;
}

static void expect_fold(lab *l, uint32_t tenant, const expected_fold *e)
{
    const ku_user user = lab_user_of(tenant);

    lab_assert_ok(l, lab_as(l, false, &user, fold_body, e));
    lab_assert_ok(l, lab_as(l, true, &user, fold_body, e));
}

/* The write that a query's refresh is, is over when another write is. */
static ku_status nothing_body(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)scope;
    (void)context;
    (void)reply;
    return KU_OK;
}

static void settle(lab *l)
{
    lab_assert_ok(l, lab_write(l, nothing_body, NULL));
}

static void a_stream_is_folded_as_it_was(void **state)
{
    lab *l = *state;
    const int64_t start = atomic_load(&l->now_us);

    lab_close(l);
    lab_open(l, &plain_feature, false);
    fill(l, 1, 12);
    for (int64_t v = 1; v <= 12; v++) {
        const int64_t sum = v * (v + 1) / 2;
        expect_fold(
            l, 1, &(expected_fold){&plain_pot, {.at_version = KU_VERSION(v)}, KU_OK, sum, v, 0});
        /* An event counts from its own instant on. */
        expect_fold(l, 1,
            &(expected_fold){
                &plain_pot, {.as_of = {true, {start + v * 1000000}}}, KU_OK, sum, v, 0});
        expect_fold(l, 1,
            &(expected_fold){
                &plain_pot, {.as_of = {true, {start + v * 1000000 + 999999}}}, KU_OK, sum, v, 0});
    }
    expect_fold(
        l, 1, &(expected_fold){&plain_pot, {.at_version = KU_VERSION(99)}, KU_OK, 78, 12, 0});
    expect_fold(
        l, 1, &(expected_fold){&plain_pot, {.at_version = KU_VERSION(0)}, KU_NOT_FOUND, 0, 0, 0});
    expect_fold(
        l, 1, &(expected_fold){&plain_pot, {.as_of = {true, {start}}}, KU_NOT_FOUND, 0, 0, 0});
    expect_fold(l, 1,
        &(expected_fold){
            &plain_pot, {.as_of = {true, {start}}, .missing_ok = true},
             KU_OK, 0, 0, 0
    });
    expect_fold(l, 2, &(expected_fold){&plain_pot, {.missing_ok = false}, KU_NOT_FOUND, 0, 0, 0});
}

static void a_snapshot_is_kept_when_the_delta_is_long_and_used_when_it_fits(void **state)
{
    lab *l = *state;

    fill(l, 1, 4);
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 10, 4, 0});
    settle(l);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_snapshots"), 0);
    fill(l, 1, 3);
    const expected_fold seven = {&pot, {.missing_ok = false}, KU_OK, 16, 7, -1};
    expect_fold(l, 1, &seven); /* folds seven, which is more than five */
    settle(l);
    assert_int_equal(lab_sql(l, "SELECT version FROM ku_snapshots"), 7);
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 16, 7, 1});
    fill(l, 1, 4);
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 26, 11, 1});
    settle(l);
    assert_int_equal(lab_sql(l, "SELECT version FROM ku_snapshots"), 7);
    /* Below the snapshot it is of no use; at or behind it, it is. */
    expect_fold(l, 1, &(expected_fold){&pot, {.at_version = KU_VERSION(6)}, KU_OK, 13, 6, 0});
    expect_fold(l, 1, &(expected_fold){&pot, {.at_version = KU_VERSION(7)}, KU_OK, 16, 7, 1});
    expect_fold(l, 1, &(expected_fold){&pot, {.at_version = KU_VERSION(9)}, KU_OK, 19, 9, 1});
    expect_fold(l, 1, &(expected_fold){&pot, {.without_snapshot = true}, KU_OK, 26, 11, 0});
    fill(l, 1, 1);
    const expected_fold twelve = {&pot, {.missing_ok = false}, KU_OK, 27, 12, 1};
    expect_fold(l, 1, &twelve);
    settle(l);
    assert_int_equal(lab_sql(l, "SELECT version FROM ku_snapshots"), 12);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_snapshots"), 1);
}

static ku_status snapshot_body(ku_scope *scope, void *context, ku_reply *reply)
{
    int64_t version = 0;

    (void)reply;
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 100) == KU_OK);
    NEED(ku_snapshot_aggregate(scope, context, stream_of(1), &version) == KU_OK);
    return version > 0 ? KU_OK : ku_fail(scope, KU_INTERNAL, NULL, "no version");
}

static ku_status failing_snapshot_body(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_status status = snapshot_body(scope, context, reply);

    return status == KU_OK ? ku_refuse(scope, "told_to", "told to fail") : status;
}

static void a_snapshot_of_a_failed_scope_is_not_kept(void **state)
{
    lab *l = *state;

    fill(l, 1, 2);
    assert_int_equal(lab_write(l, failing_snapshot_body, &pot), KU_REFUSED);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_snapshots"), 0);
    lab_assert_ok(l, lab_write(l, snapshot_body, &pot));
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 103, 3, 1});
}

static void another_state_version_ignores_the_old_snapshot(void **state)
{
    lab *l = *state;

    fill(l, 1, 2);
    lab_assert_ok(l, lab_write(l, snapshot_body, &pot));
    lab_close(l);
    lab_open(l, &feature_two, false);
    expect_fold(l, 1, &(expected_fold){&pot_two, {.missing_ok = false}, KU_OK, 103, 3, 0});
    lab_assert_ok(l, lab_write(l, snapshot_body, &pot_two));
    expect_fold(l, 1, &(expected_fold){&pot_two, {.missing_ok = false}, KU_OK, 203, 4, 1});
    assert_int_equal(lab_sql(l, "SELECT state_version FROM ku_snapshots"), 2);
    lab_close(l);
    lab_open(l, &feature, false); /* and back: the old program reads no new state */
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 203, 4, 0});
}

static void one_stream_id_in_two_tenants_is_two_streams_with_two_snapshots(void **state)
{
    lab *l = *state;
    const ku_user other_user = lab_user_of(2);

    fill(l, 1, 3);
    fill(l, 2, 1);
    lab_assert_ok(l, lab_write(l, snapshot_body, &pot));
    lab_assert_ok(l, lab_as(l, true, &other_user, snapshot_body, &pot));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_snapshots"), 2);
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 106, 4, 1});
    expect_fold(l, 2, &(expected_fold){&pot, {.missing_ok = false}, KU_OK, 101, 2, 1});
    expect_fold(l, 3, &(expected_fold){&pot, {.missing_ok = false}, KU_NOT_FOUND, 0, 0, 0});
}

/* ---- archive --------------------------------------------------------------------------------- */

static ku_status archive_body(ku_scope *scope, void *context, ku_reply *reply)
{
    bool archived = true;
    pot_state state;
    const ku_load_options missing_ok = {.missing_ok = true};

    (void)context;
    (void)reply;
    NEED(ku_archive_stream(scope, &pot, stream_of(9), KU_STR("")) == KU_NOT_FOUND);
    ku_clear_error(scope);
    NEED(ku_stream_archived(scope, stream_of(1), &archived) == KU_OK && !archived);
    NEED(ku_archive_stream(scope, &pot, stream_of(1), KU_STR("old")) == KU_OK);
    NEED(ku_stream_archived(scope, stream_of(1), &archived) == KU_OK && archived);
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 1) == KU_CONFLICT);
    NEED(ku_str_is(ku_error_reason(scope), "stream_archived"));
    ku_clear_error(scope);
    /* Loading does not see it, and the append still says why it cannot. */
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), &missing_ok, &state) == KU_OK);
    NEED(state.folds == 0);
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 1) == KU_CONFLICT);
    ku_clear_error(scope);
    NEED(ku_restore_stream(scope, &pot, stream_of(1)) == KU_OK);
    NEED(ku_restore_stream(scope, &pot, stream_of(1)) == KU_OK);
    NEED(ku_load_aggregate(scope, &pot, stream_of(1), NULL, &state) == KU_OK && state.sum == 6);
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 1) == KU_OK);
    return ku_archive_stream(scope, &pot, stream_of(1), KU_STR("again"));
}

static void an_archived_stream_is_hidden_and_closed_until_it_is_restored(void **state)
{
    lab *l = *state;
    static const int64_t one = 1;

    fill(l, 1, 3);
    lab_assert_ok(l, lab_write(l, archive_body, NULL));
    expect_fold(l, 1, &(expected_fold){&pot, {.missing_ok = false}, KU_NOT_FOUND, 0, 0, 0});
    expect_fold(l, 1, &(expected_fold){&pot, {.include_archived = true}, KU_OK, 7, 4, 0});
    assert_int_equal(lab_write(l, add_one, &one), KU_CONFLICT);
    lab_assert_has(l, "stream_archived");
    assert_int_equal(
        lab_sql(l, "SELECT count(*) FROM ku_streams WHERE archived_reason = 'again'"), 1);
    lab_assert_sound(l);
}

/* ---- walking over everything ----------------------------------------------------------------- */

typedef struct walk {
    ku_event_filter filter;
    int64_t n, sum, last, stop_at;
    ku_scope *scope;
    size_t high_water;
} walk;

static ku_status walk_event(ku_scope *scope, const ku_event *event, void *context)
{
    walk *w = context;

    w->n++;
    (void)ku_alloc(scope, 2000); /* what a callback makes is gone with the event */
    if (event->type == &added_event)
        w->sum += KU_PAYLOAD(event, added)->n;
    if (w->last >= event->position && !w->filter.all_tenants)
        return ku_fail(scope, KU_INTERNAL, NULL, "out of order");
    w->last = event->position;
    return w->n == w->stop_at ? ku_refuse(scope, "enough", "enough") : KU_OK;
}

static ku_status walk_body(ku_scope *scope, void *context, ku_reply *reply)
{
    walk *w = context;

    (void)reply;
    ku_status status = ku_each_event(scope, &w->filter, walk_event, w);
    w->high_water = scope->arena.high_water;
    return status;
}

static ku_status add_many(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    for (uint32_t i = 0; i < 1000; i++) {
        ku_status status = KU_APPEND(scope, stream_of(i % 50 + *(const uint32_t *)context), added,
            .n = i, .text = KU_STR("some text that makes the payload a little longer"));
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static void walking_over_all_events_holds_one_at_a_time(void **state)
{
    static const uint32_t from = 1;
    lab *l = *state;
    walk w = {.filter = {.batch = 100}};

    for (int i = 0; i < 20; i++)
        lab_assert_ok(l, lab_write(l, add_many, &from));
    lab_assert_ok(l, lab_query(l, walk_body, &w));
    assert_int_equal(w.n, 20000);
    assert_int_equal(w.sum, 20 * (999 * 1000 / 2));
    assert_in_range(w.high_water, 1, 256 * 1024);
    w = (walk){.filter = {.after_position = 19990}};
    lab_assert_ok(l, lab_query(l, walk_body, &w));
    assert_int_equal(w.n, 10);
    w = (walk){.stop_at = 150, .filter = {.batch = 100}};
    assert_int_equal(lab_query(l, walk_body, &w), KU_REFUSED);
    lab_assert_has(l, "enough");
    assert_int_equal(w.n, 150);
}

static ku_status mixed_body(ku_scope *scope, void *context, ku_reply *reply)
{
    const sheet row = {.name = KU_STR("s")};

    (void)context;
    (void)reply;
    NEED(KU_APPEND(scope, stream_of(1), added, .n = 1) == KU_OK);
    NEED(KU_APPEND(scope, stream_of(1), cleared, .all = true) == KU_OK);
    NEED(KU_APPEND(scope, stream_of(2), other, .all = true) == KU_OK);
    NEED(ku_archive_stream(scope, &pot, stream_of(1), KU_STR("")) == KU_OK);
    NEED(ku_entity_create(scope, &sheet_entity, stream_of(3), &row, NULL, NULL) == KU_OK);
    return ku_entity_delete(scope, &sheet_entity, stream_of(3), NULL);
}

static int64_t count_walk(lab *l, const ku_user *user, ku_event_filter filter)
{
    walk w = {.filter = filter};

    lab_assert_ok(l, lab_as(l, false, user, walk_body, &w));
    return w.n;
}

static void a_walk_takes_types_entities_and_times(void **state)
{
    lab *l = *state;
    const ku_user user = lab_user_of(1), theirs = lab_user_of(2);
    const int64_t start = atomic_load(&l->now_us);

    lab_assert_ok(l, lab_write(l, mixed_body, NULL)); /* five events */
    atomic_fetch_add(&l->now_us, 1000000);
    lab_assert_ok(l, lab_as(l, true, &theirs, mixed_body, NULL));
    assert_int_equal(count_walk(l, &user, (ku_event_filter){0}), 5);
    assert_int_equal(
        count_walk(l, &user, (ku_event_filter){.types = KU_LIST(ku_event_type, &added_event)}), 1);
    assert_int_equal(count_walk(l, &user,
                         (ku_event_filter){.types = KU_LIST(ku_event_type, &added_event),
                             .names = KU_NAMES("sheet.created", "sheet.updated")}),
        2);
    assert_int_equal(count_walk(l, &user, (ku_event_filter){.entity = &pot}), 2);
    assert_int_equal(count_walk(l, &user, (ku_event_filter){.entity = &sheet_entity}), 2);
    assert_int_equal(count_walk(l, &user,
                         (ku_event_filter){
                             .from = {true, {start}},
                               .to = {true, {start}}
    }),
        5);
    assert_int_equal(count_walk(l, &user,
                         (ku_event_filter){
                             .from = {true, {start + 1}}
    }),
        0);
}

static void all_tenants_are_for_the_system_only(void **state)
{
    lab *l = *state;
    const ku_user user = lab_user_of(1), theirs = lab_user_of(2);
    ku_user system = lab_user_of(3);
    walk w = {.filter = {.all_tenants = true}};

    system.roles = lab_system_roles;
    system.n_roles = 1;
    lab_assert_ok(l, lab_as(l, true, &user, mixed_body, NULL));
    lab_assert_ok(l, lab_as(l, true, &theirs, mixed_body, NULL));
    assert_int_equal(lab_as(l, false, &user, walk_body, &w), KU_DENIED);
    assert_int_equal(w.n, 0);
    assert_int_equal(count_walk(l, &system, w.filter), 10);
    w.filter.all_tenants = false;
    assert_int_equal(count_walk(l, &system, w.filter), 0);
}

static bool gone_after_a_while(void *context)
{
    return atomic_fetch_add((_Atomic int *)context, 1) > 3;
}

static void a_walk_ends_when_its_caller_has_gone(void **state)
{
    static const uint32_t from = 1;
    lab *l = *state;
    walk w = {.n = 0};
    _Atomic int asked = 0;
    lab_call *c = mem_zero(1, sizeof(*c));

    lab_assert_ok(l, lab_write(l, add_many, &from));
    (void)sem_init(&c->done, 0, 0);
    c->call = (app_call){.kind = CALL_QUERY,
        .type = KU_STR("lab:query:do"),
        .payload = lab_do_payload(walk_body, &w, c->payload),
        .user = lab_user_of(1),
        .trace_id = KU_STR("t"),
        .cancelled = gone_after_a_while,
        .cancelled_context = &asked,
        .done = lab_call_done,
        .transport = c};
    app_submit(l->app, &c->call);
    lab_expect(c, KU_CANCELLED);
    assert_in_range(w.n, 0, 999);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_stale_version_is_told_and_trying_survives_it),
        CASE(loading_names_the_version_that_an_append_expects),
        CASE(looking_at_the_past_expects_nothing_of_an_append),
        CASE(what_was_fetched_is_appended_to_at_its_version),
        CASE(a_handler_may_rewind_its_scope_between_appends),
        CASE(a_stream_is_folded_as_it_was),
        CASE(a_snapshot_is_kept_when_the_delta_is_long_and_used_when_it_fits),
        CASE(a_snapshot_of_a_failed_scope_is_not_kept),
        CASE(another_state_version_ignores_the_old_snapshot),
        CASE(one_stream_id_in_two_tenants_is_two_streams_with_two_snapshots),
        CASE(an_archived_stream_is_hidden_and_closed_until_it_is_restored),
        CASE(walking_over_all_events_holds_one_at_a_time),
        CASE(a_walk_takes_types_entities_and_times),
        CASE(all_tenants_are_for_the_system_only),
        CASE(a_walk_ends_when_its_caller_has_gone),
    };

    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
