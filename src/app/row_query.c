/*
 * Queries over read tables, the composing.
 *
 * Order is always `<sort> <direction>, <key> ASC`, nulls last when ascending and first when
 * descending (PostgreSQL's default, written out because SQLite's differs).  A cursor names the last
 * row of the page before: base64url of its id or, with a sort, of {"v": value, "i": id}; for keys
 * of several columns `i` is an array.  The next page begins behind it even if rows came or went.
 */
#include "app/row_query.h"

#include "app/rows.h"
#include "app/state.h"
#include "base/limits.h"

#include <string.h>

enum { BINDS_MAX = 4 + LIMIT_LIST_FILTERS + LIMIT_FILTER_IN * 4 + ROW_KEY_MAX * 3 };

const ku_id row_system_tenant = {
    {0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0}
};

typedef struct composer {
    ku_scope *scope;
    const row_table *t;
    const row_query *q;
    buffer where;
    db_value binds[BINDS_MAX];
    size_t n_binds;
} composer;

static ku_status add_bind(composer *c, db_value value)
{
    if (c->n_binds == BINDS_MAX)
        return scope_fail(c->scope, KU_INVALID, "too many values in the filters");
    c->binds[c->n_binds++] = value;
    buffer_format(&c->where, "$%zu", c->n_binds);
    return KU_OK;
}

static void add_name(composer *c, const ku_field *field)
{
    db_quote_name(&c->where, ku_str_from(field->name));
}

/* A JSON value as a value of the field's column, by the field's own rules. */
static ku_status value_for(
    composer *c, const ku_field *field, const ku_json *json, ku_str path, db_value *ret_value)
{
    /* Decoded as the one member of an object, by the field's own rules. */
    const ku_shape one = {.name = field->name, .size = 0, .fields = field, .n_fields = 1};
    void *row = arena_alloc(&c->scope->arena, c->t->row.size);
    ku_json *object = json_new(&c->scope->arena, KU_JSON_OBJECT);
    ku_json *copy = arena_alloc(&c->scope->arena, sizeof(*copy));

    *copy = *json;
    copy->next = NULL;
    json_append(object, field_wire_name(field), copy);
    uint64_t given = 0;
    ku_str prefix = arena_format(&c->scope->arena, "%" KU_PRI ".", KU_FMT(path));
    ku_status status = shape_decode_partial(c->scope, &one, object, prefix, row, &given);
    if (status == KU_OK)
        *ret_value = row_bind(&c->scope->arena, field, row);
    return status;
}

/* Clients see instants to the millisecond: a whole one is everything that happened in it. */
static bool is_millisecond(const ku_field *field, const db_value *value)
{
    return field->kind == KU_KIND_TIME && value->kind == DB_INT && value->integer % 1000 == 0;
}

static ku_status add_millisecond(composer *c, const ku_field *field, bool inside, db_value value)
{
    add_name(c, field);
    buffer_add_text(&c->where, inside ? " BETWEEN " : " NOT BETWEEN ");
    ku_status status = add_bind(c, value);
    buffer_add_text(&c->where, " AND ");
    value.integer += 999;
    return status == KU_OK ? add_bind(c, value) : status;
}

static ku_status add_comparison(composer *c, const row_filter *f)
{
    static const char *const operators[] = {" = ", " <> ", " < ", " > "};
    db_value value = db_null();
    bool is_null = ku_json_kind_of(f->value) == KU_JSON_NULL;

    if (is_null) {
        add_name(c, f->field);
        /* Nothing is less or greater than null. */
        buffer_add_text(&c->where, f->op == KU_EQ   ? " IS NULL"
                                   : f->op == KU_NE ? " IS NOT NULL"
                                                    : " IS NULL AND 1 = 0");
        return KU_OK;
    }
    ku_status status = value_for(c, f->field, f->value, f->path, &value);
    if (status != KU_OK)
        return status;
    if (is_millisecond(f->field, &value) && (f->op == KU_EQ || f->op == KU_NE))
        return add_millisecond(c, f->field, f->op == KU_EQ, value);
    if (is_millisecond(f->field, &value) && f->op == KU_GT)
        value.integer += 999;
    add_name(c, f->field);
    buffer_add_text(&c->where, operators[f->op]);
    return add_bind(c, value);
}

static ku_status add_instant(composer *c, const ku_field *field, db_value value)
{
    if (is_millisecond(field, &value))
        return add_millisecond(c, field, true, value);
    add_name(c, field);
    buffer_add_text(&c->where, " = ");
    return add_bind(c, value);
}

static ku_status add_in(composer *c, const row_filter *f)
{
    ku_status status = KU_OK;

    if (ku_json_kind_of(f->value) != KU_JSON_ARRAY)
        return scope_issue(c->scope,
            arena_format(&c->scope->arena, "%" KU_PRI ".value", KU_FMT(f->path)), "invalid_type",
            KU_STR("{\"expected\":\"array\"}"));
    if (ku_json_count(f->value) > LIMIT_FILTER_IN)
        return scope_issue(c->scope,
            arena_format(&c->scope->arena, "%" KU_PRI ".value", KU_FMT(f->path)), "too_big",
            arena_format(&c->scope->arena, "{\"maximum\":%d,\"inclusive\":true}", LIMIT_FILTER_IN));
    if (ku_json_count(f->value) == 0) {
        buffer_add_text(&c->where, "1 = 0");
        return KU_OK;
    }
    bool is_time = f->field->kind == KU_KIND_TIME; /* each value may be a range */
    if (!is_time)
        add_name(c, f->field);
    buffer_add_text(&c->where, is_time ? "(" : " IN (");
    for (const ku_json *item = f->value->first; item != NULL && status == KU_OK;
         item = item->next) {
        db_value value = db_null();
        if (item != f->value->first)
            buffer_add_text(&c->where, is_time ? " OR " : ", ");
        status = value_for(c, f->field, item, f->path, &value);
        if (status == KU_OK && is_time)
            status = add_instant(c, f->field, value);
        else if (status == KU_OK)
            status = add_bind(c, value);
    }
    buffer_add_char(&c->where, ')');
    return status;
}

static ku_status add_filters(composer *c)
{
    ku_status status = KU_OK;

    for (size_t i = 0; i < c->q->n_filters; i++) {
        const row_filter *f = &c->q->filters[i];
        buffer_add_text(&c->where, " AND ");
        ku_status one = f->op == KU_IN ? add_in(c, f) : add_comparison(c, f);
        status = status == KU_OK ? one : status;
    }
    return status;
}

/* ---- cursors --------------------------------------------------------------------------------- */

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static ku_str encode_base64url(arena *a, ku_str bytes)
{
    buffer b = {.arena = a};
    uint32_t bits = 0;
    int n_bits = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.ptr[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            buffer_add_char(&b, base64url[(bits >> (n_bits - 6)) & 63]);
    }
    if (n_bits > 0)
        buffer_add_char(&b, base64url[(bits << (6 - n_bits)) & 63]);
    return buffer_str(&b);
}

static bool decode_base64url(arena *a, ku_str text, ku_str *ret_bytes)
{
    buffer b = {.arena = a};
    uint32_t bits = 0;
    int n_bits = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] == '\0' ? NULL : strchr(base64url, text.ptr[i]);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - base64url);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buffer_add_char(&b, (char)(bits >> n_bits & 255));
        }
    }
    *ret_bytes = buffer_str(&b);
    return true;
}

/* As on the wire, but instants to the microsecond, which the order knows, too. */
static void put_cursor_value(buffer *b, const ku_field *field, const void *row)
{
    if (field->kind != KU_KIND_TIME || !field_is_set(field, row)) {
        field_encode(b, field, row);
        return;
    }
    ku_time at = *(const ku_time *)field_value(field, row);
    int64_t micros = (at.unix_us % 1000 + 1000) % 1000;
    char text[25];
    ku_time_format((ku_time){at.unix_us - micros}, text);
    buffer_format(b, "\"%.23s%03dZ\"", text, (int)micros);
}

static void put_cursor_key(buffer *b, const row_table *t, const void *row)
{
    if (t->n_key > 1)
        buffer_add_char(b, '[');
    for (size_t i = 0; i < t->n_key; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        put_cursor_value(b, &t->row.fields[t->key[i]], row);
    }
    if (t->n_key > 1)
        buffer_add_char(b, ']');
}

static ku_str make_cursor(const composer *c, const void *row)
{
    const row_table *t = c->t;
    buffer b = {.arena = &c->scope->arena};

    if (c->q->sort < 0 && t->n_key == 1) {
        put_cursor_key(&b, t, row);
        ku_str key = buffer_str(&b);
        if (key.len >= 2 && key.ptr[0] == '"' && t->row.fields[t->key[0]].kind == KU_KIND_ID)
            key = (ku_str){key.ptr + 1, key.len - 2}; /* an id stands there bare */
        return encode_base64url(&c->scope->arena, key);
    }
    buffer_add_text(&b, "{\"v\":");
    if (c->q->sort >= 0)
        put_cursor_value(&b, &t->row.fields[c->q->sort], row);
    else
        buffer_add_text(&b, "null");
    buffer_add_text(&b, ",\"i\":");
    put_cursor_key(&b, t, row);
    buffer_add_char(&b, '}');
    return encode_base64url(&c->scope->arena, buffer_str(&b));
}

static ku_status bad_cursor(composer *c)
{
    return scope_issue(
        c->scope, KU_STR("cursor"), "invalid_format", KU_STR("{\"format\":\"cursor\"}"));
}

/* From a cursor's text: the sort's value (NULL: none) and the key's values. */
static ku_status read_cursor(
    composer *c, const ku_json **ret_value, const ku_json *ret_keys[ROW_KEY_MAX])
{
    const row_table *t = c->t;
    arena *a = &c->scope->arena;
    ku_str text;
    ku_json *json = NULL;
    json_error error;

    if (!decode_base64url(a, c->q->cursor, &text))
        return bad_cursor(c);
    if (c->q->sort < 0 && t->n_key == 1) {
        if (t->row.fields[t->key[0]].kind == KU_KIND_ID)
            ret_keys[0] = json_new_text(a, text);
        else if (json_parse(a, text, 4, &json, &error))
            ret_keys[0] = json;
        else
            return bad_cursor(c);
        return KU_OK;
    }
    if (!json_parse(a, text, 4, &json, &error))
        return bad_cursor(c);
    const ku_json *keys = ku_json_get(json, "i");
    *ret_value = ku_json_get(json, "v");
    if (keys == NULL || *ret_value == NULL)
        return bad_cursor(c);
    if (t->n_key == 1) {
        ret_keys[0] = keys;
        return KU_OK;
    }
    if (ku_json_kind_of(keys) != KU_JSON_ARRAY || ku_json_count(keys) != t->n_key)
        return bad_cursor(c);
    for (size_t i = 0; i < t->n_key; i++)
        ret_keys[i] = ku_json_at(keys, i);
    return KU_OK;
}

/* `(k1, k2) > ($a, $b)`: both engines compare rows. */
static ku_status add_key_behind(composer *c, const ku_json *const *keys)
{
    const row_table *t = c->t;

    buffer_add_char(&c->where, '(');
    for (size_t i = 0; i < t->n_key; i++) {
        buffer_add_text(&c->where, i > 0 ? ", " : "");
        add_name(c, &t->row.fields[t->key[i]]);
    }
    buffer_add_text(&c->where, c->q->sort < 0 && c->q->descending ? ") < (" : ") > (");
    for (size_t i = 0; i < t->n_key; i++) {
        db_value value = db_null();
        buffer_add_text(&c->where, i > 0 ? ", " : "");
        ku_status status =
            value_for(c, &t->row.fields[t->key[i]], keys[i], KU_STR("cursor"), &value);
        if (status == KU_OK)
            status = add_bind(c, value);
        if (status != KU_OK)
            return status;
    }
    buffer_add_char(&c->where, ')');
    return KU_OK;
}

static ku_status add_behind_null(composer *c, const ku_field *sort, const ku_json *const *keys)
{
    buffer_add_char(&c->where, '(');
    add_name(c, sort);
    buffer_add_text(&c->where, " IS NULL AND ");
    ku_status status = add_key_behind(c, keys);
    buffer_add_char(&c->where, ')');
    if (c->q->descending) { /* nulls came first */
        buffer_add_text(&c->where, " OR ");
        add_name(c, sort);
        buffer_add_text(&c->where, " IS NOT NULL");
    }
    return status;
}

static ku_status add_behind_value(
    composer *c, const ku_field *sort, const ku_json *value, const ku_json *const *keys)
{
    db_value bound = db_null();
    ku_status status = value_for(c, sort, value, KU_STR("cursor"), &bound);

    if (status != KU_OK)
        return status;
    add_name(c, sort);
    buffer_add_text(&c->where, c->q->descending ? " < " : " > ");
    status = add_bind(c, bound);
    if (!c->q->descending && sort->optional) { /* nulls are still to come */
        buffer_add_text(&c->where, " OR ");
        add_name(c, sort);
        buffer_add_text(&c->where, " IS NULL");
    }
    buffer_add_text(&c->where, " OR (");
    add_name(c, sort);
    buffer_add_text(&c->where, " = ");
    if (status == KU_OK)
        status = add_bind(c, bound);
    buffer_add_text(&c->where, " AND ");
    if (status == KU_OK)
        status = add_key_behind(c, keys);
    buffer_add_char(&c->where, ')');
    return status;
}

static ku_status add_cursor(composer *c)
{
    const ku_json *value = NULL;
    const ku_json *keys[ROW_KEY_MAX] = {NULL};
    ku_status status = read_cursor(c, &value, keys);

    if (status != KU_OK)
        return status;
    buffer_add_text(&c->where, " AND (");
    if (c->q->sort < 0)
        status = add_key_behind(c, keys);
    else if (ku_json_kind_of(value) == KU_JSON_NULL)
        status = add_behind_null(c, &c->t->row.fields[c->q->sort], keys);
    else
        status = add_behind_value(c, &c->t->row.fields[c->q->sort], value, keys);
    buffer_add_char(&c->where, ')');
    return status;
}

/* ---- running --------------------------------------------------------------------------------- */

static void add_order(buffer *b, const composer *c)
{
    const row_table *t = c->t;

    buffer_add_text(b, " ORDER BY ");
    if (c->q->sort >= 0) {
        db_quote_name(b, ku_str_from(t->row.fields[c->q->sort].name));
        buffer_add_text(b, c->q->descending ? " DESC NULLS FIRST, " : " ASC NULLS LAST, ");
    }
    for (size_t i = 0; i < t->n_key; i++) {
        buffer_add_text(b, i > 0 ? ", " : "");
        db_quote_name(b, ku_str_from(t->row.fields[t->key[i]].name));
        if (c->q->sort < 0 && c->q->descending)
            buffer_add_text(b, " DESC");
    }
}

static ku_status fetch_rows(composer *c, row_page *page)
{
    const row_table *t = c->t;
    ku_scope *scope = c->scope;
    buffer sql = {.arena = &scope->arena};
    db_rows rows = {0};
    size_t capacity = 0;
    bool found = false;

    buffer_add_text(&sql, "SELECT ");
    row_table_columns(&sql, t);
    buffer_add_text(&sql, t->tenant_field >= 0 ? ", tenant_id FROM " : " FROM ");
    db_quote_name(&sql, t->name);
    buffer_add_str(&sql, buffer_str(&c->where));
    add_order(&sql, c);
    bool skips = c->q->offset > 0 && c->q->cursor.len == 0;
    if (c->q->limit >= 0 || skips) /* SQLite knows OFFSET only behind LIMIT */
        buffer_format(
            &sql, " LIMIT %lld", (long long)(c->q->limit >= 0 ? c->q->limit : INT64_MAX / 2));
    if (skips)
        buffer_format(&sql, " OFFSET %lld", (long long)c->q->offset);
    ku_status status = db_query_text(scope->db, buffer_str(&sql), c->binds, c->n_binds, &rows);
    while (status == KU_OK && (status = db_next(&rows, &found)) == KU_OK && found) {
        if (page->count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            void *grown = arena_alloc(&scope->arena, capacity * t->row.size);
            if (page->count > 0)
                memcpy(grown, page->rows, page->count * t->row.size);
            page->rows = grown;
        }
        char *row = (char *)page->rows + page->count * t->row.size;
        status = row_read(scope, &scope->arena, t, &rows, row);
        if (t->tenant_field >= 0) { /* behind the columns; it may be the system's */
            ku_id tenant = db_column_id(&rows, (int)t->n_columns);
            memcpy(row + t->row.fields[t->tenant_field].offset, &tenant, sizeof(tenant));
        }
        page->count++;
        if (status == KU_OK && page->count % 256 == 0 && ku_scope_cancelled(scope))
            status = scope_fail(scope, KU_CANCELLED, "the caller has gone away");
    }
    db_rows_done(&rows);
    if (status != KU_OK && scope->error.status == KU_OK)
        return scope_fail(
            scope, status, "list %" KU_PRI ": %s", KU_FMT(t->name), db_error(scope->db));
    return status;
}

static ku_status count_rows(composer *c, int64_t *ret_total)
{
    ku_scope *scope = c->scope;
    buffer sql = {.arena = &scope->arena};
    db_rows rows = {0};
    bool found = false;

    buffer_add_text(&sql, "SELECT count(*) FROM ");
    db_quote_name(&sql, c->t->name);
    buffer_add_str(&sql, buffer_str(&c->where));
    ku_status status = db_query_text(scope->db, buffer_str(&sql), c->binds, c->n_binds, &rows);
    if (status == KU_OK)
        status = db_next(&rows, &found);
    if (status == KU_OK && found)
        *ret_total = db_column_int(&rows, 0);
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(
            scope, status, "count %" KU_PRI ": %s", KU_FMT(c->t->name), db_error(scope->db));
    return status;
}

ku_status row_query_run(
    ku_scope *scope, const row_table *t, const row_query *query, row_page *ret_page)
{
    composer *c = arena_alloc(&scope->arena, sizeof(*c));
    row_page page = {0};

    *c = (composer){.scope = scope, .t = t, .q = query, .where = {.arena = &scope->arena}};
    ku_status status = rows_flush_for_query(scope);
    if (status != KU_OK)
        return status;
    buffer_add_text(
        &c->where, query->with_system ? " WHERE tenant_id IN (" : " WHERE tenant_id = ");
    (void)add_bind(c, db_id(scope->tenant));
    if (query->with_system) {
        buffer_add_text(&c->where, ", ");
        (void)add_bind(c, db_id(row_system_tenant));
        buffer_add_char(&c->where, ')');
    }
    buffer_add_str(&c->where, query->condition);
    status = add_filters(c);
    /* Counted before the cursor narrows it: the total is of all that match. */
    if (status == KU_OK && query->count)
        status = count_rows(c, &page.total);
    if (status == KU_OK && query->cursor.len > 0)
        status = add_cursor(c);
    if (status == KU_OK)
        status = fetch_rows(c, &page);
    if (status != KU_OK)
        return status;
    if (query->limit > 0 && page.count == (size_t)query->limit)
        page.next_cursor = make_cursor(c, (const char *)page.rows + (page.count - 1) * t->row.size);
    *ret_page = page;
    return KU_OK;
}
