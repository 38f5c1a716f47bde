/*
 * The description for HTTP clients: OpenAPI 3.1.
 *
 * The wire has one path per kind of request, not per handler (behaviour §1.1); which handler is
 * meant stands in the body's `type`.  So each path takes one of many bodies, told apart by a
 * constant `type`, each with the schema of its payload: generators make a tagged union of it.
 */
#include "app/describe.h"

#include "kumiko/app.h"

#include <string.h>

/* What does not depend on the features: errors, replies, credentials, plain routes. */
static const char error_schema[] =
    "\"Error\":{\"type\":\"object\",\"required\":[\"code\",\"i18nKey\",\"message\"],"
    "\"properties\":{\"code\":{\"type\":\"string\"},\"httpStatus\":{\"type\":\"integer\"},"
    "\"i18nKey\":{\"type\":\"string\"},\"i18nParams\":{\"type\":\"object\"},"
    "\"message\":{\"type\":\"string\"},\"details\":{\"type\":\"object\",\"properties\":{"
    "\"reason\":{\"type\":\"string\"},\"fields\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"required\":[\"path\",\"code\",\"i18nKey\"],\"properties\":{"
    "\"path\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
    "\"i18nKey\":{\"type\":\"string\"},\"params\":{\"type\":\"object\"}}}}}},"
    "\"docsUrl\":{\"type\":\"string\"},\"requestId\":{\"type\":\"string\"},"
    "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}}}";

static const char reply_schemas[] =
    "\"WriteReply\":{\"type\":\"object\",\"required\":[\"isSuccess\"],\"properties\":{"
    "\"isSuccess\":{\"type\":\"boolean\"},\"data\":{},"
    "\"error\":{\"$ref\":\"#/components/schemas/Error\"}}},"
    "\"BatchReply\":{\"type\":\"object\",\"required\":[\"isSuccess\",\"results\"],"
    "\"properties\":{\"isSuccess\":{\"type\":\"boolean\"},"
    "\"error\":{\"$ref\":\"#/components/schemas/Error\"},"
    "\"failedIndex\":{\"type\":\"integer\"},\"results\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/WriteReply\"}}}},"
    "\"CommandReply\":{\"type\":\"object\",\"properties\":{\"ok\":{\"const\":true}}},"
    "\"QueryReply\":{\"type\":\"object\",\"required\":[\"data\"],\"properties\":{\"data\":{}}},"
    "\"Refusal\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
    "\"isSuccess\":{\"const\":false},\"error\":{\"$ref\":\"#/components/schemas/Error\"}}}";

static const char security[] =
    "\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"bearerFormat\":\"JWT\"},\"cookie\":{\"type\":\"apiKey\",\"in\":\"cookie\","
    "\"name\":\"kumiko_auth\",\"description\":\"Writes also need the header X-CSRF-Token with the "
    "value of the cookie kumiko_csrf.\"}}";

static const char plain_paths[] =
    "\"/health\":{\"get\":{\"summary\":\"Alive\",\"security\":[],"
    "\"responses\":{\"200\":{\"description\":\"The process answers\"}}}},"
    "\"/health/ready\":{\"get\":{\"summary\":\"Ready for requests\",\"security\":[],"
    "\"responses\":{\"200\":{\"description\":\"Ready\"},"
    "\"503\":{\"description\":\"Not yet, or not any more\"}}}},"
    "\"/version\":{\"get\":{\"summary\":\"Version of the build\",\"security\":[],"
    "\"responses\":{\"200\":{\"description\":\"Version, build time, environment\"}}}}";

/* `showcase:write:invoice:create` is `showcase.write.invoice.create` among the components. */
static void put_component_name(buffer *b, ku_str name)
{
    for (size_t i = 0; i < name.len; i++)
        buffer_add_char(b, name.ptr[i] == ':' ? '.' : name.ptr[i]);
}

static void put_reference(buffer *b, ku_str name)
{
    buffer_add_text(b, "\"#/components/schemas/");
    put_component_name(b, name);
    buffer_add_char(b, '"');
}

static bool has_handlers(const registry *r, bool write)
{
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next) {
        if (h->write == write)
            return true;
    }
    return false;
}

/* `{"oneOf":[…],"discriminator":{…}}` over all writes or all queries. */
static void put_union(buffer *b, const registry *r, bool write)
{
    bool first = true;

    buffer_add_text(b, "{\"oneOf\":[");
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next) {
        if (h->write != write)
            continue;
        buffer_add_text(b, first ? "{\"$ref\":" : ",{\"$ref\":");
        put_reference(b, h->name);
        buffer_add_char(b, '}');
        first = false;
    }
    buffer_add_text(b, "],\"discriminator\":{\"propertyName\":\"type\",\"mapping\":{");
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next) {
        if (h->write != write)
            continue;
        json_put_key_str(b, h->name);
        put_reference(b, h->name);
    }
    buffer_add_text(b, "}}}");
}

/* What JSON Schema cannot say about a handler, for people. */
static void put_description(buffer *b, const ku_handler *handler)
{
    buffer text = {0};

    if (handler->about != NULL)
        buffer_format(&text, "%s\n\n", handler->about);
    if (handler->access.open_to_all) {
        buffer_add_text(&text, "For every signed-in user.");
    } else if (handler->access.roles != NULL) {
        buffer_add_text(&text, "For the roles");
        for (size_t i = 0; handler->access.roles[i] != NULL; i++)
            buffer_format(&text, "%s %s", i == 0 ? "" : ",", handler->access.roles[i]);
        buffer_add_char(&text, '.');
    } else {
        buffer_add_text(&text, "Access is decided by a predicate.");
    }
    if (handler->rate_limit.limit > 0)
        buffer_format(&text, " At most %d in %d s per %s.", handler->rate_limit.limit,
            handler->rate_limit.window_s, describe_rate_per(handler->rate_limit.per));
    json_put_key(b, "description");
    json_put_text(b, buffer_str(&text));
    buffer_done(&text);
}

static void put_request_schema(buffer *b, const handler_entry *h)
{
    buffer_add_text(b, ",\"");
    put_component_name(b, h->name);
    buffer_add_text(b, "\":{\"type\":\"object\"");
    put_description(b, h->handler);
    buffer_add_text(b, ",\"required\":[\"type\",\"payload\"],\"properties\":{\"type\":{\"const\":");
    json_put_text(b, h->name);
    buffer_add_text(b, "},\"payload\":");
    describe_input_schema(b, h);
    if (h->write)
        buffer_add_text(b, ",\"requestId\":{\"type\":\"string\",\"maxLength\":128,"
                           "\"description\":\"The same id again is answered from the store.\"}");
    buffer_add_text(b, "}}");
}

static void put_operation(
    buffer *b, const char *path, const char *summary, const char *status, const char *reply)
{
    if (b->ptr[b->len - 1] != '{')
        buffer_add_char(b, ',');
    buffer_format(b,
        "\"%s\":{\"post\":{\"summary\":\"%s\",\"responses\":{"
        "\"%s\":{\"description\":\"Done\",\"content\":{\"application/json\":{\"schema\":{"
        "\"$ref\":\"#/components/schemas/%s\"}}}},"
        "\"default\":{\"description\":\"Refused\",\"content\":{\"application/json\":{\"schema\":{"
        "\"$ref\":\"#/components/schemas/Refusal\"}}}}},"
        "\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":",
        path, summary, status, reply);
}

static const char operation_end[] = "}}}}}";

static void put_paths(buffer *b, const registry *r)
{
    buffer_add_text(b, ",\"paths\":{");
    if (has_handlers(r, true)) {
        put_operation(b, "/api/write", "Run a write", "200", "WriteReply");
        put_union(b, r, true);
        buffer_add_text(b, operation_end);
        put_operation(b, "/api/command", "Run a write, drop its result", "202", "CommandReply");
        put_union(b, r, true);
        buffer_add_text(b, operation_end);
        put_operation(b, "/api/batch", "Run writes in one transaction", "200", "BatchReply");
        buffer_add_text(b, "{\"type\":\"object\",\"required\":[\"commands\"],\"properties\":{"
                           "\"requestId\":{\"type\":\"string\",\"maxLength\":128},"
                           "\"commands\":{\"type\":\"array\",\"maxItems\":200,\"items\":");
        put_union(b, r, true);
        buffer_add_text(b, "}}}");
        buffer_add_text(b, operation_end);
    }
    if (has_handlers(r, false)) {
        put_operation(b, "/api/query", "Run a query", "200", "QueryReply");
        put_union(b, r, false);
        buffer_add_text(b, operation_end);
    }
    if (b->ptr[b->len - 1] != '{')
        buffer_add_char(b, ',');
    buffer_add_text(b, plain_paths);
    buffer_add_char(b, '}');
}

void describe_openapi(buffer *b, const registry *r)
{
    buffer title = {0};

    for (size_t i = 0; i < r->n_features; i++)
        buffer_format(&title, "%s%" KU_PRI, i == 0 ? "" : ", ", KU_FMT(r->features[i].name));
    buffer_add_text(b, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    json_put_text(b, title.len > 0 ? buffer_str(&title) : KU_STR("Kumiko"));
    describe_member(b, "version", ku_version());
    buffer_add_text(b, "},\"security\":[{\"bearer\":[]},{\"cookie\":[]}]");
    put_paths(b, r);
    buffer_format(
        b, ",\"components\":{%s,\"schemas\":{%s,%s", security, error_schema, reply_schemas);
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next)
        put_request_schema(b, h);
    buffer_add_text(b, "}}}\n");
    buffer_done(&title);
}
