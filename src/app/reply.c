/* Replies, the writing. */
#include "app/reply.h"

#include <string.h>

bool field_allowed(const ku_scope *scope, const ku_field *field, bool write)
{
    const char *const *roles = write ? field->write_roles : field->read_roles;

    if (roles == NULL)
        return true;
    for (; *roles != NULL; roles++) {
        if (ku_scope_has_role(scope, *roles))
            return true;
    }
    return false;
}

void entity_row_write(buffer *b, const ku_scope *scope, const entity_entry *entity, const void *row)
{
    const ku_shape *shape = &entity->table->row;

    if (!entity->restricted) {
        shape_encode(b, shape, row, true);
        return;
    }
    buffer_add_char(b, '{');
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        if (!field_allowed(scope, field, false))
            continue;
        json_put_key_str(b, field_wire_name(field));
        field_encode(b, field, row);
    }
    buffer_add_char(b, '}');
}

static void put_text_member(buffer *b, const char *name, ku_str value)
{
    json_put_key(b, name);
    json_put_text(b, value);
}

static void put_text_member_if(buffer *b, const char *name, ku_str value)
{
    if (value.len > 0)
        put_text_member(b, name, value);
}

static void put_event_id(buffer *b, const ku_event *event)
{
    json_put_key(b, "id");
    if (event->lane == 0)
        buffer_format(b, "\"%lld\"", (long long)event->position);
    else
        buffer_format(b, "\"%d-%lld\"", (int)event->lane, (long long)event->position);
}

static void put_event(buffer *b, const ku_event *event, ku_str payload)
{
    buffer_add_char(b, '{');
    put_event_id(b, event);
    json_put_key(b, "aggregateId");
    json_put_id(b, event->stream);
    put_text_member(b, "aggregateType", event->stream_type);
    json_put_key(b, "tenantId");
    json_put_id(b, event->tenant);
    json_put_key(b, "version");
    json_put_int(b, event->version);
    put_text_member(b, "type", event->name);
    json_put_key(b, "eventVersion");
    json_put_int(b, event->event_version);
    json_put_key(b, "payload");
    buffer_add_str(b, payload);
    json_put_key(b, "metadata");
    buffer_add_char(b, '{');
    put_text_member(b, "userId", event->user);
    put_text_member_if(b, "requestId", event->request_id);
    put_text_member_if(b, "correlationId", event->correlation_id);
    put_text_member_if(b, "causationId", event->causation_id);
    put_text_member_if(b, "idempotencyKey", event->idempotency_key);
    if (event->headers.json.len > 0) {
        json_put_key(b, "headers");
        buffer_add_str(b, event->headers.json);
    }
    buffer_add_char(b, '}');
    json_put_key(b, "createdAt");
    json_put_time(b, event->at);
    put_text_member(b, "createdBy", event->user);
    buffer_add_char(b, '}');
}

void event_write(buffer *b, const ku_event *event)
{
    put_event(b, event, event->json.json);
}

/* Drops what the caller may not read from a payload, also inside `changes` and `previous`. */
static void drop_hidden(const ku_scope *scope, const entity_entry *entity, ku_json *object)
{
    const ku_shape *shape = &entity->entity->row;

    for (size_t i = 0; object != NULL && i < shape->n_fields; i++) {
        if (!field_allowed(scope, &shape->fields[i], false)) {
            arena scratch = {0};
            ku_json_remove(object, arena_copy(&scratch, field_wire_name(&shape->fields[i])).ptr);
            arena_done(&scratch);
        }
    }
}

static void json_write_filtered(
    buffer *b, const ku_scope *scope, const entity_entry *entity, ku_str text)
{
    arena scratch = {0};
    ku_json *json = NULL;
    json_error error;

    if (!entity->restricted) {
        buffer_add_str(b, text);
        return;
    }
    if (json_parse(&scratch, text, 64, &json, &error)) {
        drop_hidden(scope, entity, json);
        drop_hidden(scope, entity, ku_json_get(json, "changes"));
        drop_hidden(scope, entity, ku_json_get(json, "previous"));
        json_put(b, json);
    } else {
        buffer_add_text(b, "{}"); /* our own text: cannot happen, and must not leak if it does */
    }
    arena_done(&scratch);
}

static void put_event_member(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    json_put_key(b, "event");
    if (reply->event == NULL) {
        buffer_add_text(b, "null");
        return;
    }
    arena scratch = {0};
    buffer payload = {.arena = &scratch};
    json_write_filtered(&payload, scope, reply->entity, reply->event->json.json);
    put_event(b, reply->event, buffer_str(&payload));
    arena_done(&scratch);
}

static void write_save(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    buffer_add_text(b, "{\"kind\":\"save\"");
    json_put_key(b, "id");
    json_put_id(b, reply->id);
    json_put_key(b, "data");
    entity_row_write(b, scope, reply->entity, reply->value);
    json_put_key(b, "changes");
    json_write_filtered(b, scope, reply->entity, reply->changes);
    json_put_key(b, "previous");
    if (reply->previous != NULL)
        entity_row_write(b, scope, reply->entity, reply->previous);
    else
        buffer_add_text(b, "{}");
    json_put_key(b, "isNew");
    buffer_add_text(b, reply->is_new ? "true" : "false");
    put_text_member(b, "entityName", ku_str_from(reply->entity->entity->name));
    put_event_member(b, scope, reply);
    buffer_add_char(b, '}');
}

static void write_delete(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    buffer_add_text(b, "{\"kind\":\"delete\"");
    json_put_key(b, "id");
    json_put_id(b, reply->id);
    json_put_key(b, "data");
    entity_row_write(b, scope, reply->entity, reply->previous);
    put_text_member(b, "entityName", ku_str_from(reply->entity->entity->name));
    put_event_member(b, scope, reply);
    buffer_add_char(b, '}');
}

static void write_page(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    const char *row = reply->value;

    buffer_add_text(b, "{\"rows\":[");
    for (size_t i = 0; i < reply->count; i++, row += reply->entity->table->row.size) {
        if (i > 0)
            buffer_add_char(b, ',');
        entity_row_write(b, scope, reply->entity, row);
    }
    buffer_add_text(b, "],\"nextCursor\":");
    if (reply->next_cursor.len > 0)
        json_put_text(b, reply->next_cursor);
    else
        buffer_add_text(b, "null");
    if (reply->with_total) {
        json_put_key(b, "total");
        json_put_int(b, reply->total);
    }
    buffer_add_char(b, '}');
}

static void write_list(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    const char *item = reply->value;

    buffer_add_char(b, '[');
    for (size_t i = 0; i < reply->count; i++, item += reply->shape->size) {
        if (i > 0)
            buffer_add_char(b, ',');
        if (reply->kind != REPLY_TABLE) {
            shape_encode(b, reply->shape, item, false);
            continue;
        }
        buffer_add_text(b, "{\"tenantId\":");
        json_put_id(b, scope->tenant);
        for (size_t f = 0; f < reply->shape->n_fields; f++) {
            json_put_key_str(b, field_wire_name(&reply->shape->fields[f]));
            field_encode(b, &reply->shape->fields[f], item);
        }
        buffer_add_char(b, '}');
    }
    buffer_add_char(b, ']');
}

void reply_write(buffer *b, const ku_scope *scope, const ku_reply *reply)
{
    switch (reply->kind) {
    case REPLY_NONE:
        buffer_add_text(b, "null");
        return;
    case REPLY_VALUE:
        shape_encode(b, reply->shape, reply->value, false);
        return;
    case REPLY_LIST:
    case REPLY_TABLE:
        write_list(b, scope, reply);
        return;
    case REPLY_JSON:
        buffer_add_str(b, reply->json);
        return;
    case REPLY_SAVE:
        write_save(b, scope, reply);
        return;
    case REPLY_DELETE:
        write_delete(b, scope, reply);
        return;
    case REPLY_DETAIL:
        if (reply->value != NULL)
            entity_row_write(b, scope, reply->entity, reply->value);
        else
            buffer_add_text(b, "null");
        return;
    case REPLY_PAGE:
        write_page(b, scope, reply);
        return;
    }
}

/* ---- what handlers call ---------------------------------------------------------------------- */

static void *copy_items(ku_scope *scope, const ku_shape *shape, const void *items, size_t count)
{
    void *copy = arena_alloc(&scope->arena, shape->size * count);

    if (count > 0)
        memcpy(copy, items, shape->size * count);
    return copy;
}

ku_status ku_reply_value(ku_scope *scope, const ku_shape *shape, const void *value, ku_reply *reply)
{
    ku_shape *kept = arena_alloc(&scope->arena, sizeof(*kept));

    *kept = *shape; /* the caller's may be a literal on its stack */
    *reply =
        (ku_reply){.kind = REPLY_VALUE, .shape = kept, .value = copy_items(scope, shape, value, 1)};
    return KU_OK;
}

ku_status ku_reply_list(
    ku_scope *scope, const ku_shape *shape, const void *items, size_t count, ku_reply *reply)
{
    ku_shape *kept = arena_alloc(&scope->arena, sizeof(*kept));

    *kept = *shape;
    *reply = (ku_reply){.kind = REPLY_LIST,
        .shape = kept,
        .value = copy_items(scope, shape, items, count),
        .count = count};
    return KU_OK;
}

ku_status ku_reply_json(ku_scope *scope, ku_str json, ku_reply *reply)
{
    *reply = (ku_reply){.kind = REPLY_JSON, .json = arena_copy(&scope->arena, json)};
    return KU_OK;
}

ku_status ku_reply_table(ku_scope *scope, const ku_table *table, ku_reply *reply)
{
    ku_page page;
    ku_status status = ku_query_projection(scope, table, NULL, &page);

    if (status == KU_OK)
        *reply = (ku_reply){
            .kind = REPLY_TABLE, .shape = &table->row, .value = page.rows, .count = page.count};
    return status;
}
