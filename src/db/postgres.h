/*
 * The inside of a connection to PostgreSQL, for the files postgres*.c.
 */
#ifndef KU_DB_POSTGRES_H
#define KU_DB_POSTGRES_H

#include "db/engine.h"

#include <libpq-fe.h>
#include <stdatomic.h>

enum {
    POSTGRES_TEXTS_KEPT = 64,           /* statements known by text that stay prepared */
    POSTGRES_WAIT_US = 15 * 1000000,    /* for an answer; the server gives up before */
    POSTGRES_SCRIPT_US = 600 * 1000000, /* for a script: an index over a big table; an operator's */
    POSTGRES_CANCEL_US = 2 * 1000000,   /* for an answer after it was told to stop */
    POSTGRES_RECONNECT_US = 5 * 1000000, /* after that no further attempt is begun */
    POSTGRES_BACKOFF_US = 50 * 1000,     /* before the second attempt; then doubled */
    POSTGRES_QUIET_US = 20 * 1000,       /* silent for longer: is it still there? */
    POSTGRES_SLICE_MS = 50,              /* how often a wait looks whether to stop */
    POSTGRES_NAME_BYTES = 32,            /* of a prepared statement */
};

/* A prepared statement. */
typedef struct postgres_statement {
    bool prepared;
    size_t n_binds;
    Oid *types;                     /* of its binds; on the heap */
    char name[POSTGRES_NAME_BYTES]; /* there */
} postgres_statement;

/* A statement known by its text. */
typedef struct postgres_text {
    postgres_statement statement;
    ku_str sql; /* on the heap */
    uint64_t used_at;
} postgres_text;

typedef enum postgres_flight_kind {
    FLIGHT_STATEMENT,
    FLIGHT_PARSE,
    FLIGHT_DESCRIBE, /* the answer says the types of a statement's binds */
    FLIGHT_CONTROL,
    FLIGHT_COMMIT,
    FLIGHT_SYNC, /* what was sent is answered up to here, whatever failed before */
} postgres_flight_kind;

/* What was sent and has not been answered. */
typedef struct postgres_flight {
    postgres_flight_kind kind;
    uint64_t transaction;          /* if it fails, so has this one */
    int64_t *changes;              /* may be NULL */
    PGresult **answer;             /* where its rows go; NULL: nobody wants them */
    postgres_statement *statement; /* of FLIGHT_DESCRIBE */
} postgres_flight;

/* A query whose answer was asked for ahead; in the arena of prefetches. */
typedef struct postgres_prefetch {
    uint64_t hash; /* of the next two */
    int sql;
    ku_str binds;   /* encoded */
    PGresult *rows; /* NULL: not there yet, or taken, or failed */
    bool taken;
    struct postgres_prefetch *next;
} postgres_prefetch;

/* Binds as libpq wants them. */
typedef struct postgres_binds {
    buffer bytes; /* what the values point into, apart from the texts of single rows */
    const char **values;
    int *lengths, *formats;
    size_t *offsets; /* where an array begins in `bytes` */
    size_t capacity;
} postgres_binds;

typedef enum postgres_state {
    STATE_NONE,  /* outside of a transaction: statements commit by themselves */
    STATE_BEGUN, /* here; the server has not been told yet */
    STATE_OPEN,
} postgres_state;

typedef enum postgres_commit_state {
    COMMIT_NOT_SENT,
    COMMIT_SENT,
    COMMIT_DONE,
    COMMIT_REFUSED, /* the server has rolled back */
} postgres_commit_state;

typedef struct postgres_db {
    db base;
    db_role role;
    const db_catalog *catalog;
    PQconninfoOption *options; /* of the URL, as libpq has parsed it; what follows points into it */
    const char **keywords, **settings;
    PGconn *connection; /* NULL: lost */
    int64_t heard_us;   /* when the server was last heard of, CLOCK_MONOTONIC */
    char farewell[256]; /* what the server said of its own accord before it hung up */
    char channel[48];   /* of the bell */

    /* what was sent and is not answered; a ring */
    postgres_flight *flights;
    size_t first_flight, n_flights, flight_capacity;
    size_t n_unsynced;   /* sent since the last FLIGHT_SYNC */
    bool first_answered; /* the first one's rows have come, its end has not */
    bool in_script;      /* a script's answers are awaited */
    bool patient;        /* an answer may take as long as it takes */
    bool closing;        /* the server said something after which the connection is useless */

    /* the transaction */
    postgres_state state;
    uint64_t transaction; /* counts them, statements outside of one included */
    ku_status failed;     /* what it failed with; KU_OK: it has not */
    postgres_commit_state commit;
    int savepoints; /* open */

    postgres_statement *statements; /* by number: sql/ first, then the catalog's */
    size_t n_statements;
    postgres_text texts[POSTGRES_TEXTS_KEPT];
    uint64_t uses;
    postgres_binds binds;

    arena prefetch_memory;
    postgres_prefetch *first_prefetch, *last_prefetch; /* from the first that is not taken */

    bool (*stop)(void *context);
    void *stop_context;
    atomic_bool interrupted; /* by another thread */
    struct postgres_cancel *cancel;
} postgres_db;

/* postgres.c */
/*
 * Before anything is sent: KU_OK if there is a connection and the transaction is intact.  Outside
 * of a transaction, or while the server does not know of it yet, a lost connection is made again.
 */
ku_status postgres_ready(postgres_db *p);
/* Gives the connection up; the words say why. */
void postgres_lose(postgres_db *p, const char *why);
/* Fails the transaction, or the statement outside of one; returns the status. */
ku_status postgres_fail(postgres_db *p, ku_status status, bool may_retry, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with what the server said. */
void postgres_note_failure(postgres_db *p, const postgres_flight *flight, const PGresult *result);

/* Copies libpq's words as one line. */
void postgres_copy_words(char *place, size_t size, const char *words);

/* postgres_connect.c */
ku_status postgres_read_url(postgres_db *p, const char *url, ku_error *ret_error);
void postgres_free_options(postgres_db *p);
/* One attempt. */
ku_status postgres_connect(postgres_db *p);
/* Several, with pauses, for about POSTGRES_RECONNECT_US. */
ku_status postgres_reconnect(postgres_db *p);

/* Lifts the limits of a session that is there, and of those to come. */
ku_status postgres_be_patient(db *d);

/* postgres_pipeline.c */
/* Queues a prepared statement with the binds in p->binds. */
ku_status postgres_send(postgres_db *p, const char *name, size_t n_binds, postgres_flight flight);
/* Queues a text without binds. */
ku_status postgres_send_text(postgres_db *p, const char *sql, postgres_flight flight);
/* Queues what makes it a prepared statement and tells its types. */
ku_status postgres_send_parse(postgres_db *p, postgres_statement *statement, const char *sql);
/* Queues what makes a statement of ours without binds a prepared one. */
ku_status postgres_send_control(postgres_db *p, const char *name, const char *sql);
/* Queues BEGIN if the server has not been told yet. */
ku_status postgres_send_begin(postgres_db *p);
/* The same if what follows only reads: a writer's reads need no transaction. */
ku_status postgres_send_begin_to_read(postgres_db *p);
/* Queues a sync if something was queued since the last, and sends as much as can be sent now. */
ku_status postgres_flush(postgres_db *p);
/* Flushes and waits for all answers; the status of the transaction is returned. */
ku_status postgres_settle(postgres_db *p);
/* Runs a script by the simple protocol; nothing may be in flight. */
ku_status postgres_run_simple(postgres_db *p, const char *sql);
/* Reads what has arrived, without waiting; false: the connection was lost. */
bool postgres_listen(postgres_db *p);
/* Drops everything that is in flight, with the connection. */
void postgres_forget_flights(postgres_db *p);
/* Answers to these are not wanted any more. */
void postgres_forget_prefetches(postgres_db *p);
/* Waits until a cancel that is under way cannot hit the next statement any more. */
void postgres_finish_cancel(postgres_db *p);
void postgres_interrupt(db *d);
void postgres_prefetch_query(db *d, int sql, const db_value *binds, size_t n_binds);
/* The answer that was asked for ahead, if it was: *ret_found. */
ku_status postgres_take_prefetched(postgres_db *p, int sql, bool *ret_found, PGresult **ret_rows);

/* postgres_value.c */
/* Fills p->binds for one row … */
ku_status postgres_encode(
    postgres_db *p, const postgres_statement *statement, const db_value *binds, size_t n_binds);
/* … and for many, an array per column. */
ku_status postgres_encode_many(postgres_db *p, const postgres_statement *statement,
    const db_value *values, size_t n_columns, size_t n_rows);
void postgres_binds_done(postgres_binds *binds);
bool postgres_is_null(const db_rows *rows, int column);
int64_t postgres_column_int(const db_rows *rows, int column);
double postgres_column_double(const db_rows *rows, int column);
ku_str postgres_column_text(const db_rows *rows, int column);
ku_id postgres_column_id(const db_rows *rows, int column);

/* postgres_statement.c */
/* The statement of that number, prepared. */
ku_status postgres_prepare(postgres_db *p, int sql, postgres_statement **ret_statement);
ku_status postgres_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes);
ku_status postgres_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes);
ku_status postgres_send_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *changes);
ku_status postgres_script(db *d, ku_str sql);
ku_status postgres_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
ku_status postgres_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows);
ku_status postgres_query_text(
    db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
ku_status postgres_next(db_rows *rows, bool *ret_row);
void postgres_rows_done(db_rows *rows);
/* Nothing is prepared any more: the connection is another one. */
void postgres_forget_statements(postgres_db *p);
void postgres_free_statements(postgres_db *p);

/* postgres_bell.c */
ku_status postgres_bell_listen(db *d);
ku_status postgres_bell_ring(db *d);
ku_status postgres_bell_wait(db *d, int descriptor, int timeout_ms, bool *ret_rung);

/* postgres_table.c */
ku_status postgres_ensure_table(db *d, const db_table *table, bool check_only, ku_error *ret_error);

#endif
