/*
 * PostgreSQL: statements and their rows.
 *
 * A statement is prepared when it is first needed, which costs a round trip because the types of
 * its binds have to be known before they can be encoded, and kept with its connection.  Statements
 * known only by their text are kept too, the least recently used of them making room.
 *
 * A name is never used twice: the server may have one that is not known here, of an attempt that
 * was stopped half-way or of a text whose DEALLOCATE was lost, and it must not be in the way.
 *
 * Outside of a transaction everything is waited for: each statement is a transaction of its own.
 *
 * Rows are buffered: a db_rows owns the whole answer, so nothing on the connection is occupied
 * while it is read.  Its slot is the number of the present row.
 */
#include "db/postgres.h"

#include "db/sql.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- preparing ------------------------------------------------------------------------------- */

static ku_status parse(postgres_db *p, postgres_statement *statement, const char *sql)
{
    ku_status status = postgres_send_parse(p, statement, sql);

    if (status == KU_OK)
        status = postgres_settle(p);
    return status;
}

ku_status postgres_prepare(postgres_db *p, int sql, postgres_statement **ret_statement)
{
    assert(sql >= 0 && (size_t)sql < p->n_statements);
    postgres_statement *statement = &p->statements[sql];
    ku_status status = postgres_ready(p);

    if (status == KU_OK && !statement->prepared) {
        snprintf(statement->name, sizeof(statement->name), "s%d_%" PRIu64, sql, ++p->uses);
        status = parse(p, statement, db_statement_text(&p->base, sql).ptr);
    }
    *ret_statement = statement;
    return status;
}

/* The slot for a text: the one that has it, an empty one, or the one not used for longest. */
static postgres_text *find_text(postgres_db *p, ku_str sql)
{
    postgres_text *best = &p->texts[0];

    for (size_t i = 0; i < POSTGRES_TEXTS_KEPT; i++) {
        postgres_text *text = &p->texts[i];
        if (text->sql.ptr != NULL && ku_str_equal(text->sql, sql))
            return text;
        if (text->used_at < best->used_at)
            best = text;
    }
    return best;
}

static void free_text(postgres_text *text)
{
    free((char *)(uintptr_t)text->sql.ptr);
    free(text->statement.types);
    *text = (postgres_text){0};
}

static ku_status prepare_text(postgres_db *p, ku_str sql, postgres_statement **ret_statement)
{
    const postgres_flight deallocate = {.kind = FLIGHT_CONTROL};
    char command[POSTGRES_NAME_BYTES + 16];
    ku_status status = postgres_ready(p);
    postgres_text *text = find_text(p, sql);

    if (status != KU_OK)
        return status;
    *ret_statement = &text->statement;
    text->used_at = ++p->uses;
    if (text->statement.prepared && ku_str_equal(text->sql, sql))
        return KU_OK;
    if (text->statement.prepared) {
        snprintf(command, sizeof(command), "DEALLOCATE %s", text->statement.name);
        status = postgres_send_text(p, command, deallocate);
    }
    free_text(text);
    if (status != KU_OK)
        return status;
    char *copy = mem_alloc(sql.len + 1);
    memcpy(copy, sql.ptr, sql.len);
    copy[sql.len] = '\0';
    text->sql = (ku_str){copy, sql.len};
    text->used_at = ++p->uses;
    snprintf(text->statement.name, sizeof(text->statement.name), "t%" PRIu64, p->uses);
    return parse(p, &text->statement, copy);
}

void postgres_forget_statements(postgres_db *p)
{
    for (size_t i = 0; i < p->n_statements; i++)
        p->statements[i].prepared = false;
    for (size_t i = 0; i < POSTGRES_TEXTS_KEPT; i++)
        p->texts[i].statement.prepared = false;
}

void postgres_free_statements(postgres_db *p)
{
    for (size_t i = 0; i < p->n_statements; i++)
        free(p->statements[i].types);
    for (size_t i = 0; i < POSTGRES_TEXTS_KEPT; i++)
        free_text(&p->texts[i]);
    free(p->statements);
}

/* ---- without rows ---------------------------------------------------------------------------- */

/* Queues a statement whose binds are encoded, behind BEGIN if that has to be sent. */
static ku_status send(postgres_db *p, const postgres_statement *statement, postgres_flight flight)
{
    /* What was asked for ahead may not be what is there from now on. */
    postgres_forget_prefetches(p);
    ku_status status = postgres_send_begin(p);

    return status == KU_OK ? postgres_send(p, statement->name, statement->n_binds, flight) : status;
}

/* The same for what only reads. */
static ku_status send_read(
    postgres_db *p, const postgres_statement *statement, postgres_flight flight)
{
    ku_status status = postgres_send_begin_to_read(p);

    return status == KU_OK ? postgres_send(p, statement->name, statement->n_binds, flight) : status;
}

static ku_status send_and_wait(
    postgres_db *p, const postgres_statement *statement, postgres_flight flight)
{
    ku_status status = send(p, statement, flight);

    return status == KU_OK ? postgres_settle(p) : status;
}

ku_status postgres_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;
    int64_t changes = 0;
    const postgres_flight flight = {.kind = FLIGHT_STATEMENT, .changes = &changes};

    ku_status status = postgres_prepare(p, sql, &statement);
    if (status == KU_OK)
        status = postgres_encode(p, statement, binds, n_binds);
    if (status == KU_OK)
        status = send_and_wait(p, statement, flight);
    if (status == KU_OK && ret_changes != NULL)
        *ret_changes = changes;
    return status;
}

/* Queues it, or runs it where nothing would hold it together with what follows. */
ku_status postgres_send_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *changes)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;
    const postgres_flight flight = {.kind = FLIGHT_STATEMENT, .changes = changes};

    if (p->state == STATE_NONE)
        return postgres_run_many(d, sql, values, n_columns, n_rows, changes);
    ku_status status = n_rows > 0 ? postgres_prepare(p, sql, &statement) : postgres_ready(p);
    if (status == KU_OK && n_rows > 0)
        status = postgres_encode_many(p, statement, values, n_columns, n_rows);
    if (status == KU_OK && changes != NULL)
        *changes = 0;
    if (status == KU_OK && n_rows > 0)
        status = send(p, statement, flight);
    return status;
}

ku_status postgres_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;
    int64_t changes = 0;
    const postgres_flight flight = {.kind = FLIGHT_STATEMENT, .changes = &changes};

    ku_status status = n_rows > 0 ? postgres_prepare(p, sql, &statement) : postgres_ready(p);
    if (status == KU_OK && n_rows > 0)
        status = postgres_encode_many(p, statement, values, n_columns, n_rows);
    if (status == KU_OK && n_rows > 0)
        status = send_and_wait(p, statement, flight);
    if (status == KU_OK && ret_changes != NULL)
        *ret_changes = changes;
    return status;
}

/* As long as it takes: the limit is for statements that clients wait for. */
static void put_script(buffer *b, ku_str sql)
{
    buffer_add_text(b, "SET statement_timeout = 0; ");
    buffer_add_str(b, sql);
    buffer_add_text(b, "\n; SET statement_timeout = '10s'");
}

ku_status postgres_script(db *d, ku_str sql)
{
    postgres_db *p = (postgres_db *)d;
    buffer text = {0};

    ku_status status = postgres_ready(p);
    if (status == KU_OK)
        status = postgres_send_begin(p);
    if (status == KU_OK)
        status = postgres_settle(p);
    if (status != KU_OK)
        return status;
    put_script(&text, sql);
    status = postgres_run_simple(p, buffer_str(&text).ptr);
    buffer_done(&text);
    return status;
}

/* ---- with rows ------------------------------------------------------------------------------- */

/* Sends a query whose binds are encoded and waits for its rows. */
static ku_status fetch(
    postgres_db *p, const postgres_statement *statement, bool writes, db_rows *ret_rows)
{
    PGresult *answer = NULL;
    const postgres_flight flight = {.kind = FLIGHT_STATEMENT, .answer = &answer};

    ku_status status = writes ? send(p, statement, flight) : send_read(p, statement, flight);
    if (status == KU_OK)
        status = postgres_settle(p);
    if (status != KU_OK) {
        PQclear(answer);
        return status;
    }
    *ret_rows = (db_rows){.d = &p->base, .statement = answer, .slot = -1};
    return KU_OK;
}

ku_status postgres_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;
    PGresult *answer = NULL;
    bool found = false;

    ku_status status = postgres_prepare(p, sql, &statement);
    if (status == KU_OK)
        status = postgres_encode(p, statement, binds, n_binds);
    if (status == KU_OK)
        status = postgres_take_prefetched(p, sql, &found, &answer);
    if (status != KU_OK)
        return status;
    if (!found)
        return fetch(p, statement, false, ret_rows);
    *ret_rows = (db_rows){.d = d, .statement = answer, .slot = -1};
    return KU_OK;
}

ku_status postgres_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;

    ku_status status = postgres_prepare(p, sql, &statement);
    if (status == KU_OK)
        status = postgres_encode_many(p, statement, values, n_columns, n_rows);
    return status == KU_OK ? fetch(p, statement, true, ret_rows) : status;
}

ku_status postgres_query_text(
    db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = NULL;

    ku_status status = prepare_text(p, sql, &statement);
    if (status == KU_OK)
        status = postgres_encode(p, statement, binds, n_binds);
    return status == KU_OK ? fetch(p, statement, false, ret_rows) : status;
}

ku_status postgres_next(db_rows *rows, bool *ret_row)
{
    if (rows->statement == NULL)
        return KU_OK;
    rows->slot++;
    *ret_row = rows->slot < PQntuples(rows->statement);
    if (!*ret_row)
        postgres_rows_done(rows);
    return KU_OK;
}

void postgres_rows_done(db_rows *rows)
{
    PQclear(rows->statement);
    rows->statement = NULL;
}
