/*
 * The testing face itself, on a small bank: what it lets through and what it catches.
 */
#include "kumiko.h"
#include "kumiko/test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: accounts ----------------------------------------------------------------------- */

enum account_event { OPENED = 1, PAID_IN, PAID_OUT };

typedef struct account_opened {
    ku_str owner;
} account_opened;
typedef struct money_paid_in {
    int64_t cents;
} money_paid_in;
typedef struct money_paid_out {
    int64_t cents;
} money_paid_out;
typedef struct account {
    int64_t cents;
} account;
typedef struct withdraw_input {
    ku_id id;
    int64_t cents;
} withdraw_input;
typedef struct balance {
    ku_id account_id;
    int64_t cents;
} balance;

static const ku_field account_opened_fields[] = {KU_FIELD(account_opened, owner)};
static const ku_field money_paid_in_fields[] = {KU_FIELD(money_paid_in, cents)};
static const ku_field money_paid_out_fields[] = {KU_FIELD(money_paid_out, cents)};
static const ku_field account_fields[] = {KU_FIELD(account, cents)};
static const ku_field withdraw_input_fields[] = {
    KU_FIELD(withdraw_input, id),
    KU_FIELD(withdraw_input, cents, .value = KU_AT_LEAST(1)),
};
static const ku_field balance_fields[] = {
    KU_FIELD(balance, account_id, .flags = KU_KEY),
    KU_FIELD(balance, cents, .flags = KU_SUM),
};

static const ku_event_type account_opened_event = {
    .name = "account-opened", .tag = OPENED, .payload = KU_SHAPE(account_opened)};
static const ku_event_type money_paid_in_event = {
    .name = "money-paid-in", .tag = PAID_IN, .payload = KU_SHAPE(money_paid_in)};
static const ku_event_type money_paid_out_event = {
    .name = "money-paid-out", .tag = PAID_OUT, .payload = KU_SHAPE(money_paid_out)};

static void account_evolve(void *state, const ku_event *event)
{
    account *a = state;

    switch ((enum account_event)event->type->tag) {
    case OPENED:
        break;
    case PAID_IN:
        a->cents += KU_PAYLOAD(event, money_paid_in)->cents;
        break;
    case PAID_OUT:
        a->cents -= KU_PAYLOAD(event, money_paid_out)->cents;
        break;
    }
}

static const ku_entity account_entity = {
    .name = "account",
    .state = KU_SHAPE(account),
    .evolve = account_evolve,
    .events =
        KU_LIST(ku_event_type, &account_opened_event, &money_paid_in_event, &money_paid_out_event),
};

static const ku_table balance_table = {.name = "read_balances", .row = KU_SHAPE(balance)};

static ku_status count_in(ku_scope *scope, const ku_event *event)
{
    const balance row = {event->stream, KU_PAYLOAD(event, money_paid_in)->cents};
    return ku_row_add(scope, &balance_table, &row);
}

static const ku_on balance_on[] = {KU_ON(money_paid_in, count_in), KU_END};
static const ku_multi_stream_projection balance_projection = {
    .name = "balance", .table = &balance_table, .on = balance_on};

static ku_status withdraw(ku_scope *scope, const void *input, ku_reply *reply)
{
    const withdraw_input *in = input;
    account a;
    (void)reply;

    ku_status status = ku_load_aggregate(scope, &account_entity, in->id, NULL, &a);
    if (status != KU_OK)
        return status;
    if (a.cents < in->cents)
        return ku_refuse(scope, "not_enough", "there are only %lld", (long long)a.cents);
    return KU_APPEND(scope, in->id, money_paid_out, .cents = in->cents);
}

static ku_status balances(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &balance_table, reply);
}

static const ku_handler writes[] = {
    {.name = "account:withdraw",
     .input = KU_SHAPE(withdraw_input),
     .access = KU_ROLES("Teller"),
     .run = withdraw},
    KU_END,
};
static const ku_handler queries[] = {
    {.name = "balances", .access = KU_OPEN_TO_ALL, .run = balances},
    KU_END,
};
static const ku_feature bank = {
    .abi = KU_ABI_VERSION,
    .name = "bank",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &balance_projection),
    .writes = writes,
    .queries = queries,
};

#define WITHDRAW "bank:write:account:withdraw"

/* ---- helpers --------------------------------------------------------------------------------- */

static char last_failure[9000];

static void keep_failure(const char *sentence)
{
    (void)strncpy(last_failure, sentence, sizeof(last_failure) - 1);
}

static int open_bank(void **state)
{
    ku_test_on_failure(keep_failure);
    last_failure[0] = '\0';
    *state = ku_test_open(KU_LIST(ku_feature, &bank));
    KU_GIVEN(*state, ku_test_id(1), account_opened, .owner = KU_STR("Ada"));
    KU_GIVEN(*state, ku_test_id(1), money_paid_in, .cents = 500);
    return 0;
}

static int close_bank(void **state)
{
    ku_test_close(*state);
    return 0;
}

static void assert_failed_with(const char *part)
{
    if (strstr(last_failure, part) == NULL)
        fail_msg("expected a failure with `%s`, but it was `%s`", part, last_failure);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void what_was_given_decides_what_a_command_does(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 501);
    KU_THEN_REFUSED(*state, "not_enough");
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 500);
    KU_THEN(*state, ku_test_id(1), money_paid_out, .cents = 500);
    KU_THEN_NOTHING(*state);
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 1);
    KU_THEN_REFUSED(*state, "not_enough");
    assert_string_equal(last_failure, "");
}

static void a_command_may_come_as_json_and_an_event_be_expected_so(void **state)
{
    ku_test_when_json(
        *state, WITHDRAW, KU_STR("{\"id\":\"00000000-0000-4000-8000-ff0000000001\",\"cents\":20}"));
    ku_test_then_json(*state, ku_test_id(1), "bank:event:money-paid-out", KU_STR("{\"cents\":20}"));
    KU_THEN_NOTHING(*state);
    assert_string_equal(last_failure, "");
}

static void another_payload_is_a_failure_that_shows_both(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN(*state, ku_test_id(1), money_paid_out, .cents = 6);
    assert_failed_with("{\"cents\":6}");
    assert_failed_with("it was bank:event:money-paid-out {\"cents\":5}");
}

static void another_stream_is_a_failure(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN(*state, ku_test_id(2), money_paid_out, .cents = 5);
    assert_failed_with("ff0000000002, but it was");
}

static void an_event_that_nobody_expected_is_a_failure(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN_NOTHING(*state);
    assert_failed_with("1 events were appended");
}

static void an_event_that_does_not_come_is_a_failure(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN(*state, ku_test_id(1), money_paid_out, .cents = 5);
    KU_THEN(*state, ku_test_id(1), money_paid_out, .cents = 5);
    assert_failed_with("nothing more happened");
}

static void success_where_a_refusal_is_expected_is_a_failure(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN_REFUSED(*state, "not_enough");
    assert_failed_with("expected the refusal not_enough");
}

static void a_refusal_where_an_event_is_expected_is_a_failure(void **state)
{
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5000);
    KU_THEN(*state, ku_test_id(1), money_paid_out, .cents = 5000);
    assert_failed_with("the command was refused");
}

static void another_caller_is_judged_by_his_own_roles(void **state)
{
    static const ku_user nobody = {.id = KU_STR_INIT("nobody")};

    ku_test_as(*state, &nobody);
    KU_WHEN(*state, WITHDRAW, withdraw_input, .id = ku_test_id(1), .cents = 5);
    KU_THEN_REFUSED(*state, "access_denied");
    assert_string_equal(last_failure, "");
}

static void projections_run_when_they_are_told_to(void **state)
{
    ku_test_query(*state, "bank:query:balances", KU_STR("{}"));
    assert_true(ku_str_is(ku_test_answer(*state), "{\"data\":[]}"));
    ku_test_dispatch(*state);
    ku_test_query(*state, "bank:query:balances", KU_STR("{}"));
    assert_non_null(strstr(ku_test_answer(*state).ptr, "\"cents\":500"));
    assert_string_equal(last_failure, "");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, open_bank, close_bank)
    const struct CMUnitTest tests[] = {
        T(what_was_given_decides_what_a_command_does),
        T(a_command_may_come_as_json_and_an_event_be_expected_so),
        T(another_payload_is_a_failure_that_shows_both),
        T(another_stream_is_a_failure),
        T(an_event_that_nobody_expected_is_a_failure),
        T(an_event_that_does_not_come_is_a_failure),
        T(success_where_a_refusal_is_expected_is_a_failure),
        T(a_refusal_where_an_event_is_expected_is_a_failure),
        T(another_caller_is_judged_by_his_own_roles),
        T(projections_run_when_they_are_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
