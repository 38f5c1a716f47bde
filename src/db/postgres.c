/*
 * PostgreSQL: transactions, and what becomes of them.
 *
 * BEGIN is not sent by itself but along with the first statement, COMMIT along with the last: a
 * transaction costs as many round trips as it has answers that somebody waits for.  A transaction
 * in which nothing was sent is none.  Readers have nothing to commit, so the end of theirs is sent
 * and its answer read some time later.
 *
 * A writer reads each statement's own snapshot in any case (READ COMMITTED), so its BEGIN waits for
 * the first statement that writes: while handlers decide, nothing is open on the server, and a
 * handler that takes its time is not ended by idle_in_transaction_session_timeout.
 *
 * After a failure the transaction is over for the server, and so it is here: every further call
 * gives the same status until db_rollback, or db_rollback_to a savepoint.
 *
 * A lost connection takes its transaction with it.  Whether that may be run again depends on how
 * far it was: before COMMIT has left nothing of it is there; after that nobody can tell, unless the
 * server has said before that it failed.  The next transaction connects again.
 */
#include "db/postgres.h"

#include "base/clock.h"
#include "base/error.h"
#include "db/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- failures -------------------------------------------------------------------------------- */

static void note(postgres_db *p, ku_status status, bool may_retry)
{
    p->failed = status;
    p->base.may_retry = may_retry;
    p->base.outcome_unknown = false;
}

ku_status postgres_fail(postgres_db *p, ku_status status, bool may_retry, const char *format, ...)
{
    va_list args;

    if (p->failed != KU_OK)
        return p->failed;
    va_start(args, format);
    vsnprintf(p->base.error, sizeof(p->base.error), format, args);
    va_end(args);
    note(p, status, may_retry);
    return status;
}

static bool has_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, 2) == 0;
}

/* What only time or another connection is to blame for: the retry table of ordering.md. */
static bool passes(const char *sqlstate)
{
    static const char *const codes[] = {
        "40001", /* serialization_failure */
        "40P01", /* deadlock_detected */
        "55P03", /* lock_not_available */
        "57P01", /* admin_shutdown */
        "57P02", /* crash_shutdown */
        "57P03", /* cannot_connect_now */
        "57P05", /* idle_session_timeout */
        "25006", /* read_only_sql_transaction: an old primary */
        "25P03", /* idle_in_transaction_session_timeout */
    };

    for (size_t i = 0; i < KU_COUNT(codes); i++)
        if (strcmp(sqlstate, codes[i]) == 0)
            return true;
    return has_class(sqlstate, "08");
}

static ku_status classify(const postgres_db *p, const char *sqlstate, bool *ret_may_retry)
{
    *ret_may_retry = false;
    if (strcmp(sqlstate, "23505") == 0)
        return KU_UNIQUE_VIOLATION;
    if (strcmp(sqlstate, "57014") == 0) /* else it was the server's limit, or an operator */
        return p->cancel != NULL ? KU_CANCELLED : KU_UNAVAILABLE;
    if (strcmp(sqlstate, "25006") == 0 && p->role == DB_READER)
        return KU_INTERNAL; /* it was asked to write */
    if (passes(sqlstate)) {
        *ret_may_retry = true;
        return KU_UNAVAILABLE;
    }
    return has_class(sqlstate, "53") ? KU_UNAVAILABLE : KU_INTERNAL;
}

void postgres_note_failure(postgres_db *p, const postgres_flight *flight, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    bool may_retry;

    bool deadly = sqlstate == NULL || severity == NULL || strcmp(severity, "ERROR") != 0;
    bool gone = sqlstate == NULL; /* libpq's own words, for whatever was to be answered next */
    if (gone)
        sqlstate = "08006";
    if (words == NULL)
        words = PQresultErrorMessage(result);
    ku_status status = classify(p, sqlstate, &may_retry);
    if (deadly || (strcmp(sqlstate, "25006") == 0 && p->role == DB_WRITER))
        p->closing = true;
    if (deadly) /* what the connection is lost with, see postgres_lose */
        snprintf(p->farewell, sizeof(p->farewell), "%s (%s)", words, sqlstate);
    /* Before or after the transaction was on disk?  It has left along with what stands before it.
     */
    if ((deadly && flight->kind == FLIGHT_COMMIT) || (gone && p->commit == COMMIT_SENT))
        return;
    if (flight->kind == FLIGHT_COMMIT)
        p->commit = COMMIT_REFUSED;
    if (flight->transaction == p->transaction)
        (void)postgres_fail(p, status, may_retry, "%s%s%s (%s)", words, detail != NULL ? ": " : "",
            detail != NULL ? detail : "", sqlstate);
}

/* Copies libpq's words as one line. */
void postgres_copy_words(char *place, size_t size, const char *words)
{
    size_t length = 0;

    for (; *words != '\0' && length + 1 < size; words++) {
        if (*words != '\n' && *words != '\t')
            place[length++] = *words;
        else if (words[1] != '\0' && words[1] != '\n' && words[1] != '\t')
            place[length++] = ' ';
    }
    place[length] = '\0';
}

void postgres_lose(postgres_db *p, const char *why)
{
    char words[sizeof(p->farewell)];
    bool wanted = p->state != STATE_NONE || p->n_flights > 0 || p->in_script;

    postgres_copy_words(words, sizeof(words), p->farewell[0] != '\0' ? p->farewell : why);
    if (p->failed == KU_OK && wanted && p->commit != COMMIT_DONE) {
        bool unknown = p->commit == COMMIT_SENT;
        (void)postgres_fail(p, KU_UNAVAILABLE, !unknown, "the connection was lost: %s",
            words[0] != '\0' ? words : "no reason is known");
        p->base.outcome_unknown = unknown;
    }
    p->farewell[0] = '\0';
    p->closing = false;
    postgres_forget_flights(p);
    postgres_forget_prefetches(p);
    postgres_forget_statements(p);
    PQfinish(p->connection);
    p->connection = NULL;
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* What comes from now on does not belong to what was before. */
static void start_anew(postgres_db *p, postgres_state state)
{
    postgres_forget_prefetches(p);
    p->transaction++;
    p->state = state;
    p->failed = KU_OK;
    p->commit = COMMIT_NOT_SENT;
    p->savepoints = 0;
}

ku_status postgres_ready(postgres_db *p)
{
    if (p->state == STATE_NONE)
        start_anew(p, STATE_NONE);
    if (p->failed != KU_OK || p->connection != NULL)
        return p->failed;
    return postgres_reconnect(p);
}

static ku_status postgres_begin(db *d)
{
    postgres_db *p = (postgres_db *)d;

    if (p->state != STATE_NONE) {
        snprintf(d->error, sizeof(d->error), "there is a transaction already");
        return KU_INTERNAL;
    }
    d->may_retry = d->outcome_unknown = false;
    start_anew(p, STATE_NONE);
    if (p->connection != NULL && clock_monotonic_us() - p->heard_us > POSTGRES_QUIET_US)
        (void)postgres_listen(p); /* a server that went away while nobody looked */
    ku_status status = postgres_ready(p);
    if (status == KU_OK)
        start_anew(p, STATE_BEGUN);
    return status;
}

/* Sends the end of the transaction; nobody waits for the answer. */
static void send_end(postgres_db *p, const char *name)
{
    const postgres_flight end = {.kind = FLIGHT_CONTROL};

    /* Behind a sync: a failure of what stands before it must not make the server skip it. */
    if (p->connection != NULL && p->state == STATE_OPEN && postgres_flush(p) == KU_OK &&
        postgres_send(p, name, 0, end) == KU_OK)
        (void)postgres_flush(p);
}

static void postgres_rollback(db *d)
{
    postgres_db *p = (postgres_db *)d;
    char error[sizeof(d->error)];
    bool may_retry = d->may_retry, outcome_unknown = d->outcome_unknown;

    if (p->state == STATE_NONE)
        return;
    memcpy(error, d->error, sizeof(error));
    postgres_forget_prefetches(p);
    if (p->commit != COMMIT_REFUSED)
        send_end(p, "rollback");
    start_anew(p, STATE_NONE);
    memcpy(d->error, error, sizeof(error)); /* what went wrong before is what matters */
    d->may_retry = may_retry;
    d->outcome_unknown = outcome_unknown;
}

static ku_status commit_writes(postgres_db *p)
{
    const postgres_flight flight = {.kind = FLIGHT_COMMIT};

    /* If the connection is lost already it must be found now: once COMMIT has left nobody knows. */
    if (!postgres_listen(p) || p->failed != KU_OK)
        return p->failed;
    p->commit = COMMIT_SENT;
    ku_status status = postgres_send(p, "commit", 0, flight);
    if (status == KU_OK)
        status = postgres_settle(p);
    if (p->commit == COMMIT_DONE)
        return KU_OK;
    if (status == KU_OK)
        status = postgres_fail(p, KU_INTERNAL, false, "the server has rolled back instead");
    return status;
}

static ku_status postgres_commit(db *d)
{
    postgres_db *p = (postgres_db *)d;
    ku_status status = p->failed;

    if (p->state == STATE_NONE) {
        snprintf(d->error, sizeof(d->error), "there is no transaction");
        return KU_INTERNAL;
    }
    if (status == KU_OK && p->state == STATE_OPEN) {
        if (p->role == DB_READER)
            send_end(p, "commit");
        else
            status = commit_writes(p);
    }
    if (status != KU_OK)
        postgres_rollback(d);
    else
        start_anew(p, STATE_NONE);
    return status;
}

static bool postgres_intact(const db *d)
{
    const postgres_db *p = (const postgres_db *)d;

    return p->state != STATE_NONE && p->failed == KU_OK;
}

/* ---- savepoints ------------------------------------------------------------------------------ */

/* Their names say how deep they are: a failed one must not be taken for the one around it. */
static ku_status send_savepoint(postgres_db *p, const char *verb, int depth)
{
    const postgres_flight flight = {.kind = FLIGHT_CONTROL};
    char sql[64];

    snprintf(sql, sizeof(sql), "%s ku_%d", verb, depth);
    ku_status status = postgres_ready(p);
    if (status == KU_OK)
        status = postgres_send_begin(p);
    return status == KU_OK ? postgres_send_text(p, sql, flight) : status;
}

static ku_status postgres_savepoint(db *d)
{
    postgres_db *p = (postgres_db *)d;

    if (p->state == STATE_NONE) {
        snprintf(d->error, sizeof(d->error), "there is no transaction");
        return KU_INTERNAL;
    }
    ku_status status = send_savepoint(p, "SAVEPOINT", p->savepoints + 1);
    if (status == KU_OK)
        p->savepoints++;
    return status;
}

static ku_status postgres_release(db *d)
{
    postgres_db *p = (postgres_db *)d;

    if (p->savepoints == 0) {
        snprintf(d->error, sizeof(d->error), "there is no savepoint");
        return KU_INTERNAL;
    }
    ku_status status = send_savepoint(p, "RELEASE SAVEPOINT", p->savepoints);
    if (status == KU_OK)
        p->savepoints--;
    return status;
}

static void postgres_rollback_to(db *d)
{
    postgres_db *p = (postgres_db *)d;

    if (p->savepoints == 0)
        return;
    /* What was sent before is undone, so what became of it does not matter, but for savepoints. */
    (void)postgres_settle(p);
    if (p->connection == NULL)
        return;
    postgres_forget_prefetches(p);
    p->failed = KU_OK;
    if (send_savepoint(p, "ROLLBACK TO SAVEPOINT", p->savepoints) == KU_OK &&
        send_savepoint(p, "RELEASE SAVEPOINT", p->savepoints) == KU_OK)
        (void)postgres_settle(p);
    p->savepoints--;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void postgres_close(db *d)
{
    postgres_db *p = (postgres_db *)d;

    if (p->connection != NULL)
        postgres_lose(p, "");
    postgres_free_statements(p);
    postgres_binds_done(&p->binds);
    arena_done(&p->prefetch_memory);
    free(p->flights);
    postgres_free_options(p);
    free(p);
}

static ku_status postgres_open(
    const char *url, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error)
{
    postgres_db *p = mem_zero(1, sizeof(*p));

    p->role = role;
    p->base.catalog = p->catalog = catalog;
    p->base.engine = &postgres_engine;
    p->n_statements = SQL_COUNT_ + catalog->n_texts;
    p->statements = mem_zero(p->n_statements, sizeof(*p->statements));
    atomic_init(&p->interrupted, false);
    ku_status status = postgres_read_url(p, url, ret_error);
    if (status == KU_OK) {
        status = postgres_connect(p);
        if (status != KU_OK)
            (void)error_set(ret_error, status, "%s", p->base.error);
    }
    if (status != KU_OK) {
        postgres_close(&p->base);
        return status;
    }
    *ret_db = &p->base;
    return KU_OK;
}

static void postgres_watch(db *d, bool (*stop)(void *context), void *context)
{
    postgres_db *p = (postgres_db *)d;

    p->stop = stop;
    p->stop_context = context;
}

static bool postgres_upkeep(db *d, bool idle)
{
    (void)d;
    (void)idle;
    return false; /* the server does it */
}

static ku_status postgres_settle_all(db *d)
{
    postgres_db *p = (postgres_db *)d;

    return p->state == STATE_OPEN ? postgres_settle(p) : p->failed;
}

const db_engine postgres_engine = {
    .texts = sql_postgres_texts,
    .dialect = DB_POSTGRES,
    .shared = true,
    .open = postgres_open,
    .close = postgres_close,
    .interrupt = postgres_interrupt,
    .watch = postgres_watch,
    .be_patient = postgres_be_patient,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .intact = postgres_intact,
    .savepoint = postgres_savepoint,
    .release = postgres_release,
    .rollback_to = postgres_rollback_to,
    .upkeep = postgres_upkeep,
    .run = postgres_run,
    .run_many = postgres_run_many,
    .send_many = postgres_send_many,
    .settle = postgres_settle_all,
    .script = postgres_script,
    .query = postgres_query,
    .query_many = postgres_query_many,
    .prefetch = postgres_prefetch_query,
    .query_text = postgres_query_text,
    .next = postgres_next,
    .rows_done = postgres_rows_done,
    .is_null = postgres_is_null,
    .column_int = postgres_column_int,
    .column_double = postgres_column_double,
    .column_text = postgres_column_text,
    .column_id = postgres_column_id,
    .ensure_table = postgres_ensure_table,
    .bell_listen = postgres_bell_listen,
    .bell_ring = postgres_bell_ring,
    .bell_wait = postgres_bell_wait,
};
