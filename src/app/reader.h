/*
 * Readers: threads that answer queries, one read connection each, one query at a time in one
 * snapshot of the database.
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
/* False: the queue is full (not for `internal` jobs) or the pool is stopping. */
bool reader_submit(reader_pool *pool, reader_job *job, bool internal);

#endif
