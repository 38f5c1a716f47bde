/*
 * SQLite: connections, transactions, checkpoints.
 *
 * One process writes a file, and in it one connection does all writes and all checkpoints: versions
 * up to 3.51.2 can corrupt the log when two connections write or checkpoint at the same moment.
 * Readers are read-only, see the snapshot of their transaction and never wait for the writer.
 *
 * A commit is on disk when it returns: write-ahead log, synchronous=FULL.  SQLite's own checkpoints
 * are off, because they would run inside a commit (they are what makes a p99 of 20 ms).  Instead
 * the writer calls upkeep between transactions: when the log has outgrown its bound, and when
 * nothing has been written for a while.  The log file keeps its size up to that bound: overwriting
 * blocks that are there makes fdatasync cheaper than growing a file does.  A clean close of the
 * writer leaves everything in the one file.
 */
#include "db/sqlite.h"
#include "base/error.h"

#include "base/clock.h"
#include "db/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const control_texts[CONTROL_COUNT_] = {
    [CONTROL_COMMIT] = "COMMIT",
    [CONTROL_ROLLBACK] = "ROLLBACK",
    [CONTROL_SAVEPOINT] = "SAVEPOINT ku",
    [CONTROL_RELEASE] = "RELEASE ku",
    [CONTROL_ROLLBACK_TO] = "ROLLBACK TO ku",
};

ku_status sqlite_failed(sqlite_db *s, int result)
{
    snprintf(s->base.error, sizeof(s->base.error), "%s", sqlite3_errmsg(s->handle));
    switch (sqlite3_extended_errcode(s->handle)) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return KU_UNIQUE_VIOLATION;
    default:
        break;
    }
    switch (result & 0xff) {
    case SQLITE_INTERRUPT:
        return KU_CANCELLED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
        return KU_UNAVAILABLE;
    default:
        return KU_INTERNAL;
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Looks at the file before SQLite does, whose message would be "unable to open database file". */
static ku_status examine_place(const char *path, db_role role, ku_error *ret_error)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        if (errno != ENOENT)
            return error_set(
                ret_error, KU_UNAVAILABLE, "cannot open '%s': %s", path, strerror(errno));
        if (role == DB_READER)
            return error_set(ret_error, KU_NOT_FOUND, "there is no database '%s'", path);

        char folder[4096];
        const char *slash = strrchr(path, '/');
        size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
        if (length >= sizeof(folder))
            return error_set(ret_error, KU_INVALID, "the path of the database is too long");
        memcpy(folder, path, length);
        memcpy(folder + length, length == 0 ? "." : "", length == 0 ? 2 : 1);
        if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
            return error_set(
                ret_error, KU_NOT_FOUND, "there is no folder '%s' for the database", folder);
        if (access(folder, W_OK) != 0)
            return error_set(ret_error, KU_UNAVAILABLE, "the folder '%s' cannot be written: %s",
                folder, strerror(errno));
        return KU_OK;
    }
    if (S_ISDIR(info.st_mode))
        return error_set(ret_error, KU_INVALID, "'%s' is a folder, not a database", path);
    if (access(path, role == DB_WRITER ? R_OK | W_OK : R_OK) != 0)
        return error_set(ret_error, KU_UNAVAILABLE, "'%s' cannot be %s: %s", path,
            role == DB_WRITER ? "written" : "read", strerror(errno));
    return KU_OK;
}

static void configure_library(void)
{
    /* Without it every allocation of every thread takes one lock, to keep a statistic. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
}

/* Runs settings; the first one that fails is the status. */
static int run_pragmas(sqlite3 *handle, db_role role, bool in_memory)
{
    char text[512];

    if (role == DB_READER)
        snprintf(text, sizeof(text),
            "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=%d;"
            "PRAGMA cache_size=-%d",
            (int)SQLITE_READER_MAP_BYTES, (int)SQLITE_READER_CACHE_KIB);
    else
        snprintf(text, sizeof(text),
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=0;"
            "PRAGMA journal_size_limit=%d; PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY;"
            "PRAGMA cache_size=-%d",
            in_memory ? "OFF" : "FULL", (int)SQLITE_WAL_BYTES_MAX, (int)SQLITE_WRITER_CACHE_KIB);
    return sqlite3_exec(handle, text, NULL, NULL, NULL);
}

static int64_t read_page_size(sqlite3 *handle)
{
    sqlite3_stmt *statement;
    int64_t size = 4096;

    if (sqlite3_prepare_v2(handle, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK) {
        if (sqlite3_step(statement) == SQLITE_ROW)
            size = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
    }
    return size;
}

static int count_frames(void *context, sqlite3 *handle, const char *name, int frames)
{
    sqlite_db *s = context;
    (void)handle;
    (void)name;

    if (frames < s->wal_frames) { /* the log began anew */
        s->wal_checkpointed = 0;
        s->wal_retry_at = 0;
    }
    s->wal_frames = frames;
    return SQLITE_OK;
}

/*
 * What a process that was killed has left in the log, at most.  It is dealt with when the writer is
 * idle, so that starting is quick.
 */
static int64_t count_left_frames(sqlite3 *handle)
{
    struct stat info;
    const char *wal = sqlite3_filename_wal(sqlite3_db_filename(handle, "main"));

    if (wal == NULL || stat(wal, &info) != 0)
        return 0;
    return (int64_t)info.st_size / read_page_size(handle);
}

static int ask_to_stop(void *context)
{
    sqlite_db *s = context;
    return s->stop(s->stop_context) ? 1 : 0;
}

static ku_status describe_failure(
    const sqlite_db *s, const char *path, int result, ku_error *ret_error)
{
    if (result == SQLITE_NOTADB)
        return error_set(ret_error, KU_INVALID, "'%s' is not an SQLite database", path);
    ku_status status =
        result == SQLITE_BUSY || result == SQLITE_CANTOPEN ? KU_UNAVAILABLE : KU_INTERNAL;
    return error_set(ret_error, status, "cannot open '%s': %s", path, sqlite3_errmsg(s->handle));
}

static ku_status open_file(sqlite_db *s, const char *path, bool in_memory, ku_error *ret_error)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (s->role == DB_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);

    int result = sqlite3_open_v2(path, &s->handle, flags, NULL);
    if (result != SQLITE_OK)
        return describe_failure(s, path, result & 0xff, ret_error);
    sqlite3_busy_timeout(s->handle, s->role == DB_WRITER ? 5000 : 2000);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    result = run_pragmas(s->handle, s->role, in_memory);
    if (result == SQLITE_OK) /* the first look into the file */
        result = sqlite3_exec(s->handle, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return describe_failure(s, path, result & 0xff, ret_error);

    for (int i = 0; i < CONTROL_COUNT_; i++) {
        const char *text = control_texts[i];
        if (i == CONTROL_BEGIN)
            text = s->role == DB_WRITER ? "BEGIN IMMEDIATE" : "BEGIN";
        result = sqlite3_prepare_v3(
            s->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &s->controls[i], NULL);
        if (result != SQLITE_OK)
            return describe_failure(s, path, result & 0xff, ret_error);
    }
    if (s->role == DB_WRITER) {
        s->wal_frames_max = SQLITE_WAL_BYTES_MAX / read_page_size(s->handle);
        sqlite3_wal_hook(s->handle, count_frames, s);
        s->wal_frames = count_left_frames(s->handle);
    }
    return KU_OK;
}

static void sqlite_close(db *d)
{
    sqlite_db *s = (sqlite_db *)d;

    sqlite_finalize_all(s);
    for (int i = 0; i < CONTROL_COUNT_; i++)
        sqlite3_finalize(s->controls[i]);
    if (s->role == DB_WRITER && s->handle != NULL) {
        /* Does not wait for readers; what they hold up stays in the log, where it is as safe. */
        sqlite3_busy_timeout(s->handle, 0);
        (void)sqlite3_wal_checkpoint_v2(s->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    int result = sqlite3_close(s->handle);
    assert(result == SQLITE_OK);
    owner_lock_drop(s->owner_lock);
    free(s->statements);
    free(s);
}

static ku_status sqlite_open(
    const char *place, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool in_memory = strcmp(place, ":memory:") == 0;
    char path[512];

    pthread_once(&once, configure_library);
    if (in_memory) {
        if (!memory_place_make(catalog->memory))
            return error_set(ret_error, KU_UNAVAILABLE, "no place for a database in memory: %s",
                strerror(errno));
        snprintf(path, sizeof(path), "%s/db", catalog->memory->folder);
        place = path;
    }
    ku_status status = examine_place(place, role, ret_error);
    if (status != KU_OK)
        return status;

    sqlite_db *s = mem_zero(1, sizeof(*s));
    s->role = role;
    s->owner_lock = -1;
    s->catalog = catalog;
    s->n_statements = SQL_COUNT_ + catalog->n_texts;
    s->statements = mem_zero(s->n_statements, sizeof(*s->statements));
    if (role == DB_WRITER)
        status = owner_lock_take(place, &s->owner_lock, ret_error);
    if (status == KU_OK)
        status = open_file(s, place, in_memory, ret_error);
    if (status != KU_OK) {
        s->role = DB_READER; /* closing must not touch the file */
        sqlite_close(&s->base);
        return status;
    }
    *ret_db = &s->base;
    return KU_OK;
}

static void sqlite_interrupt(db *d)
{
    sqlite3_interrupt(((sqlite_db *)d)->handle);
}

static void sqlite_watch(db *d, bool (*stop)(void *context), void *context)
{
    sqlite_db *s = (sqlite_db *)d;

    s->stop = stop;
    s->stop_context = context;
    sqlite3_progress_handler(s->handle, 10000, stop != NULL ? ask_to_stop : NULL, s);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static ku_status run_control(sqlite_db *s, sqlite_control control)
{
    int result = sqlite3_step(s->controls[control]);
    ku_status status = result == SQLITE_DONE ? KU_OK : sqlite_failed(s, result);
    sqlite3_reset(s->controls[control]);
    return status;
}

static ku_status sqlite_begin(db *d)
{
    return run_control((sqlite_db *)d, CONTROL_BEGIN);
}

static void sqlite_rollback(db *d)
{
    sqlite_db *s = (sqlite_db *)d;
    char error[sizeof(d->error)];

    if (sqlite3_get_autocommit(s->handle)) /* some failures have rolled back already */
        return;
    memcpy(error, d->error, sizeof(error));
    (void)run_control(s, CONTROL_ROLLBACK);
    memcpy(d->error, error, sizeof(error)); /* what went wrong before is what matters */
}

static ku_status sqlite_commit(db *d)
{
    sqlite_db *s = (sqlite_db *)d;
    ku_status status = run_control(s, CONTROL_COMMIT);

    if (status != KU_OK)
        sqlite_rollback(d);
    s->committed_us = clock_monotonic_us();
    return status;
}

static bool sqlite_intact(const db *d)
{
    return sqlite3_get_autocommit(((const sqlite_db *)d)->handle) == 0;
}

static ku_status sqlite_savepoint(db *d)
{
    return run_control((sqlite_db *)d, CONTROL_SAVEPOINT);
}

static ku_status sqlite_release(db *d)
{
    return run_control((sqlite_db *)d, CONTROL_RELEASE);
}

static void sqlite_rollback_to(db *d)
{
    sqlite_db *s = (sqlite_db *)d;

    if (run_control(s, CONTROL_ROLLBACK_TO) != KU_OK || run_control(s, CONTROL_RELEASE) != KU_OK)
        sqlite_rollback(d); /* what could not be undone must not be committed: see db_intact */
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static void checkpoint(sqlite_db *s)
{
    int frames = -1, checkpointed = -1;

    (void)sqlite3_wal_checkpoint_v2(
        s->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &checkpointed);
    if (frames >= 0)
        s->wal_frames = frames;
    if (checkpointed >= 0)
        s->wal_checkpointed = checkpointed;
    /* If a reader held it up, the log goes on growing: try again after another quarter. */
    s->wal_retry_at = s->wal_frames + s->wal_frames_max / 4;
}

static bool sqlite_upkeep(db *d, bool idle)
{
    sqlite_db *s = (sqlite_db *)d;

    if (s->role != DB_WRITER)
        return false;
    if (s->wal_checkpointed >= s->wal_frames) {
        if (idle) /* nothing is left to do: the cache's pages go back, too */
            (void)sqlite3_db_release_memory(s->handle);
        return false;
    }
    if (s->wal_frames >= s->wal_frames_max && s->wal_frames >= s->wal_retry_at)
        checkpoint(s);
    else if (idle && clock_monotonic_us() - s->committed_us >= SQLITE_IDLE_US)
        checkpoint(s);
    return s->wal_checkpointed < s->wal_frames;
}

const db_engine sqlite_engine = {
    .texts = sql_sqlite_texts,
    .dialect = DB_SQLITE,
    .shared = false,
    .open = sqlite_open,
    .close = sqlite_close,
    .interrupt = sqlite_interrupt,
    .watch = sqlite_watch,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .intact = sqlite_intact,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .upkeep = sqlite_upkeep,
    .run = sqlite_run,
    .run_many = sqlite_run_many,
    .send_many = sqlite_run_many,
    .settle = sqlite_settle,
    .script = sqlite_script,
    .query = sqlite_query,
    .query_many = sqlite_query_many,
    .prefetch = sqlite_prefetch,
    .query_text = sqlite_query_text,
    .next = sqlite_next,
    .rows_done = sqlite_rows_done,
    .is_null = sqlite_is_null,
    .column_int = sqlite_column_int,
    .column_double = sqlite_column_real,
    .column_text = sqlite_column_str,
    .column_id = sqlite_column_id,
    .ensure_table = sqlite_ensure_table,
};
