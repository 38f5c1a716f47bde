/* Readers, the implementation. */
#include "app/reader.h"

#include "base/limits.h"
#include "db/db.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct reader {
    reader_pool *pool;
    pthread_t thread;
    /* owned by the thread */
    db *d;
    ku_scope scope;
} reader;

struct reader_pool {
    ku_app *app;
    reader *readers;
    int n_readers;

    pthread_mutex_t lock;
    pthread_cond_t filled;
    /* guarded by lock */
    reader_job *first, *last;
    size_t n_queued;
    bool stopping;
};

static reader_job *take_job(reader_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->stopping)
        pthread_cond_wait(&pool->filled, &pool->lock);
    reader_job *job = pool->first;
    if (job != NULL) {
        pool->first = job->next;
        if (pool->first == NULL)
            pool->last = NULL;
        pool->n_queued--;
        job->next = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static bool scope_wants_to_stop(void *context)
{
    return ku_scope_cancelled(context);
}

static void *reader_main(void *context)
{
    reader *r = context;
    reader_job *job;

    db_watch(r->d, scope_wants_to_stop, &r->scope);
    while ((job = take_job(r->pool)) != NULL) {
        scope_reset(&r->scope);
        r->scope.app = r->pool->app;
        r->scope.db = r->d;
        /* Should this fail, the query's first statement says so. */
        (void)db_begin(r->d);
        job->run(job, &r->scope);
        db_rollback(r->d);
    }
    return NULL;
}

ku_status reader_pool_open(ku_app *app, int n_readers, reader_pool **ret_pool, ku_error *ret_error)
{
    reader_pool *pool = mem_zero(1, sizeof(*pool));

    pool->app = app;
    pool->readers = mem_zero((size_t)n_readers, sizeof(reader));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->filled, NULL);
    for (int i = 0; i < n_readers; i++) {
        reader *r = &pool->readers[i];
        ku_status status = db_open(app->url, DB_READER, app->registry.statements, &r->d, ret_error);
        if (status != KU_OK) {
            reader_pool_close(pool);
            return status;
        }
        r->pool = pool;
        scope_init(&r->scope);
        int failed = pthread_create(&r->thread, NULL, reader_main, r);
        assert(failed == 0);
        (void)failed;
        pool->n_readers++;
    }
    *ret_pool = pool;
    return KU_OK;
}

void reader_pool_close(reader_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_readers; i++) {
        pthread_join(pool->readers[i].thread, NULL);
        db_close(pool->readers[i].d);
        scope_done(&pool->readers[i].scope);
    }
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->lock);
    free(pool->readers);
    free(pool);
}

bool reader_again(ku_scope *scope)
{
    if (!db_may_retry(scope->db))
        return false;
    db_rollback(scope->db);
    return db_begin(scope->db) == KU_OK;
}

bool reader_submit(reader_pool *pool, reader_job *job, bool internal)
{
    bool taken;

    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    taken = !pool->stopping && (internal || pool->n_queued < LIMIT_QUERY_QUEUE);
    if (taken) {
        if (pool->first == NULL)
            pool->first = job;
        else
            pool->last->next = job;
        pool->last = job;
        pool->n_queued++;
        pthread_cond_signal(&pool->filled);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}
