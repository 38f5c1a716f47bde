/*
 * `<entity>:list`: its input, checked, as a query over the entity's table (behaviour §8).
 */
#include "app/entity.h"

#include "app/row_query.h"
#include "base/limits.h"

#include <string.h>

static const char *const directions[] = {"asc", "desc", NULL};
static const char *const operators[] = {"eq", "ne", "lt", "gt", "in", NULL};

typedef struct filter_input {
    ku_str field;
    int op;
    ku_raw value;
} filter_input;
static const ku_field filter_input_fields[] = {
    KU_FIELD(filter_input, field),
    KU_FIELD(filter_input, op, .names = operators),
    KU_FIELD(filter_input, value),
};
static const ku_shape filter_input_shape = KU_SHAPE(filter_input);

typedef struct list_input {
    ku_optional_str cursor;
    ku_optional_double limit; /* a number of any kind: what is wrong with it has its own reason */
    ku_optional_double offset;
    ku_optional_str search;
    ku_optional_str sort;
    ku_optional_enum sort_direction;
    ku_optional_bool total_count;
    ku_optional_bool include_deleted;
    ku_optional_list filters;
} list_input;
static const ku_field list_input_fields[] = {
    KU_FIELD(list_input, cursor, .flags = KU_NULLABLE),
    KU_FIELD(list_input, limit),
    KU_FIELD(list_input, offset),
    KU_FIELD(list_input, search),
    KU_FIELD(list_input, sort),
    KU_FIELD(list_input, sort_direction, .names = directions),
    KU_FIELD(list_input, total_count),
    KU_FIELD(list_input, include_deleted),
    KU_FIELD(list_input, filters, .of = &filter_input_shape,
        .length = KU_BETWEEN(0, LIMIT_LIST_FILTERS)),
};
static const ku_shape list_input_shape = KU_SHAPE(list_input);

static ku_status whole_number(ku_scope *scope, ku_optional_double given, int64_t if_missing,
    int64_t max, const char *reason, int64_t *ret_value)
{
    if (!given.set) {
        *ret_value = if_missing;
        return KU_OK;
    }
    bool fits = given.value >= 0 && given.value <= (double)max;
    if (!fits || (double)(int64_t)given.value != given.value)
        return ku_refuse(scope, reason, "unprocessable: %s", reason);
    *ret_value = (int64_t)given.value;
    return KU_OK;
}

/* A field that the caller may see, by its wire name; an issue otherwise. */
static int find_field(
    ku_scope *scope, const entity_entry *entity, ku_str name, ku_str path, ku_status *ret_status)
{
    const ku_shape *shape = &entity->table->row;
    int field = shape_find_wire(shape, name);
    buffer params = {.arena = &scope->arena};

    if (field >= 0 && row_is_column(entity->table, (size_t)field) &&
        field_allowed(scope, &shape->fields[field], false))
        return field;
    buffer_add_text(&params, "{\"values\":[");
    for (size_t i = 0, n = 0; i < shape->n_fields; i++) {
        if (!row_is_column(entity->table, i) || !field_allowed(scope, &shape->fields[i], false))
            continue;
        buffer_add_text(&params, n++ > 0 ? "," : "");
        json_put_text(&params, field_wire_name(&shape->fields[i]));
    }
    buffer_add_text(&params, "]}");
    *ret_status = scope_issue(scope, path, "invalid_value", buffer_str(&params));
    return -1;
}

static ku_status read_filter(ku_scope *scope, const entity_entry *entity, const filter_input *input,
    const ku_json *value, ku_str path, row_filter *ret_filter)
{
    ku_status status = KU_OK;
    ku_str at = arena_format(&scope->arena, "%" KU_PRI ".field", KU_FMT(path));
    int field = find_field(scope, entity, input->field, at, &status);

    if (field >= 0)
        *ret_filter = (row_filter){.field = &entity->table->row.fields[field],
            .op = (ku_op)input->op,
            .value = value,
            .path = path};
    return status;
}

static ku_status read_filters(ku_scope *scope, const entity_entry *entity, const ku_json *payload,
    const list_input *input, row_filter *filters, size_t *ret_count)
{
    const ku_json *one = ku_json_get(payload, "filter");
    const ku_json *list = ku_json_get(payload, "filters");
    const filter_input *items = input->filters.value.items;
    ku_status status = KU_OK;
    size_t n = 0;

    if (one != NULL) {
        filter_input single;
        status = shape_decode(scope, &filter_input_shape, one, KU_STR("filter."), &single);
        if (status == KU_OK)
            status = read_filter(
                scope, entity, &single, ku_json_get(one, "value"), KU_STR("filter"), &filters[n++]);
    }
    for (size_t i = 0; input->filters.set && i < input->filters.value.count; i++) {
        ku_str path = arena_format(&scope->arena, "filters.%zu", i);
        ku_status read = read_filter(scope, entity, &items[i],
            ku_json_get(ku_json_at(list, i), "value"), path, &filters[n++]);
        status = status == KU_OK ? read : status;
    }
    *ret_count = n;
    return status;
}

ku_status entity_list(
    ku_scope *scope, const entity_entry *entity, const ku_json *payload, ku_reply *reply)
{
    list_input input;
    row_filter filters[LIMIT_LIST_FILTERS + 1]; /* `filters`, and `filter` */
    row_query query = {.sort = -1, .with_system = true, .filters = filters};
    row_page page;

    ku_status status = shape_decode(scope, &list_input_shape, payload, KU_STR(""), &input);
    if (status != KU_OK)
        return status;
    if (input.search.set && input.search.value.len > 0)
        return ku_refuse(
            scope, "search_adapter_not_wired", "unprocessable: search_adapter_not_wired");
    status = whole_number(scope, input.limit, LIMIT_LIST_DEFAULT, LIMIT_LIST_PAGE,
        "invalid_list_limit", &query.limit);
    if (status == KU_OK)
        status = whole_number(
            scope, input.offset, 0, INT64_C(1) << 53, "invalid_list_offset", &query.offset);
    if (status != KU_OK)
        return status;
    status = read_filters(scope, entity, payload, &input, filters, &query.n_filters);
    if (input.sort.set) {
        ku_status sorted = KU_OK;
        query.sort = find_field(scope, entity, input.sort.value, KU_STR("sort"), &sorted);
        status = status == KU_OK ? sorted : status;
    }
    if (status != KU_OK)
        return status;
    if (query.sort >= 0 && query.sort == entity->table->key[0])
        query.sort = -1; /* by id is the order of the key */
    query.descending = input.sort_direction.set && input.sort_direction.value == 1;
    query.cursor = input.cursor.set ? input.cursor.value : KU_STR("");
    query.count = input.total_count.set && input.total_count.value;
    if (entity->entity->soft_delete && !(input.include_deleted.set && input.include_deleted.value))
        query.condition = KU_STR(" AND NOT is_deleted");
    status = row_query_run(scope, entity->table, &query, &page);
    if (status == KU_OK)
        *reply = (ku_reply){.kind = REPLY_PAGE,
            .entity = entity,
            .value = page.rows,
            .count = page.count,
            .next_cursor = page.next_cursor,
            .with_total = query.count,
            .total = page.total};
    return status;
}
