/*
 * PostgreSQL: the tables of features.
 *
 * Two kinds may have one type there: a decimal is a bigint of units, JSON is a text as it was
 * written.  What the type does not say a comment on the column does (`kumiko decimal(2)`; people
 * may write more behind it), so that a change of kind or of scale is noticed when the program
 * starts.
 *
 * Texts are sorted by their bytes, as on SQLite.  A table whose rows belong to tenants gets the
 * wall between them (postgres_policy.c).  Every table has a column more, `ku_revision`: how often
 * the row was written.  Names have at most 63 bytes there; one that is made here, an index's, is
 * cut and told apart by a hash, one that is given is refused.
 */
#include "base/error.h"
#include "db/postgres.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 63 };

static const db_column revision = {
    .name = KU_STR_INIT("ku_revision"), .kind = KU_KIND_INT, .nullable = false, .scale = 0};

const char *postgres_type(const db_column *column)
{
    switch (column->kind) {
    case KU_KIND_BOOL:
        return "boolean";
    case KU_KIND_INT:
    case KU_KIND_DECIMAL:
        return "bigint";
    case KU_KIND_TIME:
        return "timestamptz";
    case KU_KIND_DOUBLE:
        return "double precision";
    case KU_KIND_ID:
        return "uuid";
    case KU_KIND_RAW:
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
    case KU_KIND_TEXT:
    case KU_KIND_ENUM:
    case KU_KIND_NONE:
        break;
    }
    return "text";
}

/* What the type does not say; empty: it says all. */
static void describe_kind(const db_column *column, char ret_kind[TABLE_TYPE_BYTES])
{
    ret_kind[0] = '\0';
    if (column->kind == KU_KIND_DECIMAL)
        snprintf(ret_kind, TABLE_TYPE_BYTES, "decimal(%d)", column->scale);
    else if (column->kind == KU_KIND_RAW || column->kind == KU_KIND_LIST ||
             column->kind == KU_KIND_NESTED)
        snprintf(ret_kind, TABLE_TYPE_BYTES, "json");
}

static void declare_type(const db_column *column, char ret_type[TABLE_TYPE_BYTES])
{
    char kind[TABLE_TYPE_BYTES];

    describe_kind(column, kind);
    const char *type = postgres_type(column);
    int length = snprintf(ret_type, TABLE_TYPE_BYTES, "%s", type);
    if (kind[0] != '\0')
        snprintf(ret_type + length, TABLE_TYPE_BYTES - (size_t)length, " %.15s", kind);
}

/* What a row that was there before the column has in it. */
static const char *zero_of(ku_kind kind)
{
    switch (kind) {
    case KU_KIND_BOOL:
        return "false";
    case KU_KIND_INT:
    case KU_KIND_DECIMAL:
    case KU_KIND_DOUBLE:
        return "0";
    case KU_KIND_TIME:
        return "'epoch'";
    case KU_KIND_ID:
        return "'00000000-0000-0000-0000-000000000000'";
    case KU_KIND_RAW:
        return "'null'";
    case KU_KIND_LIST:
        return "'[]'";
    case KU_KIND_NESTED:
        return "'{}'";
    case KU_KIND_TEXT:
    case KU_KIND_ENUM:
    case KU_KIND_NONE:
        break;
    }
    return "''";
}

static void put_column(buffer *b, const db_column *column, bool with_default)
{
    const char *type = postgres_type(column);

    db_quote_name(b, column->name);
    buffer_format(b, " %s", type);
    if (strcmp(type, "text") == 0)
        buffer_add_text(b, " COLLATE \"C\"");
    if (!column->nullable)
        buffer_add_text(b, " NOT NULL");
    if (ku_str_equal(column->name, revision.name))
        buffer_add_text(b, " DEFAULT 1");
    else if (!column->nullable && with_default)
        buffer_format(b, " DEFAULT %s", zero_of(column->kind));
}

static void put_comment(buffer *b, const db_table *table, const db_column *column)
{
    char kind[TABLE_TYPE_BYTES];

    describe_kind(column, kind);
    if (kind[0] == '\0')
        return;
    buffer_add_text(b, "COMMENT ON COLUMN ");
    db_quote_name(b, table->name);
    buffer_add_char(b, '.');
    db_quote_name(b, column->name);
    buffer_format(b, " IS 'kumiko %s';\n", kind);
}

static void put_create_table(buffer *b, const db_table *table)
{
    buffer_add_text(b, "CREATE TABLE ");
    db_quote_name(b, table->name);
    buffer_add_char(b, '(');
    for (size_t i = 0; i < table->n_columns; i++) {
        put_column(b, &table->columns[i], i >= table->n_key);
        buffer_add_text(b, ", ");
    }
    buffer_add_text(b, "PRIMARY KEY(");
    for (size_t i = 0; i < table->n_key; i++) {
        buffer_add_text(b, i > 0 ? ", " : "");
        db_quote_name(b, table->columns[i].name);
    }
    buffer_add_text(b, "));\n");
    for (size_t i = 0; i < table->n_columns; i++)
        put_comment(b, table, &table->columns[i]);
    if (table->n_columns > 0 && ku_str_is(table->columns[0].name, "tenant_id"))
        postgres_table_policy(table->name, b);
}

static void put_add_column(buffer *b, const db_table *table, const db_column *column)
{
    buffer_add_text(b, "ALTER TABLE ");
    db_quote_name(b, table->name);
    buffer_add_text(b, " ADD COLUMN ");
    put_column(b, column, true);
    buffer_add_text(b, ";\n");
    put_comment(b, table, column);
}

static const table_words words = {
    .columns_query =
        "SELECT a.attname::text,"
        " CASE t.typname WHEN 'timestamptz' THEN 'timestamptz'"
        "  ELSE format_type(a.atttypid, a.atttypmod) END"
        " || coalesce(' ' || substring(col_description(a.attrelid, a.attnum)"
        "   from '^kumiko ([^ ]+)'), ''),"
        " a.attnotnull, a.atthasdef OR a.attidentity <> '',"
        " coalesce((SELECT k.place FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)"
        "  WHERE k.attnum = a.attnum), 0) "
        "FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid"
        " JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
        " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "WHERE n.nspname = current_schema() AND c.relname = $1 AND c.relkind IN ('r', 'p')"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    .index_query = "SELECT a.attname::text, i.indisunique "
                   "FROM pg_namespace n JOIN pg_class t ON t.relnamespace = n.oid"
                   " JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid"
                   " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)"
                   " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum "
                   "WHERE n.nspname = current_schema() AND t.relname = $1 AND c.relname = $2"
                   " AND i.indisvalid ORDER BY k.place",
    .declare_type = declare_type,
    .put_create_table = put_create_table,
    .put_add_column = put_add_column,
};

/* ---- as PostgreSQL has it -------------------------------------------------------------------- */

static ku_str index_name(arena *a, ku_str name)
{
    enum { HASH_BYTES = 9 };

    if (name.len <= NAME_BYTES_MAX)
        return name;
    size_t kept = NAME_BYTES_MAX - HASH_BYTES;
    while (((unsigned char)name.ptr[kept] & 0xC0) == 0x80) /* not inside a character */
        kept--;
    return arena_format(a, "%.*s_%08" PRIx32, (int)kept, name.ptr, (uint32_t)hash_text(0, name));
}

/* The table with its revision, and with names for its indexes that fit. */
static db_table complete(arena *a, const db_table *table)
{
    db_table whole = *table;
    db_column *columns = arena_alloc(a, (table->n_columns + 1) * sizeof(*columns));
    db_index *indexes = arena_alloc(a, (table->n_indexes + 1) * sizeof(*indexes));

    for (size_t i = 0; i < table->n_columns; i++)
        columns[i] = table->columns[i];
    columns[table->n_columns] = revision;
    for (size_t i = 0; i < table->n_indexes; i++) {
        indexes[i] = table->indexes[i];
        indexes[i].name = index_name(a, indexes[i].name);
    }
    whole.columns = columns;
    whole.n_columns++;
    whole.indexes = indexes;
    return whole;
}

static ku_status check_names(const db_table *table, ku_error *ret_error)
{
    if (table->name.len > NAME_BYTES_MAX)
        return error_set(ret_error, KU_INVALID,
            "table %" KU_PRI ": on PostgreSQL a name has at most %d bytes", KU_FMT(table->name),
            NAME_BYTES_MAX);
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].name.len > NAME_BYTES_MAX)
            return error_set(ret_error, KU_INVALID,
                "table %" KU_PRI ", column %" KU_PRI ": on PostgreSQL a name has at most %d bytes",
                KU_FMT(table->name), KU_FMT(table->columns[i].name), NAME_BYTES_MAX);
    return KU_OK;
}

void postgres_table_ddl(const db_table *table, buffer *b)
{
    arena a = {0};
    const db_table whole = complete(&a, table);

    table_ddl(&words, &whole, b);
    arena_done(&a);
}

ku_status postgres_ensure_table(db *d, const db_table *table, bool check_only, ku_error *ret_error)
{
    arena a = {0};
    const db_table whole = complete(&a, table);

    ku_status status = check_names(table, ret_error);
    if (status == KU_OK)
        status = table_ensure(d, &words, &whole, check_only, ret_error);
    arena_done(&a);
    return status;
}
