/*
 * Appending: what becomes of an event, and what is refused.
 */
#include "store/log_fixture.h"

#include "base/limits.h"

/* ---- cases: what is stored ------------------------------------------------------------------- */

static void an_event_is_stored_with_everything_it_was_given(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const thing_named payload = {.name = KU_STR("Acme \"&\" Söhne")};
    const ku_header headers[] = {
        {.name = KU_STR("geoRegion"), .text = KU_STR("EU")},
        { .name = KU_STR("n"),        .kind = KU_KIND_INT,        .integer = -5},
        { .name = KU_STR("d"),     .kind = KU_KIND_DOUBLE,        .number = 0.5},
        { .name = KU_STR("b"),       .kind = KU_KIND_BOOL,         .flag = true},
    };
    const log_append append = {.def = &defs[NAMED],
        .stream = stream,
        .payload = &payload,
        .headers = headers,
        .n_headers = 4,
        .idempotency_key = KU_STR("key-1")};
    const ku_event *pending = NULL;
    collected all;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    scope->causation_id = KU_STR("17");
    assert_int_equal(log_append_event(scope, &append, &pending), KU_OK);
    assert_int_equal(pending->position, 0);
    keep_scope(scope);
    assert_int_equal(work_flush_streams(&f->batch), KU_OK);
    assert_int_equal(work_number(&f->batch), KU_OK);
    assert_int_equal(pending->position, 1);
    assert_int_equal(work_flush_events(&f->batch), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);

    assert_int_equal(load(f, &f->read, stream, (log_range){0}, &all), KU_OK);
    assert_int_equal(all.count, 1);
    const ku_event *event = &all.events[0];
    assert_ptr_equal(event->type, &named_type);
    assert_text(event->name, "test:event:thing-named");
    assert_true(ku_id_equal(event->tenant, f->tenant));
    assert_true(ku_id_equal(event->stream, stream));
    assert_text(event->stream_type, "thing");
    assert_int_equal(event->version, 1);
    assert_int_equal(event->lane, 0);
    assert_int_equal(event->position, 1);
    assert_int_equal(event->event_version, 1);
    assert_int_equal(event->stored_version, 1);
    assert_int_equal(event->at.unix_us, f->now.unix_us);
    assert_text(event->user, "U1");
    assert_text(event->request_id, "r-1");
    assert_text(event->correlation_id, "c-1");
    assert_text(event->causation_id, "17");
    assert_text(event->idempotency_key, "key-1");
    assert_text(event->headers.json, "{\"geoRegion\":\"EU\",\"n\":-5,\"d\":0.5,\"b\":true}");
    assert_text(event->json.json, "{\"name\":\"Acme \\\"&\\\" Söhne\"}");
    assert_text(((const thing_named *)event->payload)->name, "Acme \"&\" Söhne");
    assert_whole(f, 1);
}

static void the_payload_may_change_or_vanish_after_the_append(void **state)
{
    log_fixture *f = *state;
    char text[] = "before";
    thing_named payload = {
        .name = {text, 6}
    };
    const log_append append = {.def = &defs[NAMED], .stream = id_new(f->now), .payload = &payload};
    const ku_event *event = NULL;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_append_event(scope, &append, &event), KU_OK);
    memcpy(text, "after!", 6);
    payload.name.len = 0;
    assert_text(((const thing_named *)event->payload)->name, "before");
    keep_scope(scope);
    commit_batch(f);
    assert_names(f, &f->read, append.stream, (log_range){0}, "before");
}

static void an_event_without_payload_is_an_empty_object(void **state)
{
    log_fixture *f = *state;
    const log_append append = {.def = &defs[CLOSED], .stream = id_new(f->now)};
    collected all;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_append_event(scope, &append, NULL), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(load(f, &f->read, append.stream, (log_range){0}, &all), KU_OK);
    assert_text(all.events[0].json.json, "{}");
    assert_null(all.events[0].payload);
    assert_text(all.events[0].headers.json, "");
}

static void time_never_runs_backwards_in_a_stream(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    ku_time later = f->now;
    collected all;

    write_name(f, stream, "a");
    f->now.unix_us -= 5000000;
    write_name(f, stream, "b");
    f->now.unix_us += 9000000;
    write_name(f, stream, "c");
    assert_int_equal(load(f, &f->read, stream, (log_range){0}, &all), KU_OK);
    assert_int_equal(all.events[0].at.unix_us, later.unix_us);
    assert_int_equal(all.events[1].at.unix_us, later.unix_us);
    assert_int_equal(all.events[2].at.unix_us, f->now.unix_us);
}

static void an_append_may_name_the_entity_whose_stream_it_is(void **state)
{
    log_fixture *f = *state;
    const log_append append = {.def = &defs[CLOSED], .entity = &other, .stream = id_new(f->now)};
    collected all;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_append_event(scope, &append, NULL), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(load(f, &f->read, append.stream, (log_range){0}, &all), KU_OK);
    assert_text(all.events[0].stream_type, "other");
}

/* ---- cases: versions ------------------------------------------------------------------------- */

static void append_at_a_stale_version_is_refused(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    char id[37], message[80];

    write_name(f, stream, "a");
    write_name(f, stream, "b");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name_at(scope, stream, "c", 1), KU_VERSION_CONFLICT);
    ku_id_format(stream, id);
    snprintf(message, sizeof(message), "version conflict for entity %s", id);
    assert_text(ku_error_message(scope), message);
    assert_text(detail_text(scope, "entityId"), id);
    assert_int_equal(detail_int(scope, "expectedVersion"), 1);
    assert_int_equal(detail_int(scope, "currentVersion"), 2);
    /* Nothing of it remains: the same scope may go on. */
    ku_clear_error(scope);
    assert_int_equal(append_name_at(scope, stream, "c", 2), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c");
    assert_whole(f, 3);
}

static void append_to_a_new_stream_expects_version_zero(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name_at(scope, stream, "a", 1), KU_VERSION_CONFLICT);
    assert_int_equal(detail_int(scope, "currentVersion"), 0);
    ku_clear_error(scope);
    assert_int_equal(append_name_at(scope, stream, "a", 0), KU_OK);
    assert_int_equal(append_name_at(scope, stream, "b", 0), KU_VERSION_CONFLICT);
    keep_scope(scope);
    commit_batch(f);
}

static void a_loaded_stream_is_expected_to_stay_where_it_was(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    stream_state found;

    write_name(f, stream, "a");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_stream(scope, stream, &found), KU_OK);
    log_remember_version(scope, stream, 0); /* as of some time before */
    assert_int_equal(append_name(scope, stream, "b"), KU_VERSION_CONFLICT);
    ku_clear_error(scope);
    log_remember_version(scope, stream, 1);
    assert_int_equal(append_name(scope, stream, "b"), KU_OK);
    assert_int_equal(append_name(scope, stream, "c"), KU_OK); /* it moved along */
    assert_int_equal(append_name_at(scope, stream, "d", 1), KU_VERSION_CONFLICT); /* said, wins */
    keep_scope(scope);

    /* Another scope of the batch has not loaded it: any version will do. */
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "d"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b,c,d");
}

static void scopes_of_a_batch_see_each_other_in_order(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *first = begin_scope(f);
    assert_int_equal(append_name_at(first, stream, "a", 0), KU_OK);
    keep_scope(first);
    ku_scope *second = begin_scope(f);
    assert_int_equal(append_name_at(second, stream, "x", 0), KU_VERSION_CONFLICT);
    ku_scope *third = begin_scope(f);
    assert_names(f, third, stream, (log_range){0}, "a");
    assert_int_equal(append_name_at(third, stream, "b", 1), KU_OK);
    assert_names(f, third, stream, (log_range){0}, "a,b");
    keep_scope(third);
    commit_batch(f);
    assert_names(f, &f->read, stream, (log_range){0}, "a,b");
    assert_whole(f, 2);
}

/* ---- cases: other refusals ------------------------------------------------------------------- */

static void a_stream_of_another_entity_is_refused(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    const log_append append = {.def = &defs[CLOSED], .entity = &other, .stream = stream};

    write_name(f, stream, "a");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(log_append_event(scope, &append, NULL), KU_REFUSED);
    assert_text(ku_error_reason(scope), "stream_type_mismatch");
    db_rollback(f->writer);
}

static void an_idempotency_key_works_once_per_tenant(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_with_key(scope, stream, "a", "k"), KU_OK);
    assert_int_equal(append_with_key(scope, stream, "b", "k"), KU_IDEMPOTENT_REPLAY);
    assert_text(detail_text(scope, "idempotencyKey"), "k");
    ku_clear_error(scope);
    keep_scope(scope);
    scope = begin_scope(f); /* another scope, before it is written */
    assert_int_equal(append_with_key(scope, id_new(f->now), "b", "k"), KU_IDEMPOTENT_REPLAY);
    scope = begin_scope(f);
    scope->tenant = f->other_tenant;
    assert_int_equal(append_with_key(scope, stream, "b", "k"), KU_OK);
    keep_scope(scope);
    commit_batch(f);

    begin_batch(f); /* and after */
    scope = begin_scope(f);
    assert_int_equal(append_with_key(scope, stream, "b", "k"), KU_IDEMPOTENT_REPLAY);
    ku_clear_error(scope);
    assert_int_equal(append_with_key(scope, stream, "b", "K"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_whole(f, 3);
}

static void a_payload_that_breaks_its_shape_is_refused(void **state)
{
    log_fixture *f = *state;

    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_name(scope, id_new(f->now), ""), KU_INVALID);
    assert_int_equal(scope->error.n_issues, 1);
    assert_text(scope->error.issues->path, "name");
    assert_int_equal(scope->work->n_events, 0);
    db_rollback(f->writer);
}

static ku_status append_headers(log_fixture *f, ku_scope *scope, const ku_header *headers, size_t n)
{
    const log_append append = {
        .def = &defs[CLOSED], .stream = id_new(f->now), .headers = headers, .n_headers = n};

    ku_clear_error(scope);
    return log_append_event(scope, &append, NULL);
}

static void headers_have_limits(void **state)
{
    log_fixture *f = *state;
    static char long_text[LIMIT_HEADER_BYTES];
    ku_header headers[LIMIT_HEADER_KEYS + 1] = {{.kind = KU_KIND_NONE}};
    char names[LIMIT_HEADER_KEYS + 1][4];

    for (size_t i = 0; i < KU_COUNT(headers); i++) {
        snprintf(names[i], sizeof(names[i]), "h%zu", i);
        headers[i].name = ku_str_from(names[i]);
    }
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_headers(f, scope, headers, LIMIT_HEADER_KEYS), KU_OK);
    assert_int_equal(append_headers(f, scope, headers, LIMIT_HEADER_KEYS + 1), KU_INVALID);

    /* {"h0":"…"} is 9 bytes around the text */
    memset(long_text, 'x', sizeof(long_text));
    headers[0].text = (ku_str){long_text, LIMIT_HEADER_BYTES - 9};
    assert_int_equal(append_headers(f, scope, headers, 1), KU_OK);
    headers[0].text.len++;
    assert_int_equal(append_headers(f, scope, headers, 1), KU_INVALID);
    assert_text(scope->error.issues->path, "headers");

    headers[0].text = KU_STR("bad \xff");
    assert_int_equal(append_headers(f, scope, headers, 1), KU_INVALID);
    assert_text(scope->error.issues->path, "headers.0.text");
    headers[0].text = KU_STR("");
    headers[1].name = headers[0].name;
    assert_int_equal(append_headers(f, scope, headers, 2), KU_INVALID);
    assert_text(scope->error.issues->path, "headers.1.name");
    headers[0].kind = KU_KIND_LIST;
    assert_int_equal(append_headers(f, scope, headers, 1), KU_INVALID);
    assert_text(scope->error.issues->path, "headers.0.kind");
    headers[0].kind = KU_KIND_TEXT;
    headers[0].name.len = 0;
    assert_int_equal(append_headers(f, scope, headers, 1), KU_INVALID);
    db_rollback(f->writer);
}

static void a_key_and_a_scope_have_limits(void **state)
{
    log_fixture *f = *state;
    char key[LIMIT_REQUEST_ID_BYTES + 2];
    ku_id stream = id_new(f->now);

    memset(key, 'k', sizeof(key));
    key[LIMIT_REQUEST_ID_BYTES + 1] = '\0';
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(append_with_key(scope, stream, "a", key), KU_INVALID);
    ku_clear_error(scope);
    key[LIMIT_REQUEST_ID_BYTES] = '\0';
    assert_int_equal(append_with_key(scope, stream, "a", key), KU_OK);
    for (int i = 1; i < LIMIT_EVENTS_PER_SCOPE; i++)
        assert_int_equal(append_name(scope, stream, "a"), KU_OK);
    assert_int_equal(append_name(scope, stream, "a"), KU_REFUSED);
    assert_text(ku_error_reason(scope), "too_many_events");
    keep_scope(scope);
    commit_batch(f);
    assert_whole(f, LIMIT_EVENTS_PER_SCOPE);
}

/* ---- cases: archive -------------------------------------------------------------------------- */

static ku_status archive(ku_scope *scope, ku_id stream, const char *reason)
{
    return log_archive(scope, &thing, stream, ku_str_from(reason));
}

static void an_archived_stream_takes_no_events_until_it_is_restored(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);
    stream_state found;
    char id[37];

    ku_id_format(stream, id);
    write_name(f, stream, "a");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(archive(scope, stream, "old"), KU_OK);
    assert_int_equal(append_name(scope, stream, "b"), KU_CONFLICT); /* in the same scope */
    assert_text(ku_error_reason(scope), "stream_archived");
    assert_text(detail_text(scope, "entityId"), id);
    keep_scope(scope);
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "b"), KU_CONFLICT); /* in the same batch */
    commit_batch(f);

    assert_int_equal(log_stream(&f->read, stream, &found), KU_OK);
    assert_true(found.archived);
    assert_int_equal(found.archived_at.unix_us, f->now.unix_us);
    assert_text(found.archived_by, "U1");
    assert_text(found.archived_reason, "old");
    assert_names(f, &f->read, stream, (log_range){0}, "a");

    f->now.unix_us += 1000;
    begin_batch(f);
    scope = begin_scope(f);
    assert_int_equal(append_name(scope, stream, "b"), KU_CONFLICT); /* later */
    scope = begin_scope(f);
    assert_int_equal(archive(scope, stream, "older"), KU_OK); /* again: who, when and why */
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(log_stream(&f->read, stream, &found), KU_OK);
    assert_text(found.archived_reason, "older");
    assert_int_equal(found.archived_at.unix_us, f->now.unix_us);

    begin_batch(f);
    scope = begin_scope(f);
    assert_int_equal(log_restore(scope, &thing, stream), KU_OK);
    assert_int_equal(log_restore(scope, &thing, stream), KU_OK);
    assert_int_equal(append_name(scope, stream, "b"), KU_OK);
    keep_scope(scope);
    commit_batch(f);
    assert_int_equal(log_stream(&f->read, stream, &found), KU_OK);
    assert_false(found.archived);
    assert_int_equal(found.version, 2);
    assert_whole(f, 2);
}

static void what_is_not_there_cannot_be_archived(void **state)
{
    log_fixture *f = *state;
    ku_id stream = id_new(f->now);

    write_name(f, stream, "a");
    begin_batch(f);
    ku_scope *scope = begin_scope(f);
    assert_int_equal(archive(scope, id_new(f->now), ""), KU_NOT_FOUND);
    assert_text(ku_error_reason(scope), "thing_not_found");
    ku_clear_error(scope);
    assert_int_equal(log_restore(scope, &thing, id_new(f->now)), KU_NOT_FOUND);
    ku_clear_error(scope);
    assert_int_equal(log_archive(scope, &other, stream, KU_STR("")), KU_REFUSED);
    ku_clear_error(scope);
    scope->tenant = f->other_tenant;
    assert_int_equal(archive(scope, stream, ""), KU_NOT_FOUND);
    db_rollback(f->writer);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_stored_with_everything_it_was_given),
        CASE(the_payload_may_change_or_vanish_after_the_append),
        CASE(an_event_without_payload_is_an_empty_object),
        CASE(time_never_runs_backwards_in_a_stream),
        CASE(an_append_may_name_the_entity_whose_stream_it_is),
        CASE(append_at_a_stale_version_is_refused),
        CASE(append_to_a_new_stream_expects_version_zero),
        CASE(a_loaded_stream_is_expected_to_stay_where_it_was),
        CASE(scopes_of_a_batch_see_each_other_in_order),
        CASE(a_stream_of_another_entity_is_refused),
        CASE(an_idempotency_key_works_once_per_tenant),
        CASE(a_payload_that_breaks_its_shape_is_refused),
        CASE(headers_have_limits),
        CASE(a_key_and_a_scope_have_limits),
        CASE(an_archived_stream_takes_no_events_until_it_is_restored),
        CASE(what_is_not_there_cannot_be_archived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
