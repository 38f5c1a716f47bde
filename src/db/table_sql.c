/*
 * The statements on a table's rows, in the words of each engine.
 *
 * All of them are made from registered names only; nothing that a client sends ever becomes part of
 * a statement's text.
 *
 * SQLite runs a statement row by row, so `put` and its siblings are plain inserts with a value per
 * bind.  PostgreSQL gets an array per column and takes them apart with unnest, in the order of the
 * rows, which is the order in which it locks them.  A row's revision is a column there
 * (`ku_revision`), raised by every write; on SQLite one process owns the file, nothing can come in
 * between, and the revision is a constant.
 */
#include "db/engine.h"

/* ---- lists of columns ------------------------------------------------------------------------ */

static void add_names(buffer *b, const db_table *table, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        buffer_add_text(b, i > first ? ", " : "");
        db_quote_name(b, table->columns[i].name);
    }
}

/* `$1::uuid[], $2::text[] …` as rows called `n`, with a column for the revision if asked for. */
static void add_unnest(buffer *b, const db_table *table, size_t n_columns, bool with_revision)
{
    buffer_add_text(b, "unnest(");
    for (size_t i = 0; i < n_columns; i++)
        buffer_format(
            b, "%s$%zu::%s[]", i > 0 ? ", " : "", i + 1, postgres_type(&table->columns[i]));
    if (with_revision)
        buffer_format(b, ", $%zu::bigint[]", n_columns + 1);
    buffer_add_text(b, ") AS n(");
    add_names(b, table, 0, n_columns);
    buffer_add_text(b, with_revision ? ", ku_expected)" : ")");
}

/* `t.key = n.key AND …` */
static void add_key_join(buffer *b, const db_table *table)
{
    for (size_t i = 0; i < table->n_key; i++) {
        buffer_add_text(b, i > 0 ? " AND t." : "t.");
        db_quote_name(b, table->columns[i].name);
        buffer_add_text(b, " = n.");
        db_quote_name(b, table->columns[i].name);
    }
}

/* ` WHERE key = $1 AND …` */
static void add_where_key(buffer *b, const db_table *table)
{
    for (size_t i = 0; i < table->n_key; i++) {
        buffer_add_text(b, i > 0 ? " AND " : " WHERE ");
        db_quote_name(b, table->columns[i].name);
        buffer_format(b, " = $%zu", i + 1);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

static void put_get(db_dialect dialect, const db_table *table, buffer *b)
{
    buffer_add_text(b, "SELECT ");
    add_names(b, table, 1, table->n_columns);
    if (dialect == DB_POSTGRES)
        buffer_add_text(b, ", ku_revision FROM ");
    else
        buffer_format(b, ", %lld FROM ", (long long)DB_REVISION_ANY);
    db_quote_name(b, table->name);
    add_where_key(b, table);
}

/* ---- inserting ------------------------------------------------------------------------------- */

/*
 * `t.name + excluded.name`.  A sum of whole numbers that does not fit is an error on PostgreSQL;
 * SQLite would go on with a double, which is not the sum.  abs() of the smallest number is its one
 * function that fails.
 */
static void add_sum(db_dialect dialect, const db_column *column, buffer *b)
{
    buffer sum = {0};

    buffer_add_text(&sum, "t.");
    db_quote_name(&sum, column->name);
    buffer_add_text(&sum, " + excluded.");
    db_quote_name(&sum, column->name);
    if (dialect == DB_SQLITE && column->kind != KU_KIND_DOUBLE) {
        buffer_add_text(b, "iif(typeof(");
        buffer_add_str(b, buffer_str(&sum));
        buffer_add_text(b, ") = 'real', abs(-9223372036854775808), ");
        buffer_add_str(b, buffer_str(&sum));
        buffer_add_char(b, ')');
    } else {
        buffer_add_str(b, buffer_str(&sum));
    }
    buffer_done(&sum);
}

/* What becomes of a row that is there: replaced, or its sums added to. */
static void add_assignments(db_dialect dialect, const db_table *table, bool adding, buffer *b)
{
    const char *comma = " DO UPDATE SET ";

    for (size_t i = table->n_key; i < table->n_columns; i++) {
        ku_str name = table->columns[i].name;
        buffer_add_text(b, comma);
        db_quote_name(b, name);
        buffer_add_text(b, " = ");
        if (adding && table->columns[i].sum) {
            add_sum(dialect, &table->columns[i], b);
        } else {
            buffer_add_text(b, "excluded.");
            db_quote_name(b, name);
        }
        comma = ", ";
    }
    if (dialect == DB_POSTGRES)
        buffer_format(b, "%sku_revision = t.ku_revision + 1", comma);
    else if (table->n_key == table->n_columns)
        buffer_add_text(b, " DO NOTHING");
}

static void put_insert(db_dialect dialect, const db_table *table, table_verb verb, buffer *b)
{
    buffer_add_text(b, "INSERT INTO ");
    db_quote_name(b, table->name);
    buffer_add_text(b, " AS t (");
    add_names(b, table, 0, table->n_columns);
    if (dialect == DB_POSTGRES) {
        buffer_add_text(b, ", ku_revision) SELECT ");
        add_names(b, table, 0, table->n_columns);
        buffer_add_text(b, ", 1 FROM ");
        add_unnest(b, table, table->n_columns, false);
    } else {
        buffer_add_text(b, ") VALUES (");
        for (size_t i = 0; i < table->n_columns; i++)
            buffer_format(b, "%s$%zu", i > 0 ? ", " : "", i + 1);
        buffer_add_char(b, ')');
    }
    buffer_add_text(b, " ON CONFLICT (");
    add_names(b, table, 0, table->n_key);
    buffer_add_char(b, ')');
    if (verb == TABLE_INSERT)
        buffer_add_text(b, " DO NOTHING");
    else
        add_assignments(dialect, table, verb == TABLE_ADD, b);
}

/* ---- changing what was read ------------------------------------------------------------------ */

static void put_update(const db_table *table, buffer *b)
{
    buffer_add_text(b, "UPDATE ");
    db_quote_name(b, table->name);
    buffer_add_text(b, " AS t SET ");
    for (size_t i = table->n_key; i < table->n_columns; i++) {
        db_quote_name(b, table->columns[i].name);
        buffer_add_text(b, " = n.");
        db_quote_name(b, table->columns[i].name);
        buffer_add_text(b, ", ");
    }
    buffer_add_text(b, "ku_revision = t.ku_revision + 1 FROM ");
    add_unnest(b, table, table->n_columns, true);
    buffer_add_text(b, " WHERE ");
    add_key_join(b, table);
    buffer_add_text(b, " AND t.ku_revision = n.ku_expected");
}

static void put_remove(db_dialect dialect, const db_table *table, bool at_revision, buffer *b)
{
    buffer_add_text(b, "DELETE FROM ");
    db_quote_name(b, table->name);
    if (dialect == DB_SQLITE) {
        add_where_key(b, table);
        if (at_revision)
            buffer_format(b, " AND $%zu IS NOT NULL", table->n_key + 1);
        return;
    }
    buffer_add_text(b, " AS t USING ");
    add_unnest(b, table, table->n_key, at_revision);
    buffer_add_text(b, " WHERE ");
    add_key_join(b, table);
    if (at_revision)
        buffer_add_text(b, " AND t.ku_revision = n.ku_expected");
}

/* No row of SQLite has a revision to be updated at; with the same binds it is a put. */
static void put_sqlite_update(const db_table *table, buffer *b)
{
    buffer_add_text(b, "INSERT INTO ");
    db_quote_name(b, table->name);
    buffer_add_text(b, " AS t (");
    add_names(b, table, 0, table->n_columns);
    buffer_add_text(b, ") SELECT ");
    for (size_t i = 0; i < table->n_columns; i++)
        buffer_format(b, "%s$%zu", i > 0 ? ", " : "", i + 1);
    buffer_format(b, " WHERE $%zu IS NOT NULL ON CONFLICT (", table->n_columns + 1);
    add_names(b, table, 0, table->n_key);
    buffer_add_char(b, ')');
    add_assignments(DB_SQLITE, table, false, b);
}

void table_statement(db_dialect dialect, const db_table *table, table_verb verb, buffer *b)
{
    switch (verb) {
    case TABLE_GET:
        put_get(dialect, table, b);
        return;
    case TABLE_INSERT:
    case TABLE_PUT:
    case TABLE_ADD:
        put_insert(dialect, table, verb, b);
        return;
    case TABLE_UPDATE:
        if (dialect == DB_POSTGRES)
            put_update(table, b);
        else
            put_sqlite_update(table, b);
        return;
    case TABLE_REMOVE:
    case TABLE_REMOVE_AT:
        put_remove(dialect, table, verb == TABLE_REMOVE_AT, b);
        return;
    }
}
