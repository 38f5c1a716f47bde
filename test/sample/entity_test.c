/*
 * An entity without code, over HTTP: its verbs, lists, unique columns, moves, and fields that not
 * everybody may see or set (behaviour §5, §8, §15.3 basic-entity).
 */
#include "sample/sample.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOBODY "18786ec4-69f6-452f-ade5-95bc424f9cfc"

/* ---- helpers --------------------------------------------------------------------------------- */

static const char *note(sample *s, const char *title)
{
    const answer *made = sample_write(s, "notes:write:note:create", "{\"title\":\"%s\"}", title);
    assert_status(made, 200);
    return at(made, "data.id");
}

static const answer *update(sample *s, const char *id, int version, const char *changes)
{
    return sample_write(s, "notes:write:note:update",
        "{\"id\":\"%s\",\"version\":%d,\"changes\":%s}", id, version, changes);
}

static const answer *notes(sample *s, const char *payload)
{
    return sample_query(s, "notes:query:note:list", "%s", payload);
}

/* The titles of a list, in its order: "a,b,c". */
static const char *titles(const answer *list)
{
    assert_status(list, 200);
    buffer text = {.arena = list->arena};
    buffer_add_text(&text, "");
    for (int i = 0; i < count(list, "data.rows"); i++) {
        char path[48];
        (void)snprintf(path, sizeof path, "data.rows.%d.title", i);
        buffer_format(&text, "%s%s", i > 0 ? "," : "", at(list, path));
    }
    return buffer_str(&text).ptr;
}

static const char *employee(sample *s, const char *email)
{
    const answer *made =
        sample_write(s, "staff:write:employee:create", "{\"email\":\"%s\",\"name\":\"N\"}", email);
    assert_status(made, 200);
    return at(made, "data.id");
}

static const answer *change_employee(sample *s, const char *id, int version, const char *changes)
{
    return sample_write(s, "staff:write:employee:update",
        "{\"id\":\"%s\",\"version\":%d,\"changes\":%s}", id, version, changes);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static void an_id_of_the_clients_choice_is_taken_once(void **state)
{
    sample *s = *state;
    const answer *made =
        sample_write(s, "notes:write:note:create", "{\"id\":\"" NOBODY "\",\"title\":\"mine\"}");
    assert_status(made, 200);
    assert_at(made, "data.id", NOBODY);
    assert_at(made, "data.event.payload", "{\"title\":\"mine\"}");

    const answer *again =
        sample_write(s, "notes:write:note:create", "{\"id\":\"" NOBODY "\",\"title\":\"again\"}");
    assert_status(again, 409);
    assert_at(again, "error.code", "version_conflict");

    /* The same id in another tenant is another stream. */
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);
    assert_status(
        sample_write(s, "notes:write:note:create", "{\"id\":\"" NOBODY "\",\"title\":\"theirs\"}"),
        200);
}

static void an_update_that_changes_nothing_appends_nothing(void **state)
{
    sample *s = *state;
    const char *id = note(s, "same");
    const answer *unchanged = update(s, id, 1, "{\"title\":\"same\",\"nonsense\":1}");
    assert_status(unchanged, 200);
    assert_at(unchanged, "data.data.version", "1");
    assert_at(update(s, id, 1, "{\"title\":\"other\"}"), "data.data.version", "2");
}

static void a_field_can_be_emptied(void **state)
{
    sample *s = *state;
    const char *id = note(s, "t");
    assert_at(update(s, id, 1, "{\"body\":\"text\"}"), "data.data.body", "text");
    const answer *emptied = update(s, id, 2, "{\"body\":null}");
    assert_status(emptied, 200);
    assert_at(emptied, "data.data.body", "null");
    assert_at(emptied, "data.changes", "{\"body\":null}");
    assert_at(emptied, "data.previous.body", "text");
}

static void changes_are_checked_like_a_whole(void **state)
{
    sample *s = *state;
    const answer *refused = update(s, note(s, "t"), 1, "{\"title\":\"\",\"body\":7}");
    assert_status(refused, 400);
    assert_string_equal(
        member_of(refused, "error.details.fields", "path", "changes.title", "code"), "too_small");
    assert_string_equal(
        member_of(refused, "error.details.fields", "path", "changes.body", "code"), "invalid_type");
}

static void an_update_needs_the_version_it_was_made_from(void **state)
{
    sample *s = *state;
    const char *id = note(s, "t");
    assert_status(update(s, id, 1, "{\"title\":\"second\"}"), 200);
    const answer *stale = update(s, id, 1, "{\"title\":\"third\"}");
    assert_status(stale, 409);
    assert_at(stale, "error.code", "version_conflict");
    assert_at(stale, "error.details.expectedVersion", "1");
    assert_at(stale, "error.details.currentVersion", "2");
    assert_status(update(s, id, 7, "{\"title\":\"third\"}"), 409);
    assert_at(
        sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id), "data.title", "second");
}

static void a_deleted_note_is_gone_until_it_is_restored(void **state)
{
    sample *s = *state;
    const char *id = note(s, "t");
    assert_status(sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id), 200);

    const answer *detail = sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id);
    assert_status(detail, 200);
    assert_at(detail, "data", "null");
    assert_string_equal(titles(notes(s, "{}")), "");
    assert_string_equal(titles(notes(s, "{\"includeDeleted\":true}")), "t");
    assert_status(update(s, id, 2, "{\"title\":\"x\"}"), 404);
    assert_status(sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id), 404);

    assert_status(sample_write(s, "notes:write:note:restore", "{\"id\":\"%s\"}", id), 200);
    assert_string_equal(titles(notes(s, "{}")), "t");
    assert_at(update(s, id, 3, "{\"title\":\"x\"}"), "data.data.version", "4");
}

static void a_forgotten_note_does_not_come_back(void **state)
{
    sample *s = *state;
    const char *id = note(s, "t");
    const answer *forgotten = sample_write(s, "notes:write:note:forget", "{\"id\":\"%s\"}", id);
    assert_status(forgotten, 200);
    assert_at(forgotten, "data.kind", "delete");
    assert_at(forgotten, "data.event.type", "note.forgotten");
    assert_string_equal(titles(notes(s, "{\"includeDeleted\":true}")), "");
    assert_status(sample_write(s, "notes:write:note:restore", "{\"id\":\"%s\"}", id), 404);
}

static void a_user_may_not_delete(void **state)
{
    sample *s = *state;
    s->token = sample_token(s, NULL, NULL, "[\"User\"]");
    const char *id = note(s, "t");
    const answer *denied = sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id);
    assert_status(denied, 403);
    assert_at(denied, "error.code", "access_denied");
    assert_string_equal(titles(notes(s, "{}")), "t");
}

static void another_tenants_notes_do_not_exist(void **state)
{
    sample *s = *state;
    const char *id = note(s, "mine");
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);
    assert_at(sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id), "data", "null");
    assert_string_equal(titles(notes(s, "{}")), "");
    assert_status(update(s, id, 1, "{\"title\":\"theirs\"}"), 404);
    assert_status(sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id), 404);
    s->token = s->admin;
    assert_string_equal(titles(notes(s, "{}")), "mine");
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void lists_are_sorted_and_filtered(void **state)
{
    sample *s = *state;
    (void)note(s, "b");
    (void)note(s, "a");
    (void)note(s, "c");
    assert_string_equal(titles(notes(s, "{}")), "b,a,c"); /* by id, and so by time */
    assert_string_equal(titles(notes(s, "{\"sort\":\"title\"}")), "a,b,c");
    assert_string_equal(
        titles(notes(s, "{\"sort\":\"title\",\"sortDirection\":\"desc\"}")), "c,b,a");
    assert_string_equal(
        titles(notes(s, "{\"filter\":{\"field\":\"title\",\"op\":\"eq\",\"value\":\"a\"}}")), "a");
    assert_string_equal(
        titles(notes(s, "{\"filters\":[{\"field\":\"title\",\"op\":\"ne\",\"value\":\"a\"},"
                        "{\"field\":\"title\",\"op\":\"lt\",\"value\":\"c\"}]}")),
        "b");
    assert_string_equal(
        titles(notes(s, "{\"sort\":\"title\",\"filter\":"
                        "{\"field\":\"title\",\"op\":\"in\",\"value\":[\"a\",\"c\",\"z\"]}}")),
        "a,c");
    assert_string_equal(
        titles(notes(s, "{\"filter\":{\"field\":\"title\",\"op\":\"in\",\"value\":[]}}")), "");
    assert_string_equal(
        titles(notes(s, "{\"filter\":{\"field\":\"title\",\"op\":\"gt\",\"value\":\"b\"}}")), "c");
    assert_string_equal(
        titles(notes(s, "{\"filter\":{\"field\":\"body\",\"op\":\"ne\",\"value\":null}}")), "");
    assert_int_equal(
        count(notes(s, "{\"filter\":{\"field\":\"body\",\"op\":\"eq\",\"value\":null}}"),
            "data.rows"),
        3);
}

static void a_cursor_walks_through_a_list(void **state)
{
    sample *s = *state;
    for (int i = 0; i < 5; i++)
        (void)note(s, sample_format(s, "t%d", i / 2)); /* t0 t0 t1 t1 t2: ties across pages */

    const answer *page = notes(s, "{\"limit\":2,\"sort\":\"title\",\"totalCount\":true}");
    assert_string_equal(titles(page), "t0,t0");
    assert_at(page, "data.total", "5");
    page = notes(s,
        sample_format(s, "{\"limit\":2,\"sort\":\"title\",\"totalCount\":true,\"cursor\":\"%s\"}",
            at(page, "data.nextCursor")));
    assert_string_equal(titles(page), "t1,t1");
    assert_at(page, "data.total", "5"); /* of all that match; the original counts the remainder */
    page = notes(s, sample_format(s, "{\"limit\":2,\"sort\":\"title\",\"cursor\":\"%s\"}",
                        at(page, "data.nextCursor")));
    assert_string_equal(titles(page), "t2");
    assert_at(page, "data.nextCursor", "null");
    assert_at(page, "data.total", "(missing)");

    assert_string_equal(titles(notes(s, "{\"limit\":2,\"offset\":4,\"sort\":\"title\"}")), "t2");
}

static void a_list_refuses_what_it_does_not_know(void **state)
{
    sample *s = *state;
    static const char *const refused[] = {
        "{\"filter\":{\"field\":\"colour\",\"op\":\"eq\",\"value\":\"red\"}}",
        "{\"filters\":[{\"field\":\"tenant_id; --\",\"op\":\"eq\",\"value\":\"x\"}]}",
        "{\"filter\":{\"field\":\"title\",\"op\":\"like\",\"value\":\"x\"}}",
        "{\"filter\":{\"field\":\"title\",\"op\":\"in\",\"value\":\"x\"}}",
        "{\"sortDirection\":\"sideways\"}",
        "{\"limit\":\"many\"}",
    };
    for (size_t i = 0; i < KU_COUNT(refused); i++) {
        const answer *list = notes(s, refused[i]);
        assert_status(list, 400);
        assert_at(list, "error.code", "validation_error");
        assert_true(count(list, "error.details.fields") > 0);
    }
    assert_at(notes(s, "{\"limit\":201}"), "error.details.reason", "invalid_list_limit");
    assert_at(notes(s, "{\"limit\":-1}"), "error.details.reason", "invalid_list_limit");
    assert_at(notes(s, "{\"offset\":-1}"), "error.details.reason", "invalid_list_offset");
    assert_status(notes(s, "{\"limit\":200}"), 200);
}

/* ---- unique, moves, fields by role ----------------------------------------------------------- */

static void an_email_address_belongs_to_one_employee(void **state)
{
    sample *s = *state;
    const char *first = employee(s, "a@example.org");
    const char *second = employee(s, "b@example.org");
    const answer *taken = sample_write(
        s, "staff:write:employee:create", "{\"email\":\"a@example.org\",\"name\":\"N\"}");
    assert_status(taken, 409);
    assert_at(taken, "error.code", "unique_violation");
    assert_at(taken, "error.i18nKey", "errors.uniqueViolation");
    assert_at(taken, "error.details.entityName", "employee");
    assert_status(change_employee(s, second, 1, "{\"email\":\"a@example.org\"}"), 409);

    /* Free again after a deletion; and another tenant has its own employees. */
    assert_status(sample_write(s, "staff:write:employee:delete", "{\"id\":\"%s\"}", first), 200);
    assert_status(change_employee(s, second, 1, "{\"email\":\"a@example.org\"}"), 200);
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);
    (void)employee(s, "a@example.org");
}

static void two_of_one_batch_may_not_share_what_is_unique(void **state)
{
    sample *s = *state;
    const answer *refused = sample_post(s, "/api/batch", NULL,
        "{\"commands\":[{\"type\":\"staff:write:employee:create\","
        "\"payload\":{\"email\":\"a@example.org\",\"name\":\"A\"}},"
        "{\"type\":\"staff:write:employee:create\","
        "\"payload\":{\"email\":\"a@example.org\",\"name\":\"B\"}}]}");
    assert_status(refused, 409);
    assert_at(refused, "failedIndex", "1");
    assert_at(refused, "error.code", "unique_violation");
    (void)employee(s, "a@example.org");
}

static void a_status_moves_along_its_table(void **state)
{
    sample *s = *state;
    const char *id = employee(s, "a@example.org");
    assert_at(sample_query(s, "staff:query:employee:detail", "{\"id\":\"%s\"}", id), "data.status",
        "applied");
    assert_status(change_employee(s, id, 1, "{\"status\":\"hired\"}"), 200);

    const answer *back = change_employee(s, id, 2, "{\"status\":\"applied\"}");
    assert_status(back, 422);
    assert_at(back, "error.i18nKey", "errors.invalidTransition");
    assert_at(back, "error.details.reason", "invalid_transition");
    assert_at(back, "error.details.from", "hired");
    assert_at(back, "error.details.to", "applied");
    assert_at(back, "error.details.allowed", "[\"left\"]");

    assert_status(change_employee(s, id, 2, "{\"status\":\"left\",\"name\":\"M\"}"), 200);
    assert_status(change_employee(s, id, 3, "{\"status\":\"hired\"}"), 422);
    assert_status(change_employee(s, id, 3, "{\"name\":\"O\",\"status\":\"left\"}"), 200);
    const answer *unknown = change_employee(s, id, 4, "{\"status\":\"retired\"}");
    assert_status(unknown, 400);
    assert_at(unknown, "error.details.fields.0.code", "invalid_value");
}

static void a_field_left_out_has_its_initial_value(void **state)
{
    sample *s = *state;
    const answer *made = sample_write(
        s, "staff:write:employee:create", "{\"email\":\"a@example.org\",\"name\":\"N\"}");
    assert_status(made, 200);
    assert_at(made, "data.data.level", "1");
    assert_at(made, "data.data.status", "applied");
    assert_at(made, "data.event.payload.level", "1");
    assert_at(made, "data.event.payload.status", "applied");
}

static void only_human_resources_sees_and_sets_the_salary(void **state)
{
    sample *s = *state;
    const char *hr = sample_token(s, NULL, NULL, "[\"HR\"]");
    const char *user = sample_token(s, NULL, NULL, "[\"User\"]");
    s->token = user;
    const char *id = employee(s, "a@example.org");

    const answer *denied = change_employee(s, id, 1, "{\"salaryCents\":1}");
    assert_status(denied, 403);
    assert_at(denied, "error.code", "access_denied");
    assert_at(denied, "error.i18nKey", "errors.access.fieldDenied");
    assert_at(denied, "error.details.reason", "field_access_denied");
    assert_at(denied, "error.details.field", "salaryCents");
    assert_at(denied, "error.details.handler", "staff:write:employee:update");
    assert_status(sample_write(s, "staff:write:employee:create",
                      "{\"email\":\"b@example.org\",\"name\":\"N\",\"salaryCents\":1}"),
        403);

    s->token = hr;
    const answer *set = change_employee(s, id, 1, "{\"salaryCents\":500000}");
    assert_status(set, 200);
    assert_at(set, "data.data.salaryCents", "500000");
    assert_at(sample_query(s, "staff:query:employee:detail", "{\"id\":\"%s\"}", id),
        "data.salaryCents", "500000");

    /* Not in details, not in lists, not in what a write of somebody else brings back. */
    s->token = user;
    const answer *detail = sample_query(s, "staff:query:employee:detail", "{\"id\":\"%s\"}", id);
    assert_at(detail, "data.email", "a@example.org");
    assert_at(detail, "data.salaryCents", "(missing)");
    assert_at(
        sample_query(s, "staff:query:employee:list", "{}"), "data.rows.0.salaryCents", "(missing)");
    const answer *renamed = change_employee(s, id, 2, "{\"name\":\"M\"}");
    assert_status(renamed, 200);
    assert_null(strstr(renamed->text, "500000"));
}

static void a_hidden_field_cannot_be_guessed_by_filtering(void **state)
{
    sample *s = *state;
    s->token = sample_token(s, NULL, NULL, "[\"User\"]");
    (void)employee(s, "a@example.org");
    assert_status(sample_query(s, "staff:query:employee:list",
                      "{\"filter\":{\"field\":\"salaryCents\",\"op\":\"gt\",\"value\":1}}"),
        400);
    assert_status(sample_query(s, "staff:query:employee:list", "{\"sort\":\"salaryCents\"}"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECIPES_TEST(an_id_of_the_clients_choice_is_taken_once),
        RECIPES_TEST(an_update_that_changes_nothing_appends_nothing),
        RECIPES_TEST(a_field_can_be_emptied),
        RECIPES_TEST(changes_are_checked_like_a_whole),
        RECIPES_TEST(an_update_needs_the_version_it_was_made_from),
        RECIPES_TEST(a_deleted_note_is_gone_until_it_is_restored),
        RECIPES_TEST(a_forgotten_note_does_not_come_back),
        RECIPES_TEST(a_user_may_not_delete),
        RECIPES_TEST(another_tenants_notes_do_not_exist),
        RECIPES_TEST(lists_are_sorted_and_filtered),
        RECIPES_TEST(a_cursor_walks_through_a_list),
        RECIPES_TEST(a_list_refuses_what_it_does_not_know),
        RECIPES_TEST(an_email_address_belongs_to_one_employee),
        RECIPES_TEST(two_of_one_batch_may_not_share_what_is_unique),
        RECIPES_TEST(a_status_moves_along_its_table),
        RECIPES_TEST(a_field_left_out_has_its_initial_value),
        RECIPES_TEST(only_human_resources_sees_and_sets_the_salary),
        RECIPES_TEST(a_hidden_field_cannot_be_guessed_by_filtering),
    };
    return cmocka_run_group_tests_name("entity", tests, NULL, NULL);
}
