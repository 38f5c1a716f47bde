/*
 * The tables of features: made, completed, refused.
 *
 * What can be done by adding is done: columns (with the kind's zero where they must not be null)
 * and indexes.  Nothing is dropped but an index that has become another one under the same name.  A
 * column of another kind, or a decimal of another scale, under which the stored values would mean
 * something else, is refused when the program starts and not noticed when the money is wrong.
 *
 * What an engine's catalog is asked, and the words for what is missing, are the engine's: see
 * table_words.
 */
#include "base/error.h"
#include "db/engine.h"

#include <string.h>

/* A column as it is there. */
typedef struct found_column {
    ku_str name, type;
    bool not_null, has_default;
    int key; /* place in the primary key from 1; 0: not in it */
} found_column;

/* ---- what is there --------------------------------------------------------------------------- */

static ku_status read_columns(db *d, const table_words *words, arena *a, ku_str table,
    found_column **ret_columns, size_t *ret_count)
{
    const db_value binds[] = {db_text(table)};
    size_t count = 0, capacity = 16;
    found_column *columns = arena_alloc(a, capacity * sizeof(*columns));
    db_rows rows = {0};
    bool row;

    ku_status status = db_query_text(d, ku_str_from(words->columns_query), binds, 1, &rows);
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
static ku_status compare_column(const table_words *words, const db_table *table, size_t index,
    const found_column *found, ku_error *ret_error)
{
    const db_column *column = &table->columns[index];
    char type[TABLE_TYPE_BYTES];
    int key = index < table->n_key ? (int)index + 1 : 0;

    words->declare_type(column, type);
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

static ku_status create_table(
    db *d, const table_words *words, arena *a, const db_table *table, ku_error *ret_error)
{
    buffer b = {.arena = a};

    words->put_create_table(&b, table);
    return run_ddl(d, table, &b, ret_error);
}

static ku_status is_missing(const db_table *table, ku_str what, ku_error *ret_error)
{
    return error_set(ret_error, KU_NOT_FOUND, "table %" KU_PRI ": %" KU_PRI " is missing",
        KU_FMT(table->name), KU_FMT(what));
}

static ku_status complete_table(db *d, const table_words *words, arena *a, const db_table *table,
    const found_column *found, size_t n_found, bool check_only, ku_error *ret_error)
{
    ku_status status = compare_extra(table, found, n_found, ret_error);

    for (size_t i = 0; i < table->n_columns && status == KU_OK; i++) {
        const found_column *there = find_column(found, n_found, table->columns[i].name);
        if (there != NULL) {
            status = compare_column(words, table, i, there, ret_error);
        } else if (i < table->n_key) {
            status = error_set(ret_error, KU_CONFLICT,
                "table %" KU_PRI ", column %" KU_PRI ": the primary key there lacks it",
                KU_FMT(table->name), KU_FMT(table->columns[i].name));
        } else if (check_only) {
            status = is_missing(table, table->columns[i].name, ret_error);
        } else {
            buffer b = {.arena = a};
            words->put_add_column(&b, table, &table->columns[i]);
            status = run_ddl(d, table, &b, ret_error);
        }
    }
    return status;
}

/* Is there an index of that name which is the declared one?  *ret_there: there is one at all. */
static ku_status compare_index(db *d, const table_words *words, const db_table *table,
    const db_index *index, bool *ret_there, bool *ret_same)
{
    const db_value binds[] = {db_text(table->name), db_text(index->name)};
    size_t count = 0;
    bool row, same = true, there = false;
    db_rows rows = {0};

    ku_status status = db_query_text(d, ku_str_from(words->index_query), binds, 2, &rows);
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

static ku_status ensure_index(db *d, const table_words *words, arena *a, const db_table *table,
    const db_index *index, bool check_only, ku_error *ret_error)
{
    bool there, same;
    buffer b = {.arena = a};

    ku_status status = compare_index(d, words, table, index, &there, &same);
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

void table_ddl(const table_words *words, const db_table *table, buffer *b)
{
    words->put_create_table(b, table);
    for (size_t i = 0; i < table->n_indexes; i++) {
        put_create_index(b, table, &table->indexes[i]);
        buffer_add_text(b, ";\n");
    }
}

ku_status table_ensure(
    db *d, const table_words *words, const db_table *table, bool check_only, ku_error *ret_error)
{
    arena a = {0};
    found_column *found = NULL;
    size_t n_found = 0;

    ku_status status = read_columns(d, words, &a, table->name, &found, &n_found);
    if (status != KU_OK)
        (void)error_set(
            ret_error, status, "table %" KU_PRI ": %s", KU_FMT(table->name), db_error(d));
    else if (n_found == 0 && check_only)
        status =
            error_set(ret_error, KU_NOT_FOUND, "table %" KU_PRI " is missing", KU_FMT(table->name));
    else if (n_found == 0)
        status = create_table(d, words, &a, table, ret_error);
    else
        status = complete_table(d, words, &a, table, found, n_found, check_only, ret_error);
    for (size_t i = 0; i < table->n_indexes && status == KU_OK; i++)
        status = ensure_index(d, words, &a, table, &table->indexes[i], check_only, ret_error);
    arena_done(&a);
    return status;
}
