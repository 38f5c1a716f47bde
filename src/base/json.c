/*
 * The tree: reading it and changing it.
 *
 * Children hang in a list, in order; objects and arrays here are small, and what is large is
 * walked, not searched.  A node belongs to one parent; setting a member links the node that is
 * given.
 */
#include "base/json.h"

#include "base/json_index.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/scope.h"

ku_json *json_new(arena *a, ku_json_kind kind)
{
    ku_json *json = arena_alloc(a, sizeof(*json));
    json->kind = kind;
    return json;
}

ku_json *json_new_text(arena *a, ku_str text)
{
    ku_json *json = json_new(a, KU_JSON_TEXT);
    json->text = arena_copy(a, text);
    return json;
}

ku_json *json_new_int(arena *a, int64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)value);
    ku_json *json = json_new(a, KU_JSON_NUMBER);
    json->text = arena_copy(a, (ku_str){digits, (size_t)len});
    return json;
}

void json_append(ku_json *parent, ku_str key, ku_json *child)
{
    child->key = key;
    child->next = NULL;
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

int json_depth(const ku_json *json)
{
    if (json->kind != KU_JSON_ARRAY && json->kind != KU_JSON_OBJECT)
        return 0;
    int deepest = 0;
    for (const ku_json *child = json->first; child != NULL; child = child->next) {
        int depth = json_depth(child);
        if (depth > deepest)
            deepest = depth;
    }
    return deepest + 1;
}

ku_json *json_member(const ku_json *object, ku_str name)
{
    if (object == NULL || object->kind != KU_JSON_OBJECT)
        return NULL;
    for (ku_json *member = object->first; member != NULL; member = member->next)
        if (ku_str_equal(member->key, name))
            return member;
    return NULL;
}

static bool children_equal(const ku_json *a, const ku_json *b)
{
    const ku_json *other = b->first;
    for (const ku_json *child = a->first; child != NULL; child = child->next) {
        const ku_json *match = other;
        if (a->kind == KU_JSON_OBJECT && !ku_str_equal(child->key, match->key))
            match = json_member(b, child->key);
        if (match == NULL || !json_equal(child, match))
            return false;
        other = other->next;
    }
    return true;
}

bool json_equal(const ku_json *a, const ku_json *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    switch (a->kind) {
    case KU_JSON_NULL:
        return true;
    case KU_JSON_BOOL:
        return a->boolean == b->boolean;
    case KU_JSON_NUMBER:
        return json_number_equal(a->text, b->text);
    case KU_JSON_TEXT:
        return ku_str_equal(a->text, b->text);
    case KU_JSON_ARRAY:
    case KU_JSON_OBJECT:
        return children_equal(a, b);
    }
    return false;
}

/* ---- public: reading ------------------------------------------------------------------------- */

ku_status ku_json_parse(ku_scope *scope, ku_str text, ku_json **ret_json)
{
    json_error error;
    if (json_parse(&scope->arena, text, LIMIT_JSON_DEPTH, ret_json, &error))
        return KU_OK;
    ku_str path = error.path.len > 0 ? error.path : KU_STR("(root)");
    ku_status status = scope_issue(scope, path, error.code, (ku_str){0});
    scope->error.message = ku_str_from(error.what);
    return status;
}

ku_str ku_json_write(ku_scope *scope, const ku_json *json)
{
    buffer out = {.arena = &scope->arena};
    json_put(&out, json);
    return buffer_str(&out);
}

ku_json_kind ku_json_kind_of(const ku_json *json)
{
    return json->kind;
}

ku_json *ku_json_get(const ku_json *object, const char *name)
{
    return json_member(object, ku_str_from(name));
}

ku_json *ku_json_at(const ku_json *array, size_t index)
{
    if (array == NULL || array->kind != KU_JSON_ARRAY || index >= array->count)
        return NULL;
    ku_json *item = array->first;
    while (index-- > 0)
        item = item->next;
    return item;
}

size_t ku_json_count(const ku_json *json)
{
    return json == NULL ? 0 : json->count;
}

static bool is_kind(const ku_json *json, ku_json_kind kind)
{
    return json != NULL && json->kind == kind;
}

bool ku_json_text(const ku_json *json, ku_str *ret_text)
{
    if (!is_kind(json, KU_JSON_TEXT))
        return false;
    *ret_text = json->text;
    return true;
}

bool ku_json_bool(const ku_json *json, bool *ret_value)
{
    if (!is_kind(json, KU_JSON_BOOL))
        return false;
    *ret_value = json->boolean;
    return true;
}

bool ku_json_int(const ku_json *json, int64_t *ret_value)
{
    return is_kind(json, KU_JSON_NUMBER) && json_number_int(json->text, ret_value) == JSON_WHOLE;
}

bool ku_json_double(const ku_json *json, double *ret_value)
{
    if (!is_kind(json, KU_JSON_NUMBER))
        return false;
    double value = json_number_double(json->text.ptr, json->text.len);
    if (!isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

bool ku_json_decimal(const ku_json *json, ku_decimal *ret_value)
{
    if (is_kind(json, KU_JSON_TEXT))
        return ku_decimal_parse(json->text, ret_value);
    return is_kind(json, KU_JSON_NUMBER) && json_number_decimal(json->text, ret_value);
}

/* ---- public: changing ------------------------------------------------------------------------ */

/* Takes a member out of the list; NULL if there is none with that name. */
static ku_json *unlink_member(ku_json *object, ku_str name)
{
    if (object == NULL || object->kind != KU_JSON_OBJECT)
        return NULL;
    ku_json *before = NULL;
    for (ku_json *member = object->first; member != NULL; before = member, member = member->next) {
        if (!ku_str_equal(member->key, name))
            continue;
        if (before != NULL)
            before->next = member->next;
        else
            object->first = member->next;
        if (object->last == member)
            object->last = before;
        object->count--;
        member->next = NULL;
        return member;
    }
    return NULL;
}

/* Puts a node where the member with that name is, or behind the others. */
static void put_member(arena *a, ku_json *object, ku_str name, ku_json *value)
{
    assert(object != NULL && object->kind == KU_JSON_OBJECT);
    ku_json *before = NULL, *member = object->first;
    while (member != NULL && !ku_str_equal(member->key, name)) {
        before = member;
        member = member->next;
    }
    if (member == value)
        return;
    if (member == NULL) {
        json_append(object, arena_copy(a, name), value);
        return;
    }
    value->key = member->key;
    value->next = member->next;
    if (before != NULL)
        before->next = value;
    else
        object->first = value;
    if (object->last == member)
        object->last = value;
}

void ku_json_set(ku_scope *scope, ku_json *object, const char *name, ku_json *value)
{
    assert(value != NULL);
    put_member(&scope->arena, object, ku_str_from(name), value);
}

void ku_json_set_text(ku_scope *scope, ku_json *object, const char *name, ku_str value)
{
    ku_json_set(scope, object, name, json_new_text(&scope->arena, value));
}

void ku_json_set_int(ku_scope *scope, ku_json *object, const char *name, int64_t value)
{
    ku_json_set(scope, object, name, json_new_int(&scope->arena, value));
}

void ku_json_set_bool(ku_scope *scope, ku_json *object, const char *name, bool value)
{
    ku_json *json = json_new(&scope->arena, KU_JSON_BOOL);
    json->boolean = value;
    ku_json_set(scope, object, name, json);
}

void ku_json_set_null(ku_scope *scope, ku_json *object, const char *name)
{
    ku_json_set(scope, object, name, json_new(&scope->arena, KU_JSON_NULL));
}

void ku_json_rename(ku_scope *scope, ku_json *object, const char *from, const char *to)
{
    if (strcmp(from, to) == 0)
        return;
    ku_json *member = json_member(object, ku_str_from(from));
    if (member == NULL)
        return;
    /* It keeps its place; what had the new name goes. */
    (void)unlink_member(object, ku_str_from(to));
    member->key = arena_copy(&scope->arena, ku_str_from(to));
}

void ku_json_remove(ku_json *object, const char *name)
{
    (void)unlink_member(object, ku_str_from(name));
}
