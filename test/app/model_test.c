/*
 * Two thousand commands at random, against a model that fits on a page: versions, archived streams,
 * rows and sums.  Many of them share a transaction, some fail on purpose, and in the end the tables
 * are what the model is.
 */
#include "app/lab.h"

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct paid {
    int64_t cents;
} paid;
static const ku_field paid_fields[] = {KU_FIELD(paid, cents)};
static const ku_event_type paid_event = {.name = "paid", .tag = 1, .payload = KU_SHAPE(paid)};

typedef struct purse {
    int64_t sum;
} purse;
static const ku_field purse_fields[] = {KU_FIELD(purse, sum)};
static void evolve_purse(void *state, const ku_event *event)
{
    ((purse *)state)->sum += KU_PAYLOAD(event, paid)->cents;
}
static const ku_entity purse_entity = {.name = "purse",
    .state = KU_SHAPE(purse),
    .evolve = evolve_purse,
    .snapshot_every = 7,
    .events = KU_LIST(ku_event_type, &paid_event)};

typedef struct note {
    ku_str name;
    int64_t size;
} note;
static const ku_field note_fields[] = {KU_FIELD(note, name), KU_FIELD(note, size)};
static const ku_unique note_unique[] = {{KU_NAMES("name")}, KU_END};
static const ku_entity note_entity = {.name = "note", .row = KU_SHAPE(note), .unique = note_unique};

/* Kept inline from payments, and asynchronously from notes. */
typedef struct sums {
    int64_t bucket;
    int64_t cents;
    int64_t times;
} sums;
static const ku_field sums_fields[] = {
    KU_FIELD(sums, bucket, .flags = KU_KEY),
    KU_FIELD(sums, cents, .flags = KU_SUM),
    KU_FIELD(sums, times, .flags = KU_SUM),
};
static const ku_table sums_table = {.name = "read_sums", .row = KU_SHAPE(sums)};
static const ku_table later_table = {.name = "read_later", .row = KU_SHAPE(sums)};

static ku_status apply_paid(ku_scope *scope, const ku_event *event)
{
    const sums row = {event->stream.bytes[15] % 3, KU_PAYLOAD(event, paid)->cents, 1};

    return ku_row_add(scope, &sums_table, &row);
}
static ku_status apply_paid_later(ku_scope *scope, const ku_event *event)
{
    const sums row = {event->stream.bytes[15] % 3, KU_PAYLOAD(event, paid)->cents, 1};

    return ku_row_add(scope, &later_table, &row);
}
static ku_status apply_note_later(ku_scope *scope, const ku_event *event)
{
    (void)event;
    return ku_row_add(scope, &later_table, &(sums){77, 0, 1});
}
static const ku_on paid_on[] = {KU_ON(paid, apply_paid), KU_END};
static const ku_on later_on[] = {
    KU_ON(paid, apply_paid_later),
    KU_ON_ENTITY(&note_entity, KU_CREATED, apply_note_later),
    KU_ON_ENTITY(&note_entity, KU_DELETED, apply_note_later),
    KU_END,
};
static const ku_projection paid_projection = {.name = "paid", .table = &sums_table, .on = paid_on};
static const ku_multi_stream_projection later_projection = {
    .name = "later", .table = &later_table, .on = later_on, .batch = 17};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &purse_entity, &note_entity),
    .projections = KU_LIST(ku_projection, &paid_projection),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &later_projection),
    .writes = writes,
    .queries = queries,
};

/* ---- the model ------------------------------------------------------------------------------- */

enum { COMMANDS = 2000, TENANTS = 2, PURSES = 6, NOTES = 8, NAMES = 6, GROUP_MAX = 24 };

typedef struct model_purse {
    int64_t version, sum;
    bool archived;
} model_purse;
typedef struct model_note {
    int64_t version; /* of the stream; it stays when the note has gone */
    bool alive;
    int64_t name, size;
} model_note;
typedef struct model {
    model_purse purses[TENANTS][PURSES];
    model_note notes[TENANTS][NOTES];
    sums sums[TENANTS][3];
    int64_t events, notes_created_or_deleted;
} model;

typedef enum verb {
    PAY,
    PAY_AT,
    PAY_TWICE_AND_FAIL,
    ARCHIVE,
    RESTORE,
    CREATE,
    UPDATE,
    DELETE,
    VERBS
} verb;

typedef struct command_of {
    verb verb;
    uint32_t tenant, which;
    int64_t cents, at, name;
    ku_status expected;
} command_of;

static uint32_t random_state = 20260101;
static uint32_t pick(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 9) % n;
}

static ku_id purse_id(uint32_t which)
{
    return lab_id(5, which);
}

static ku_id note_id(uint32_t which)
{
    return lab_id(6, which);
}

static note note_of(int64_t name, int64_t size)
{
    static const ku_str names[NAMES] = {KU_STR_INIT("a"), KU_STR_INIT("b"), KU_STR_INIT("c"),
        KU_STR_INIT("d"), KU_STR_INIT("e"), KU_STR_INIT("f")};

    return (note){.name = names[name], .size = size};
}

/* ---- what a command does to the model -------------------------------------------------------- */

static bool name_taken(const model *m, const command_of *c)
{
    for (uint32_t i = 0; i < NOTES; i++) {
        const model_note *other = &m->notes[c->tenant][i];
        if (i != c->which && other->alive && other->name == c->name)
            return true;
    }
    return false;
}

static ku_status model_pay(model *m, const command_of *c)
{
    model_purse *p = &m->purses[c->tenant][c->which];

    if (p->archived)
        return KU_CONFLICT;
    if (c->verb == PAY_AT && c->at != p->version)
        return KU_VERSION_CONFLICT;
    if (c->verb == PAY_TWICE_AND_FAIL)
        return KU_REFUSED;
    p->version++;
    p->sum += c->cents;
    sums *s = &m->sums[c->tenant][c->which % 3];
    s->cents += c->cents;
    s->times++;
    m->events++;
    return KU_OK;
}

static ku_status model_note_verb(model *m, const command_of *c)
{
    model_note *n = &m->notes[c->tenant][c->which];

    if (c->verb == CREATE) {
        if (name_taken(m, c))
            return KU_UNIQUE_VIOLATION;
        if (n->version > 0)
            return KU_VERSION_CONFLICT;
        *n = (model_note){.version = 1, .alive = true, .name = c->name, .size = c->cents};
        m->events++;
        m->notes_created_or_deleted++;
        return KU_OK;
    }
    if (!n->alive)
        return KU_NOT_FOUND;
    if (c->verb == DELETE) {
        n->alive = false;
        n->version++;
        m->events++;
        m->notes_created_or_deleted++;
        return KU_OK;
    }
    if (c->at != n->version)
        return KU_VERSION_CONFLICT;
    if (n->name == c->name && n->size == c->cents)
        return KU_OK;
    if (n->name != c->name && name_taken(m, c))
        return KU_UNIQUE_VIOLATION;
    n->name = c->name;
    n->size = c->cents;
    n->version++;
    m->events++;
    return KU_OK;
}

static ku_status model_run(model *m, const command_of *c)
{
    model_purse *p = &m->purses[c->tenant][c->which % PURSES];

    switch (c->verb) {
    case PAY:
    case PAY_AT:
    case PAY_TWICE_AND_FAIL:
        return model_pay(m, c);
    case ARCHIVE:
    case RESTORE:
        if (p->version == 0)
            return KU_NOT_FOUND;
        p->archived = c->verb == ARCHIVE;
        return KU_OK;
    default:
        return model_note_verb(m, c);
    }
}

/* ---- the same for real ----------------------------------------------------------------------- */

static ku_status run_pay(ku_scope *scope, const command_of *c)
{
    const paid payload = {.cents = c->cents};
    ku_append append = {.stream = purse_id(c->which), .type = &paid_event, .payload = &payload};

    if (c->verb == PAY_AT)
        append.expected_version = KU_VERSION(c->at);
    ku_status status = ku_append_event(scope, &append, NULL);
    if (status != KU_OK || c->verb != PAY_TWICE_AND_FAIL)
        return status;
    status = ku_append_event(scope, &append, NULL);
    ku_page page;
    if (status == KU_OK && c->cents % 2 == 0)
        status = ku_query_projection(scope, &sums_table, NULL, &page);
    return status == KU_OK ? ku_refuse(scope, "told_to", "told to fail") : status;
}

static ku_status run_for_real(ku_scope *scope, void *context, ku_reply *reply)
{
    const command_of *c = context;
    const note row = note_of(c->name, c->cents);

    (void)reply;
    switch (c->verb) {
    case ARCHIVE:
        return ku_archive_stream(
            scope, &purse_entity, purse_id(c->which % PURSES), KU_STR("because"));
    case RESTORE:
        return ku_restore_stream(scope, &purse_entity, purse_id(c->which % PURSES));
    case CREATE:
        return ku_entity_create(scope, &note_entity, note_id(c->which), &row, NULL, NULL);
    case UPDATE:
        return ku_entity_update(
            scope, &note_entity, note_id(c->which), c->at, KU_COLUMNS("name", "size"), &row, NULL);
    case DELETE:
        return ku_entity_delete(scope, &note_entity, note_id(c->which), NULL);
    default:
        return run_pay(scope, c);
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static ku_status compare_tenant(ku_scope *scope, void *context, ku_reply *reply)
{
    const model *m = context;
    uint32_t tenant = scope->tenant.bytes[15] - 1u;

    (void)reply;
    for (uint32_t i = 0; i < PURSES; i++) {
        const model_purse *p = &m->purses[tenant][i];
        int64_t version = -1;
        bool archived = false;
        purse state = {-1};
        const ku_load_options options = {
            .missing_ok = true, .include_archived = true, .ret_version = &version};
        ku_status status = ku_load_aggregate(scope, &purse_entity, purse_id(i), &options, &state);
        if (status == KU_OK)
            status = ku_stream_archived(scope, purse_id(i), &archived);
        if (status != KU_OK || version != p->version || state.sum != p->sum ||
            archived != p->archived)
            return ku_refuse(scope, "differs", "purse %u: version %lld of %lld, sum %lld of %lld",
                i, (long long)version, (long long)p->version, (long long)state.sum,
                (long long)p->sum);
    }
    for (uint32_t i = 0; i < NOTES; i++) {
        const model_note *n = &m->notes[tenant][i];
        note row;
        int64_t version = -1;
        ku_status status = ku_stream_version(scope, note_id(i), &version);
        ku_status found = ku_entity_get(scope, &note_entity, note_id(i), &row);
        const note expected = note_of(n->name, n->size);
        if (status != KU_OK || version != n->version || (found == KU_OK) != n->alive ||
            (n->alive && (row.size != n->size || !ku_str_equal(row.name, expected.name))))
            return ku_refuse(scope, "differs", "note %u differs", i);
        ku_clear_error(scope);
    }
    for (int64_t i = 0; i < 3; i++) {
        sums row = {.bucket = i}, later = {.bucket = i};
        const sums *s = &m->sums[tenant][i];
        if (ku_row_get(scope, &sums_table, &row) != (s->times > 0 ? KU_OK : KU_NOT_FOUND) ||
            ku_row_get(scope, &later_table, &later) != (s->times > 0 ? KU_OK : KU_NOT_FOUND) ||
            row.cents != s->cents || row.times != s->times || later.cents != s->cents ||
            later.times != s->times)
            return ku_refuse(scope, "differs", "sum %d: %lld and %lld of %lld", (int)i,
                (long long)row.cents, (long long)later.cents, (long long)s->cents);
    }
    return KU_OK;
}

static void compare(lab *l, const model *m)
{
    ku_dispatch_result result;
    ku_error error;

    assert_int_equal(ku_dispatch_once(l->app, &result, &error), KU_OK);
    assert_int_equal(result.failed, 0);
    for (uint32_t tenant = 0; tenant < TENANTS; tenant++) {
        const ku_user user = lab_user_of(tenant + 1);
        lab_assert_ok(l, lab_as(l, false, &user, compare_tenant, m));
    }
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), m->events);
    assert_int_equal(lab_sql(l, "SELECT coalesce(sum(times), 0) FROM read_later WHERE bucket = 77"),
        m->notes_created_or_deleted);
    lab_assert_sound(l);
}

static command_of random_command(const model *m)
{
    command_of c = {
        .verb = (verb)pick(VERBS),
        .tenant = pick(TENANTS),
        .which = pick(PURSES),
        .cents = pick(1000),
        .name = pick(NAMES),
    };

    if (c.verb == ARCHIVE && pick(3) != 0) /* or everything is archived soon */
        c.verb = RESTORE;
    if (c.verb >= CREATE)
        c.which = pick(NOTES);
    int64_t version = c.verb >= CREATE ? m->notes[c.tenant][c.which].version
                                       : m->purses[c.tenant][c.which].version;
    c.at = pick(4) == 0 ? version + (int64_t)pick(3) - 1 : version;
    if (c.at < 0)
        c.at = 0;
    return c;
}

static void a_random_history_ends_as_the_model_says(void **state)
{
    lab *l = *state;
    static model m;
    static command_of commands[GROUP_MAX];
    lab_call *calls[GROUP_MAX];
    int done = 0;

    while (done < COMMANDS) {
        uint32_t n = 1 + pick(GROUP_MAX);
        lab_hold hold;
        lab_hold_writer(l, &hold);
        for (uint32_t i = 0; i < n; i++) {
            commands[i] = random_command(&m);
            commands[i].expected = model_run(&m, &commands[i]);
            calls[i] = mem_zero(1, sizeof(*calls[i]));
            (void)sem_init(&calls[i]->done, 0, 0);
            calls[i]->call = (app_call){.kind = CALL_WRITE,
                .type = KU_STR("lab:write:do"),
                .payload = lab_do_payload(run_for_real, &commands[i], calls[i]->payload),
                .user = lab_user_of(commands[i].tenant + 1),
                .trace_id = KU_STR("t"),
                .done = lab_call_done,
                .transport = calls[i]};
            app_submit(l->app, &calls[i]->call);
        }
        lab_release(&hold);
        for (uint32_t i = 0; i < n; i++) {
            if (lab_wait(calls[i]) != commands[i].expected)
                fail_msg("command %d, verb %d: %s instead of %s: %.*s", done + (int)i,
                    (int)commands[i].verb, ku_status_code(calls[i]->call.status),
                    ku_status_code(commands[i].expected), KU_FMT(calls[i]->call.response));
            lab_call_free(calls[i]);
        }
        int before = done;
        done += (int)n;
        atomic_fetch_add(&l->now_us, 1000 * n);
        if (before / 100 != done / 100)
            compare(l, &m);
        if (before / 700 != done / 700) {
            lab_close(l);
            lab_open(l, &feature, false);
        }
    }
    compare(l, &m);
    assert_true(m.events > COMMANDS / 5);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_random_history_ends_as_the_model_says, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
