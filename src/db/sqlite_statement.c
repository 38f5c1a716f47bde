/*
 * SQLite: statements and their rows.
 *
 * A statement is prepared when it is first needed and kept with its connection.  While a db_rows
 * reads from it a second use (a load inside a load) gets a statement of its own, which is thrown
 * away afterwards.  Statements known only by their text are kept too, the least recently used of
 * them making room.
 *
 * A db_rows is in one of three places, told by its slot: a statement of the catalog (0 …), one
 * known by text (SLOT_TEXT …), or a passing one.  It leaves that place as soon as the last row has
 * been read, so that no transaction stays open behind a finished loop.
 */
#include "db/sqlite.h"

#include "db/sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_PASSING = -1, SLOT_TEXT = 1 << 20 };

/* SQLite takes $1 for a name and numbers names as they come; ?1 is what is meant. */
static void number_binds(buffer *b, ku_str text)
{
    char quote = '\0';

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '\'' || c == '"')
            quote = c;
        else if (c == '$')
            c = '?';
        buffer_add_char(b, c);
    }
}

static ku_status prepare(sqlite_db *s, ku_str text, unsigned flags, sqlite3_stmt **ret_handle)
{
    buffer numbered = {0};

    number_binds(&numbered, text);
    int result =
        sqlite3_prepare_v3(s->handle, numbered.ptr, (int)numbered.len, flags, ret_handle, NULL);
    buffer_done(&numbered);
    return result == SQLITE_OK ? KU_OK : sqlite_failed(s, result);
}

/* Takes the statement of that number, or a passing one if it is in use. */
static ku_status take(sqlite_db *s, int sql, sqlite3_stmt **ret_handle, int *ret_slot)
{
    assert(sql >= 0 && (size_t)sql < s->n_statements);
    sqlite_statement *statement = &s->statements[sql];
    bool passing = statement->open;

    if (passing || statement->handle == NULL) {
        ku_str text = db_statement_text(&s->base, sql);
        ku_status status = prepare(s, text, passing ? 0 : SQLITE_PREPARE_PERSISTENT, ret_handle);
        if (status != KU_OK)
            return status;
        if (!passing)
            statement->handle = *ret_handle;
    } else {
        *ret_handle = statement->handle;
    }
    *ret_slot = passing ? SLOT_PASSING : sql;
    return KU_OK;
}

/* Text and ids are copied by SQLite only if they have to outlive the call. */
static int bind_value(sqlite3_stmt *handle, int index, const db_value *value, bool copy)
{
    switch (value->kind) {
    case DB_NULL:
        return sqlite3_bind_null(handle, index);
    case DB_INT:
        return sqlite3_bind_int64(handle, index, value->integer);
    case DB_DOUBLE:
        return sqlite3_bind_double(handle, index, value->number);
    case DB_TEXT:
        return sqlite3_bind_text64(handle, index, value->text.ptr != NULL ? value->text.ptr : "",
            value->text.len, copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
    case DB_ID:
        return sqlite3_bind_blob(handle, index, value->id.bytes, sizeof(value->id.bytes),
            copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static ku_status bind_all(
    sqlite_db *s, sqlite3_stmt *handle, const db_value *binds, size_t n_binds, bool copy)
{
    assert(sqlite3_bind_parameter_count(handle) == (int)n_binds);
    for (size_t i = 0; i < n_binds; i++) {
        int result = bind_value(handle, (int)i + 1, &binds[i], copy);
        if (result != SQLITE_OK)
            return sqlite_failed(s, result);
    }
    return KU_OK;
}

/* ---- without rows ---------------------------------------------------------------------------- */

ku_status sqlite_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes)
{
    sqlite_db *s = (sqlite_db *)d;
    sqlite3_stmt *handle = NULL;
    int slot = SLOT_PASSING;
    int64_t changes = 0;

    ku_status status = take(s, sql, &handle, &slot);
    if (status != KU_OK)
        return status;
    bool reads = sqlite3_stmt_readonly(handle) != 0;
    for (size_t row = 0; row < n_rows && status == KU_OK; row++) {
        status = bind_all(s, handle, values + row * n_columns, n_columns, false);
        int result = SQLITE_ROW;
        while (status == KU_OK && result == SQLITE_ROW)
            result = sqlite3_step(handle);
        if (status == KU_OK && result != SQLITE_DONE)
            status = sqlite_failed(s, result);
        else if (status == KU_OK && !reads)
            changes += sqlite3_changes64(s->handle);
        sqlite3_reset(handle);
    }
    if (slot == SLOT_PASSING)
        sqlite3_finalize(handle);
    if (status == KU_OK && ret_changes != NULL)
        *ret_changes = changes;
    return status;
}

ku_status sqlite_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes)
{
    return sqlite_run_many(d, sql, binds, n_binds, 1, ret_changes);
}

/* What is sent has run when the call returns, and has said there what became of it. */
ku_status sqlite_settle(db *d)
{
    (void)d;
    return KU_OK;
}

void sqlite_prefetch(db *d, int sql, const db_value *binds, size_t n_binds)
{
    (void)d;
    (void)sql;
    (void)binds;
    (void)n_binds; /* there is no way to the database that could be saved */
}

ku_status sqlite_script(db *d, ku_str sql)
{
    sqlite_db *s = (sqlite_db *)d;
    char *text = mem_alloc(sql.len + 1);

    memcpy(text, sql.ptr, sql.len);
    text[sql.len] = '\0';
    int result = sqlite3_exec(s->handle, text, NULL, NULL, NULL);
    free(text);
    return result == SQLITE_OK ? KU_OK : sqlite_failed(s, result);
}

/* ---- with rows ------------------------------------------------------------------------------- */

/* Gives a statement back to where it came from. */
static void give_back(sqlite_db *s, sqlite3_stmt *handle, int slot)
{
    if (slot == SLOT_PASSING) {
        sqlite3_finalize(handle);
        return;
    }
    sqlite3_reset(handle);
    if (slot >= SLOT_TEXT)
        s->texts[slot - SLOT_TEXT].statement.open = false;
    else
        s->statements[slot].open = false;
}

/* Binds and hands out a statement that was taken; gives it back if that fails. */
static ku_status start(sqlite_db *s, sqlite3_stmt *handle, int slot, const db_value *binds,
    size_t n_binds, db_rows *ret_rows)
{
    ku_status status = bind_all(s, handle, binds, n_binds, true);
    if (status != KU_OK) {
        give_back(s, handle, slot);
        return status;
    }
    if (slot >= SLOT_TEXT)
        s->texts[slot - SLOT_TEXT].statement.open = true;
    else if (slot != SLOT_PASSING)
        s->statements[slot].open = true;
    *ret_rows = (db_rows){.d = &s->base, .statement = handle, .slot = slot};
    return KU_OK;
}

ku_status sqlite_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    sqlite_db *s = (sqlite_db *)d;
    sqlite3_stmt *handle = NULL;
    int slot = SLOT_PASSING;

    ku_status status = take(s, sql, &handle, &slot);
    return status == KU_OK ? start(s, handle, slot, binds, n_binds, ret_rows) : status;
}

/* The rows of the first binds come first, then those of the second …: see sqlite_next. */
ku_status sqlite_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows)
{
    ku_status status = sqlite_query(d, sql, values, n_columns, ret_rows);

    if (status == KU_OK) {
        ret_rows->values = values + n_columns;
        ret_rows->n_columns = n_columns;
        ret_rows->n_left = n_rows - 1;
    }
    return status;
}

/* The slot for a text: the one that has it, an empty one, or the one not used for longest. */
static int find_text(const sqlite_db *s, ku_str sql)
{
    int best = SLOT_PASSING;

    for (int i = 0; i < SQLITE_TEXTS_KEPT; i++) {
        const sqlite_text *text = &s->texts[i];
        if (text->statement.handle != NULL && ku_str_equal(text->sql, sql))
            return text->statement.open ? SLOT_PASSING : i;
        if (text->statement.open)
            continue;
        if (best == SLOT_PASSING || text->used_at < s->texts[best].used_at)
            best = i;
    }
    return best;
}

static void forget_text(sqlite_text *text)
{
    sqlite3_finalize(text->statement.handle);
    free((char *)(uintptr_t)text->sql.ptr);
    *text = (sqlite_text){0};
}

ku_status sqlite_query_text(
    db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    sqlite_db *s = (sqlite_db *)d;
    sqlite3_stmt *handle = NULL;
    int index = find_text(s, sql);

    if (index == SLOT_PASSING) {
        ku_status status = prepare(s, sql, 0, &handle);
        return status == KU_OK ? start(s, handle, SLOT_PASSING, binds, n_binds, ret_rows) : status;
    }
    sqlite_text *text = &s->texts[index];
    if (text->statement.handle == NULL || !ku_str_equal(text->sql, sql)) {
        ku_status status = prepare(s, sql, SQLITE_PREPARE_PERSISTENT, &handle);
        if (status != KU_OK)
            return status;
        forget_text(text);
        char *copy = mem_alloc(sql.len + 1);
        memcpy(copy, sql.ptr, sql.len);
        copy[sql.len] = '\0';
        *text = (sqlite_text){
            .statement.handle = handle, .sql = {copy, sql.len}
        };
    }
    text->used_at = ++s->uses;
    return start(s, text->statement.handle, SLOT_TEXT + index, binds, n_binds, ret_rows);
}

ku_status sqlite_next(db_rows *rows, bool *ret_row)
{
    sqlite_db *s = (sqlite_db *)rows->d;

    if (rows->statement == NULL)
        return KU_OK;
    int result = sqlite3_step(rows->statement);
    while (result == SQLITE_DONE && rows->n_left > 0) {
        sqlite3_reset(rows->statement);
        ku_status bound = bind_all(s, rows->statement, rows->values, rows->n_columns, false);
        if (bound != KU_OK) {
            sqlite_rows_done(rows);
            return bound;
        }
        rows->values += rows->n_columns;
        rows->n_left--;
        result = sqlite3_step(rows->statement);
    }
    if (result == SQLITE_ROW) {
        *ret_row = true;
        return KU_OK;
    }
    ku_status status = result == SQLITE_DONE ? KU_OK : sqlite_failed(s, result);
    sqlite_rows_done(rows);
    return status;
}

void sqlite_rows_done(db_rows *rows)
{
    if (rows->statement != NULL)
        give_back((sqlite_db *)rows->d, rows->statement, rows->slot);
    rows->statement = NULL;
}

void sqlite_finalize_all(sqlite_db *s)
{
    for (size_t i = 0; i < s->n_statements; i++) {
        assert(!s->statements[i].open);
        sqlite3_finalize(s->statements[i].handle);
    }
    for (int i = 0; i < SQLITE_TEXTS_KEPT; i++) {
        assert(!s->texts[i].statement.open);
        forget_text(&s->texts[i]);
    }
}

/* ---- columns --------------------------------------------------------------------------------- */

bool sqlite_is_null(const db_rows *rows, int column)
{
    return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

int64_t sqlite_column_int(const db_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

double sqlite_column_real(const db_rows *rows, int column)
{
    return sqlite3_column_double(rows->statement, column);
}

ku_str sqlite_column_str(const db_rows *rows, int column)
{
    const unsigned char *text = sqlite3_column_text(rows->statement, column);

    if (text == NULL)
        return (ku_str){0};
    return (ku_str){(const char *)text, (size_t)sqlite3_column_bytes(rows->statement, column)};
}

ku_id sqlite_column_id(const db_rows *rows, int column)
{
    ku_id id = {{0}};
    const void *bytes = sqlite3_column_blob(rows->statement, column);

    if (bytes != NULL && sqlite3_column_bytes(rows->statement, column) == (int)sizeof(id.bytes))
        memcpy(id.bytes, bytes, sizeof(id.bytes));
    return id;
}
