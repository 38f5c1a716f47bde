/*
 * What the tests of the log share: a database of its own, a writer, a reader, and a small domain.
 * Each test that includes it begins with `log_fixture *f = *state;`.
 */
#ifndef TEST_STORE_LOG_FIXTURE_H
#define TEST_STORE_LOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "db/sql.h"
#include "store/log.h"
#include "support/database.h"

#include <stdio.h>
#include <unistd.h>

/* ---- the domain ------------------------------------------------------------------------------ */

typedef struct thing_named {
    ku_str name;
} thing_named;
typedef struct thing_priced {
    int64_t cents;
    ku_str currency;
    ku_str country;
} thing_priced;
typedef struct thing_row {
    ku_str name;
    int64_t size;
    ku_optional_str colour;
} thing_row;

static const ku_field thing_named_fields[] = {
    KU_FIELD(thing_named, name, .length = KU_BETWEEN(1, 100)),
};
static const ku_field thing_priced_fields[] = {
    KU_FIELD(thing_priced, cents),
    KU_FIELD(thing_priced, currency),
    KU_FIELD(thing_priced, country),
};
static const ku_field thing_row_fields[] = {
    KU_FIELD(thing_row, name),
    KU_FIELD(thing_row, size),
    KU_FIELD(thing_row, colour),
};

/* "12.50" becomes 1250. */
static ku_status text_to_cents(ku_scope *scope, ku_json *object, const char *name)
{
    ku_decimal value;

    if (!ku_json_decimal(ku_json_get(object, name), &value) ||
        !ku_decimal_rescale(value, 2, &value))
        return ku_fail(scope, KU_INVALID, NULL, "no amount");
    ku_json_set_int(scope, object, name, value.units);
    return KU_OK;
}

/* The country of a currency, from a table of the tenant. */
static ku_status look_up_country(ku_scope *scope, ku_json *payload)
{
    ku_str currency = {0};
    db_rows rows = {0};
    bool row = false;

    (void)ku_json_text(ku_json_get(payload, "currency"), &currency);
    const db_value binds[] = {db_id(scope->tenant), db_text(currency)};
    ku_status status = db_query_text(scope->db,
        KU_STR("SELECT country FROM countries WHERE tenant_id = $1 AND currency = $2"), binds, 2,
        &rows);
    if (status == KU_OK)
        status = db_next(&rows, &row);
    if (status == KU_OK)
        ku_json_set_text(
            scope, payload, "country", row ? db_column_text(&rows, 0) : KU_STR("unknown"));
    db_rows_done(&rows);
    return status;
}

static const ku_step priced_1[] = {
    KU_RENAME("amount", "cents"),
    KU_CONVERT("cents", text_to_cents),
    KU_DEFAULT("currency", "\"EUR\""),
    KU_REMOVE("comment"),
    {KU_STEP_END, NULL, NULL, NULL},
};
static const ku_migration priced_migrations[] = {
    {1, priced_1, NULL           },
    {2, NULL,     look_up_country},
    {0, NULL,     NULL           },
};

static const ku_event_type named_type = {
    .name = "thing-named", .tag = 1, .payload = KU_SHAPE(thing_named)};
static const ku_event_type priced_type = {.name = "thing-priced",
    .version = 3,
    .tag = 2,
    .payload = KU_SHAPE(thing_priced),
    .migrations = priced_migrations};
static const ku_event_type closed_type = {.name = "thing-closed", .tag = 3};
static const ku_event_type automatic_types[] = {
    {.name = "created",   .tag = KU_CREATED  },
    {.name = "updated",   .tag = KU_UPDATED  },
    {.name = "deleted",   .tag = KU_DELETED  },
    {.name = "restored",  .tag = KU_RESTORED },
    {.name = "forgotten", .tag = KU_FORGOTTEN},
};

static const ku_entity thing = {.name = "thing", .row = KU_SHAPE(thing_row), .state_version = 1};
static const ku_entity other = {.name = "other"};

/* Constant but for the hash chain, so each process has its own. */
#define DEF(text, index_type, index_verb)                                                          \
    {                                                                                              \
        .name = KU_STR_INIT(text), .type = &(index_type), .entity = &thing, .verb = (index_verb)   \
    }
static event_def defs[] = {
    DEF("test:event:thing-named", named_type, 0),
    DEF("test:event:thing-priced", priced_type, 0),
    DEF("test:event:thing-closed", closed_type, 0),
    DEF("thing.created", automatic_types[0], KU_CREATED),
    DEF("thing.updated", automatic_types[1], KU_UPDATED),
    DEF("thing.deleted", automatic_types[2], KU_DELETED),
    DEF("thing.restored", automatic_types[3], KU_RESTORED),
    DEF("thing.forgotten", automatic_types[4], KU_FORGOTTEN),
};
enum { NAMED, PRICED, CLOSED, CREATED, UPDATED, DELETED, RESTORED, FORGOTTEN };

/* ---- the fixture ----------------------------------------------------------------------------- */

enum { SCOPES_MAX = 64 };

typedef struct log_fixture {
    test_database *database;
    const char *url;
    db_catalog *statements;
    event_catalog *events;
    db *writer, *reader;
    ku_id tenant, other_tenant;
    ku_time now;

    /* the batch that is under way */
    ku_scope batch_scope;
    work batch;
    ku_scope *scopes[SCOPES_MAX];
    size_t n_scopes;

    ku_scope read; /* a query's */
} log_fixture;

/* The tables of the log in one transaction, as programs make them. */
static inline ku_status make_tables(db *d, ku_error *ret_error)
{
    ku_status status = log_schema_begin(d, ret_error);

    if (status != KU_OK)
        return status;
    status = log_schema_apply(d, ret_error);
    if (status == KU_OK && (status = db_commit(d)) != KU_OK)
        (void)error_set(ret_error, status, "%s", db_error(d));
    if (status != KU_OK)
        db_rollback(d);
    return status;
}

static void open_writer(log_fixture *f)
{
    ku_error error = {0};

    if (db_open(f->url, DB_WRITER, f->statements, &f->writer, &error) != KU_OK ||
        make_tables(f->writer, &error) != KU_OK)
        fail_msg("%s", error.message);
}

static void open_reader(log_fixture *f)
{
    ku_error error = {0};

    if (db_open(f->url, DB_READER, f->statements, &f->reader, &error) != KU_OK)
        fail_msg("%s", error.message);
    scope_init(&f->read);
    f->read.db = f->reader;
    f->read.tenant = f->tenant;
    f->read.now = f->now;
}

static int set_up(void **state)
{
    log_fixture *f = mem_zero(1, sizeof(*f));

    f->database = test_database_new();
    f->url = f->database->url;
    f->now = (ku_time){INT64_C(1795455006627000)};
    f->tenant = id_new(f->now);
    f->other_tenant = id_new(f->now);
    f->statements = db_catalog_new();
    f->events = event_catalog_new();
    for (size_t i = 0; i < KU_COUNT(defs); i++)
        assert_true(event_catalog_add(f->events, &defs[i]));
    scope_init(&f->batch_scope);
    open_writer(f);
    open_reader(f);
    *state = f;
    return 0;
}

static void close_reader(log_fixture *f)
{
    scope_done(&f->read);
    f->read = (ku_scope){0};
    db_close(f->reader);
    f->reader = NULL;
}

static int tear_down(void **state)
{
    log_fixture *f = *state;

    close_reader(f);
    db_close(f->writer);
    scope_done(&f->batch_scope);
    for (size_t i = 0; i < SCOPES_MAX; i++) {
        if (f->scopes[i] != NULL)
            scope_done(f->scopes[i]);
        free(f->scopes[i]);
    }
    event_catalog_free(f->events);
    db_catalog_free(f->statements);
    test_database_free(f->database);
    free(f);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static inline void begin_batch(log_fixture *f)
{
    scope_reset(&f->batch_scope);
    f->batch_scope.db = f->writer;
    work_init(&f->batch, f->writer, NULL, &f->batch_scope.arena);
    f->n_scopes = 0;
    assert_int_equal(db_begin(f->writer), KU_OK);
}

static inline ku_scope *begin_scope(log_fixture *f)
{
    assert_true(f->n_scopes < SCOPES_MAX);
    if (f->scopes[f->n_scopes] == NULL) {
        f->scopes[f->n_scopes] = mem_zero(1, sizeof(ku_scope));
        scope_init(f->scopes[f->n_scopes]);
    }
    ku_scope *scope = f->scopes[f->n_scopes++];
    scope_reset(scope);
    scope->db = f->writer;
    scope->tenant = f->tenant;
    scope->user = KU_STR("U1");
    scope->now = f->now;
    scope->trace_id = KU_STR("r-1");
    scope->correlation_id = KU_STR("c-1");
    scope->work = ku_alloc(scope, sizeof(work));
    work_init(scope->work, f->writer, &f->batch, &scope->arena);
    return scope;
}

/* The scope succeeded. */
static inline void keep_scope(ku_scope *scope)
{
    work_merge(scope->work);
}

static inline ku_status try_commit(log_fixture *f)
{
    ku_status status = work_flush_streams(&f->batch);
    if (status == KU_OK)
        status = work_number(&f->batch);
    if (status == KU_OK)
        status = work_flush_events(&f->batch);
    if (status == KU_OK)
        return db_commit(f->writer);
    db_rollback(f->writer);
    return status;
}

static inline void commit_batch(log_fixture *f)
{
    if (try_commit(f) != KU_OK)
        fail_msg("%s", db_error(f->writer));
}

static inline ku_status append_name(ku_scope *scope, ku_id stream, const char *name)
{
    const thing_named payload = {.name = ku_str_from(name)};
    const log_append append = {.def = &defs[NAMED], .stream = stream, .payload = &payload};

    return log_append_event(scope, &append, NULL);
}

static inline ku_status append_name_at(
    ku_scope *scope, ku_id stream, const char *name, int64_t expected)
{
    const thing_named payload = {.name = ku_str_from(name)};
    const log_append append = {.def = &defs[NAMED],
        .stream = stream,
        .payload = &payload,
        .expected_version = KU_VERSION(expected)};

    return log_append_event(scope, &append, NULL);
}

static inline ku_status append_with_key(
    ku_scope *scope, ku_id stream, const char *name, const char *key)
{
    const thing_named payload = {.name = ku_str_from(name)};
    const log_append append = {.def = &defs[NAMED],
        .stream = stream,
        .payload = &payload,
        .idempotency_key = ku_str_from(key)};

    return log_append_event(scope, &append, NULL);
}

/* One event in a transaction of its own. */
static inline void write_name(log_fixture *f, ku_id stream, const char *name)
{
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, name), KU_OK);
    keep_scope(scope);
    commit_batch(f);
}

/* An event as an older program would have stored it. */
static inline ku_status append_old(
    ku_scope *scope, int def, ku_id stream, int stored_version, const char *json)
{
    const log_append append = {.def = &defs[def],
        .stream = stream,
        .json = ku_str_from(json),
        .stored_version = stored_version};

    return log_append_event(scope, &append, NULL);
}

static inline void write_old(
    log_fixture *f, int def, ku_id stream, int stored_version, const char *json)
{
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_old(scope, def, stream, stored_version, json), KU_OK);
    keep_scope(scope);
    commit_batch(f);
}

/* Text of the details member of the error that is set. */
static inline ku_str detail_text(const ku_scope *scope, const char *name)
{
    ku_str text = {0};

    if (scope->error.details != NULL)
        (void)ku_json_text(ku_json_get(scope->error.details, name), &text);
    return text;
}

static inline int64_t detail_int(const ku_scope *scope, const char *name)
{
    int64_t value = -1;

    if (scope->error.details != NULL)
        (void)ku_json_int(ku_json_get(scope->error.details, name), &value);
    return value;
}

#define assert_text(actual, expected)                                                              \
    do {                                                                                           \
        ku_str text_ = (actual);                                                                   \
        if (!ku_str_is(text_, (expected)))                                                         \
            fail_msg("\"%.*s\" is not \"%s\"", (int)text_.len, text_.len > 0 ? text_.ptr : "",     \
                (expected));                                                                       \
    } while (0)

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct collected {
    ku_event events[64];
    size_t count;
} collected;

static inline ku_status collect(ku_scope *scope, const ku_event *event, void *context)
{
    collected *all = context;

    (void)scope;
    assert_true(all->count < KU_COUNT(all->events));
    all->events[all->count++] = *event;
    return KU_OK;
}

static inline ku_status load(
    log_fixture *f, ku_scope *scope, ku_id stream, log_range range, collected *ret_all)
{
    *ret_all = (collected){.count = 0};
    return log_each_of_stream(scope, f->events, stream, &range, true, collect, ret_all);
}

/* Asserts that a stream's names are those, comma-separated. */
static inline void assert_names(
    log_fixture *f, ku_scope *scope, ku_id stream, log_range range, const char *expected)
{
    collected all;
    char names[512] = "";

    assert_int_equal(load(f, scope, stream, range, &all), KU_OK);
    for (size_t i = 0; i < all.count; i++) {
        const thing_named *payload = all.events[i].payload;
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%.*s", i > 0 ? "," : "",
            (int)payload->name.len, payload->name.ptr);
    }
    assert_string_equal(names, expected);
}

static inline void print_problem(void *context, ku_str sentence)
{
    (void)context;
    print_message("%.*s\n", (int)sentence.len, sentence.ptr);
}

/* The log is whole and has so many events. */
static inline void assert_whole(log_fixture *f, int64_t events)
{
    check_report report = {0};

    assert_int_equal(log_check(&f->read, print_problem, NULL, &report), KU_OK);
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.events, events);
}

#endif
