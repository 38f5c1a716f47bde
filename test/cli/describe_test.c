/*
 * Descriptions: everything a feature declares is in them, and they are what they claim to be.
 */
#include "cli/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: the descriptions of the showcase, once for all tests -------------------------- */

typedef struct descriptions {
    arena arena;
    ran text, json, openapi;
    const ku_json *document; /* --json */
    const ku_json *feature;  /* its only feature */
    const ku_json *api;      /* --openapi */
} descriptions;

static int describe(void **state)
{
    descriptions *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->text = RUN(NULL, NULL, "showcase", "describe");
    d->json = RUN(NULL, NULL, "showcase", "describe", "--json");
    d->openapi = RUN(NULL, NULL, "showcase", "describe", "--openapi");
    ASSERT_CODE(&d->text, 0);
    ASSERT_CODE(&d->json, 0);
    ASSERT_CODE(&d->openapi, 0);
    d->document = ran_json(&d->json, &d->arena);
    d->feature = node_at(d->document, "features.0");
    d->api = ran_json(&d->openapi, &d->arena);
    *state = d;
    return 0;
}

static int forget(void **state)
{
    descriptions *d = *state;

    ran_done(&d->text);
    ran_done(&d->json);
    ran_done(&d->openapi);
    arena_done(&d->arena);
    free(d);
    return 0;
}

static const ku_json *item(descriptions *d, const char *list, const char *name)
{
    return item_with(node_at(d->feature, list), "name", name);
}

static void assert_text(descriptions *d, const ku_json *json, const char *path, const char *text)
{
    assert_string_equal(text_at(&d->arena, json, path), text);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void json_has_entities_with_row_and_state(void **state)
{
    descriptions *d = *state;
    const ku_json *invoice = item(d, "entities", "showcase-invoice");
    const ku_json *approver = item(d, "entities", "showcase-approver");

    assert_text(d, invoice, "table", "read_showcase_invoices");
    assert_text(d, invoice, "row.properties.customer.type", "string");
    assert_text(d, invoice, "state.properties.amountCents.type", "integer");
    assert_text(d, invoice, "snapshotEvery", "100");
    assert_text(d, approver, "unique", "[[\"approverId\"]]");
    assert_null(node_at(approver, "state"));
}

static void json_has_events_with_versions_and_migrations(void **state)
{
    descriptions *d = *state;
    const ku_json *approved = item(d, "events", "showcase:event:invoice-approved");
    const ku_json *acknowledged = item(d, "events", "showcase:event:invoice-acknowledged");
    const ku_json *deleted = item(d, "events", "showcase-invoice.deleted");

    assert_text(d, approved, "version", "2");
    assert_text(d, approved, "entity", "showcase-invoice");
    assert_text(d, approved, "automatic", "false");
    assert_text(d, approved, "payload.properties.amountCents.type", "integer");
    assert_text(d, approved, "migrations.0.from", "1");
    assert_text(
        d, approved, "migrations.0.steps.0", "{\"rename\":\"amount\",\"to\":\"amountCents\"}");
    assert_text(d, approved, "migrations.0.steps.1", "{\"convert\":\"amountCents\"}");
    assert_text(d, acknowledged, "migrations.0.function", "true");
    assert_text(d, deleted, "automatic", "true");
    assert_text(d, deleted, "payload.required", "[\"previous\"]");
}

static void json_has_projections_with_subscriptions(void **state)
{
    descriptions *d = *state;
    const ku_json *detail = item(d, "projections", "showcase:projection:invoice-detail");
    const ku_json *revenue = item(d, "projections", "showcase:projection:customer-revenue");

    assert_text(d, detail, "kind", "inline");
    assert_text(d, detail, "on",
        "[\"showcase-invoice.created\",\"showcase:event:invoice-approved\","
        "\"showcase:event:invoice-paid\"]");
    assert_text(d, revenue, "kind", "async");
    assert_text(d, revenue, "table", "read_showcase_customer_revenue");
    assert_text(d, revenue, "on", "[\"showcase:event:invoice-paid\"]");
    assert_text(d, revenue, "batch", "200");
    assert_text(d, revenue, "maxAttempts", "10");

    const ku_json *table =
        item_with(node_at(d->document, "tables"), "name", "read_showcase_customer_revenue");
    assert_text(d, table, "key", "[\"customer\"]");
    assert_text(d, table, "row.properties.totalCents.type", "integer");
}

static void json_has_handlers_with_access_and_limits(void **state)
{
    descriptions *d = *state;
    const ku_json *pay = item(d, "writes", "showcase:write:invoice:pay");
    const ku_json *fold = item(d, "queries", "showcase:query:invoice:state");
    const ku_json *update = item(d, "writes", "showcase:write:approver:update");

    assert_text(d, pay, "access.roles", "[\"Admin\"]");
    assert_text(
        d, pay, "rateLimit", "{\"per\":\"user\",\"limit\":5,\"windowSeconds\":60,\"cost\":1}");
    assert_text(d, pay, "input.required", "[\"id\",\"amountCents\"]");
    assert_text(d, fold, "access.openToAll", "true");
    assert_text(d, fold, "input.properties.asOf.format", "date-time");
    assert_text(d, update, "verb", "update");
    assert_text(d, update, "input.required", "[\"id\",\"version\",\"changes\"]");
    assert_text(d, update, "input.properties.changes.required", "[]");
}

/* ---- text ----------------------------------------------------------------------------------- */

static void text_tells_the_same_in_words(void **state)
{
    static const char *const sentences[] = {
        "feature showcase",
        "entity showcase-invoice",
        "event showcase:event:invoice-approved, version 2, of showcase-invoice",
        "from version 1 to 2: rename amount → amountCents; convert amountCents",
        "by a function",
        "projection showcase:projection:invoice-detail, inline",
        "projection showcase:projection:customer-revenue, asynchronous",
        "on showcase:event:invoice-paid",
        "write showcase:write:invoice:pay",
        "for Admin",
        "at most 5 in 60 s per user",
        "for every signed-in user",
        "unique: approverId",
        "list of showcase-approver",
    };
    descriptions *d = *state;

    for (size_t i = 0; i < KU_COUNT(sentences); i++)
        ASSERT_SAYS(&d->text, sentences[i]);
    assert_null(strchr(d->text.output, '\033')); /* not a terminal: no colours */
}

/* ---- OpenAPI -------------------------------------------------------------------------------- */

/* Follows every $ref of the document; each must lead somewhere. */
static void check_references(descriptions *d, const ku_json *json, int *count)
{
    for (const ku_json *child = json->first; child != NULL; child = child->next) {
        if (ku_str_is(child->key, "$ref")) {
            static const char prefix[] = "#/components/schemas/";
            const char *target = arena_copy(&d->arena, child->text).ptr;
            assert_memory_equal(target, prefix, sizeof(prefix) - 1);
            const ku_json *schema = json_member(
                node_at(d->api, "components.schemas"), ku_str_from(target + sizeof(prefix) - 1));
            if (schema == NULL)
                print_error("%s leads nowhere\n", target);
            assert_non_null(schema);
            (*count)++;
        }
        check_references(d, child, count);
    }
}

static void openapi_references_lead_somewhere(void **state)
{
    descriptions *d = *state;
    int count = 0;

    check_references(d, d->api, &count);
    assert_in_range(count, 20, 1000);
}

static const ku_json *request_schema(descriptions *d, const char *path)
{
    const ku_json *operation = json_member(node_at(d->api, "paths"), ku_str_from(path));

    return node_at(operation, "post.requestBody.content.application/json.schema");
}

static void openapi_tells_handlers_apart_by_type(void **state)
{
    descriptions *d = *state;
    const ku_json *schemas = node_at(d->api, "components.schemas");
    const ku_json *pay = json_member(schemas, KU_STR("showcase.write.invoice.pay"));

    assert_text(d, d->api, "openapi", "3.1.0");
    assert_text(d, request_schema(d, "/api/write"), "discriminator.propertyName", "type");
    assert_text(d, request_schema(d, "/api/query"),
        "discriminator.mapping.showcase:query:revenue:list",
        "#/components/schemas/showcase.query.revenue.list");
    assert_text(d, request_schema(d, "/api/batch"), "properties.commands.maxItems", "200");
    assert_non_null(request_schema(d, "/api/command"));
    assert_text(d, pay, "properties.type.const", "showcase:write:invoice:pay");
    assert_text(d, pay, "properties.payload.properties.amountCents.minimum", "1");
    assert_text(d, pay, "required", "[\"type\",\"payload\"]");
    assert_non_null(strstr(text_at(&d->arena, pay, "description"), "For the roles Admin."));
    assert_non_null(strstr(text_at(&d->arena, pay, "description"), "At most 5 in 60 s per user."));
}

static void openapi_lists_a_schema_for_each_handler(void **state)
{
    static const char *const lists[] = {"writes", "queries"};
    descriptions *d = *state;
    size_t count = 0;

    for (size_t l = 0; l < KU_COUNT(lists); l++) {
        const ku_json *handlers = node_at(d->feature, lists[l]);
        for (const ku_json *h = handlers->first; h != NULL; h = h->next) {
            char name[256];
            (void)snprintf(name, sizeof(name), "%s", text_at(&d->arena, h, "name"));
            for (char *c = name; *c != '\0'; c++)
                *c = *c == ':' ? '.' : *c;
            assert_non_null(json_member(node_at(d->api, "components.schemas"), ku_str_from(name)));
            count++;
        }
    }
    assert_in_range(count, 10, 100);
}

static void two_forms_at_once_are_a_usage_error(void **state)
{
    (void)state;
    ran r = RUN(NULL, NULL, "showcase", "describe", "--json", "--openapi");

    ASSERT_CODE(&r, 2);
    ran_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_entities_with_row_and_state),
        cmocka_unit_test(json_has_events_with_versions_and_migrations),
        cmocka_unit_test(json_has_projections_with_subscriptions),
        cmocka_unit_test(json_has_handlers_with_access_and_limits),
        cmocka_unit_test(text_tells_the_same_in_words),
        cmocka_unit_test(openapi_references_lead_somewhere),
        cmocka_unit_test(openapi_tells_handlers_apart_by_type),
        cmocka_unit_test(openapi_lists_a_schema_for_each_handler),
        cmocka_unit_test(two_forms_at_once_are_a_usage_error),
    };
    return cmocka_run_group_tests_name("describe", tests, describe, forget);
}
