/*
 * Commands that look into the log, beside a running server and without one: events, inspect, check.
 */
#include "cli/world.h"

#include "support/http_token.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- events --------------------------------------------------------------------------------- */

static void events_of_all_tenants_are_listed_in_order(void **state)
{
    static const char *const types[] = {"showcase-invoice.created",
        "showcase:event:invoice-approved", "showcase:event:invoice-paid",
        "showcase-invoice.created"};
    world *w = *state;
    const ku_json *events = JSON_OF(w, "events", "list");

    assert_int_equal(ku_json_count(events), KU_COUNT(types));
    for (size_t i = 0; i < KU_COUNT(types); i++)
        assert_text(w, ku_json_at(events, i), "type", types[i]);
    assert_text(w, events, "1.id", "2");
    assert_text(w, events, "1.version", "2");
    assert_text(w, events, "1.aggregateId", w->paid);
    assert_text(w, events, "1.payload.amountCents", "2500");
    assert_text(w, events, "3.tenantId", TEST_TENANT_OTHER);

    ran r = SHOWCASE(w, "events");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "TENANT");
    ASSERT_SAYS(&r, "showcase:event:invoice-paid");
    ASSERT_SAYS(&r, w->draft);
    assert_null(strchr(r.output, '\033'));
    ran_done(&r);
}

static void filters_narrow_the_list(void **state)
{
    world *w = *state;

    const ku_json *of_tenant = JSON_OF(w, "events", "--tenant", TEST_TENANT_OTHER);
    assert_int_equal(ku_json_count(of_tenant), 1);
    assert_text(w, of_tenant, "0.aggregateId", w->draft);

    const ku_json *of_type = JSON_OF(w, "events", "--type", "showcase:event:invoice-paid", "--type",
        "showcase:event:invoice-approved");
    assert_int_equal(ku_json_count(of_type), 2);

    const ku_json *of_stream = JSON_OF(w, "events", "--stream", w->paid);
    assert_int_equal(ku_json_count(of_stream), 3);
    const ku_json *of_both =
        JSON_OF(w, "events", "--stream", w->paid, "--type", "showcase-invoice.created");
    assert_int_equal(ku_json_count(of_both), 1);

    const ku_json *newest = JSON_OF(w, "events", "--tenant", TEST_TENANT, "--limit", "2");
    assert_int_equal(ku_json_count(newest), 2);
    assert_text(w, newest, "0.id", "2");
    assert_text(w, newest, "1.id", "3");

    const ku_json *behind =
        JSON_OF(w, "events", "--tenant", TEST_TENANT, "--after", "1", "--limit", "1");
    assert_int_equal(ku_json_count(behind), 1);
    assert_text(w, behind, "0.id", "2");

    const ku_json *newest_of_type = JSON_OF(
        w, "events", "--tenant", TEST_TENANT, "--limit", "1", "--type", "showcase-invoice.created");
    assert_int_equal(ku_json_count(newest_of_type), 1);
    assert_text(w, newest_of_type, "0.id", "1");
}

static void an_empty_list_is_an_empty_array(void **state)
{
    world *w = *state;

    assert_int_equal(ku_json_count(JSON_OF(w, "events", "--type", "showcase:event:none")), 0);
}

static void a_position_without_its_tenant_is_ambiguous(void **state)
{
    world *w = *state;

    ran r = SHOWCASE(w, "events", "--after", "1");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "--tenant");
    ran_done(&r);
    r = SHOWCASE(w, "events", "show", "1");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "--tenant");
    ran_done(&r);
}

static void show_prints_one_event(void **state)
{
    world *w = *state;
    const ku_json *event = JSON_OF(w, "events", "show", "2", "--tenant", TEST_TENANT);

    assert_text(w, event, "type", "showcase:event:invoice-approved");
    assert_text(w, event, "metadata.userId", TEST_USER);

    ran r = SHOWCASE(w, "events", "show", "2", "--tenant", TEST_TENANT);
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "\"amountCents\": 2500");
    ASSERT_SAYS(&r, w->paid);
    ran_done(&r);

    r = SHOWCASE(w, "events", "show", "99", "--tenant", TEST_TENANT);
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, "99");
    ran_done(&r);
}

static void events_can_be_read_without_their_features(void **state)
{
    world *w = *state;
    const ku_json *events =
        json_of(w, (const char *const[]){"kumiko", "events", "--json", "--stream", w->paid, NULL});

    assert_int_equal(ku_json_count(events), 3);
    assert_text(w, events, "1.payload.amountCents", "2500");
}

static void following_prints_what_is_committed_later(void **state)
{
    world *w = *state;
    const char *const argv[] = {TEST_BIN_DIR "/showcase", "events", "--follow", "--json",
        "--database", w->database->url, NULL};
    process follower;

    /* From a position on, so that it is known when it has started. */
    const char *const from_start[] = {argv[0], argv[1], argv[2], argv[3], argv[4], argv[5],
        "--tenant", TEST_TENANT, "--after", "2", NULL};
    process_spawn(from_start, NULL, w->folder, &follower);
    assert_true(process_wait_for(&follower, "showcase:event:invoice-paid"));
    const char *later = create_invoice(w, TEST_TENANT, "Initech");
    const char *elsewhere = create_invoice(w, TEST_TENANT_OTHER, "Umbrella");
    const char *last = create_invoice(w, TEST_TENANT, "Hooli");
    assert_true(process_wait_for(&follower, last));
    (void)process_stop(&follower, SIGTERM);

    char *output = process_output(&follower);
    assert_null(strstr(output, "invoice-approved"));
    assert_null(strstr(output, elsewhere));
    const char *first = strstr(output, later);
    assert_non_null(first);
    assert_true(first < strstr(output, last));
    free(output);
    process_done(&follower);
}

static void following_prints_each_event_once(void **state)
{
    world *w = *state;
    const char *const argv[] = {
        TEST_BIN_DIR "/showcase", "events", "-F", "--stream", w->draft, "--after", "0", NULL};
    process follower;

    process_spawn(argv, NULL, w->folder, &follower);
    assert_true(process_wait_for(&follower, "showcase-invoice.created"));
    write_as(w, TEST_TENANT_OTHER, "showcase:write:invoice:approve",
        format(w, "{\"id\":\"%s\",\"amountCents\":7,\"approvedBy\":\"cfo\"}", w->draft));
    assert_true(process_wait_for(&follower, "invoice-approved"));
    (void)create_invoice(w, TEST_TENANT_OTHER, "another stream");
    write_as(w, TEST_TENANT_OTHER, "showcase:write:invoice:pay",
        format(w, "{\"id\":\"%s\",\"amountCents\":7}", w->draft));
    assert_true(process_wait_for(&follower, "invoice-paid"));
    (void)process_stop(&follower, SIGTERM);

    char *output = process_output(&follower);
    const char *created = strstr(output, "showcase-invoice.created");
    assert_null(strstr(created + 1, "showcase-invoice.created"));
    const char *approved = strstr(output, "invoice-approved");
    assert_null(strstr(approved + 1, "invoice-approved"));
    free(output);
    process_done(&follower);
}

/* ---- inspect -------------------------------------------------------------------------------- */

static void inspecting_shows_what_each_event_changed(void **state)
{
    world *w = *state;
    const ku_json *history = JSON_OF(w, "inspect", "showcase-invoice", w->paid);

    assert_text(w, history, "version", "3");
    assert_text(w, history, "tenantId", TEST_TENANT);
    assert_text(w, history, "archived", "false");
    assert_text(w, history, "state.status", "paid");
    const ku_json *paid = item_with(node_at(history, "events.2.changes"), "path", "status");
    assert_text(w, paid, "from", "approved");
    assert_text(w, paid, "to", "paid");
    const ku_json *created = item_with(node_at(history, "events.0.changes"), "path", "customer");
    assert_null(node_at(created, "from"));
    assert_text(w, created, "to", "Acme");
    assert_text(w, history, "events.1.event.type", "showcase:event:invoice-approved");

    ran r = SHOWCASE(w, "inspect", "showcase-invoice", w->paid);
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "+ customer: \"Acme\"");
    ASSERT_SAYS(&r, "~ status: \"draft\" → \"approved\"");
    ASSERT_SAYS(&r, "~ amountCents: 0 → 2500");
    ASSERT_SAYS(&r, "state at version 3");
    ran_done(&r);
}

static void inspecting_the_past_stops_there(void **state)
{
    world *w = *state;
    const ku_json *second = JSON_OF(w, "inspect", "showcase-invoice", w->paid, "--at-version", "2");

    assert_text(w, second, "version", "2");
    assert_text(w, second, "streamVersion", "3");
    assert_text(w, second, "state.status", "approved");

    const ku_json *later =
        JSON_OF(w, "inspect", "showcase-invoice", w->paid, "--as-of", "2999-01-01T00:00:00Z");
    assert_text(w, later, "version", "3");
    const ku_json *before =
        JSON_OF(w, "inspect", "showcase-invoice", w->paid, "--as-of", "2001-01-01T00:00:00Z");
    assert_text(w, before, "version", "0");
    assert_text(w, before, "state", "{}");
}

static void inspecting_what_is_not_there_says_so(void **state)
{
    static const char nobody[] = "99999999-0000-4000-8000-000000000001";
    world *w = *state;

    ran r = SHOWCASE(w, "inspect", "showcase-invoice", nobody);
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, nobody);
    ran_done(&r);

    r = SHOWCASE(w, "inspect", "no-such-entity", w->paid);
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, "no-such-entity");
    ran_done(&r);

    r = SHOWCASE(w, "inspect", "showcase-approver", w->paid);
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "showcase-invoice");
    ran_done(&r);

    r = SHOWCASE(w, "inspect", "showcase-invoice", w->paid, "--tenant", TEST_TENANT_OTHER);
    ASSERT_CODE(&r, 4);
    ran_done(&r);
}

static void an_entity_without_a_fold_is_inspected_by_its_row(void **state)
{
    world *w = *state;
    const char *id = text_at(&w->arena,
        write_as(w, TEST_TENANT, "fault:write:fault-note:create", "{\"text\":\"one\"}"), "id");
    write_as(w, TEST_TENANT, "fault:write:fault-note:update",
        format(w, "{\"id\":\"%s\",\"version\":1,\"changes\":{\"text\":\"two\"}}", id));
    write_as(w, TEST_TENANT, "fault:write:fault-note:delete", format(w, "{\"id\":\"%s\"}", id));

    const ku_json *history = json_of(w, (const char *const[]){"kumiko", "inspect", "fault-note", id,
                                            "--json", "--feature", object_path("fault.so"), NULL});
    assert_text(w, history, "events.0.changes.0.to", "one");
    assert_text(w, history, "events.1.changes.0.from", "one");
    assert_text(w, history, "events.1.changes.0.to", "two");
    assert_text(w, history, "events.2.changes.0.from", "two");
    assert_text(w, history, "state", "{}");
}

/* ---- stored and lifted ---------------------------------------------------------------------- */

/* The approval as version 1 of the program stored it. */
static void make_it_old(world *w, const char *amount)
{
    damage(w, format(w,
                  "UPDATE ku_events SET event_version = 1, "
                  "payload = '{\"amount\":\"%s\",\"approvedBy\":\"cfo\"}' "
                  "WHERE type = 'showcase:event:invoice-approved'",
                  amount));
}

static void an_old_event_is_shown_lifted_or_as_it_is_stored(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    make_it_old(w, "31.50");
    const ku_json *lifted = JSON_OF(w, "events", "show", "2", "--tenant", TEST_TENANT);
    assert_text(w, lifted, "eventVersion", "2");
    assert_text(w, lifted, "payload.amountCents", "3150");
    const ku_json *stored = JSON_OF(w, "events", "show", "2", "--tenant", TEST_TENANT, "--stored");
    assert_text(w, stored, "eventVersion", "1");
    assert_text(w, stored, "payload.amount", "31.50");
    const ku_json *history = JSON_OF(w, "inspect", "showcase-invoice", w->paid);
    assert_text(w, history, "state.amountCents", "3150");

    ran r = SHOWCASE(w, "events", "show", "2", "--tenant", TEST_TENANT);
    ASSERT_SAYS(&r, "lifted from the stored 1");
    ran_done(&r);
}

static void an_event_that_cannot_be_lifted_is_shown_as_it_is_stored(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    make_it_old(w, "a lot");
    ran r = SHOWCASE(w, "events", "show", "2", "--tenant", TEST_TENANT);
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "event 2 is shown as it is stored");
    ASSERT_SAYS(&r, "\"amount\": \"a lot\"");
    ran_done(&r);

    r = SHOWCASE(w, "inspect", "showcase-invoice", w->paid);
    assert_int_not_equal(r.code, 0);
    ran_done(&r);
}

static void text_that_a_terminal_would_obey_is_not_printed(void **state)
{
    world *w = *state;

    (void)create_invoice(w, TEST_TENANT_OTHER, "\\u007fgone\\u009b1m");
    ran r = SHOWCASE(w, "events", "show", "2", "--tenant", TEST_TENANT_OTHER);
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "?gone?1m");
    ran_done(&r);
}

/* ---- check ---------------------------------------------------------------------------------- */

static void a_sound_log_has_no_problems(void **state)
{
    world *w = *state;
    const ku_json *report = JSON_OF(w, "check");

    assert_text(w, report, "events", "4");
    assert_text(w, report, "streams", "2");
    assert_text(w, report, "lanes", "2");
    assert_text(w, report, "problems", "[]");
    assert_int_equal(world_stop(w), 0);

    ran r = RUN(w->folder, NULL, "kumiko", "check");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "no problems");
    ran_done(&r);
}

static void a_missing_event_is_found(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    damage(w, "DELETE FROM ku_events WHERE type = 'showcase:event:invoice-approved'");
    ran r = RUN(w->folder, NULL, "kumiko", "check");
    ASSERT_CODE(&r, 1);
    ASSERT_SAYS(&r, "problem");
    ran_done(&r);

    r = RUN(w->folder, NULL, "kumiko", "check", "--json");
    ASSERT_CODE(&r, 1);
    const ku_json *report = ran_json(&r, &w->arena);
    assert_in_range(ku_json_count(node_at(report, "problems")), 1, 10);
    ran_done(&r);
}

static void a_wrong_head_is_found(void **state)
{
    world *w = *state;

    assert_int_equal(world_stop(w), 0);
    damage(w, "UPDATE ku_lanes SET head = head + 1");
    ran r = RUN(w->folder, NULL, "kumiko", "check");
    ASSERT_CODE(&r, 1);
    ran_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(events_of_all_tenants_are_listed_in_order),
        SHOWCASE_TEST(filters_narrow_the_list),
        SHOWCASE_TEST(an_empty_list_is_an_empty_array),
        SHOWCASE_TEST(a_position_without_its_tenant_is_ambiguous),
        SHOWCASE_TEST(show_prints_one_event),
        SHOWCASE_TEST(events_can_be_read_without_their_features),
        SHOWCASE_TEST(following_prints_what_is_committed_later),
        SHOWCASE_TEST(following_prints_each_event_once),
        SHOWCASE_TEST(inspecting_shows_what_each_event_changed),
        SHOWCASE_TEST(inspecting_the_past_stops_there),
        SHOWCASE_TEST(inspecting_what_is_not_there_says_so),
        FAULT_TEST(an_entity_without_a_fold_is_inspected_by_its_row),
        SHOWCASE_TEST(an_old_event_is_shown_lifted_or_as_it_is_stored),
        SHOWCASE_TEST(an_event_that_cannot_be_lifted_is_shown_as_it_is_stored),
        SHOWCASE_TEST(text_that_a_terminal_would_obey_is_not_printed),
        SHOWCASE_TEST(a_sound_log_has_no_problems),
        SHOWCASE_TEST(a_missing_event_is_found),
        SHOWCASE_TEST(a_wrong_head_is_found),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
