/*
 * The row verbs and projection queries that features call (kumiko/table.h).
 */
#include "app/row_query.h"
#include "app/rows.h"
#include "app/state.h"
#include "base/limits.h"

#include <string.h>

static const row_table *find_table(
    ku_scope *scope, const ku_table *table, bool write, ku_status *ret_status)
{
    const row_table *t = registry_table(&scope->app->registry, table);

    *ret_status = KU_OK;
    if (t == NULL)
        *ret_status = scope_fail(scope, KU_INTERNAL, "table %s is not registered", table->name);
    else if (write && scope->work == NULL)
        *ret_status = scope_fail(
            scope, KU_INTERNAL, "writing to %s belongs into a write, not a query", table->name);
    return t;
}

ku_status ku_row_get(ku_scope *scope, const ku_table *table, void *row)
{
    ku_status status;
    const row_table *t = find_table(scope, table, false, &status);

    return status == KU_OK ? rows_get(scope, t, row) : status;
}

ku_status ku_row_put(ku_scope *scope, const ku_table *table, const void *row)
{
    ku_status status;
    const row_table *t = find_table(scope, table, true, &status);

    return status == KU_OK ? rows_put(scope, t, row) : status;
}

ku_status ku_row_add(ku_scope *scope, const ku_table *table, const void *row)
{
    ku_status status;
    const row_table *t = find_table(scope, table, true, &status);

    return status == KU_OK ? rows_add(scope, t, row) : status;
}

ku_status ku_row_remove(ku_scope *scope, const ku_table *table, const void *row)
{
    ku_status status;
    const row_table *t = find_table(scope, table, true, &status);

    return status == KU_OK ? rows_remove(scope, t, row) : status;
}

ku_status ku_row_set(
    ku_scope *scope, const ku_table *table, const char *const *columns, const void *row)
{
    ku_status status;
    const row_table *t = find_table(scope, table, true, &status);

    if (status != KU_OK)
        return status;
    void *whole = arena_alloc(&scope->arena, t->row.size);
    memcpy(whole, row, t->row.size);
    status = rows_get(scope, t, whole);
    if (status == KU_NOT_FOUND)
        return KU_OK;
    for (size_t i = 0; status == KU_OK && columns[i] != NULL; i++) {
        int field = shape_find_column(&t->row, ku_str_from(columns[i]));
        if (field < 0)
            status = scope_fail(
                scope, KU_INTERNAL, "table %s has no column %s", table->name, columns[i]);
        else
            field_copy(&t->row.fields[field], whole, row);
    }
    return status == KU_OK ? rows_put(scope, t, whole) : status;
}

/* ---- queries --------------------------------------------------------------------------------- */

static ku_status unknown_column(ku_scope *scope, const char *name, ku_str path)
{
    buffer params = {.arena = &scope->arena};

    buffer_add_text(&params, "{\"received\":");
    json_put_text(&params, ku_str_from(name));
    buffer_add_char(&params, '}');
    return scope_issue(scope, path, "invalid_value", buffer_str(&params));
}

static ku_status read_filters(
    ku_scope *scope, const row_table *t, const ku_row_query *query, row_filter *filters)
{
    ku_status status = KU_OK;

    for (size_t i = 0; i < query->n_filters; i++) {
        const ku_filter *filter = &query->filters[i];
        ku_str path = arena_format(&scope->arena, "filters.%zu", i);
        int field = shape_find_column(&t->row, ku_str_from(filter->column));
        ku_json *value = NULL;
        ku_status one = field < 0 ? unknown_column(scope, filter->column, path)
                                  : ku_json_parse(scope, filter->value.json, &value);
        if (one == KU_OK)
            filters[i] = (row_filter){
                .field = &t->row.fields[field], .op = filter->op, .value = value, .path = path};
        status = status == KU_OK ? one : status;
    }
    return status;
}

ku_status ku_query_projection(
    ku_scope *scope, const ku_table *table, const ku_row_query *query, ku_page *ret_page)
{
    static const ku_row_query all = {.n_filters = 0};
    const ku_row_query *q = query != NULL ? query : &all;
    ku_status status;
    const row_table *t = find_table(scope, table, false, &status);
    row_page page;

    if (status == KU_OK && q->n_filters > LIMIT_LIST_FILTERS)
        status = scope_fail(scope, KU_INVALID, "more than %d filters", LIMIT_LIST_FILTERS);
    if (status != KU_OK)
        return status;
    row_filter *filters = arena_alloc(&scope->arena, (q->n_filters + 1) * sizeof(*filters));
    status = read_filters(scope, t, q, filters);
    int sort = q->sort != NULL ? shape_find_column(&t->row, ku_str_from(q->sort)) : -1;
    if (q->sort != NULL && sort < 0)
        status = unknown_column(scope, q->sort, KU_STR("sort"));
    if (status != KU_OK)
        return status;
    const row_query run = {
        .filters = filters,
        .n_filters = q->n_filters,
        .sort = sort >= 0 && t->n_key == 1 && sort == t->key[0] ? -1 : sort,
        .descending = q->descending,
        .limit = q->limit > 0 ? q->limit : -1,
        .offset = q->offset,
        .cursor = q->cursor,
        .count = q->count,
    };
    status = row_query_run(scope, t, &run, &page);
    if (status == KU_OK)
        *ret_page = (ku_page){.rows = page.rows,
            .count = page.count,
            .next_cursor = page.next_cursor,
            .total = page.total};
    return status;
}
