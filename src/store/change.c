/*
 * Automatic events.
 *
 *     created                       {field: value, …}                      row
 *     updated                       {"changes": {…}, "previous": {…}}      previous, overlaid
 *     restored                      {"previous": {…}}                      previous, which is back
 *     deleted, forgotten            {"previous": {…}}                      none
 *
 * A null says "not set" whatever the field's flags say, so members that are null are taken out
 * before decoding; in `changes` they count as given.
 */
#include "store/change.h"

#include "shape/shape.h"

#include <string.h>

/* Takes the null members out; bit i of the result says that the i-th field was among them. */
static uint64_t remove_nulls(const ku_shape *row, ku_json *object)
{
    uint64_t given = 0;
    ku_json *last = NULL, *next;

    for (ku_json *member = object->first; member != NULL; member = next) {
        next = member->next;
        if (member->kind != KU_JSON_NULL) {
            last = member;
            continue;
        }
        int index = shape_find_wire(row, member->key);
        if (index >= 0)
            given |= UINT64_C(1) << index;
        if (last != NULL)
            last->next = next;
        else
            object->first = next;
        object->count--;
    }
    object->last = last;
    return given;
}

/* A row from an object; an absent object is a row of zeroes. */
static ku_status decode_row(ku_scope *scope, const ku_shape *row, ku_json *object,
    const char *prefix, void **ret_row, uint64_t *ret_given)
{
    uint64_t nulls = 0, given = 0;
    void *struct_ = ku_alloc(scope, row->size);

    if (object != NULL && object->kind == KU_JSON_OBJECT) {
        nulls = remove_nulls(row, object);
        ku_status status =
            shape_decode_stored(scope, row, object, ku_str_from(prefix), struct_, &given);
        if (status != KU_OK)
            return status;
    }
    *ret_row = struct_;
    *ret_given = given | nulls;
    return KU_OK;
}

static void *overlay(ku_scope *scope, const ku_shape *shape, const void *previous,
    const void *changes, uint64_t given)
{
    char *row = ku_alloc(scope, shape->size);

    memcpy(row, previous, shape->size);
    for (size_t i = 0; i < shape->n_fields; i++)
        if ((given >> i & 1) != 0)
            field_copy(&shape->fields[i], row, changes);
    return row;
}

ku_status change_decode(
    ku_scope *scope, const event_def *def, ku_json *payload, const ku_change **ret_change)
{
    const ku_shape *shape = &def->entity->row;
    ku_change *change = ku_alloc(scope, sizeof(*change));
    void *row = NULL, *previous = NULL;
    uint64_t given = 0, ignored = 0;
    ku_status status;

    if (def->verb == KU_CREATED) {
        status = decode_row(scope, shape, payload, "", &row, &given);
    } else {
        status = decode_row(
            scope, shape, ku_json_get(payload, "previous"), "previous.", &previous, &ignored);
        if (status == KU_OK && def->verb == KU_UPDATED) {
            void *changes = NULL;
            status = decode_row(
                scope, shape, ku_json_get(payload, "changes"), "changes.", &changes, &given);
            if (status == KU_OK)
                row = overlay(scope, shape, previous, changes, given);
        } else if (status == KU_OK && def->verb == KU_RESTORED) {
            row = previous;
        }
    }
    if (status != KU_OK)
        return status;
    *change = (ku_change){.row = row, .previous = previous, .changed = given};
    *ret_change = change;
    return KU_OK;
}
