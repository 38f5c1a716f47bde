/*
 * SQLite: the tables of features.
 *
 * A table is clustered by its key (WITHOUT ROWID), so that a row is one place to write and one to
 * read.  The declared type of a column says more than SQLite needs, in words that give it the right
 * affinity (INT, TEXT, REAL, BLOB): a decimal's says its scale.  So a change of kind or of scale,
 * after which stored values would mean something else, is noticed when the program starts and not
 * when the money is wrong.
 *
 * What can be done by adding is done: columns (with the kind's zero where they must not be null)
 * and indexes.  Nothing is dropped but an index that has become another one under the same name.
 */
#include "base/error.h"
#include "db/sqlite.h"

#include <stdio.h>
#include <string.h>

enum { TYPE_BYTES = 32 };

/* A column as the file has it. */
typedef struct found_column {
    ku_str name, type;
    bool not_null, has_default;
    int key; /* place in the primary key from 1; 0: not in it */
} found_column;

static void declare_type(const db_column *column, char ret_type[TYPE_BYTES])
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
        snprintf(ret_type, TYPE_BYTES, "DECIMAL_INT(%d)", column->scale);
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
    snprintf(ret_type, TYPE_BYTES, "%s", type);
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
    char type[TYPE_BYTES];

    declare_type(column, type);
    db_quote_name(b, column->name);
    buffer_format(b, " %s", type);
    if (!column->nullable)
        buffer_add_text(b, " NOT NULL");
    if (!column->nullable && with_default)
        buffer_format(b, " DEFAULT %s", zero_of(column->kind));
}

/* ---- what is there --------------------------------------------------------------------------- */

static ku_status read_columns(
    db *d, arena *a, ku_str table, found_column **ret_columns, size_t *ret_count)
{
    const db_value binds[] = {db_text(table)};
    size_t count = 0, capacity = 16;
    found_column *columns = arena_alloc(a, capacity * sizeof(*columns));
    db_rows rows = {0};
    bool row;

    ku_status status = db_query_text(d,
        KU_STR("SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk "
               "FROM pragma_table_info($1) ORDER BY cid"),
        binds, 1, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        if (count == capacity) {
            found_column *more = arena_alloc(a, 2 * capacity * sizeof(*more));
            memcpy(more, columns, count * sizeof(*columns));
            columns = more;
            capacity *= 2;
        }
        columns[count++] = (found_column){
            .name = arena_copy(a, db_column_text(&rows, 0)),
            .type = arena_copy(a, db_column_text(&rows, 1)),
            .not_null = db_column_int(&rows, 2) != 0,
            .has_default = db_column_int(&rows, 3) != 0,
            .key = (int)db_column_int(&rows, 4),
        };
    }
    db_rows_done(&rows);
    *ret_columns = columns;
    *ret_count = count;
    return status;
}

static const found_column *find_column(const found_column *columns, size_t count, ku_str name)
{
    for (size_t i = 0; i < count; i++)
        if (ku_str_equal(columns[i].name, name))
            return &columns[i];
    return NULL;
}

/* Can the declared column live in the one that is there? */
static ku_status compare_column(
    const db_table *table, size_t index, const found_column *found, ku_error *ret_error)
{
    const db_column *column = &table->columns[index];
    char type[TYPE_BYTES];
    int key = index < table->n_key ? (int)index + 1 : 0;

    declare_type(column, type);
    if (!ku_str_is(found->type, type))
        return error_set(ret_error, KU_CONFLICT,
            "table %" KU_PRI ", column %" KU_PRI ": it is %" KU_PRI " there, the program has %s",
            KU_FMT(table->name), KU_FMT(column->name), KU_FMT(found->type), type);
    if (found->key != key)
        return error_set(ret_error, KU_CONFLICT,
            "table %" KU_PRI ", column %" KU_PRI ": the primary key there is another one",
            KU_FMT(table->name), KU_FMT(column->name));
    if (found->not_null && column->nullable)
        return error_set(ret_error, KU_CONFLICT,
            "table %" KU_PRI ", column %" KU_PRI ": it must not be null there, the program lets it",
            KU_FMT(table->name), KU_FMT(column->name));
    return KU_OK;
}

/* Columns that the program does not know must not get in the way of an insert. */
static ku_status compare_extra(
    const db_table *table, const found_column *found, size_t n_found, ku_error *ret_error)
{
    for (size_t i = 0; i < n_found; i++) {
        bool known = false;
        for (size_t k = 0; k < table->n_columns; k++)
            known = known || ku_str_equal(table->columns[k].name, found[i].name);
        if (!known && found[i].key != 0)
            return error_set(ret_error, KU_CONFLICT,
                "table %" KU_PRI ", column %" KU_PRI ": it is part of the primary key there, "
                "the program does not have it",
                KU_FMT(table->name), KU_FMT(found[i].name));
        if (!known && found[i].not_null && !found[i].has_default)
            return error_set(ret_error, KU_CONFLICT,
                "table %" KU_PRI ", column %" KU_PRI ": it must not be null there, "
                "the program does not have it",
                KU_FMT(table->name), KU_FMT(found[i].name));
    }
    return KU_OK;
}

/* ---- what is missing ------------------------------------------------------------------------- */

static ku_status run_ddl(db *d, const db_table *table, buffer *b, ku_error *ret_error)
{
    ku_status status = db_script(d, buffer_str(b));
    if (status == KU_UNIQUE_VIOLATION)
        return error_set(ret_error, KU_CONFLICT,
            "table %" KU_PRI ": rows that are there break a new unique index: %s",
            KU_FMT(table->name), db_error(d));
    if (status != KU_OK)
        return error_set(
            ret_error, status, "table %" KU_PRI ": %s", KU_FMT(table->name), db_error(d));
    return KU_OK;
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
    buffer_add_text(b, ")) WITHOUT ROWID");
}

static ku_status create_table(db *d, arena *a, const db_table *table, ku_error *ret_error)
{
    buffer b = {.arena = a};

    put_create_table(&b, table);
    return run_ddl(d, table, &b, ret_error);
}

static ku_status is_missing(const db_table *table, ku_str what, ku_error *ret_error)
{
    return error_set(ret_error, KU_NOT_FOUND, "table %" KU_PRI ": %" KU_PRI " is missing",
        KU_FMT(table->name), KU_FMT(what));
}

static ku_status complete_table(db *d, arena *a, const db_table *table, const found_column *found,
    size_t n_found, bool check_only, ku_error *ret_error)
{
    ku_status status = compare_extra(table, found, n_found, ret_error);

    for (size_t i = 0; i < table->n_columns && status == KU_OK; i++) {
        const found_column *there = find_column(found, n_found, table->columns[i].name);
        if (there != NULL) {
            status = compare_column(table, i, there, ret_error);
        } else if (i < table->n_key) {
            status = error_set(ret_error, KU_CONFLICT,
                "table %" KU_PRI ", column %" KU_PRI ": the primary key there lacks it",
                KU_FMT(table->name), KU_FMT(table->columns[i].name));
        } else if (check_only) {
            status = is_missing(table, table->columns[i].name, ret_error);
        } else {
            buffer b = {.arena = a};
            buffer_add_text(&b, "ALTER TABLE ");
            db_quote_name(&b, table->name);
            buffer_add_text(&b, " ADD COLUMN ");
            put_column(&b, &table->columns[i], true);
            status = run_ddl(d, table, &b, ret_error);
        }
    }
    return status;
}

/* Is there an index of that name which is the declared one?  *ret_there: there is one at all. */
static ku_status compare_index(
    db *d, const db_table *table, const db_index *index, bool *ret_there, bool *ret_same)
{
    const db_value binds[] = {db_text(table->name), db_text(index->name)};
    size_t count = 0;
    bool row, same = true, there = false;
    db_rows rows = {0};

    ku_status status = db_query_text(d,
        KU_STR(
            "SELECT c.name, l.\"unique\" FROM pragma_index_list($1) l, pragma_index_info(l.name) c "
            "WHERE l.name = $2 ORDER BY c.seqno"),
        binds, 2, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        there = true;
        same = same && count < index->n_columns &&
               ku_str_equal(db_column_text(&rows, 0), index->columns[count]) &&
               (db_column_int(&rows, 1) != 0) == index->unique;
        count++;
    }
    db_rows_done(&rows);
    *ret_there = there;
    *ret_same = same && count == index->n_columns;
    return status;
}

static void put_create_index(buffer *b, const db_table *table, const db_index *index)
{
    buffer_add_text(b, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    db_quote_name(b, index->name);
    buffer_add_text(b, " ON ");
    db_quote_name(b, table->name);
    buffer_add_char(b, '(');
    for (size_t i = 0; i < index->n_columns; i++) {
        buffer_add_text(b, i > 0 ? ", " : "");
        db_quote_name(b, index->columns[i]);
    }
    buffer_add_char(b, ')');
}

static ku_status ensure_index(db *d, arena *a, const db_table *table, const db_index *index,
    bool check_only, ku_error *ret_error)
{
    bool there, same;
    buffer b = {.arena = a};

    ku_status status = compare_index(d, table, index, &there, &same);
    if (status != KU_OK)
        return error_set(
            ret_error, status, "table %" KU_PRI ": %s", KU_FMT(table->name), db_error(d));
    if (there && same)
        return KU_OK;
    if (check_only)
        return is_missing(table, index->name, ret_error);
    if (there) {
        buffer_add_text(&b, "DROP INDEX ");
        db_quote_name(&b, index->name);
        buffer_add_text(&b, "; ");
    }
    put_create_index(&b, table, index);
    return run_ddl(d, table, &b, ret_error);
}

void sqlite_table_ddl(const db_table *table, buffer *b)
{
    put_create_table(b, table);
    buffer_add_text(b, ";\n");
    for (size_t i = 0; i < table->n_indexes; i++) {
        put_create_index(b, table, &table->indexes[i]);
        buffer_add_text(b, ";\n");
    }
}

ku_status sqlite_ensure_table(db *d, const db_table *table, bool check_only, ku_error *ret_error)
{
    arena a = {0};
    found_column *found = NULL;
    size_t n_found = 0;

    ku_status status = read_columns(d, &a, table->name, &found, &n_found);
    if (status != KU_OK)
        (void)error_set(
            ret_error, status, "table %" KU_PRI ": %s", KU_FMT(table->name), db_error(d));
    else if (n_found == 0 && check_only)
        status =
            error_set(ret_error, KU_NOT_FOUND, "table %" KU_PRI " is missing", KU_FMT(table->name));
    else if (n_found == 0)
        status = create_table(d, &a, table, ret_error);
    else
        status = complete_table(d, &a, table, found, n_found, check_only, ret_error);
    for (size_t i = 0; i < table->n_indexes && status == KU_OK; i++)
        status = ensure_index(d, &a, table, &table->indexes[i], check_only, ret_error);
    arena_done(&a);
    return status;
}
