/*
 * Entities, the part that typed functions and standard handlers share: a row, what was given of it,
 * and the verb (behaviour §5).
 */
#ifndef KU_APP_ENTITY_H
#define KU_APP_ENTITY_H

#include "app/reply.h"
#include "app/state.h"

/* The library's part and the entity's own part of a whole row. */
static inline entity_base *row_base(void *row)
{
    return row;
}
static inline void *row_own(const entity_entry *entity, const void *row)
{
    return (char *)row + entity->row_offset;
}

/* `own` is the entity's struct; bit i of `given`: its i-th field was given. */
ku_status entity_create(ku_scope *scope, const entity_entry *entity, ku_id id, const void *own,
    uint64_t given, ku_reply *reply, ku_id *ret_id);
/* `expected_version` not set: whatever the version is. */
ku_status entity_update(ku_scope *scope, const entity_entry *entity, ku_id id,
    ku_optional_int64 expected_version, const void *own, uint64_t given, ku_reply *reply);
ku_status entity_delete(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply);
ku_status entity_restore(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply);
ku_status entity_forget(ku_scope *scope, const entity_entry *entity, ku_id id, ku_reply *reply);
/* The whole row; KU_NOT_FOUND with its error if it is absent or (unless `deleted_too`) marked. */
ku_status entity_find(
    ku_scope *scope, const entity_entry *entity, ku_id id, bool deleted_too, void **ret_row);

/* entity_list.c: lists with filters, sort and cursor (behaviour §8). */
ku_status entity_list(
    ku_scope *scope, const entity_entry *entity, const ku_json *payload, ku_reply *reply);

#endif
