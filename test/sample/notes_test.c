/*
 * What goes with an entity: a projection of its automatic events, hooks before and after the
 * commit, archiving and opening again, and a feature that is switched off.
 */
#include "sample/sample.h"

#include "sample/recipes.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOBODY "18786ec4-69f6-452f-ade5-95bc424f9cfc"

/* ---- helpers --------------------------------------------------------------------------------- */

static const answer *note(sample *s, const char *verb, const char *payload)
{
    return sample_write(s, sample_format(s, "notes:write:note:%s", verb), "%s", payload);
}

static const char *with_id(sample *s, const char *id)
{
    return sample_format(s, "{\"id\":\"%s\"}", id);
}

static const char *counted(sample *s)
{
    const answer *list = sample_query(s, "notes:query:count", "{}");
    assert_status(list, 200);
    return at(list, "data.0.notes");
}

static void pause_ms(int milliseconds)
{
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

/* ---- the projection -------------------------------------------------------------------------- */

static void a_projection_follows_every_verb(void **state)
{
    sample *s = *state;
    const char *id = at(note(s, "create", "{\"title\":\"a\"}"), "data.id");
    assert_string_equal(counted(s), "1");
    assert_status(note(s, "delete", with_id(s, id)), 200);
    assert_string_equal(counted(s), "0");
    assert_status(note(s, "restore", with_id(s, id)), 200);
    assert_string_equal(counted(s), "1");
}

/* The original projects only what a handler returns. */
static void every_event_of_a_handler_is_projected(void **state)
{
    sample *s = *state;
    assert_status(note(s, "create-two", "{\"title\":\"a\"}"), 200);
    assert_string_equal(counted(s), "2");
    assert_int_equal(count(sample_query(s, "notes:query:note:list", "{}"), "data.rows"), 2);
}

static void a_projection_that_fails_fails_the_write(void **state)
{
    sample *s = *state;
    const answer *refused = note(s, "create", "{\"title\":\"uncountable\"}");
    assert_status(refused, 422);
    assert_at(refused, "error.details.reason", "uncountable");
    assert_int_equal(count(sample_query(s, "notes:query:note:list", "{}"), "data.rows"), 0);
    assert_at(note(s, "create", "{\"title\":\"a\"}"), "data.event.id", "1");
}

static void each_tenant_counts_its_own(void **state)
{
    sample *s = *state;
    assert_status(note(s, "create-two", "{\"title\":\"a\"}"), 200);
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);
    assert_status(note(s, "create", "{\"title\":\"a\"}"), 200);
    assert_string_equal(counted(s), "1");
    s->token = s->admin;
    assert_string_equal(counted(s), "2");
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void a_hook_in_the_transaction_has_a_veto(void **state)
{
    sample *s = *state;
    const answer *refused = note(s, "create", "{\"title\":\"forbidden\"}");
    assert_status(refused, 422);
    assert_at(refused, "error.details.reason", "forbidden_title");

    const answer *made = note(s, "create", "{\"title\":\"a\"}");
    assert_at(made, "data.event.id", "1");
    const char *change = sample_format(s,
        "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"forbidden\"}}", at(made, "data.id"));
    assert_status(note(s, "update", change), 422);
    assert_at(sample_query(s, "notes:query:note:detail", "%s", with_id(s, at(made, "data.id"))),
        "data.title", "a");
    assert_string_equal(counted(s), "1");
}

static void a_hook_after_the_commit_hears_what_has_happened(void **state)
{
    sample *s = *state;
    assert_status(note(s, "write-and-refuse", "{\"title\":\"a\"}"), 422);
    const char *id = at(note(s, "create", "{\"title\":\"a\"}"), "data.id");
    assert_status(note(s, "delete", with_id(s, id)), 200);
    const answer *heard;
    do {
        pause_ms(2);
        heard = sample_query(s, "notes:query:heard", "{}");
    } while (
        strcmp(at(heard, "data.events"), "0") == 0 || strcmp(at(heard, "data.events"), "1") == 0);
    assert_at(heard, "data.events", "2");
}

/* ---- archive --------------------------------------------------------------------------------- */

static void an_archived_note_can_be_opened_again(void **state)
{
    sample *s = *state;
    const char *id = at(note(s, "create", "{\"title\":\"a\"}"), "data.id");
    const char *change =
        sample_format(s, "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"b\"}}", id);
    assert_status(note(s, "archive", with_id(s, id)), 200);
    assert_at(sample_query(s, "notes:query:note:is-archived", "%s", with_id(s, id)),
        "data.archived", "true");
    static const char *const closed[] = {"delete", "forget"};
    for (size_t i = 0; i < KU_COUNT(closed); i++) {
        const answer *refused = note(s, closed[i], with_id(s, id));
        assert_status(refused, 409);
        assert_at(refused, "error.code", "conflict");
        assert_at(refused, "error.details.reason", "stream_archived");
        assert_at(refused, "error.details.entityId", id);
    }
    assert_status(note(s, "update", change), 409);

    assert_status(note(s, "unarchive", with_id(s, id)), 200);
    assert_at(sample_query(s, "notes:query:note:is-archived", "%s", with_id(s, id)),
        "data.archived", "false");
    assert_at(note(s, "update", change), "data.data.title", "b");
    assert_status(note(s, "unarchive", with_id(s, id)), 200); /* it is open: no effect */
}

static void what_never_was_cannot_be_archived(void **state)
{
    assert_status(note(*state, "archive", "{\"id\":\"" NOBODY "\"}"), 404);
}

static void an_archive_survives_a_restart(void **state)
{
    sample *s = *state;
    const char *id = at(note(s, "create", "{\"title\":\"a\"}"), "data.id");
    assert_status(note(s, "archive", with_id(s, id)), 200);
    assert_int_equal(sample_stop(s, SIGTERM), 0);
    sample_start(s);
    assert_at(sample_query(s, "notes:query:note:is-archived", "%s", with_id(s, id)),
        "data.archived", "true");
}

/* ---- toggles --------------------------------------------------------------------------------- */

static void a_feature_that_is_switched_off_says_so(void **state)
{
    sample *s = *state;
    static ku_error error;
    const ku_app_options options = {
        .size = sizeof options,
        .url = s->database->url,
        .features = KU_LIST(ku_feature, &notes_feature, &staff_feature),
        .disabled_features = KU_NAMES("notes"),
    };
    ku_app *app = NULL;
    assert_int_equal(ku_app_open(&options, &app, &error), KU_OK);
    const answer *off = sample_call(s, app, "notes:write:note:create", "{\"title\":\"a\"}");
    assert_status(off, 403);
    assert_at(off, "error.code", "feature_disabled");
    assert_at(off, "error.i18nKey", "errors.feature.disabled");
    assert_at(off, "error.i18nParams.feature", "notes");
    assert_at(off, "error.details.reason", "feature_disabled");
    assert_at(off, "error.details.feature", "notes");
    assert_at(off, "error.details.handler", "notes:write:note:create");
    assert_status(sample_call(s, app, "notes:query:note:list", "{}"), 403);
    assert_status(sample_call(s, app, "staff:query:employee:list", "{}"), 200);
    ku_app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECIPES_TEST(a_projection_follows_every_verb),
        RECIPES_TEST(every_event_of_a_handler_is_projected),
        RECIPES_TEST(a_projection_that_fails_fails_the_write),
        RECIPES_TEST(each_tenant_counts_its_own),
        RECIPES_TEST(a_hook_in_the_transaction_has_a_veto),
        RECIPES_TEST(a_hook_after_the_commit_hears_what_has_happened),
        RECIPES_TEST(an_archived_note_can_be_opened_again),
        RECIPES_TEST(what_never_was_cannot_be_archived),
        RECIPES_TEST(an_archive_survives_a_restart),
        FOLDER_TEST(a_feature_that_is_switched_off_says_so),
    };
    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
