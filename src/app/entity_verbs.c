/*
 * The standard handlers of an entity: their input, and the verb or query behind it.
 */
#include "app/command.h"
#include "app/entity.h"
#include "app/row_query.h"
#include "store/log.h"

typedef struct id_input {
    ku_id id;
} id_input;
static const ku_field id_input_fields[] = {KU_FIELD(id_input, id)};
static const ku_shape id_input_shape = KU_SHAPE(id_input);

typedef struct update_input {
    ku_id id;
    ku_optional_int64 version;
} update_input;
static const ku_field update_input_fields[] = {
    KU_FIELD(update_input, id),
    KU_FIELD(update_input, version),
};
static const ku_shape update_input_shape = KU_SHAPE(update_input);

/* Which fields of the row are members of the object. */
static uint64_t given_in_json(const ku_shape *shape, const ku_json *object)
{
    uint64_t given = 0;

    for (size_t i = 0; i < shape->n_fields; i++) {
        if (json_member(object, field_wire_name(&shape->fields[i])) != NULL)
            given |= UINT64_C(1) << i;
    }
    return given;
}

/* Another object with the same members. */
static ku_json *copy_object(arena *a, const ku_json *object)
{
    ku_json *copy = json_new(a, KU_JSON_OBJECT);

    for (const ku_json *member = object->first; member != NULL; member = member->next) {
        ku_json *node = arena_alloc(a, sizeof(*node));
        *node = *member;
        json_append(copy, member->key, node);
    }
    return copy;
}

/*
 * The payload with the initial values of what the client left out: a copy, because the payload
 * outlives the scope (it is the request's fingerprint, and the command may run again).
 */
static ku_status with_initials(
    ku_scope *scope, const ku_shape *shape, const ku_json *payload, const ku_json **ret_payload)
{
    ku_json *object = NULL;

    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        ku_json *value = NULL;
        if (field->initial == NULL || json_member(payload, field_wire_name(field)) != NULL)
            continue;
        if (object == NULL)
            object = copy_object(&scope->arena, payload);
        ku_status status = ku_json_parse(scope, ku_str_from(field->initial), &value);
        if (status != KU_OK)
            return status;
        json_append(object, field_wire_name(field), value);
    }
    *ret_payload = object != NULL ? object : payload;
    return KU_OK;
}

/*
 * Roles are asked of what a client sent.  What a field is by itself, and what a handler decides, is
 * the program's.
 */
static ku_status guard_roles(ku_scope *scope, const entity_entry *entity, uint64_t given)
{
    const ku_shape *shape = &entity->entity->row;

    for (size_t i = 0; entity->restricted && i < shape->n_fields; i++) {
        if ((given & (UINT64_C(1) << i)) == 0 || field_allowed(scope, &shape->fields[i], true))
            continue;
        ku_str field = field_wire_name(&shape->fields[i]);
        ku_status status = ku_fail(scope, KU_DENIED, "field_access_denied",
            "access denied to field %" KU_PRI " of %s", KU_FMT(field), entity->entity->name);
        scope->error.i18n_key = KU_STR("errors.access.fieldDenied");
        ku_detail_text(scope, "field", field);
        if (scope->handler != NULL)
            ku_detail_text(scope, "handler", scope->handler->name);
        return status;
    }
    return KU_OK;
}

static ku_status run_create(
    ku_scope *scope, const entity_entry *entity, const ku_json *payload, ku_reply *reply)
{
    const ku_shape *shape = &entity->entity->row;
    void *own = arena_alloc(&scope->arena, shape->size);
    id_input input = {{{0}}};
    uint64_t sent = given_in_json(shape, payload);
    ku_status status = KU_OK;

    if (ku_json_kind_of(payload) == KU_JSON_OBJECT) {
        status = with_initials(scope, shape, payload, &payload);
        if (status == KU_OK && ku_json_get(payload, "id") != NULL)
            status = shape_decode(scope, &id_input_shape, payload, KU_STR(""), &input);
    }
    ku_status row = shape_decode(scope, shape, payload, KU_STR(""), own);
    if (status == KU_OK)
        status = row;
    if (status == KU_OK)
        status = guard_roles(scope, entity, sent);
    if (status != KU_OK)
        return status;
    return entity_create(scope, entity, input.id, own, given_in_json(shape, payload), reply, NULL);
}

static ku_status run_update(
    ku_scope *scope, const entity_entry *entity, const ku_json *payload, ku_reply *reply)
{
    const ku_shape *shape = &entity->entity->row;
    void *own = arena_alloc(&scope->arena, shape->size);
    update_input input = {{{0}}, {0}};
    uint64_t given = 0;
    const ku_json *changes = ku_json_get(payload, "changes");

    ku_status status = shape_decode(scope, &update_input_shape, payload, KU_STR(""), &input);
    ku_status parts =
        changes == NULL || ku_json_kind_of(changes) != KU_JSON_OBJECT
            ? scope_issue(
                  scope, KU_STR("changes"), "invalid_type", KU_STR("{\"expected\":\"object\"}"))
            : shape_decode_partial(scope, shape, changes, KU_STR("changes."), own, &given);
    if (status == KU_OK)
        status = parts;
    if (status == KU_OK)
        status = guard_roles(scope, entity, given);
    if (status != KU_OK)
        return status;
    /* Without a version the client decided on nothing: it conflicts with any row (behaviour §5). */
    const ku_optional_int64 expected = {true, input.version.value};
    return entity_update(scope, entity, input.id, expected, own, given, reply);
}

static ku_status find_detail(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply)
{
    void *row = NULL;
    stream_state stream;

    work_prefetch_stream(scope, id);
    ku_status status = entity_find(scope, entity, id, false, &row);
    if (status == KU_OK)
        status = log_stream(scope, id, &stream);
    if (status != KU_OK)
        return status;
    /* Domain events move the stream past the row; an edit is made against the stream. */
    row_base(row)->version = stream.version;
    reply->value = row;
    return KU_OK;
}

static ku_status run_detail(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply)
{
    ku_id tenant = scope->tenant;

    *reply = (ku_reply){.kind = REPLY_DETAIL, .entity = entity};
    ku_status status = find_detail(scope, entity, id, reply);
    if (status == KU_NOT_FOUND) { /* the system's rows are everybody's to see */
        ku_clear_error(scope);
        scope->tenant = row_system_tenant;
        status = find_detail(scope, entity, id, reply);
        scope->tenant = tenant;
    }
    if (status == KU_NOT_FOUND) {
        ku_clear_error(scope);
        return KU_OK;
    }
    return status;
}

ku_status entity_run_verb(ku_scope *scope, const entity_entry *entity, ku_verb verb,
    const ku_json *payload, ku_reply *reply)
{
    id_input input = {{{0}}};

    switch (verb) {
    case KU_VERB_CREATE:
        return run_create(scope, entity, payload, reply);
    case KU_VERB_UPDATE:
        return run_update(scope, entity, payload, reply);
    case KU_VERB_LIST:
        return entity_list(scope, entity, payload, reply);
    case KU_VERB_DELETE:
    case KU_VERB_RESTORE:
    case KU_VERB_DETAIL:
    case KU_VERB_NONE:
        break;
    }
    ku_status status = shape_decode(scope, &id_input_shape, payload, KU_STR(""), &input);
    if (status != KU_OK)
        return status;
    if (verb == KU_VERB_DELETE)
        return entity_delete(scope, entity, input.id, reply);
    if (verb == KU_VERB_RESTORE)
        return entity_restore(scope, entity, input.id, reply);
    return run_detail(scope, entity, input.id, reply);
}
