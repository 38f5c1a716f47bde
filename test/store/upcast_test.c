/*
 * Lifting: old payloads, automatic events, and what is wrong with them.
 */
#include "store/log_fixture.h"

static void create_countries(log_fixture *f)
{
    const char *sql =
        test_by_engine("CREATE TABLE countries(tenant_id BLOB, currency TEXT, country TEXT)",
            "CREATE TABLE countries(tenant_id uuid, currency text, country text)");
    assert_int_equal(db_script(f->writer, ku_str_from(sql)), KU_OK);
}

static void add_country(log_fixture *f, ku_id tenant, const char *currency, const char *country)
{
    char sql[256], id[40];

    snprintf(sql, sizeof(sql), "INSERT INTO countries VALUES (%s, '%s', '%s')",
        test_id_literal(tenant, id), currency, country);
    assert_int_equal(db_script(f->writer, ku_str_from(sql)), KU_OK);
}

static ku_event load_one(log_fixture *f, ku_id stream)
{
    collected all;

    if (load(f, &f->read, stream, (log_range){0}, &all) != KU_OK)
        fail_msg("%.*s", (int)ku_error_message(&f->read).len, ku_error_message(&f->read).ptr);
    assert_int_equal(all.count, 1);
    return all.events[0];
}

/* What the read of a stream with that one event fails with. */
static ku_status load_fails(log_fixture *f, ku_id stream)
{
    collected all;

    ku_clear_error(&f->read);
    return load(f, &f->read, stream, (log_range){0}, &all);
}

static void assert_contains(ku_str text, const char *part)
{
    if (memmem(text.ptr, text.len, part, strlen(part)) == NULL)
        fail_msg("\"%.*s\" lacks \"%s\"", (int)text.len, text.ptr, part);
}

/* Puts a row into the log as nobody should have. */
static void damage_payload(log_fixture *f, const char *json)
{
    char sql[256];

    snprintf(sql, sizeof(sql), "UPDATE ku_events SET payload = '%s'", json);
    assert_int_equal(db_script(f->writer, ku_str_from(sql)), KU_OK);
}

/* ---- cases: chains --------------------------------------------------------------------------- */

static void a_chain_of_migrations_ends_in_the_newest_struct(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    create_countries(f);
    add_country(f, f->tenant, "EUR", "Germany");
    add_country(f, f->other_tenant, "EUR", "France");
    write_old(f, PRICED, stream, 1, "{\"amount\":\"12.50\",\"comment\":\"gone\",\"kept\":1}");
    const ku_event event = load_one(f, stream);
    const thing_priced *payload = event.payload;
    assert_int_equal(event.event_version, 3);
    assert_int_equal(event.stored_version, 1);
    assert_int_equal(payload->cents, 1250);
    assert_text(payload->currency, "EUR");
    assert_text(payload->country, "Germany");
    assert_text(event.json.json,
        "{\"cents\":1250,\"kept\":1,\"currency\":\"EUR\",\"country\":\"Germany\"}");
}

static void a_look_up_reads_the_events_own_tenant(void **state)
{
    log_fixture *f = *state;
    ku_event event;

    create_countries(f);
    add_country(f, f->tenant, "EUR", "Germany");
    add_country(f, f->other_tenant, "EUR", "France");
    const stored_event stored = {.tenant = f->other_tenant,
        .type = KU_STR("test:event:thing-priced"),
        .payload = KU_STR("{\"cents\":1,\"currency\":\"EUR\"}"),
        .event_version = 2,
        .version = 1};
    assert_int_equal(log_lift(&f->read, f->events, &stored, &event), KU_OK);
    assert_text(((const thing_priced *)event.payload)->country, "France");
    assert_true(ku_id_equal(f->read.tenant, f->tenant));
}

static void what_is_stored_stays_as_it_was(void **state)
{
    log_fixture *f = *state;
    db_rows rows = {0};
    bool row = false;

    create_countries(f);
    write_old(f, PRICED, id_new(f->now), 1, "{\"amount\":\"1\"}");
    assert_int_equal(db_query_text(f->reader,
                         KU_STR("SELECT payload, event_version FROM ku_events"), NULL, 0, &rows),
        KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_text(db_column_text(&rows, 0), "{\"amount\":\"1\"}");
    assert_int_equal(db_column_int(&rows, 1), 1);
    db_rows_done(&rows);
}

static void a_pending_old_event_is_lifted_for_its_own_scope(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    collected all;

    create_countries(f);
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_old(scope, PRICED, stream, 1, "{\"amount\":\"2.5\"}"), KU_OK);
    assert_int_equal(load(f, scope, stream, (log_range){0}, &all), KU_OK);
    assert_int_equal(((const thing_priced *)all.events[0].payload)->cents, 250);
    assert_int_equal(all.events[0].event_version, 3);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(((const thing_priced *)load_one(f, stream).payload)->cents, 250);
}

static void an_unknown_type_comes_as_it_is(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    write_name(f, stream, "a");
    assert_int_equal(
        db_script(f->writer, KU_STR("UPDATE ku_events SET type = 'x:event:y', event_version = 7")),
        KU_OK);
    const ku_event event = load_one(f, stream);
    assert_null(event.type);
    assert_null(event.payload);
    assert_text(event.name, "x:event:y");
    assert_text(event.json.json, "{\"name\":\"a\"}");
    assert_int_equal(event.event_version, 7);
    assert_text(event.user, "U1");
    assert_text(event.stream_type, "thing");
}

/* ---- cases: failures ------------------------------------------------------------------------- */

static void a_failing_step_fails_the_read_and_says_where(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    char id[37];

    create_countries(f);
    write_old(f, PRICED, stream, 1, "{\"amount\":\"1\"}");
    damage_payload(f, "{\"amount\":\"many\"}");
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    ku_id_format(stream, id);
    assert_contains(ku_error_message(&f->read), id);
    assert_contains(ku_error_message(&f->read), "event test:event:thing-priced of stream ");
    assert_contains(ku_error_message(&f->read),
        ", version 1: migration from version 1, step convert of cents failed: no amount");
    damage_payload(f, "[1]");
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    assert_contains(ku_error_message(&f->read), "the payload is not an object");
}

static void a_failing_function_fails_the_read(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    collected all;

    create_countries(f);
    write_old(f, PRICED, stream, 2, "{\"cents\":1,\"currency\":\"EUR\"}");
    db_fail_after(f->reader, 3, KU_UNAVAILABLE); /* its own query */
    assert_int_equal(load(f, &f->read, stream, (log_range){0}, &all), KU_UNAVAILABLE);
    assert_contains(ku_error_message(&f->read), "migration from version 2 failed");
    db_fail_after(f->reader, 0, KU_OK);
    assert_int_equal(db_script(f->writer, KU_STR("DROP TABLE countries")), KU_OK);
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
}

static void a_version_from_the_future_fails_the_read(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    write_name(f, stream, "a");
    assert_int_equal(db_script(f->writer, KU_STR("UPDATE ku_events SET event_version = 2")), KU_OK);
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    assert_contains(ku_error_message(&f->read), "event test:event:thing-named of stream");
    assert_contains(
        ku_error_message(&f->read), "it is stored in version 2, this program knows up to 1");
}

static void a_payload_that_cannot_be_read_fails_the_read(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    write_name(f, stream, "a");
    damage_payload(f, "{\"name\":");
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    assert_contains(ku_error_message(&f->read), "the payload is not JSON");
    damage_payload(f, "{\"name\":7}");
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    assert_contains(
        ku_error_message(&f->read), "the payload does not fit its shape: name: invalid_type");
    assert_int_equal(f->read.error.n_issues, 0); /* the caller's input is not to blame */
}

/* ---- cases: automatic events ----------------------------------------------------------------- */

static const ku_change *load_change(log_fixture *f, int def, const char *json)
{
    const ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_old(scope, def, stream, 0, json), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    return load_one(f, stream).payload;
}

static void created_has_the_row(void **state)
{
    log_fixture *f = *state;
    const ku_change *change =
        load_change(f, CREATED, "{\"name\":\"n\",\"colour\":null,\"unknown\":{\"a\":[]}}");
    const thing_row *row = change->row;

    assert_null(change->previous);
    assert_text(row->name, "n");
    assert_int_equal(row->size, 0);
    assert_false(row->colour.set);
    assert_int_equal(change->changed, 1 << 0 | 1 << 2);
}

static void updated_has_the_row_before_and_after(void **state)
{
    log_fixture *f = *state;
    const ku_change *change = load_change(f, UPDATED,
        "{\"changes\":{\"size\":9,\"colour\":null},"
        "\"previous\":{\"id\":\"x\",\"name\":\"n\",\"size\":1,\"colour\":\"red\"}}");
    const thing_row *row = change->row, *previous = change->previous;

    assert_text(previous->name, "n");
    assert_int_equal(previous->size, 1);
    assert_text(previous->colour.value, "red");
    assert_text(row->name, "n");
    assert_int_equal(row->size, 9);
    assert_false(row->colour.set);
    assert_int_equal(change->changed, 1 << 1 | 1 << 2);
}

static void deleted_restored_and_forgotten_have_the_row_before(void **state)
{
    log_fixture *f = *state;
    const char *json = "{\"previous\":{\"name\":\"n\",\"colour\":null}}";
    const int gone[] = {DELETED, FORGOTTEN};

    for (size_t i = 0; i < KU_COUNT(gone); i++) {
        const ku_change *change = load_change(f, gone[i], json);
        assert_null(change->row);
        assert_text(((const thing_row *)change->previous)->name, "n");
        assert_int_equal(change->changed, 0);
    }
    const ku_change *change = load_change(f, RESTORED, json);
    assert_text(((const thing_row *)change->row)->name, "n");
    assert_text(((const thing_row *)change->previous)->name, "n");
}

static void a_change_that_is_given_is_the_payload(void **state)
{
    log_fixture *f = *state;
    const thing_row row = {.name = KU_STR("n")};
    const ku_change change = {.row = &row, .changed = 1};
    const log_append append = {.def = &defs[CREATED],
        .stream = id_new(f->now),
        .json = KU_STR("{\"name\":\"n\"}"),
        .change = &change};
    const ku_event *event = NULL;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_append_event(scope, &append, &event), KU_OK);
    assert_ptr_equal(event->payload, &change);
    db_rollback(f->writer);
}

static void a_row_of_another_type_fails_the_read(void **state)
{
    log_fixture *f = *state;
    const ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_old(scope, UPDATED, stream, 0, "{\"changes\":{}}"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    damage_payload(f, "{\"changes\":{},\"previous\":{\"size\":\"big\"}}");
    assert_int_equal(load_fails(f, stream), KU_INTERNAL);
    assert_contains(ku_error_message(&f->read), "previous.size");
}

/* ---- cases: the catalog ---------------------------------------------------------------------- */

static void the_catalog_finds_by_name_and_by_type(void **state)
{
    log_fixture *f = *state;
    enum { MANY = 300 };
    static event_def many[MANY];
    static ku_event_type types[MANY];
    static char names[MANY][16];
    event_def twice = {.name = KU_STR("thing.created"), .type = &types[0]};

    assert_false(event_catalog_add(f->events, &twice));
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "name-%zu", i);
        many[i] = (event_def){.name = ku_str_from(names[i]), .type = &types[i]};
        assert_true(event_catalog_add(f->events, &many[i]));
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(event_catalog_find(f->events, many[i].name), &many[i]);
        assert_ptr_equal(event_catalog_of(f->events, &types[i]), &many[i]);
    }
    assert_ptr_equal(event_catalog_find(f->events, KU_STR("thing.created")), &defs[CREATED]);
    assert_null(event_catalog_find(f->events, KU_STR("nobody")));
    assert_null(event_catalog_of(f->events, NULL));
    event_catalog_free(NULL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_chain_of_migrations_ends_in_the_newest_struct),
        CASE(a_look_up_reads_the_events_own_tenant),
        CASE(what_is_stored_stays_as_it_was),
        CASE(a_pending_old_event_is_lifted_for_its_own_scope),
        CASE(an_unknown_type_comes_as_it_is),
        CASE(a_failing_step_fails_the_read_and_says_where),
        CASE(a_failing_function_fails_the_read),
        CASE(a_version_from_the_future_fails_the_read),
        CASE(a_payload_that_cannot_be_read_fails_the_read),
        CASE(created_has_the_row),
        CASE(updated_has_the_row_before_and_after),
        CASE(deleted_restored_and_forgotten_have_the_row_before),
        CASE(a_change_that_is_given_is_the_payload),
        CASE(a_row_of_another_type_fails_the_read),
        CASE(the_catalog_finds_by_name_and_by_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
