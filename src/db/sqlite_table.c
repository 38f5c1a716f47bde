/*
 * SQLite: the tables of features.
 *
 * A table is clustered by its key (WITHOUT ROWID), so that a row is one place to write and one to
 * read.  The declared type of a column says more than SQLite needs, in words that give it the right
 * affinity (INT, TEXT, REAL, BLOB): a decimal's says its scale.  So a change of kind or of scale,
 * after which stored values would mean something else, is noticed when the program starts and not
 * when the money is wrong.
 */
#include "db/sqlite.h"

#include <stdio.h>

static void declare_type(const db_column *column, char ret_type[TABLE_TYPE_BYTES])
{
    const char *type = "TEXT";

    switch (column->kind) {
    case KU_KIND_BOOL:
        type = "BOOL_INT";
        break;
    case KU_KIND_INT:
        type = "INTEGER";
        break;
    case KU_KIND_TIME:
        type = "TIME_INT";
        break;
    case KU_KIND_DECIMAL:
        snprintf(ret_type, TABLE_TYPE_BYTES, "DECIMAL_INT(%d)", column->scale);
        return;
    case KU_KIND_DOUBLE:
        type = "REAL";
        break;
    case KU_KIND_ID:
        type = "BLOB";
        break;
    case KU_KIND_RAW:
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
        type = "JSON_TEXT";
        break;
    case KU_KIND_TEXT:
    case KU_KIND_ENUM:
    case KU_KIND_NONE:
        break;
    }
    snprintf(ret_type, TABLE_TYPE_BYTES, "%s", type);
}

/* What a row that was there before the column has in it. */
static const char *zero_of(ku_kind kind)
{
    switch (kind) {
    case KU_KIND_BOOL:
    case KU_KIND_INT:
    case KU_KIND_TIME:
    case KU_KIND_DECIMAL:
        return "0";
    case KU_KIND_DOUBLE:
        return "0.0";
    case KU_KIND_ID:
        return "x'00000000000000000000000000000000'";
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
    char type[TABLE_TYPE_BYTES];

    declare_type(column, type);
    db_quote_name(b, column->name);
    buffer_format(b, " %s", type);
    if (!column->nullable)
        buffer_add_text(b, " NOT NULL");
    if (!column->nullable && with_default)
        buffer_format(b, " DEFAULT %s", zero_of(column->kind));
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
    buffer_add_text(b, ")) WITHOUT ROWID;\n");
}

static void put_add_column(buffer *b, const db_table *table, const db_column *column)
{
    buffer_add_text(b, "ALTER TABLE ");
    db_quote_name(b, table->name);
    buffer_add_text(b, " ADD COLUMN ");
    put_column(b, column, true);
}

static const table_words words = {
    .columns_query = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk "
                     "FROM pragma_table_info($1) ORDER BY cid",
    .index_query = "SELECT c.name, l.\"unique\" "
                   "FROM pragma_index_list($1) l, pragma_index_info(l.name) c "
                   "WHERE l.name = $2 ORDER BY c.seqno",
    .declare_type = declare_type,
    .put_create_table = put_create_table,
    .put_add_column = put_add_column,
};

void sqlite_table_ddl(const db_table *table, buffer *b)
{
    table_ddl(&words, table, b);
}

ku_status sqlite_ensure_table(db *d, const db_table *table, bool check_only, ku_error *ret_error)
{
    return table_ensure(d, &words, table, check_only, ret_error);
}
