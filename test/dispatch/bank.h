/*
 * A small bank for the tests of the dispatcher: deposits on accounts, a revenue table that an async
 * projection keeps, and a chain of three projections.  What an apply does is steered by the test.
 */
#ifndef TEST_DISPATCH_BANK_H
#define TEST_DISPATCH_BANK_H

#include "app/lab.h"

/* ---- events ---------------------------------------------------------------------------------- */

typedef struct deposited {
    ku_str owner;
    int64_t cents;
} deposited;
static const ku_field deposited_fields[] = {
    KU_FIELD(deposited, owner),
    KU_FIELD(deposited, cents),
};

typedef struct hop {
    int64_t n;
} hop;
static const ku_field hop_fields[] = {KU_FIELD(hop, n)};
/* KU_APPEND and KU_PAYLOAD take the name of a struct; the hops share one. */
typedef hop hop_a;
typedef hop hop_b;
typedef hop hop_c;

/* While false, payloads of version 1 cannot be lifted. */
static _Atomic bool bank_can_lift = true;

static ku_status bank_lift(ku_scope *scope, ku_json *payload)
{
    if (!atomic_load(&bank_can_lift))
        return ku_fail(scope, KU_INTERNAL, NULL, "cannot lift yet");
    ku_json_rename(scope, payload, "pence", "cents");
    return KU_OK;
}

static const ku_event_type deposited_event = {
    .name = "deposited",
    .version = 2,
    .tag = 1,
    .payload = KU_SHAPE(deposited),
    .migrations = KU_MIGRATIONS({.from = 1, .apply = bank_lift}),
};
static const ku_event_type hop_a_event = {.name = "hop-a", .tag = 2, .payload = KU_SHAPE(hop)};
static const ku_event_type hop_b_event = {.name = "hop-b", .tag = 3, .payload = KU_SHAPE(hop)};
static const ku_event_type hop_c_event = {.name = "hop-c", .tag = 4, .payload = KU_SHAPE(hop)};

static const ku_entity account_entity = {
    .name = "account",
    .events = KU_LIST(ku_event_type, &deposited_event, &hop_a_event, &hop_b_event, &hop_c_event),
};

/* ---- tables ---------------------------------------------------------------------------------- */

typedef struct revenue {
    ku_str owner;
    int64_t cents;
    int64_t deposits;
} revenue;
static const ku_field revenue_fields[] = {
    KU_FIELD(revenue, owner, .flags = KU_KEY),
    KU_FIELD(revenue, cents, .flags = KU_SUM),
    KU_FIELD(revenue, deposits, .flags = KU_SUM),
};
static const ku_table revenue_table = {.name = "read_revenue", .row = KU_SHAPE(revenue)};

typedef struct heard {
    ku_str owner;
    int64_t times;
} heard;
static const ku_field heard_fields[] = {
    KU_FIELD(heard, owner, .flags = KU_KEY),
    KU_FIELD(heard, times, .flags = KU_SUM),
};
static const ku_table heard_table = {.name = "read_heard", .row = KU_SHAPE(heard)};

/* ---- applies --------------------------------------------------------------------------------- */

static _Atomic bool bank_healed; /* a negative deposit can be applied */

/* A negative deposit is poison: it leaves a row and an event behind, if failing lets it. */
static ku_status apply_revenue(ku_scope *scope, const ku_event *event)
{
    const deposited *paid = KU_PAYLOAD(event, deposited);
    const revenue row = {.owner = paid->owner, .cents = paid->cents, .deposits = 1};
    ku_status status = ku_row_add(scope, &revenue_table, &row);

    if (status != KU_OK || paid->cents >= 0 || atomic_load(&bank_healed))
        return status;
    const revenue leak = {.owner = KU_STR("leak"), .cents = 1, .deposits = 1};
    status = ku_row_put(scope, &revenue_table, &leak);
    if (status == KU_OK)
        status = KU_APPEND(scope, event->stream, hop_c, .n = 666);
    ku_page page;
    if (status == KU_OK) /* makes the rows reach the database before the failure */
        status = ku_query_projection(scope, &revenue_table, NULL, &page);
    return status == KU_OK ? ku_refuse(scope, "poison", "cents are negative") : status;
}

static ku_status apply_heard(ku_scope *scope, const ku_event *event)
{
    const heard row = {.owner = KU_PAYLOAD(event, deposited)->owner, .times = 1};

    return ku_row_add(scope, &heard_table, &row);
}

static const ku_on revenue_on[] = {KU_ON(deposited, apply_revenue), KU_END};
static const ku_on heard_on[] = {KU_ON(deposited, apply_heard), KU_END};

static const ku_multi_stream_projection revenue_projection LAB_UNUSED = {
    .name = "revenue", .table = &revenue_table, .on = revenue_on, .batch = 2, .max_attempts = 3};
static const ku_multi_stream_projection heard_projection LAB_UNUSED = {
    .name = "heard", .table = &heard_table, .on = heard_on};
static const ku_multi_stream_projection heard_now_projection LAB_UNUSED = {
    .name = "heard-now", .table = &heard_table, .on = heard_on, .start = KU_FROM_NOW};

static const ku_handler bank_writes[] = {LAB_DO, KU_END};
static const ku_handler bank_queries[] = {LAB_DO, KU_END};

static const ku_feature bank_feature LAB_UNUSED = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &account_entity),
    .multi_stream_projections =
        KU_LIST(ku_multi_stream_projection, &revenue_projection, &heard_projection),
    .writes = bank_writes,
    .queries = bank_queries,
};

/* ---- doing ----------------------------------------------------------------------------------- */

typedef struct bank_deposit {
    uint32_t account;
    const char *owner;
    int64_t cents;
} bank_deposit;

static LAB_UNUSED ku_status bank_deposit_body(ku_scope *scope, void *context, ku_reply *reply)
{
    const bank_deposit *d = context;

    (void)reply;
    return KU_APPEND(
        scope, lab_id(5, d->account), deposited, .owner = ku_str_from(d->owner), .cents = d->cents);
}

static LAB_UNUSED void bank_put(lab *l, uint32_t tenant, const char *owner, int64_t cents)
{
    const bank_deposit d = {1, owner, cents};
    const ku_user user = lab_user_of(tenant);

    lab_assert_ok(l, lab_as(l, true, &user, bank_deposit_body, &d));
}

static LAB_UNUSED ku_consumer_info bank_info(lab *l, uint32_t tenant, const char *name)
{
    ku_consumer_info *infos = NULL;
    ku_consumer_info found = {.lag = -1};
    size_t n = 0;
    ku_error error;

    assert_int_equal(ku_consumer_progress(l->app, tenant == 0 ? (ku_id){{0}} : lab_tenant(tenant),
                         &infos, &n, &error),
        KU_OK);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(infos[i].name, name) == 0)
            found = infos[i];
    }
    free(infos);
    assert_string_equal(found.name, name);
    return found;
}

static LAB_UNUSED ku_dispatch_result bank_dispatch(lab *l)
{
    ku_dispatch_result result = {-1, -1};
    ku_error error = {0};

    if (ku_dispatch_once(l->app, &result, &error) != KU_OK)
        fail_msg("%s", error.message);
    return result;
}

/* The tenant's sum in the table; 0 without a row. */
static LAB_UNUSED int64_t bank_sum(
    const lab *l, uint32_t tenant, const char *table, const char *column, const char *owner)
{
    char sql[256], id[40];

    (void)snprintf(sql, sizeof(sql),
        "SELECT coalesce(sum(%s), 0) FROM %s WHERE owner = '%s' AND tenant_id = %s", column, table,
        owner, test_id_literal(lab_tenant(tenant), id));
    return lab_sql(l, sql);
}

#endif
