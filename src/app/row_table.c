/*
 * Tables and their statements, made from shapes.
 *
 * All of them are made once, when the application opens, from registered names only; nothing that a
 * client sends ever becomes part of a statement's text.  `tenant_id` is the first column of each,
 * the key's columns follow, then all others in the order of the shape.
 */
#include "app/row_table.h"

#include "base/limits.h"

#include <assert.h>
#include <string.h>

static const ku_field base_fields[] = {
    KU_FIELD(entity_base, id, .flags = KU_KEY),
    KU_FIELD(entity_base, tenant_id),
    KU_FIELD(entity_base, version),
    KU_FIELD(entity_base, inserted_at),
    KU_FIELD(entity_base, modified_at),
    KU_FIELD(entity_base, inserted_by_id),
    KU_FIELD(entity_base, modified_by_id),
    KU_FIELD(entity_base, is_deleted),
    KU_FIELD(entity_base, deleted_at),
    KU_FIELD(entity_base, deleted_by_id),
};
enum { BASE_FIELDS = KU_COUNT(base_fields), BASE_FIELDS_HARD = BASE_FIELDS - 3 };

bool row_is_column(const row_table *t, size_t field)
{
    return (int)field != t->tenant_field;
}

static bool is_key(const row_table *t, size_t field)
{
    return (t->row.fields[field].flags & KU_KEY) != 0;
}

void row_table_columns(buffer *b, const row_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        buffer_add_text(b, i > 0 ? ", " : "");
        db_quote_name(b, ku_str_from(t->row.fields[t->columns[i]].name));
    }
}

static size_t count_list(const char *const *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != NULL)
        n++;
    return n;
}

static db_index make_index(arena *a, const row_table *t, const char *const *columns, bool unique)
{
    size_t n = count_list(columns);
    ku_str *names = arena_alloc(a, (n + 1) * sizeof(*names));
    buffer name = {.arena = a};

    names[0] = KU_STR("tenant_id");
    buffer_add_str(&name, t->name);
    for (size_t i = 0; i < n; i++) {
        names[i + 1] = ku_str_from(columns[i]);
        buffer_format(&name, "_%s", columns[i]);
    }
    buffer_add_text(&name, unique ? "_uq" : "_idx");
    return (db_index){
        .name = buffer_str(&name), .columns = names, .n_columns = n + 1, .unique = unique};
}

static void make_indexes(arena *a, row_table *t)
{
    const ku_index *indexes = t->table != NULL ? t->table->indexes : NULL;
    const ku_unique *unique = t->entity != NULL ? t->entity->unique : NULL;
    size_t n_indexes = 0, n_unique = 0;

    while (indexes != NULL && indexes[n_indexes].columns != NULL)
        n_indexes++;
    while (unique != NULL && unique[n_unique].columns != NULL)
        n_unique++;
    db_index *list = arena_alloc(a, (n_indexes + n_unique + 1) * sizeof(*list));
    for (size_t i = 0; i < n_indexes; i++)
        list[i] = make_index(a, t, indexes[i].columns, false);
    for (size_t i = 0; i < n_unique; i++)
        list[n_indexes + i] = make_index(a, t, unique[i].columns, true);
    t->table_there.indexes = list;
    t->table_there.n_indexes = n_indexes + n_unique;
}

static void make_columns(arena *a, row_table *t)
{
    db_column *columns = arena_alloc(a, (t->row.n_fields + 1) * sizeof(*columns));
    size_t n = 0;

    t->columns = arena_alloc(a, (t->row.n_fields + 1) * sizeof(*t->columns));
    for (int pass = 0; pass < 2; pass++) { /* the key's columns come first */
        for (size_t i = 0; i < t->row.n_fields; i++) {
            if (row_is_column(t, i) && is_key(t, i) == (pass == 0))
                t->columns[t->n_columns++] = (int)i;
        }
    }
    columns[n++] = (db_column){.name = KU_STR("tenant_id"), .kind = KU_KIND_ID};
    for (size_t i = 0; i < t->n_columns; i++) {
        const ku_field *field = &t->row.fields[t->columns[i]];
        columns[n++] = (db_column){.name = ku_str_from(field->name),
            .kind = (ku_kind)field->kind,
            .nullable = field->optional,
            .sum = (field->flags & KU_SUM) != 0,
            .scale = field->scale};
    }
    t->table_there.name = t->name;
    t->table_there.columns = columns;
    t->table_there.n_columns = n;
    t->table_there.n_key = t->n_key + 1;
}

static void finish_table(arena *a, row_table *t, db_catalog *statements, buffer *problems)
{
    for (size_t i = 0; i < t->row.n_fields; i++) {
        const ku_field *field = &t->row.fields[i];
        bool scalar = field->kind != KU_KIND_LIST && field->kind != KU_KIND_NESTED &&
                      field->kind != KU_KIND_RAW;
        if (is_key(t, i)) {
            if (field->optional || !scalar)
                buffer_format(problems, "table %" KU_PRI ": key column %s must be a plain value\n",
                    KU_FMT(t->name), field->name);
            if (t->n_key == ROW_KEY_MAX)
                buffer_format(problems, "table %" KU_PRI ": more than %d key columns\n",
                    KU_FMT(t->name), ROW_KEY_MAX);
            else
                t->key[t->n_key++] = (int)i;
        }
        if ((field->flags & KU_SUM) != 0) {
            if (field->optional || (field->kind != KU_KIND_INT && field->kind != KU_KIND_DOUBLE &&
                                       field->kind != KU_KIND_DECIMAL))
                buffer_format(problems, "table %" KU_PRI ": KU_SUM column %s is not a number\n",
                    KU_FMT(t->name), field->name);
        }
    }
    if (t->n_key == 0) {
        buffer_format(problems, "table %" KU_PRI ": no column has KU_KEY\n", KU_FMT(t->name));
        return;
    }
    make_columns(a, t);
    make_indexes(a, t);
    t->sql = db_catalog_add_table(statements, &t->table_there);
}

row_table *row_table_of(arena *a, const ku_table *table, db_catalog *statements, buffer *problems)
{
    row_table *t = arena_alloc(a, sizeof(*t));

    t->table = table;
    t->name = ku_str_from(table->name);
    t->row = table->row;
    t->tenant_field = -1;
    for (size_t i = 0; i < t->row.n_fields; i++) {
        if (strcmp(t->row.fields[i].name, "tenant_id") == 0)
            buffer_format(problems, "table %s: tenant_id is added by the library\n", table->name);
    }
    finish_table(a, t, statements, problems);
    return t;
}

/* `showcase-invoice` → `read_showcase_invoices` */
static ku_str default_table_name(arena *a, const char *entity)
{
    buffer b = {.arena = a};

    buffer_add_text(&b, "read_");
    for (const char *c = entity; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            buffer_add_char(&b, '_');
            buffer_add_char(&b, (char)(*c - 'A' + 'a'));
        } else {
            buffer_add_char(&b, *c == '-' || *c == '.' ? '_' : *c);
        }
    }
    buffer_add_char(&b, 's');
    return buffer_str(&b);
}

row_table *row_table_of_entity(arena *a, const ku_entity *entity, db_catalog *statements,
    size_t *ret_n_base, size_t *ret_row_offset, buffer *problems)
{
    row_table *t = arena_alloc(a, sizeof(*t));
    size_t n_base = entity->soft_delete ? BASE_FIELDS : BASE_FIELDS_HARD;
    size_t offset = (sizeof(entity_base) + 15) / 16 * 16;
    ku_field *fields = arena_alloc(a, (n_base + entity->row.n_fields) * sizeof(*fields));

    memcpy(fields, base_fields, n_base * sizeof(*fields));
    for (size_t i = 0; i < entity->row.n_fields; i++) {
        ku_field *field = &fields[n_base + i];
        *field = entity->row.fields[i];
        field->offset += offset;
        field->flags &= ~(unsigned)KU_KEY;
        for (size_t j = 0; j < BASE_FIELDS; j++) {
            if (strcmp(field->name, base_fields[j].name) == 0)
                buffer_format(problems, "entity %s: the row's field %s is the library's\n",
                    entity->name, field->name);
        }
    }
    t->entity = entity;
    t->name =
        entity->table != NULL ? ku_str_from(entity->table) : default_table_name(a, entity->name);
    t->row = (ku_shape){
        .name = entity->row.name,
        .size = offset + entity->row.size,
        .fields = fields,
        .n_fields = n_base + entity->row.n_fields,
    };
    t->tenant_field = 1;
    finish_table(a, t, statements, problems);
    *ret_n_base = n_base;
    *ret_row_offset = offset;
    return t;
}

/* ---- in the database ------------------------------------------------------------------------- */

ku_status row_table_ensure(const row_table *t, db *d, ku_error *ret_error)
{
    return db_ensure_table(d, &t->table_there, ret_error);
}

ku_status row_table_check(const row_table *t, db *d, ku_error *ret_error)
{
    return db_check_table(d, &t->table_there, ret_error);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void mark_set(const ku_field *field, void *row)
{
    if (field->optional)
        *(bool *)((char *)row + field->offset) = true; /* `set` is the first member of each */
}

db_value row_bind(arena *a, const ku_field *field, const void *row)
{
    const void *value = field_value(field, row);

    if (!field_is_set(field, row))
        return db_null();
    switch ((ku_kind)field->kind) {
    case KU_KIND_BOOL:
        return db_int(*(const bool *)value ? 1 : 0);
    case KU_KIND_INT:
        return db_int(*(const int64_t *)value);
    case KU_KIND_DOUBLE:
        /* Without the sign of zero, which SQLite does not keep. */
        return (db_value){
            .kind = DB_DOUBLE, .number = *(const double *)value == 0 ? 0 : *(const double *)value};
    case KU_KIND_TEXT:
        return db_text(*(const ku_str *)value);
    case KU_KIND_RAW:
        return db_text(((const ku_raw *)value)->json);
    case KU_KIND_ID:
        return db_id(*(const ku_id *)value);
    case KU_KIND_TIME:
        return db_int(((const ku_time *)value)->unix_us);
    case KU_KIND_ENUM:
        return db_text(ku_str_from(field->names[*(const int *)value]));
    case KU_KIND_DECIMAL: {
        ku_decimal decimal = *(const ku_decimal *)value;
        bool fits = ku_decimal_rescale(decimal, field->scale, &decimal);
        assert(fits); /* shape_check has seen the value */
        (void)fits;
        return db_int(decimal.units);
    }
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
    case KU_KIND_NONE:
        break;
    }
    buffer b = {.arena = a};
    field_encode(&b, field, row);
    return db_text(buffer_str(&b));
}

static ku_status read_json(
    ku_scope *scope, arena *memory, const ku_field *field, ku_str text, void *row)
{
    /* As the one member of an object it decodes by the field's own rules. */
    const ku_shape one = {.name = field->name, .size = 0, .fields = field, .n_fields = 1};
    ku_json *json = NULL;
    uint64_t given = 0;
    json_error error;

    if (!json_parse(memory, arena_copy(memory, text), LIMIT_JSON_DEPTH, &json, &error))
        return scope_fail(scope, KU_INTERNAL, "column %s is not JSON: %s", field->name, error.what);
    ku_json *object = json_new(memory, KU_JSON_OBJECT);
    json_append(object, field_wire_name(field), json);
    return shape_decode_stored(scope, &one, object, KU_STR(""), row, &given);
}

static ku_status read_enum(ku_scope *scope, const ku_field *field, ku_str text, int *ret_value)
{
    for (int i = 0; field->names[i] != NULL; i++) {
        if (ku_str_is(text, field->names[i])) {
            *ret_value = i;
            return KU_OK;
        }
    }
    return scope_fail(scope, KU_INTERNAL, "column %s holds `%" KU_PRI "`, which is no value of it",
        field->name, KU_FMT(text));
}

ku_status row_read_field(ku_scope *scope, arena *memory, const db_rows *rows, int column,
    const ku_field *field, void *row)
{
    void *value = (char *)row + ((const char *)field_value(field, row) - (const char *)row);

    if (db_is_null(rows, column))
        return KU_OK;
    mark_set(field, row);
    switch ((ku_kind)field->kind) {
    case KU_KIND_BOOL:
        *(bool *)value = db_column_int(rows, column) != 0;
        return KU_OK;
    case KU_KIND_INT:
        *(int64_t *)value = db_column_int(rows, column);
        return KU_OK;
    case KU_KIND_DOUBLE:
        *(double *)value = db_column_double(rows, column);
        return KU_OK;
    case KU_KIND_TEXT:
        *(ku_str *)value = arena_copy(memory, db_column_text(rows, column));
        return KU_OK;
    case KU_KIND_RAW:
        ((ku_raw *)value)->json = arena_copy(memory, db_column_text(rows, column));
        return KU_OK;
    case KU_KIND_ID:
        *(ku_id *)value = db_column_id(rows, column);
        return KU_OK;
    case KU_KIND_TIME:
        ((ku_time *)value)->unix_us = db_column_int(rows, column);
        return KU_OK;
    case KU_KIND_DECIMAL:
        *(ku_decimal *)value = (ku_decimal){db_column_int(rows, column), field->scale};
        return KU_OK;
    case KU_KIND_ENUM:
        return read_enum(scope, field, db_column_text(rows, column), value);
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
    case KU_KIND_NONE:
        break;
    }
    return read_json(scope, memory, field, db_column_text(rows, column), row);
}

ku_status row_read(
    ku_scope *scope, arena *memory, const row_table *t, const db_rows *rows, void *row)
{
    memset(row, 0, t->row.size);
    if (t->tenant_field >= 0)
        memcpy((char *)row + t->row.fields[t->tenant_field].offset, &scope->tenant, sizeof(ku_id));
    for (size_t i = 0; i < t->n_columns; i++) {
        const ku_field *field = &t->row.fields[t->columns[i]];
        ku_status status = row_read_field(scope, memory, rows, (int)i, field, row);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}
