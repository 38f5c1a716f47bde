/*
 * Scopes: memory, who and when, and errors as behaviour §2 words them.  Log lines, too.
 */
#include "base/limits.h"
#include "base/log.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static ku_scope scope;

static int open_scope(void **state)
{
    (void)state;
    scope = (ku_scope){0};
    scope_init(&scope);
    return 0;
}

static int close_scope(void **state)
{
    (void)state;
    scope_done(&scope);
    return 0;
}

static const char *details(void)
{
    return scope.error.details == NULL ? "" : ku_json_write(&scope, scope.error.details).ptr;
}

/* ---- who, when, memory ----------------------------------------------------------------------- */

static void a_scope_knows_its_caller(void **state)
{
    (void)state;
    const ku_str roles[] = {KU_STR("Admin"), KU_STR("User")};
    scope.roles = roles;
    scope.n_roles = 2;
    scope.user = KU_STR("u1");
    scope.tenant.bytes[15] = 7;
    assert_true(ku_scope_has_role(&scope, "User"));
    assert_false(ku_scope_has_role(&scope, "user"));
    assert_false(ku_scope_has_role(&scope, "Adm"));
    assert_true(ku_str_is(ku_scope_user(&scope), "u1"));
    assert_int_equal(ku_scope_tenant(&scope).bytes[15], 7);
    assert_true(ku_scope_now(&scope).unix_us > 0);
}

static void ids_come_from_the_clock_of_the_scope(void **state)
{
    (void)state;
    scope.now = (ku_time){clock_now(NULL).unix_us + INT64_C(3600000000)};
    ku_id id = ku_new_id(&scope);
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    assert_int_equal(ms, scope.now.unix_us / 1000);
    assert_int_equal(ku_id_text(&scope, id).len, 36);
}

static bool always(void *context)
{
    return *(bool *)context;
}

static void a_scope_is_cancelled_by_its_deadline_or_its_caller(void **state)
{
    (void)state;
    assert_false(ku_scope_cancelled(&scope));
    scope.deadline_us = clock_monotonic_us() + INT64_C(3600000000);
    assert_false(ku_scope_cancelled(&scope));
    scope.deadline_us = clock_monotonic_us();
    assert_true(ku_scope_cancelled(&scope));
    bool gone = false;
    scope.deadline_us = 0;
    scope.cancelled = always;
    scope.cancelled_context = &gone;
    assert_false(ku_scope_cancelled(&scope));
    gone = true;
    assert_true(ku_scope_cancelled(&scope));
}

static void memory_of_a_scope_is_rewound_and_its_error_is_not(void **state)
{
    (void)state;
    ku_mark mark = ku_scope_mark(&scope);
    ku_str reason = ku_copy(&scope, KU_STR("out_of_stock"));
    (void)ku_refuse(&scope, reason.ptr, "%s", ku_format(&scope, "only %d left", 3).ptr);
    ku_detail_text(&scope, "sku", ku_copy(&scope, KU_STR("x-1")));
    ku_scope_rewind(&scope, mark);
    memset(ku_alloc(&scope, 4096), 0xff, 4096);
    assert_true(ku_str_is(ku_error_message(&scope), "only 3 left"));
    assert_true(ku_str_is(ku_error_reason(&scope), "out_of_stock"));
    assert_string_equal(details(), "{\"reason\":\"out_of_stock\",\"sku\":\"x-1\"}");
}

static void a_reset_scope_is_as_new(void **state)
{
    (void)state;
    scope.user = KU_STR("u1");
    (void)ku_refuse(&scope, "no", NULL);
    const void *first = scope.arena.newest;
    (void)ku_alloc(&scope, 10);
    first = scope.arena.newest;
    scope_reset(&scope);
    assert_ptr_equal(scope.arena.newest, first);
    assert_int_equal(scope.error.status, KU_OK);
    assert_int_equal(scope.user.len, 0);
    assert_int_equal(ku_error_message(&scope).len, 0);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void a_refusal_without_a_sentence_says_its_reason(void **state)
{
    (void)state;
    assert_int_equal(ku_refuse(&scope, "not_deleted", NULL), KU_REFUSED);
    assert_true(ku_str_is(ku_error_message(&scope), "unprocessable: not_deleted"));
    assert_string_equal(details(), "{\"reason\":\"not_deleted\"}");
}

static void a_refusal_has_a_sentence_and_details(void **state)
{
    (void)state;
    assert_int_equal(ku_refuse(&scope, "wrong_amount", "invoice is for %d", 25), KU_REFUSED);
    ku_detail_int(&scope, "amount", -25);
    ku_detail_text(&scope, "customer", KU_STR("\"Acme\""));
    ku_detail_id(&scope, "id", (ku_id){{0}});
    ku_detail_int(&scope, "amount", 26);
    assert_true(ku_str_is(ku_error_message(&scope), "invoice is for 25"));
    assert_true(ku_str_is(ku_error_reason(&scope), "wrong_amount"));
    assert_string_equal(details(),
        "{\"reason\":\"wrong_amount\",\"customer\":\"\\\"Acme\\\"\","
        "\"id\":\"00000000-0000-0000-0000-000000000000\",\"amount\":26}");
}

static void a_failure_without_a_reason_has_no_details(void **state)
{
    (void)state;
    assert_int_equal(ku_fail(&scope, KU_CONFLICT, NULL, "taken by %s", "me"), KU_CONFLICT);
    assert_null(scope.error.details);
    assert_int_equal(ku_error_reason(&scope).len, 0);
    assert_int_equal(ku_fail(&scope, KU_TIMEOUT, "slow", NULL), KU_TIMEOUT);
    assert_true(ku_str_is(ku_error_message(&scope), "it took too long"));
    assert_int_equal(scope_fail(&scope, KU_INTERNAL, "disk %d", 1), KU_INTERNAL);
    assert_true(ku_str_is(ku_error_message(&scope), "disk 1"));
    assert_null(scope.error.details);
}

static void an_error_can_be_made_of_the_one_before(void **state)
{
    (void)state;
    (void)ku_fail(&scope, KU_CONFLICT, "inner", "the inner sentence");
    ku_str message = ku_error_message(&scope), reason = ku_error_reason(&scope);
    (void)ku_fail(&scope, KU_INTERNAL, reason.ptr, "outer: %" KU_PRI, KU_FMT(message));
    assert_true(ku_str_is(ku_error_message(&scope), "outer: the inner sentence"));
    assert_true(ku_str_is(ku_error_reason(&scope), "inner"));
    ku_clear_error(&scope);
    assert_int_equal(scope.error.status, KU_OK);
    assert_int_equal(ku_error_message(&scope).len, 0);
    assert_int_equal(ku_error_reason(&scope).len, 0);
}

static void what_is_not_found_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *entity, *reason;
    } cases[] = {
        {"note",             "note_not_found"            },
        {"showcase-invoice", "showcase_invoice_not_found"},
        {"orderItem",        "order_item_not_found"      },
        {"HTTPRoute2x",      "httproute2x_not_found"     },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        assert_int_equal(ku_not_found(&scope, cases[i].entity, KU_STR("42")), KU_NOT_FOUND);
        assert_true(ku_str_is(ku_error_reason(&scope), cases[i].reason));
    }
    (void)ku_not_found(&scope, "note", KU_STR("42"));
    assert_true(ku_str_is(ku_error_message(&scope), "note 42 not found"));
    assert_string_equal(
        details(), "{\"reason\":\"note_not_found\",\"entity\":\"note\",\"id\":\"42\"}");
    assert_string_equal(
        ku_json_write(&scope, scope.error.i18n_params).ptr, "{\"entity\":\"note\",\"id\":\"42\"}");
}

static void a_forbidden_transition_lists_what_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(ku_invalid_transition(&scope, KU_STR("draft"), KU_STR("paid"),
                         KU_NAMES("approved", "cancelled")),
        KU_REFUSED);
    assert_true(ku_str_is(scope.error.i18n_key, "errors.invalidTransition"));
    assert_true(ku_str_is(ku_error_message(&scope), "unprocessable: invalid_transition"));
    assert_string_equal(details(),
        "{\"reason\":\"invalid_transition\",\"from\":\"draft\",\"to\":\"paid\","
        "\"allowed\":[\"approved\",\"cancelled\"],\"message\":"
        "\"cannot go from \\\"draft\\\" to \\\"paid\\\"; allowed: \\\"approved\\\", "
        "\\\"cancelled\\\"\"}");
    (void)ku_invalid_transition(&scope, KU_STR("a"), KU_STR("b"), NULL);
    assert_non_null(strstr(details(), "\"allowed\":[]"));
}

static void issues_add_up_to_the_limit(void **state)
{
    (void)state;
    assert_int_equal(ku_issue(&scope, "lines.0.sku", "unknown_sku"), KU_INVALID);
    assert_int_equal(scope.error.status, KU_INVALID);
    assert_true(ku_str_is(ku_error_message(&scope), "Validation failed"));
    for (int i = 1; i < LIMIT_ISSUES + 10; i++)
        assert_int_equal(
            scope_issue(&scope, KU_STR("a"), "too_big", KU_STR("{\"maximum\":1}")), KU_INVALID);
    size_t listed = 0;
    for (const field_issue *issue = scope.error.issues; issue != NULL; issue = issue->next)
        listed++;
    assert_int_equal(listed, LIMIT_ISSUES);
    assert_int_equal(scope.error.n_issues, LIMIT_ISSUES);
    assert_true(ku_str_is(scope.error.issues->path, "lines.0.sku"));
    assert_int_equal(scope.error.issues->params.len, 0);
    assert_true(ku_str_is(scope.error.last_issue->params, "{\"maximum\":1}"));
}

/* ---- log lines ------------------------------------------------------------------------------- */

typedef struct kept_line {
    int count, level;
    char text[512];
} kept_line;

static void keep_line(void *context, int level, const char *line)
{
    kept_line *kept = context;
    kept->count++;
    kept->level = level;
    (void)snprintf(kept->text, sizeof(kept->text), "%s", line);
}

static void a_log_line_is_one_json_object(void **state)
{
    (void)state;
    kept_line kept = {0};
    const log_sink sink = {keep_line, &kept, LOG_INFO_};
    log_line(&sink, LOG_DEBUG_, "not heard", NULL);
    assert_int_equal(kept.count, 0);
    log_line(&sink, LOG_WARN_, "a \"quoted\"\nmessage", "\"port\":%d,\"name\":\"%s\"", 80, "x");
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.level, LOG_WARN_);
    ku_json *json = NULL;
    assert_int_equal(ku_json_parse(&scope, ku_str_from(kept.text), &json), KU_OK);
    ku_str text;
    int64_t port;
    assert_true(ku_json_text(ku_json_get(json, "message"), &text));
    assert_true(ku_str_is(text, "a \"quoted\"\nmessage"));
    assert_true(ku_json_text(ku_json_get(json, "level"), &text));
    assert_true(ku_str_is(text, "warn"));
    assert_true(ku_json_int(ku_json_get(json, "port"), &port));
    assert_int_equal(port, 80);
    assert_null(strchr(kept.text, '\n'));
    log_line(&sink, LOG_ERROR_, "plain", NULL);
    assert_int_equal(ku_json_parse(&scope, ku_str_from(kept.text), &json), KU_OK);
    assert_int_equal(ku_json_count(json), 3);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)
    const struct CMUnitTest tests[] = {
        T(a_scope_knows_its_caller),
        T(ids_come_from_the_clock_of_the_scope),
        T(a_scope_is_cancelled_by_its_deadline_or_its_caller),
        T(memory_of_a_scope_is_rewound_and_its_error_is_not),
        T(a_reset_scope_is_as_new),
        T(a_refusal_without_a_sentence_says_its_reason),
        T(a_refusal_has_a_sentence_and_details),
        T(a_failure_without_a_reason_has_no_details),
        T(an_error_can_be_made_of_the_one_before),
        T(what_is_not_found_is_named),
        T(a_forbidden_transition_lists_what_is_allowed),
        T(issues_add_up_to_the_limit),
        T(a_log_line_is_one_json_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
