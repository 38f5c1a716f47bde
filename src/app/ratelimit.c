/*
 * Rate limits, the implementation: a hash of buckets, bounded, in front of the database's rows.
 *
 * When LIMIT_RATE_BUCKETS is reached the buckets that have refilled are dropped; if none has, the
 * request passes: forgetting who is over a limit is better than refusing who is not.
 *
 * Two locks: `lock` guards the hash and is held briefly, `asking` is held while the database is
 * asked.  What it says is noted under both, so that answers are noted in the order in which they
 * were given.
 */
#include "app/ratelimit.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "db/sql.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4096,
    ANSWER_US = 1000000, /* nobody waits longer for an answer … */
    OUTAGE_US = 1000000, /* … and for so long nobody asks after there was none */
    PURGE_US = 60000000,
};

/* What comes in over several refills adds up to a little less: who waited as told may go. */
#define TOLERANCE 1e-6

typedef struct bucket {
    struct bucket *next;
    ku_id tenant;
    double tokens;
    int64_t at_us;      /* when `tokens` was right */
    int64_t full_at_us; /* when it is forgotten */
    size_t len;
    char name[];
} bucket;

struct rate_limiter {
    pthread_mutex_t lock;
    /* guarded by lock */
    bucket *slots[SLOTS];
    size_t n_buckets;

    db *d; /* used under asking; NULL: buckets are in memory only */
    const log_sink *log;
    pthread_mutex_t asking;
    /* guarded by asking */
    int64_t deadline_us;
    int64_t silent_until_us; /* CLOCK_MONOTONIC; the database did not answer */
    int64_t purge_at_us;
    bool silent; /* and that was logged */
};

rate_limiter *rate_limiter_new(void)
{
    rate_limiter *limiter = mem_zero(1, sizeof(*limiter));

    pthread_mutex_init(&limiter->lock, NULL);
    pthread_mutex_init(&limiter->asking, NULL);
    return limiter;
}

static void drop_full(rate_limiter *limiter, int64_t now_us)
{
    for (size_t i = 0; i < SLOTS; i++) {
        for (bucket **link = &limiter->slots[i]; *link != NULL;) {
            bucket *b = *link;
            if (b->full_at_us <= now_us) {
                *link = b->next;
                free(b);
                limiter->n_buckets--;
            } else {
                link = &b->next;
            }
        }
    }
}

void rate_limiter_free(rate_limiter *limiter)
{
    if (limiter == NULL)
        return;
    drop_full(limiter, INT64_MAX);
    db_close(limiter->d);
    pthread_mutex_destroy(&limiter->asking);
    pthread_mutex_destroy(&limiter->lock);
    free(limiter);
}

/* ---- in memory ------------------------------------------------------------------------------- */

static double refill_per_us(const rate_bucket *key)
{
    return (double)key->limit / ((double)key->window_s * 1e6);
}

/* Under the lock.  NULL: there is no room for it. */
static bucket *find_bucket(rate_limiter *limiter, const rate_bucket *key, int64_t now_us)
{
    const ku_str name = key->name;
    bucket **slot = &limiter->slots[hash_text(hash_id(0, key->tenant), name) % SLOTS];

    for (bucket *b = *slot; b != NULL; b = b->next) {
        if (b->len == name.len && ku_id_equal(b->tenant, key->tenant) &&
            memcmp(b->name, name.ptr, name.len) == 0)
            return b;
    }
    if (limiter->n_buckets >= LIMIT_RATE_BUCKETS)
        drop_full(limiter, now_us);
    if (limiter->n_buckets >= LIMIT_RATE_BUCKETS)
        return NULL;
    bucket *b = mem_zero(1, sizeof(*b) + name.len);
    b->tenant = key->tenant;
    b->len = name.len;
    memcpy(b->name, name.ptr, name.len);
    b->tokens = key->limit;
    b->at_us = now_us;
    b->next = *slot;
    *slot = b;
    limiter->n_buckets++;
    return b;
}

static void set_tokens(bucket *b, const rate_bucket *key, double tokens, int64_t at_us)
{
    b->tokens = tokens;
    b->at_us = at_us;
    b->full_at_us = at_us + (int64_t)((key->limit - tokens) / refill_per_us(key));
}

static void refill(bucket *b, const rate_bucket *key, int64_t now_us)
{
    double gained = (double)(now_us - b->at_us) * refill_per_us(key);

    if (now_us > b->at_us)
        set_tokens(b, key, fmin(key->limit, b->tokens + gained), now_us);
}

static rate_result tell(
    const bucket *b, const rate_bucket *key, bool allowed, int cost, int64_t now_us)
{
    rate_result result = {
        .allowed = allowed,
        .remaining = (int64_t)floor(b->tokens),
        .reset_at.unix_us = b->full_at_us,
    };

    if (!allowed) {
        double wait_us = ((double)cost - b->tokens) / refill_per_us(key);
        result.retry_after_s = (int64_t)ceil(wait_us / 1e6);
        result.reset_at.unix_us = now_us + result.retry_after_s * 1000000;
    }
    return result;
}

static rate_result take_here(
    rate_limiter *limiter, const rate_bucket *key, int cost, int64_t now_us)
{
    rate_result result = {.allowed = true, .remaining = key->limit, .reset_at.unix_us = now_us};

    pthread_mutex_lock(&limiter->lock);
    bucket *b = find_bucket(limiter, key, now_us);
    if (b != NULL) {
        refill(b, key, now_us);
        bool allowed = b->tokens >= cost - TOLERANCE;
        if (allowed)
            set_tokens(b, key, fmax(0, b->tokens - cost), b->at_us);
        result = tell(b, key, allowed, cost, now_us);
    }
    pthread_mutex_unlock(&limiter->lock);
    return result;
}

/* ---- in the database ------------------------------------------------------------------------- */

static bool waited_enough(void *context)
{
    const rate_limiter *limiter = context;

    return clock_monotonic_us() >= limiter->deadline_us;
}

ku_status rate_limiter_share(rate_limiter *limiter, const char *url, const db_catalog *catalog,
    const log_sink *log, ku_error *ret_error)
{
    db_dialect dialect = DB_SQLITE;
    ku_status status = db_dialect_of(url, &dialect, ret_error);

    if (status != KU_OK || dialect == DB_SQLITE)
        return status;
    limiter->log = log;
    limiter->purge_at_us = clock_monotonic_us() + PURGE_US;
    status = db_open(url, DB_WRITER, catalog, &limiter->d, ret_error);
    if (status == KU_OK)
        db_watch(limiter->d, waited_enough, limiter);
    return status;
}

/* True: it is known without asking that the bucket has not enough. */
static bool is_over(rate_limiter *limiter, const rate_bucket *key, int cost, int64_t now_us,
    rate_result *ret_result)
{
    bool over = false;

    pthread_mutex_lock(&limiter->lock);
    bucket *b = find_bucket(limiter, key, now_us);
    if (b != NULL) {
        refill(b, key, now_us);
        over = b->tokens < cost - TOLERANCE;
        if (over)
            *ret_result = tell(b, key, false, cost, now_us);
    }
    pthread_mutex_unlock(&limiter->lock);
    return over;
}

static rate_result note_answer(rate_limiter *limiter, const rate_bucket *key, int cost,
    int64_t now_us, const bucket *answer, bool taken)
{
    bucket noted = *answer;

    set_tokens(&noted, key, answer->tokens, answer->at_us);
    pthread_mutex_lock(&limiter->lock);
    bucket *b = find_bucket(limiter, key, now_us);
    if (b != NULL)
        set_tokens(b, key, answer->tokens, answer->at_us);
    pthread_mutex_unlock(&limiter->lock);
    return tell(&noted, key, taken, cost, now_us);
}

static ku_status query_take(rate_limiter *limiter, const rate_bucket *key, int cost, int64_t now_us,
    bucket *ret_bucket, bool *ret_taken)
{
    const db_value binds[] = {
        db_id(key->tenant),
        db_text(key->name),
        {.kind = DB_DOUBLE, .number = key->limit        },
        {.kind = DB_DOUBLE, .number = refill_per_us(key)},
        {.kind = DB_DOUBLE, .number = cost              },
        db_int(now_us),
    };
    db_rows rows;
    bool row = false;

    ku_status status = db_query(limiter->d, SQL_RATE_TAKE, binds, KU_COUNT(binds), &rows);
    if (status != KU_OK)
        return status;
    status = db_next(&rows, &row);
    if (status == KU_OK && row) {
        ret_bucket->tokens = fmax(0, db_column_double(&rows, 0));
        *ret_taken = db_column_int(&rows, 1) != 0;
        ret_bucket->at_us = db_column_int(&rows, 2);
    }
    db_rows_done(&rows);
    return status == KU_OK && !row ? KU_INTERNAL : status;
}

/* Once per outage; under `asking`. */
static void note_silence(rate_limiter *limiter, ku_status status)
{
    limiter->silent_until_us = clock_monotonic_us() + OUTAGE_US;
    if (!limiter->silent)
        log_cause(limiter->log, LOG_WARN_, "rate limits are counted by each process for itself",
            ku_status_code(status), db_error(limiter->d));
    limiter->silent = true;
}

static void purge(rate_limiter *limiter, int64_t now_us)
{
    const db_value binds[] = {db_int(now_us)};

    limiter->purge_at_us = clock_monotonic_us() + PURGE_US;
    /* What stays is taken along the next time. */
    (void)db_run(limiter->d, SQL_RATE_PURGE, binds, KU_COUNT(binds), NULL);
}

static bool take_there(rate_limiter *limiter, const rate_bucket *key, int cost, int64_t now_us,
    rate_result *ret_result)
{
    bucket answer = {0};
    bool taken = false;

    pthread_mutex_lock(&limiter->asking);
    int64_t began_us = clock_monotonic_us();
    bool asked = began_us >= limiter->silent_until_us;
    ku_status status = KU_OK;
    if (asked) {
        limiter->deadline_us = began_us + ANSWER_US;
        status = query_take(limiter, key, cost, now_us, &answer, &taken);
    }
    if (asked && status == KU_OK) {
        limiter->silent = false;
        *ret_result = note_answer(limiter, key, cost, now_us, &answer, taken);
        if (began_us >= limiter->purge_at_us)
            purge(limiter, now_us);
    } else if (asked) {
        note_silence(limiter, status);
    }
    pthread_mutex_unlock(&limiter->asking);
    return asked && status == KU_OK;
}

/* ---- a call ---------------------------------------------------------------------------------- */

rate_result rate_limiter_take(rate_limiter *limiter, const rate_bucket *key, int cost, ku_time now)
{
    rate_result result;

    if (limiter->d != NULL && (is_over(limiter, key, cost, now.unix_us, &result) ||
                                  take_there(limiter, key, cost, now.unix_us, &result)))
        return result;
    return take_here(limiter, key, cost, now.unix_us);
}
