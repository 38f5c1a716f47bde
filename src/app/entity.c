/*
 * Entities: create, update, delete, restore, forget.
 *
 * Each verb is an event on the entity's stream and a change of its row, in the scope's transaction.
 * The event's payload is what a client of the original sees: `created` holds the fields that were
 * given, `updated` holds {changes, previous}, the others {previous}.  Uniqueness is asked of the
 * database inside the transaction that will write, so that a refusal costs only its own command.
 */
#include "app/entity.h"

#include "app/rows.h"
#include "base/limits.h"
#include "store/log.h"

#include <string.h>

static const entity_entry *entry_of(ku_scope *scope, const ku_entity *entity, ku_status *ret_status)
{
    const entity_entry *entry = registry_entity(&scope->app->registry, entity);

    if (scope->work == NULL)
        *ret_status = scope_fail(
            scope, KU_INTERNAL, "changing %s belongs into a write, not a query", entity->name);
    else if (entry == NULL || entry->table == NULL)
        *ret_status = scope_fail(
            scope, KU_INTERNAL, "entity %s is not registered or has no row", entity->name);
    else
        *ret_status = KU_OK;
    return entry;
}

/* Rows of a write are part of its events' payloads: they live as long as those. */
static arena *memory_of(ku_scope *scope)
{
    return scope->work != NULL ? scope->work->arena : &scope->arena;
}

static void *copy_row(ku_scope *scope, const entity_entry *entity, const void *row)
{
    void *copy = arena_alloc(memory_of(scope), entity->table->row.size);

    memcpy(copy, row, entity->table->row.size);
    return copy;
}

ku_status entity_find(
    ku_scope *scope, const entity_entry *entity, ku_id id, bool deleted_too, void **ret_row)
{
    void *row = arena_alloc(memory_of(scope), entity->table->row.size);

    row_base(row)->id = id;
    ku_status status = rows_get(scope, entity->table, row);
    if (status == KU_OK && row_base(row)->is_deleted && !deleted_too)
        status = KU_NOT_FOUND;
    if (status == KU_NOT_FOUND)
        return ku_not_found(scope, entity->entity->name, ku_id_text(scope, id));
    if (status == KU_OK)
        *ret_row = row;
    return status;
}

/* ---- guards ---------------------------------------------------------------------------------- */

static ku_str transition_value(const ku_field *field, const void *own)
{
    const char *at = (const char *)own + field->offset;

    if (!field_is_set(field, own))
        return KU_STR("");
    if (field->kind == KU_KIND_TEXT)
        return field->optional ? ((const ku_optional_str *)(const void *)at)->value
                               : *(const ku_str *)(const void *)at;
    return ku_str_from(
        field->names[field->optional ? ((const ku_optional_enum *)(const void *)at)->value
                                     : *(const int *)(const void *)at]);
}

static ku_status guard_transition(ku_scope *scope, const ku_transitions *rule,
    const ku_field *field, const void *before, const void *after)
{
    static const char *const nowhere[] = {NULL};
    ku_str from = transition_value(field, before);
    ku_str to = transition_value(field, after);

    if (ku_str_equal(from, to))
        return KU_OK;
    for (const ku_transition *t = rule->allowed; t->from != NULL; t++) {
        if (!ku_str_is(from, t->from))
            continue;
        for (size_t i = 0; t->to[i] != NULL; i++) {
            if (ku_str_is(to, t->to[i]))
                return KU_OK;
        }
        return ku_invalid_transition(scope, from, to, t->to);
    }
    return ku_invalid_transition(scope, from, to, nowhere);
}

static ku_status guard_transitions(ku_scope *scope, const entity_entry *entity, const void *before,
    const void *after, uint64_t changed)
{
    const ku_shape *shape = &entity->entity->row;

    for (const ku_transitions *t = entity->entity->transitions; t != NULL && t->field != NULL;
         t++) {
        int field = shape_find_column(shape, ku_str_from(t->field));
        if ((changed & (UINT64_C(1) << field)) == 0)
            continue;
        ku_status status = guard_transition(scope, t, &shape->fields[field], before, after);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static ku_status unique_violation(
    ku_scope *scope, const entity_entry *entity, const ku_unique *unique)
{
    buffer name = {.arena = &scope->arena};

    buffer_add_str(&name, entity->table->name);
    for (size_t i = 0; unique->columns[i] != NULL; i++)
        buffer_format(&name, "_%s", unique->columns[i]);
    buffer_add_text(&name, "_uq");
    ku_status status =
        scope_fail(scope, KU_UNIQUE_VIOLATION, "another %s has this value", entity->entity->name);
    ku_detail_text(scope, "entityName", ku_str_from(entity->entity->name));
    ku_detail_text(scope, "constraintName", buffer_str(&name));
    return status;
}

/* Asks for another row with the values of one unique rule.  NULLs differ from each other. */
static ku_status guard_unique(
    ku_scope *scope, const entity_entry *entity, size_t rule, ku_id id, const void *own)
{
    const ku_unique *unique = &entity->entity->unique[rule];
    db_value binds[1 + LIMIT_FIELDS_PER_SHAPE];
    size_t n = 0;
    db_rows rows = {0};
    bool found = false, other = false;

    binds[n++] = db_id(scope->tenant);
    for (size_t i = 0; unique->columns[i] != NULL; i++) {
        int field = shape_find_column(&entity->entity->row, ku_str_from(unique->columns[i]));
        binds[n] = row_bind(&scope->arena, &entity->entity->row.fields[field], own);
        if (binds[n++].kind == DB_NULL)
            return KU_OK;
    }
    ku_status status = db_query(scope->db, entity->unique_sql[rule], binds, n, &rows);
    while (status == KU_OK && (status = db_next(&rows, &found)) == KU_OK && found)
        other = other || !ku_id_equal(db_column_id(&rows, 0), id);
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "unique look-up: %s", db_error(scope->db));
    return other ? unique_violation(scope, entity, unique) : KU_OK;
}

static bool unique_touched(const entity_entry *entity, const ku_unique *unique, uint64_t changed)
{
    for (size_t i = 0; unique->columns[i] != NULL; i++) {
        int field = shape_find_column(&entity->entity->row, ku_str_from(unique->columns[i]));
        if ((changed & (UINT64_C(1) << field)) != 0)
            return true;
    }
    return false;
}

static ku_status guard_uniques(
    ku_scope *scope, const entity_entry *entity, ku_id id, const void *own, uint64_t changed)
{
    const ku_unique *unique = entity->entity->unique;
    ku_status status = KU_OK;
    bool flushed = false;

    for (size_t i = 0; unique != NULL && unique[i].columns != NULL && status == KU_OK; i++) {
        if (!unique_touched(entity, &unique[i], changed))
            continue;
        if (!flushed)
            status = rows_flush_for_query(scope);
        flushed = true;
        if (status == KU_OK)
            status = guard_unique(scope, entity, i, id, own);
    }
    return status;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The fields that were given, as a flat JSON object. */
static ku_str encode_given(
    ku_scope *scope, const entity_entry *entity, const void *own, uint64_t given)
{
    const ku_shape *shape = &entity->entity->row;
    buffer b = {.arena = &scope->arena};

    buffer_add_char(&b, '{');
    for (size_t i = 0; i < shape->n_fields; i++) {
        if ((given & (UINT64_C(1) << i)) == 0)
            continue;
        json_put_key_str(&b, field_wire_name(&shape->fields[i]));
        field_encode(&b, &shape->fields[i], own);
    }
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

static ku_str encode_previous(
    ku_scope *scope, const entity_entry *entity, const ku_str *changes, const void *previous)
{
    buffer b = {.arena = &scope->arena};

    buffer_add_char(&b, '{');
    if (changes != NULL) {
        json_put_key(&b, "changes");
        buffer_add_str(&b, *changes);
    }
    json_put_key(&b, "previous");
    shape_encode(&b, &entity->table->row, previous, true);
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

static ku_status append_automatic(ku_scope *scope, const entity_entry *entity, ku_id id, int verb,
    ku_str json, const ku_change *change, ku_optional_int64 expected, const ku_event **ret_event)
{
    ku_change *kept = arena_alloc(scope->work->arena, sizeof(*kept));

    *kept = *change;
    const log_append append = {
        .def = &entity->automatic[-verb - 1]->def,
        .entity = entity->entity,
        .stream = id,
        .json = json,
        .change = kept,
        .expected_version = expected,
    };
    return log_append_event(scope, &append, ret_event);
}

/* The row is put before the event is projected, so that a projection that reads it sees the new
 * one. */
static ku_status write_row(ku_scope *scope, const entity_entry *entity, const void *row,
    const ku_event *event, bool remove)
{
    ku_status status =
        remove ? rows_remove(scope, entity->table, row) : rows_put_kept(scope, entity->table, row);

    return status == KU_OK ? app_project(scope, event) : status;
}

static void reply_save(ku_reply *reply, const entity_entry *entity, const void *row, ku_str changes,
    const void *previous, const ku_event *event)
{
    if (reply == NULL)
        return;
    *reply = (ku_reply){
        .kind = REPLY_SAVE,
        .entity = entity,
        .id = ((const entity_base *)row)->id,
        .value = row,
        .changes = changes,
        .previous = previous,
        .is_new = previous == NULL,
        .event = event,
    };
}

static void reply_delete(
    ku_reply *reply, const entity_entry *entity, const void *previous, const ku_event *event)
{
    if (reply != NULL)
        *reply = (ku_reply){
            .kind = REPLY_DELETE,
            .entity = entity,
            .id = ((const entity_base *)previous)->id,
            .previous = previous,
            .event = event,
        };
}

/* ---- verbs ----------------------------------------------------------------------------------- */

ku_status entity_create(ku_scope *scope, const entity_entry *entity, ku_id id, const void *own,
    uint64_t given, ku_reply *reply, ku_id *ret_id)
{
    void *row = arena_alloc(scope->work->arena, entity->table->row.size);
    const ku_event *event = NULL;

    if (ku_id_is_nil(id))
        id = ku_new_id(scope);
    memcpy(row_own(entity, row), shape_copy(scope->work->arena, &entity->entity->row, own),
        entity->entity->row.size);
    work_prefetch_stream(scope, id);
    ku_status status = guard_uniques(scope, entity, id, own, UINT64_MAX);
    if (status != KU_OK)
        return status;
    const ku_change change = {.row = row_own(entity, row), .changed = given};
    ku_str json = encode_given(scope, entity, own, given);
    status = append_automatic(scope, entity, id, KU_CREATED, json, &change, KU_VERSION(0), &event);
    if (status != KU_OK)
        return status;
    *row_base(row) = (entity_base){
        .id = id,
        .tenant_id = scope->tenant,
        .version = event->version,
        .inserted_at = event->at,
        .inserted_by_id = event->user,
    };
    status = write_row(scope, entity, row, event, false);
    if (status != KU_OK)
        return status;
    reply_save(reply, entity, row, json, NULL, event);
    if (ret_id != NULL)
        *ret_id = id;
    return KU_OK;
}

static ku_status guard_version(ku_scope *scope, ku_id id, ku_optional_int64 expected_version)
{
    stream_state state;
    ku_status status = log_stream(scope, id, &state);

    if (status == KU_OK && state.archived) {
        status = log_is_archived(scope, id);
    } else if (status == KU_OK && expected_version.set && expected_version.value != state.version) {
        status = log_version_conflict(scope, id, expected_version.value, state.version);
    }
    return status;
}

ku_status entity_update(ku_scope *scope, const entity_entry *entity, ku_id id,
    ku_optional_int64 expected_version, const void *own, uint64_t given, ku_reply *reply)
{
    const ku_shape *shape = &entity->entity->row;
    void *previous = NULL;
    const ku_event *event = NULL;
    uint64_t changed = 0;

    work_prefetch_stream(scope, id);
    ku_status status = entity_find(scope, entity, id, false, &previous);
    if (status == KU_OK)
        status = guard_version(scope, id, expected_version);
    if (status != KU_OK)
        return status;
    void *row = copy_row(scope, entity, previous);
    own = shape_copy(scope->work->arena, shape, own);
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        if ((given & (UINT64_C(1) << i)) == 0 || field_equal(field, row_own(entity, row), own))
            continue;
        field_copy(field, row_own(entity, row), own);
        changed |= UINT64_C(1) << i;
    }
    ku_str sent = encode_given(scope, entity, own, given);
    if (changed == 0) {
        reply_save(reply, entity, row, sent, previous, NULL);
        return KU_OK;
    }
    status =
        guard_transitions(scope, entity, row_own(entity, previous), row_own(entity, row), changed);
    if (status == KU_OK)
        status = guard_uniques(scope, entity, id, row_own(entity, row), changed);
    if (status != KU_OK)
        return status;
    ku_str changes = encode_given(scope, entity, own, changed);
    const ku_change change = {
        .row = row_own(entity, row), .previous = row_own(entity, previous), .changed = changed};
    status = append_automatic(scope, entity, id, KU_UPDATED,
        encode_previous(scope, entity, &changes, previous), &change, expected_version, &event);
    if (status != KU_OK)
        return status;
    row_base(row)->version = event->version;
    row_base(row)->modified_at = (ku_optional_time){true, event->at};
    row_base(row)->modified_by_id = (ku_optional_str){true, event->user};
    status = write_row(scope, entity, row, event, false);
    if (status == KU_OK)
        reply_save(reply, entity, row, sent, previous, event);
    return status;
}

/* delete and forget: the row goes, or is marked. */
static ku_status end_row(ku_scope *scope, const entity_entry *entity, ku_id id, int verb,
    bool deleted_too, bool keep, ku_reply *reply)
{
    void *previous = NULL;
    const ku_event *event = NULL;

    work_prefetch_stream(scope, id);
    ku_status status = entity_find(scope, entity, id, deleted_too, &previous);

    if (status != KU_OK)
        return status;
    const ku_change change = {.previous = row_own(entity, previous)};
    status = append_automatic(scope, entity, id, verb,
        encode_previous(scope, entity, NULL, previous), &change, (ku_optional_int64){0}, &event);
    if (status != KU_OK)
        return status;
    void *row = copy_row(scope, entity, previous);
    if (keep) {
        row_base(row)->version = event->version;
        row_base(row)->modified_at = (ku_optional_time){true, event->at};
        row_base(row)->modified_by_id = (ku_optional_str){true, event->user};
        row_base(row)->is_deleted = true;
        row_base(row)->deleted_at = (ku_optional_time){true, event->at};
        row_base(row)->deleted_by_id = (ku_optional_str){true, event->user};
    }
    status = write_row(scope, entity, row, event, !keep);
    if (status == KU_OK)
        reply_delete(reply, entity, previous, event);
    return status;
}

ku_status entity_delete(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply)
{
    return end_row(scope, entity, id, KU_DELETED, false, entity->entity->soft_delete, reply);
}

ku_status entity_forget(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply)
{
    return end_row(scope, entity, id, KU_FORGOTTEN, true, false, reply);
}

ku_status entity_restore(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply)
{
    void *previous = NULL;
    const ku_event *event = NULL;

    if (!entity->entity->soft_delete) {
        ku_status refused =
            ku_refuse(scope, "soft_delete_not_enabled", "unprocessable: soft_delete_not_enabled");
        scope->error.i18n_key = KU_STR("errors.softDeleteNotEnabled");
        return refused;
    }
    work_prefetch_stream(scope, id);
    ku_status status = entity_find(scope, entity, id, true, &previous);
    if (status != KU_OK)
        return status;
    if (!row_base(previous)->is_deleted) {
        status = ku_refuse(scope, "not_deleted", "unprocessable: not_deleted");
        scope->error.i18n_key = KU_STR("errors.notDeleted");
        return status;
    }
    void *row = copy_row(scope, entity, previous);
    const ku_change change = {.row = row_own(entity, row), .previous = row_own(entity, previous)};
    status = append_automatic(scope, entity, id, KU_RESTORED,
        encode_previous(scope, entity, NULL, previous), &change, (ku_optional_int64){0}, &event);
    if (status != KU_OK)
        return status;
    row_base(row)->version = event->version;
    row_base(row)->modified_at = (ku_optional_time){true, event->at};
    row_base(row)->modified_by_id = (ku_optional_str){true, event->user};
    row_base(row)->is_deleted = false;
    row_base(row)->deleted_at = (ku_optional_time){.set = false};
    row_base(row)->deleted_by_id = (ku_optional_str){.set = false};
    status = write_row(scope, entity, row, event, false);
    if (status == KU_OK)
        reply_save(reply, entity, row, KU_STR("{\"isDeleted\":false}"), previous, event);
    return status;
}

/* ---- the typed face -------------------------------------------------------------------------- */

static uint64_t given_in(const ku_shape *shape, const void *own)
{
    uint64_t given = 0;

    for (size_t i = 0; i < shape->n_fields; i++) {
        if (field_is_set(&shape->fields[i], own))
            given |= UINT64_C(1) << i;
    }
    return given;
}

ku_status ku_entity_create(ku_scope *scope, const ku_entity *entity, ku_id id, const void *row,
    struct ku_reply *reply, ku_id *ret_id)
{
    ku_status status;
    const entity_entry *entry = entry_of(scope, entity, &status);

    if (status == KU_OK)
        status = shape_check(scope, &entity->row, row, KU_STR(""));
    if (status != KU_OK)
        return status;
    return entity_create(scope, entry, id, row, given_in(&entity->row, row), reply, ret_id);
}

/* Only the named columns of the struct mean something, so only they are checked. */
static ku_status check_columns(ku_scope *scope, const ku_entity *entity, const char *const *columns,
    const void *row, uint64_t *ret_given)
{
    ku_status status = KU_OK;
    uint64_t given = 0;

    for (size_t i = 0; columns[i] != NULL; i++) {
        int field = shape_find_column(&entity->row, ku_str_from(columns[i]));
        if (field < 0)
            return scope_fail(
                scope, KU_INTERNAL, "entity %s has no field %s", entity->name, columns[i]);
        const ku_shape one = {.name = entity->row.name,
            .size = entity->row.size,
            .fields = &entity->row.fields[field],
            .n_fields = 1};
        ku_status checked = shape_check(scope, &one, row, KU_STR(""));
        status = status == KU_OK ? checked : status;
        given |= UINT64_C(1) << field;
    }
    *ret_given = given;
    return status;
}

ku_status ku_entity_update(ku_scope *scope, const ku_entity *entity, ku_id id,
    int64_t expected_version, const char *const *columns, const void *row, struct ku_reply *reply)
{
    ku_status status;
    const entity_entry *entry = entry_of(scope, entity, &status);
    uint64_t given = 0;

    if (status == KU_OK)
        status = check_columns(scope, entity, columns, row, &given);
    if (status != KU_OK)
        return status;
    return entity_update(scope, entry, id, KU_VERSION(expected_version), row, given, reply);
}

ku_status ku_entity_delete(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply)
{
    ku_status status;
    const entity_entry *entry = entry_of(scope, entity, &status);

    return status == KU_OK ? entity_delete(scope, entry, id, reply) : status;
}

ku_status ku_entity_restore(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply)
{
    ku_status status;
    const entity_entry *entry = entry_of(scope, entity, &status);

    return status == KU_OK ? entity_restore(scope, entry, id, reply) : status;
}

ku_status ku_entity_forget(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply)
{
    ku_status status;
    const entity_entry *entry = entry_of(scope, entity, &status);

    return status == KU_OK ? entity_forget(scope, entry, id, reply) : status;
}

ku_status ku_entity_get(ku_scope *scope, const ku_entity *entity, ku_id id, void *ret_row)
{
    const entity_entry *entry = registry_entity(&scope->app->registry, entity);
    void *row = NULL;

    if (entry == NULL || entry->table == NULL)
        return scope_fail(
            scope, KU_INTERNAL, "entity %s is not registered or has no row", entity->name);
    ku_status status = entity_find(scope, entry, id, false, &row);
    if (status == KU_OK)
        memcpy(ret_row, row_own(entry, row), entity->row.size);
    return status;
}
