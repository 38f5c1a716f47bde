/*
 * Describing features.
 *
 * A description is the registry, printed: what is described is exactly what would be served, and
 * features that would not start cannot be described either.  No database is needed.
 */
#include "app/describe.h"

#include "kumiko/app.h"

#include <stdlib.h>
#include <string.h>

ku_status ku_describe(
    const ku_feature *const *features, ku_format_kind format, char **ret_text, ku_error *ret_error)
{
    registry r;
    buffer b = {0};

    const ku_status status = registry_build(features, NULL, &r, ret_error);
    if (status != KU_OK)
        return status;

    switch (format) {
    case KU_DESCRIBE_TEXT:
        describe_text(&b, &r);
        break;
    case KU_DESCRIBE_JSON:
        describe_json(&b, &r);
        break;
    case KU_DESCRIBE_OPENAPI:
        describe_openapi(&b, &r);
        break;
    }
    registry_done(&r);
    (void)buffer_str(&b);
    *ret_text = b.ptr;
    return KU_OK;
}

bool describe_on_is_end(const ku_on *on)
{
    return on->event == NULL && on->entity == NULL && on->apply == NULL;
}

ku_str describe_on_name(const registry *r, const ku_on *on)
{
    if (on->event != NULL)
        return event_catalog_of(r->catalog, on->event)->name;
    return registry_entity(r, on->entity)->automatic[-on->verb - 1]->def.name;
}

const char *describe_rate_per(ku_rate_per per)
{
    static const char *const names[] = {
        [KU_PER_USER] = "user",
        [KU_PER_TENANT] = "tenant",
        [KU_PER_ADDRESS] = "ip",
        [KU_PER_USER_AND_HANDLER] = "user+handler",
        [KU_PER_TENANT_AND_HANDLER] = "tenant+handler",
        [KU_PER_ADDRESS_AND_HANDLER] = "ip+handler",
    };
    return names[per];
}

const char *describe_verb(ku_verb verb)
{
    static const char *const names[] = {
        [KU_VERB_CREATE] = "create",
        [KU_VERB_UPDATE] = "update",
        [KU_VERB_DELETE] = "delete",
        [KU_VERB_RESTORE] = "restore",
        [KU_VERB_DETAIL] = "detail",
        [KU_VERB_LIST] = "list",
    };
    return names[verb];
}

/* ---- schemas -------------------------------------------------------------------------------- */

void describe_schema(buffer *b, const ku_shape *shape)
{
    if (shape->n_fields == 0)
        buffer_add_text(b, "{\"type\":\"object\"}");
    else
        shape_json_schema(b, shape);
}

ku_str describe_wire_name(const ku_shape *shape, const char *column)
{
    const int field = shape_find_column(shape, ku_str_from(column));

    return field >= 0 ? field_wire_name(&shape->fields[field]) : ku_str_from(column);
}

void describe_names(buffer *b, const char *const *names)
{
    buffer_add_char(b, '[');
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        json_put_text(b, ku_str_from(names[i]));
    }
    buffer_add_char(b, ']');
}

void describe_member(buffer *b, const char *name, const char *text)
{
    if (text == NULL)
        return;
    json_put_key(b, name);
    json_put_text(b, ku_str_from(text));
}

/*
 * The row's schema with some fields that may be left out: those that a create fills by itself, or,
 * for the changes of an update, all of them.
 */
static void put_row_schema(buffer *b, const ku_shape *row, bool all_optional)
{
    arena a = {0};
    ku_field *fields = arena_alloc(&a, row->n_fields * sizeof(*fields));
    ku_shape relaxed = *row;

    memcpy(fields, row->fields, row->n_fields * sizeof(*fields));
    for (size_t i = 0; i < row->n_fields; i++) {
        if (all_optional || fields[i].initial != NULL)
            fields[i].optional = true;
    }
    relaxed.fields = fields;
    shape_json_schema(b, &relaxed);
    arena_done(&a);
}

static const char id_schema[] = "{\"type\":\"string\",\"format\":\"uuid\"}";

static void put_list_schema(buffer *b, const ku_shape *row)
{
    buffer names = {0};

    buffer_add_text(&names, "[\"id\",\"version\",\"insertedAt\",\"modifiedAt\"");
    for (size_t i = 0; i < row->n_fields; i++) {
        buffer_add_char(&names, ',');
        json_put_text(&names, field_wire_name(&row->fields[i]));
    }
    buffer_add_char(&names, ']');
    buffer_format(b,
        "{\"type\":\"object\",\"properties\":{\"cursor\":{\"type\":\"string\"},"
        "\"limit\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":200,\"default\":50},"
        "\"offset\":{\"type\":\"integer\",\"minimum\":0},\"sort\":{\"enum\":%" KU_PRI "},"
        "\"sortDirection\":{\"enum\":[\"asc\",\"desc\"]},\"totalCount\":{\"type\":\"boolean\"},"
        "\"includeDeleted\":{\"type\":\"boolean\"},\"filter\":",
        KU_FMT(buffer_str(&names)));
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            buffer_add_text(b, ",\"filters\":{\"type\":\"array\",\"items\":");
        buffer_format(b,
            "{\"type\":\"object\",\"properties\":{\"field\":{\"enum\":%" KU_PRI "},"
            "\"op\":{\"enum\":[\"eq\",\"ne\",\"lt\",\"gt\",\"in\"]},\"value\":{}},"
            "\"required\":[\"field\",\"op\",\"value\"]}",
            KU_FMT(buffer_str(&names)));
    }
    buffer_add_text(b, "}}}");
    buffer_done(&names);
}

void describe_input_schema(buffer *b, const handler_entry *handler)
{
    const ku_shape *row = handler->entity != NULL ? &handler->entity->entity->row : NULL;

    switch (handler->handler->verb) {
    case KU_VERB_NONE:
        describe_schema(b, &handler->handler->input);
        return;
    case KU_VERB_CREATE:
        buffer_add_text(b, "{\"allOf\":[");
        put_row_schema(b, row, false);
        buffer_format(b, ",{\"type\":\"object\",\"properties\":{\"id\":%s}}]}", id_schema);
        return;
    case KU_VERB_UPDATE:
        buffer_format(b,
            "{\"type\":\"object\",\"properties\":{\"id\":%s,"
            "\"version\":{\"type\":\"integer\",\"minimum\":1},\"changes\":",
            id_schema);
        put_row_schema(b, row, true);
        buffer_add_text(b, "},\"required\":[\"id\",\"version\",\"changes\"]}");
        return;
    case KU_VERB_DELETE:
    case KU_VERB_RESTORE:
    case KU_VERB_DETAIL:
        buffer_format(
            b, "{\"type\":\"object\",\"properties\":{\"id\":%s},\"required\":[\"id\"]}", id_schema);
        return;
    case KU_VERB_LIST:
        put_list_schema(b, row);
        return;
    }
}
