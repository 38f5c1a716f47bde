/*
 * What is refused, and that a refusal leaves nothing behind: the rules of the invoice, input that
 * does not fit, other people's streams, and requests that fail half-way.
 */
#include "sample/sample.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOBODY "18786ec4-69f6-452f-ade5-95bc424f9cfc"

/* ---- helpers --------------------------------------------------------------------------------- */

static const char *create(sample *s, const char *customer)
{
    const answer *made =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"%s\"}", customer);
    assert_status(made, 200);
    return at(made, "data.id");
}

static const answer *approve(sample *s, const char *id, int amount_cents)
{
    return sample_write(s, "showcase:write:invoice:approve",
        "{\"id\":\"%s\",\"amountCents\":%d,\"approvedBy\":\"cfo\"}", id, amount_cents);
}

static const answer *pay(sample *s, const char *id, int amount_cents)
{
    return sample_write(
        s, "showcase:write:invoice:pay", "{\"id\":\"%s\",\"amountCents\":%d}", id, amount_cents);
}

static const answer *with_id(sample *s, const char *handler, const char *id)
{
    return sample_write(s, handler, "{\"id\":\"%s\"}", id);
}

/* How many events the stream has. */
static const char *version_of(sample *s, const char *id)
{
    const answer *folded =
        sample_query(s, "showcase:query:invoice:fast-state", "{\"id\":\"%s\"}", id);
    assert_status(folded, 200);
    return at(folded, "data.version");
}

static void assert_refused(const answer *a, const char *reason)
{
    assert_status(a, 422);
    assert_at(a, "isSuccess", "false");
    assert_at(a, "error.code", "unprocessable");
    assert_at(a, "error.details.reason", reason);
}

static void assert_issue(const answer *a, const char *path, const char *code)
{
    assert_status(a, 400);
    assert_at(a, "error.code", "validation_error");
    assert_string_equal(member_of(a, "error.details.fields", "path", path, "code"), code);
}

/* Positions are dense, so the first event that is kept shows whether there was another. */
static void assert_nothing_was_stored(sample *s)
{
    const answer *first = sample_write(s, "notes:write:note:create", "{\"title\":\"first\"}");
    assert_status(first, 200);
    assert_at(first, "data.event.id", "1");
    const answer *list = sample_query(s, "notes:query:note:list", "{\"totalCount\":true}");
    assert_at(list, "data.total", "1");
}

/* ---- the rules of an invoice ----------------------------------------------------------------- */

static void only_a_draft_is_approved(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    assert_status(approve(s, id, 100), 200);

    const answer *again = approve(s, id, 100);
    assert_refused(again, "invalid_transition");
    assert_at(again, "error.i18nKey", "errors.invalidTransition");
    assert_at(again, "error.details.from", "approved");
    assert_at(again, "error.details.to", "approved");
    assert_at(again, "error.details.allowed", "[\"paid\"]");
    assert_string_equal(version_of(s, id), "2");
}

static void only_an_approved_invoice_is_paid(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    const answer *early = pay(s, id, 100);
    assert_refused(early, "invalid_transition");
    assert_at(early, "error.details.from", "draft");
    assert_at(early, "error.details.to", "paid");
    assert_at(early, "error.details.allowed", "[\"approved\"]");
    assert_string_equal(version_of(s, id), "1");
}

static void only_the_approved_amount_is_accepted(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    assert_status(approve(s, id, 100), 200);
    assert_refused(pay(s, id, 99), "wrong_amount");
    assert_refused(pay(s, id, 101), "wrong_amount");
    assert_string_equal(version_of(s, id), "2");
}

static void paying_twice_is_answered_twice_and_stored_once(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    assert_status(approve(s, id, 100), 200);
    const answer *first = pay(s, id, 100);
    const answer *second = pay(s, id, 100);
    assert_status(first, 200);
    assert_status(second, 200);
    assert_string_equal(first->text, second->text);
    assert_string_equal(version_of(s, id), "3");
    assert_refused(pay(s, id, 99), "wrong_amount");
}

static void an_unknown_invoice_is_not_found(void **state)
{
    sample *s = *state;
    const answer *const refused[] = {
        approve(s, NOBODY, 100),
        pay(s, NOBODY, 100),
        sample_write(s, "showcase:write:invoice:acknowledge",
            "{\"id\":\"" NOBODY "\",\"approverId\":\"u\"}"),
        with_id(s, "showcase:write:invoice:archive", NOBODY),
        with_id(s, "showcase:write:invoice:take-snapshot", NOBODY),
    };
    for (size_t i = 0; i < KU_COUNT(refused); i++) {
        assert_status(refused[i], 404);
        assert_at(refused[i], "error.code", "not_found");
        assert_at(refused[i], "error.details.reason", "showcase_invoice_not_found");
        assert_at(refused[i], "error.details.entity", "showcase-invoice");
        assert_at(refused[i], "error.details.id", NOBODY);
    }
}

static void another_tenants_invoice_looks_like_none(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    assert_status(approve(s, id, 100), 200);
    s->token = sample_token(s, TEST_TENANT_OTHER, NULL, NULL);

    assert_status(pay(s, id, 100), 404);
    assert_status(approve(s, id, 100), 404);
    assert_status(with_id(s, "showcase:write:invoice:archive", id), 404);
    assert_status(with_id(s, "showcase:write:invoice:take-snapshot", id), 404);
    assert_at(sample_query(s, "showcase:query:invoice:state", "{\"id\":\"%s\"}", id), "data.status",
        "missing");
    assert_at(
        sample_query(s, "showcase:query:invoice:detail", "{\"id\":\"%s\"}", id), "data", "null");

    s->token = s->admin;
    assert_status(pay(s, id, 100), 200);
}

static void an_archived_invoice_takes_no_more_events(void **state)
{
    sample *s = *state;
    const char *id = create(s, "Acme");
    assert_status(approve(s, id, 100), 200);
    assert_status(with_id(s, "showcase:write:invoice:archive", id), 200);
    assert_status(pay(s, id, 100), 404);
    assert_status(with_id(s, "showcase:write:invoice:take-snapshot", id), 404);
    /* Archiving again is fine: it refreshes who and when. */
    assert_status(with_id(s, "showcase:write:invoice:archive", id), 200);
}

/* ---- input that does not fit ----------------------------------------------------------------- */

static void values_out_of_bounds_are_named(void **state)
{
    sample *s = *state;
    const answer *empty = sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"\"}");
    assert_issue(empty, "customer", "too_small");
    assert_at(empty, "error.details.fields.0.params.minimum", "1");

    char longer[202];
    memset(longer, 'x', 201);
    longer[201] = '\0';
    const answer *big =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"%s\"}", longer);
    assert_issue(big, "customer", "too_big");
    assert_at(big, "error.details.fields.0.params.maximum", "200");
    longer[200] = '\0';
    assert_status(
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"%s\"}", longer), 200);

    assert_issue(approve(s, NOBODY, 0), "amountCents", "too_small");
    assert_issue(sample_query(s, "showcase:query:ops:slow-export", "{\"chunks\":1001}"), "chunks",
        "too_big");
}

static void wrong_types_are_named(void **state)
{
    sample *s = *state;
    const answer *several = sample_write(s, "showcase:write:invoice:approve",
        "{\"id\":7,\"amountCents\":\"many\",\"approvedBy\":null,\"geoRegion\":[]}");
    assert_issue(several, "id", "invalid_type");
    assert_issue(several, "amountCents", "invalid_type");
    assert_issue(several, "approvedBy", "invalid_type");
    assert_issue(several, "geoRegion", "invalid_type");
    assert_int_equal(count(several, "error.details.fields"), 4);

    assert_issue(sample_query(s, "showcase:query:invoice:state",
                     "{\"id\":\"" NOBODY "\",\"asOf\":\"yesterday\"}"),
        "asOf", "invalid_format");
    assert_issue(
        sample_query(s, "showcase:query:invoice:state", "{\"id\":\"" NOBODY "\",\"atVersion\":0}"),
        "atVersion", "too_small");
}

static void a_payload_that_is_no_object_is_invalid(void **state)
{
    sample *s = *state;
    assert_issue(sample_write(s, "showcase:write:invoice:create", "[]"), "(root)", "invalid_type");
    assert_issue(
        sample_write(s, "showcase:write:invoice:create", "\"x\""), "(root)", "invalid_type");
    assert_issue(
        sample_write(s, "showcase:write:invoice:create", "{}"), "customer", "invalid_type");
}

static void unknown_members_are_stripped(void **state)
{
    sample *s = *state;
    const answer *made = sample_write(s, "showcase:write:invoice:create",
        "{\"customer\":\"Acme\",\"status\":\"paid\",\"tenantId\":\"" TEST_TENANT_OTHER "\"}");
    assert_status(made, 200);
    assert_at(made, "data.data.status", "draft");
    assert_at(made, "data.data.tenantId", TEST_TENANT);
}

static void a_body_that_is_no_request_is_invalid(void **state)
{
    sample *s = *state;
    assert_issue(sample_post(s, "/api/write", NULL, "{\"type\":"), "(root)", "invalid_json");
    assert_status(sample_post(s, "/api/write", NULL, "[]"), 400);
    assert_issue(sample_post(s, "/api/write", NULL, "{\"payload\":{}}"), "type", "invalid_type");
    assert_issue(
        sample_post(s, "/api/write", NULL, "{\"type\":7,\"payload\":{}}"), "type", "invalid_type");
    const answer *twice = sample_post(s, "/api/write", NULL,
        "{\"type\":\"showcase:write:invoice:create\","
        "\"payload\":{\"customer\":\"a\",\"customer\":\"b\"}}");
    assert_status(twice, 400);
    assert_at(twice, "error.details.fields.0.code", "duplicate_key");
}

/* ---- requests that fail half-way ------------------------------------------------------------- */

static void nothing_remains_of_a_batch_whose_third_command_fails(void **state)
{
    sample *s = *state;
    const answer *refused = sample_post(s, "/api/batch", NULL,
        "{\"commands\":["
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"one\"}},"
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"two\"}},"
        "{\"type\":\"notes:write:note:delete\",\"payload\":{\"id\":\"" NOBODY "\"}},"
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"four\"}}]}");
    assert_status(refused, 404);
    assert_at(refused, "failedIndex", "2");
    assert_int_equal(count(refused, "results"), 3);
    assert_at(refused, "results.0.isSuccess", "true");
    assert_at(refused, "results.1.data.data.title", "two");
    assert_at(refused, "results.2.error.code", "not_found");
    assert_at(refused, "results.2.error.httpStatus", "404");
    assert_nothing_was_stored(s);
}

static void a_later_command_of_a_batch_sees_the_earlier_ones(void **state)
{
    sample *s = *state;
    const char *id = "01a20975-37a7-75ba-a4ee-c413be86dc57";
    const answer *done = sample_post(s, "/api/batch", NULL,
        "{\"commands\":["
        "{\"type\":\"notes:write:note:create\",\"payload\":{\"id\":\"%s\",\"title\":\"one\"}},"
        "{\"type\":\"notes:write:note:update\","
        "\"payload\":{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"two\"}}}]}",
        id, id);
    assert_status(done, 200);
    assert_at(done, "results.1.data.data.title", "two");
    assert_at(done, "results.1.data.previous.title", "one");
    assert_at(done, "results.1.data.event.id", "2");
    assert_at(
        sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id), "data.title", "two");
}

static void nothing_remains_of_a_handler_that_writes_and_refuses(void **state)
{
    sample *s = *state;
    assert_refused(sample_write(s, "notes:write:note:write-and-refuse", "{\"title\":\"one\"}"),
        "second_thoughts");
    assert_nothing_was_stored(s);
}

static void a_refused_command_is_told_so(void **state)
{
    sample *s = *state;
    const answer *refused = sample_post(s, "/api/command", NULL,
        "{\"type\":\"notes:write:note:write-and-refuse\",\"payload\":{\"title\":\"one\"}}");
    assert_status(refused, 422);
    assert_keys(refused, "", "error");
    assert_at(refused, "error.details.reason", "second_thoughts");
    assert_nothing_was_stored(s);
}

static void a_batch_of_201_commands_is_too_large(void **state)
{
    sample *s = *state;
    buffer body = {.arena = &s->arena};
    buffer_add_text(&body, "{\"commands\":[");
    for (int i = 0; i < 201; i++)
        buffer_format(&body,
            "%s{\"type\":\"notes:write:note:create\",\"payload\":{\"title\":\"t\"}}",
            i > 0 ? "," : "");
    buffer_add_text(&body, "]}");
    assert_issue(
        sample_post(s, "/api/batch", NULL, "%s", buffer_str(&body).ptr), "commands", "too_big");
    assert_nothing_was_stored(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(only_a_draft_is_approved),
        SHOWCASE_TEST(only_an_approved_invoice_is_paid),
        SHOWCASE_TEST(only_the_approved_amount_is_accepted),
        SHOWCASE_TEST(paying_twice_is_answered_twice_and_stored_once),
        SHOWCASE_TEST(an_unknown_invoice_is_not_found),
        SHOWCASE_TEST(another_tenants_invoice_looks_like_none),
        SHOWCASE_TEST(an_archived_invoice_takes_no_more_events),
        SHOWCASE_TEST(values_out_of_bounds_are_named),
        SHOWCASE_TEST(wrong_types_are_named),
        SHOWCASE_TEST(a_payload_that_is_no_object_is_invalid),
        SHOWCASE_TEST(unknown_members_are_stripped),
        SHOWCASE_TEST(a_body_that_is_no_request_is_invalid),
        RECIPES_TEST(nothing_remains_of_a_batch_whose_third_command_fails),
        RECIPES_TEST(a_later_command_of_a_batch_sees_the_earlier_ones),
        RECIPES_TEST(nothing_remains_of_a_handler_that_writes_and_refuses),
        RECIPES_TEST(a_refused_command_is_told_so),
        RECIPES_TEST(a_batch_of_201_commands_is_too_large),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
