/*
 * PostgreSQL: sending, waiting, and asking ahead.
 *
 * The connection is in libpq's pipeline mode: what is sent is queued here as a flight and answered
 * in that order.  A sync closes each stretch that is flushed.  After a failure the server skips
 * what follows up to the next sync, so something that has to be carried out whatever became of what
 * stands before it (ROLLBACK) goes behind one.
 *
 * Whoever needs an answer waits for all of them.  The first failure among the flights of the
 * present transaction is what the transaction has failed with; flights of an earlier one (the
 * answer to its ROLLBACK, say) are read and forgotten.
 *
 * A wait ends at its deadline whatever the server or the network do: the connection is given up
 * then, because nobody can tell any more which answer belongs to what.  Every now and then a wait
 * looks whether it is to stop; then it asks the server to cancel, on a thread of its own because
 * libpq's call for that waits for as long as the server likes, and goes on waiting a little.
 */
#include "db/postgres.h"

#include "base/clock.h"
#include "base/hash.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- flights --------------------------------------------------------------------------------- */

static postgres_flight *flight_at(postgres_db *p, size_t index)
{
    return &p->flights[(p->first_flight + index) & (p->flight_capacity - 1)];
}

static void add_flight(postgres_db *p, postgres_flight flight)
{
    if (p->n_flights == p->flight_capacity) {
        size_t capacity = p->flight_capacity == 0 ? 64 : 2 * p->flight_capacity;
        postgres_flight *flights = mem_alloc(capacity * sizeof(*flights));
        for (size_t i = 0; i < p->n_flights; i++)
            flights[i] = *flight_at(p, i);
        free(p->flights);
        p->flights = flights;
        p->flight_capacity = capacity;
        p->first_flight = 0;
    }
    flight.transaction = p->transaction;
    *flight_at(p, p->n_flights++) = flight;
    p->n_unsynced = flight.kind == FLIGHT_SYNC ? 0 : p->n_unsynced + 1;
}

static void drop_first_flight(postgres_db *p)
{
    p->first_flight = (p->first_flight + 1) & (p->flight_capacity - 1);
    p->n_flights--;
    p->first_answered = false;
}

void postgres_forget_flights(postgres_db *p)
{
    p->first_flight = p->n_flights = p->n_unsynced = 0;
    p->first_answered = false;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Whatever libpq could not queue it can never queue: the connection is of no use. */
static ku_status queued(postgres_db *p, int result, postgres_flight flight)
{
    add_flight(p, flight); /* also if not: part of it may have left */
    if (result == 0)
        postgres_lose(p, PQerrorMessage(p->connection));
    return result == 0 ? p->failed : KU_OK;
}

ku_status postgres_send(postgres_db *p, const char *name, size_t n_binds, postgres_flight flight)
{
    const postgres_binds *b = &p->binds;

    if (flight.kind == FLIGHT_STATEMENT)
        p->base.traffic.statements++;
    return queued(p,
        PQsendQueryPrepared(p->connection, name, (int)n_binds, n_binds > 0 ? b->values : NULL,
            b->lengths, b->formats, 1),
        flight);
}

ku_status postgres_send_text(postgres_db *p, const char *sql, postgres_flight flight)
{
    return queued(p, PQsendQueryParams(p->connection, sql, 0, NULL, NULL, NULL, NULL, 1), flight);
}

ku_status postgres_send_control(postgres_db *p, const char *name, const char *sql)
{
    const postgres_flight parse = {.kind = FLIGHT_PARSE};

    return queued(p, PQsendPrepare(p->connection, name, sql, 0, NULL), parse);
}

ku_status postgres_send_parse(postgres_db *p, postgres_statement *statement, const char *sql)
{
    const postgres_flight describe = {.kind = FLIGHT_DESCRIBE, .statement = statement};

    ku_status status = postgres_send_control(p, statement->name, sql);
    if (status == KU_OK)
        status = queued(p, PQsendDescribePrepared(p->connection, statement->name), describe);
    return status;
}

ku_status postgres_send_begin(postgres_db *p)
{
    const postgres_flight begin = {.kind = FLIGHT_CONTROL};

    if (p->state != STATE_BEGUN)
        return KU_OK;
    ku_status status = postgres_send(p, "begin", 0, begin);
    if (status == KU_OK)
        p->state = STATE_OPEN;
    return status;
}

ku_status postgres_send_begin_to_read(postgres_db *p)
{
    return p->role == DB_READER ? postgres_send_begin(p) : KU_OK;
}

ku_status postgres_flush(postgres_db *p)
{
    const postgres_flight sync = {.kind = FLIGHT_SYNC};

    return p->n_unsynced == 0 ? KU_OK : queued(p, PQpipelineSync(p->connection), sync);
}

/* ---- answers --------------------------------------------------------------------------------- */

static int64_t count_changes(PGresult *result)
{
    /* What a SELECT counts is rows that it has found. */
    if (strncmp(PQcmdStatus(result), "SELECT", 6) == 0)
        return 0;
    return strtoll(PQcmdTuples(result), NULL, 10);
}

static void keep_types(postgres_statement *statement, const PGresult *result)
{
    statement->n_binds = (size_t)PQnparams(result);
    statement->types = mem_grow(statement->types, (statement->n_binds + 1) * sizeof(Oid));
    for (size_t i = 0; i < statement->n_binds; i++)
        statement->types[i] = PQparamtype(result, (int)i);
    statement->prepared = true;
}

/* Takes the answer to the first flight; true if *result is somebody's now. */
static bool take_success(postgres_db *p, const postgres_flight *flight, PGresult *result)
{
    switch (flight->kind) {
    case FLIGHT_DESCRIBE:
        keep_types(flight->statement, result);
        return false;
    case FLIGHT_COMMIT:
        p->commit = strcmp(PQcmdStatus(result), "COMMIT") == 0 ? COMMIT_DONE : COMMIT_REFUSED;
        return false;
    case FLIGHT_STATEMENT:
        if (flight->changes != NULL)
            *flight->changes = count_changes(result);
        if (flight->answer == NULL)
            return false;
        *flight->answer = result;
        return true;
    case FLIGHT_PARSE:
    case FLIGHT_CONTROL:
    case FLIGHT_SYNC:
        break;
    }
    return false;
}

/* Takes what libpq has next, which may be NULL: the end of an answer. */
static bool take_answer(postgres_db *p, PGresult *result)
{
    const postgres_flight *flight = flight_at(p, 0);
    bool kept = false;

    if (result == NULL) {
        bool expected = p->first_answered;
        if (expected)
            drop_first_flight(p);
        return expected;
    }
    ExecStatusType status = PQresultStatus(result);
    if ((status == PGRES_PIPELINE_SYNC) != (flight->kind == FLIGHT_SYNC)) {
        PQclear(result);
        return false;
    }
    switch (status) {
    case PGRES_PIPELINE_SYNC:
        drop_first_flight(p); /* no NULL comes behind it */
        break;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        kept = take_success(p, flight, result);
        p->first_answered = true;
        break;
    case PGRES_PIPELINE_ABORTED: /* what it was that failed has been noted */
        p->first_answered = true;
        break;
    default:
        postgres_note_failure(p, flight, result);
        p->first_answered = true;
        break;
    }
    if (!kept)
        PQclear(result);
    return true;
}

/* Takes all answers that have arrived; false: they are not those that were expected. */
static bool take_answers(postgres_db *p)
{
    while (p->n_flights > 0 && !PQisBusy(p->connection))
        if (!take_answer(p, PQgetResult(p->connection)))
            return false;
    return true;
}

/* Reads from the socket and takes what has come; false: the connection is lost. */
static bool read_answers(postgres_db *p)
{
    bool alive = PQconsumeInput(p->connection) != 0;
    bool expected = take_answers(p);

    if (p->n_flights == 0) /* libpq looks at what nobody has asked for only when it is asked */
        (void)PQisBusy(p->connection);
    if (!expected || !alive || p->closing) {
        postgres_lose(p, PQerrorMessage(p->connection));
        return false;
    }
    p->heard_us = clock_monotonic_us();
    return true;
}

bool postgres_listen(postgres_db *p)
{
    struct pollfd socket = {.fd = PQsocket(p->connection), .events = POLLIN};

    return poll(&socket, 1, 0) == 0 || read_answers(p);
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* Shared by the connection and the thread that carries it to the server. */
typedef struct postgres_cancel {
    PGcancel *handle;
    atomic_int users;
    atomic_bool delivered;
} postgres_cancel;

static void drop_cancel(postgres_cancel *cancel)
{
    if (atomic_fetch_sub(&cancel->users, 1) > 1)
        return;
    PQfreeCancel(cancel->handle);
    free(cancel);
}

static void *deliver_cancel(void *context)
{
    postgres_cancel *cancel = context;
    char error[256];

    (void)PQcancel(cancel->handle, error, sizeof(error));
    atomic_store(&cancel->delivered, true);
    drop_cancel(cancel);
    return NULL;
}

static void start_cancel(postgres_db *p)
{
    pthread_t thread;
    postgres_cancel *cancel = mem_zero(1, sizeof(*cancel));

    cancel->handle = PQgetCancel(p->connection);
    atomic_init(&cancel->users, 2);
    p->cancel = cancel;
    if (pthread_create(&thread, NULL, deliver_cancel, cancel) == 0) {
        (void)pthread_detach(thread);
    } else { /* then the wait for an answer ends the connection */
        atomic_store(&cancel->delivered, true);
        drop_cancel(cancel);
    }
}

void postgres_finish_cancel(postgres_db *p)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    int64_t deadline_us = clock_monotonic_us() + POSTGRES_CANCEL_US;

    if (p->cancel == NULL)
        return;
    while (p->connection != NULL && !atomic_load(&p->cancel->delivered) &&
           clock_monotonic_us() < deadline_us)
        (void)nanosleep(&moment, NULL);
    bool delivered = atomic_load(&p->cancel->delivered);
    drop_cancel(p->cancel);
    p->cancel = NULL;
    if (!delivered && p->connection != NULL) /* it would hit whatever runs then */
        postgres_lose(p, "a statement was cancelled and the server did not answer");
}

void postgres_interrupt(db *d)
{
    atomic_store(&((postgres_db *)d)->interrupted, true);
}

static bool wants_to_stop(postgres_db *p)
{
    return atomic_exchange(&p->interrupted, false) || (p->stop != NULL && p->stop(p->stop_context));
}

/* ---- waiting --------------------------------------------------------------------------------- */

typedef struct patience {
    int64_t deadline_us;
    int64_t look_us; /* when to look whether to stop */
} patience;

static patience patience_of(postgres_db *p, int64_t wait_us)
{
    int64_t now_us = clock_monotonic_us();

    p->base.traffic.round_trips++;
    atomic_store(&p->interrupted, false);
    return (patience){now_us + wait_us, now_us + POSTGRES_SLICE_MS * 1000};
}

/* A deadline has passed. */
static void give_up(postgres_db *p)
{
    const char *why = "the server does not answer";

    if (p->cancel != NULL && p->commit != COMMIT_SENT) {
        why = "the server does not answer to being told to stop";
        (void)postgres_fail(p, KU_CANCELLED, false, "%s", why);
    }
    postgres_lose(p, why);
}

/* Looks at the clock and whether to stop.  False: the connection was given up. */
static bool look_around(postgres_db *p, patience *wait)
{
    int64_t now_us = clock_monotonic_us();

    if (now_us >= wait->deadline_us) {
        give_up(p);
        return false;
    }
    if (now_us >= wait->look_us) {
        wait->look_us = now_us + POSTGRES_SLICE_MS * 1000;
        if (p->cancel == NULL && wants_to_stop(p)) {
            start_cancel(p);
            wait->deadline_us = now_us + POSTGRES_CANCEL_US;
        }
    }
    return true;
}

/*
 * Sends what is left to be sent and reads what has come, or waits for a moment until one of them
 * can be done.  False: the connection is lost.
 */
static bool wait_for_socket(postgres_db *p, patience *wait)
{
    bool secure = PQsslInUse(p->connection) != 0;
    int unsent =
        PQflush(p->connection); /* if it fails there may be words to be read that say why */
    struct pollfd socket = {.fd = PQsocket(p->connection), .events = POLLIN};

    if (unsent > 0)
        socket.events = POLLIN | POLLOUT;
    /* What was decrypted already does not show at the socket. */
    int ready = poll(&socket, 1, secure ? POSTGRES_SLICE_MS / 10 : POSTGRES_SLICE_MS);
    bool readable = ready > 0 && (socket.revents & ~POLLOUT) != 0;
    if ((readable || secure) && !read_answers(p))
        return false;
    return look_around(p, wait);
}

ku_status postgres_settle(postgres_db *p)
{
    if (p->connection == NULL || postgres_flush(p) != KU_OK)
        return p->failed;
    if (p->n_flights > 0) {
        patience wait = patience_of(p, p->patient ? POSTGRES_SCRIPT_US : POSTGRES_WAIT_US);
        while (p->n_flights > 0 && wait_for_socket(p, &wait))
            ;
        postgres_finish_cancel(p);
    }
    return p->failed;
}

/* ---- the simple protocol --------------------------------------------------------------------- */

/* Reads all answers to a script; the first failure is noted. */
static void read_simple(postgres_db *p)
{
    const postgres_flight script = {.kind = FLIGHT_CONTROL, .transaction = p->transaction};
    patience wait = patience_of(p, POSTGRES_SCRIPT_US);
    PGresult *result;

    for (;;) {
        while (PQisBusy(p->connection))
            if (!wait_for_socket(p, &wait))
                return;
        result = PQgetResult(p->connection);
        if (result == NULL)
            return;
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            PQclear(result);
            (void)postgres_fail(p, KU_INTERNAL, false, "a script must not COPY");
            postgres_lose(p, "a script began to COPY");
            return;
        }
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
            postgres_note_failure(p, &script, result);
        PQclear(result);
    }
}

ku_status postgres_run_simple(postgres_db *p, const char *sql)
{
    assert(p->n_flights == 0 && p->n_unsynced == 0);
    p->base.traffic.statements++;
    p->in_script = true;
    if (PQexitPipelineMode(p->connection) && PQsendQuery(p->connection, sql)) {
        read_simple(p);
        postgres_finish_cancel(p);
        if (p->connection != NULL && (p->closing || !PQenterPipelineMode(p->connection)))
            postgres_lose(p, PQerrorMessage(p->connection));
    } else {
        postgres_lose(p, PQerrorMessage(p->connection));
    }
    p->in_script = false;
    return p->failed;
}

/* ---- asking ahead ---------------------------------------------------------------------------- */

static uint64_t hash_query(const postgres_binds *b, int sql, size_t n_binds)
{
    uint64_t hash = hash_bytes((uint64_t)sql, &n_binds, sizeof(n_binds));

    for (size_t i = 0; i < n_binds; i++) {
        hash = hash_bytes(hash, &b->lengths[i], sizeof(b->lengths[i]));
        hash = hash_bytes(hash, b->values[i], (size_t)b->lengths[i]);
    }
    return hash;
}

/* The binds as one text: for each whether it is there, how long it is, and what it is. */
static void flatten(buffer *b, const postgres_binds *binds, size_t n_binds)
{
    for (size_t i = 0; i < n_binds; i++) {
        buffer_add_char(b, binds->values[i] != NULL ? '1' : '0');
        buffer_add(b, &binds->lengths[i], sizeof(binds->lengths[i]));
        if (binds->lengths[i] > 0)
            buffer_add(b, binds->values[i], (size_t)binds->lengths[i]);
    }
}

void postgres_prefetch_query(db *d, int sql, const db_value *binds, size_t n_binds)
{
    postgres_db *p = (postgres_db *)d;
    postgres_statement *statement = &p->statements[sql];

    if (p->state == STATE_NONE || p->connection == NULL || p->failed != KU_OK ||
        !statement->prepared)
        return; /* what is not known yet is better prepared when it is needed */
    if (postgres_encode(p, statement, binds, n_binds) != KU_OK)
        return;
    postgres_prefetch *ahead = arena_alloc(&p->prefetch_memory, sizeof(*ahead));
    buffer flat = {.arena = &p->prefetch_memory};
    flatten(&flat, &p->binds, n_binds);
    ahead->binds = buffer_str(&flat);
    ahead->sql = sql;
    ahead->hash = hash_query(&p->binds, sql, n_binds);
    if (p->last_prefetch != NULL)
        p->last_prefetch->next = ahead;
    else
        p->first_prefetch = ahead;
    p->last_prefetch = ahead;
    const postgres_flight flight = {.kind = FLIGHT_STATEMENT, .answer = &ahead->rows};
    if (postgres_send_begin_to_read(p) == KU_OK)
        (void)postgres_send(p, statement->name, n_binds, flight);
}

static postgres_prefetch *find_prefetch(postgres_db *p, int sql)
{
    size_t n_binds = p->statements[sql].n_binds;
    buffer flat = {.arena = &p->prefetch_memory};

    if (p->first_prefetch == NULL)
        return NULL;
    uint64_t hash = hash_query(&p->binds, sql, n_binds);
    for (postgres_prefetch *ahead = p->first_prefetch; ahead != NULL; ahead = ahead->next) {
        if (ahead->taken || ahead->hash != hash || ahead->sql != sql)
            continue;
        if (flat.len == 0)
            flatten(&flat, &p->binds, n_binds);
        if (ku_str_equal(buffer_str(&flat), ahead->binds))
            return ahead;
    }
    return NULL;
}

ku_status postgres_take_prefetched(postgres_db *p, int sql, bool *ret_found, PGresult **ret_rows)
{
    postgres_prefetch *ahead = find_prefetch(p, sql);

    *ret_found = ahead != NULL;
    if (ahead == NULL)
        return KU_OK;
    ku_status status = ahead->rows != NULL ? KU_OK : postgres_settle(p);
    if (status != KU_OK)
        return status;
    assert(ahead->rows != NULL);
    *ret_rows = ahead->rows;
    ahead->rows = NULL;
    ahead->taken = true;
    while (p->first_prefetch != NULL && p->first_prefetch->taken)
        p->first_prefetch = p->first_prefetch->next;
    if (p->first_prefetch == NULL)
        p->last_prefetch = NULL;
    return KU_OK;
}

void postgres_forget_prefetches(postgres_db *p)
{
    if (p->first_prefetch == NULL) {
        arena_reset(&p->prefetch_memory); /* taken: no answer is on its way to them */
        return;
    }
    for (size_t i = 0; i < p->n_flights; i++)
        flight_at(p, i)->answer = NULL;
    for (postgres_prefetch *ahead = p->first_prefetch; ahead != NULL; ahead = ahead->next)
        PQclear(ahead->rows);
    p->first_prefetch = p->last_prefetch = NULL;
    arena_reset(&p->prefetch_memory);
}
