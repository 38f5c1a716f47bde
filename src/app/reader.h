/*
 * Readers: threads that answer queries, one read connection each, one query at a time in one
 * snapshot of the database.
 *
 * A query that loses its connection has had no effect and may be run again (reader_again): a
 * connection that was lost while it was idle should not cost anybody an answer.
 */
#ifndef KU_APP_READER_H
#define KU_APP_READER_H

#include "app/state.h"

typedef struct reader_pool reader_pool;
typedef struct reader_job reader_job;

struct reader_job {
    /* Runs in a scope with a snapshot open; the job may be freed here. */
    void (*run)(reader_job *job, ku_scope *scope);
    reader_job *next;
};

ku_status reader_pool_open(ku_app *app, int n_readers, reader_pool **ret_pool, ku_error *ret_error);
void reader_pool_close(reader_pool *pool);
/* After a query failed: true if the connection was to blame and there is a new one, in a new
 * snapshot.  From inside `run`. */
bool reader_again(ku_scope *scope);
/* False: the queue is full (not for `internal` jobs) or the pool is stopping. */
bool reader_submit(reader_pool *pool, reader_job *job, bool internal);

#endif
