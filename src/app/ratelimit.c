/*
 * Rate limits, the implementation: a hash of buckets, bounded.
 *
 * When LIMIT_RATE_BUCKETS is reached the buckets that have refilled are dropped; if none has, the
 * request passes: forgetting who is over a limit is better than refusing who is not.
 */
#include "app/ratelimit.h"

#include "base/hash.h"
#include "base/limits.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct bucket {
    struct bucket *next;
    double tokens;
    int64_t at_us;      /* when `tokens` was right */
    int64_t full_at_us; /* when it is forgotten */
    size_t len;
    char name[];
} bucket;

enum { SLOTS = 4096 };

struct rate_limiter {
    pthread_mutex_t lock;
    /* guarded by lock */
    bucket *slots[SLOTS];
    size_t n_buckets;
};

rate_limiter *rate_limiter_new(void)
{
    rate_limiter *limiter = mem_zero(1, sizeof(*limiter));

    pthread_mutex_init(&limiter->lock, NULL);
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
    pthread_mutex_destroy(&limiter->lock);
    free(limiter);
}

static bucket *find_bucket(rate_limiter *limiter, ku_str name, int limit, int64_t now_us)
{
    bucket **slot = &limiter->slots[hash_text(0, name) % SLOTS];
    for (bucket *b = *slot; b != NULL; b = b->next) {
        if (b->len == name.len && memcmp(b->name, name.ptr, name.len) == 0)
            return b;
    }
    if (limiter->n_buckets >= LIMIT_RATE_BUCKETS)
        drop_full(limiter, now_us);
    if (limiter->n_buckets >= LIMIT_RATE_BUCKETS)
        return NULL;
    bucket *b = mem_zero(1, sizeof(*b) + name.len);
    b->len = name.len;
    memcpy(b->name, name.ptr, name.len);
    b->tokens = limit;
    b->at_us = now_us;
    b->next = *slot;
    *slot = b;
    limiter->n_buckets++;
    return b;
}

rate_result rate_limiter_take(
    rate_limiter *limiter, ku_str name, int limit, int window_s, int cost, ku_time now)
{
    double per_us = (double)limit / ((double)window_s * 1e6);
    rate_result result = {.allowed = true, .remaining = limit, .reset_at = now};

    pthread_mutex_lock(&limiter->lock);
    bucket *b = find_bucket(limiter, name, limit, now.unix_us);
    if (b != NULL) {
        if (now.unix_us > b->at_us) {
            b->tokens = fmin(limit, b->tokens + (double)(now.unix_us - b->at_us) * per_us);
            b->at_us = now.unix_us;
        }
        /* What comes in over several refills adds up to a little less: who waited as told may go.
         */
        result.allowed = b->tokens >= cost - 1e-6;
        if (result.allowed)
            b->tokens = fmax(0, b->tokens - cost);
        b->full_at_us = b->at_us + (int64_t)((limit - b->tokens) / per_us);
        result.remaining = (int64_t)floor(b->tokens);
        result.reset_at.unix_us = b->full_at_us;
        if (!result.allowed) {
            double wait_us = ((double)cost - b->tokens) / per_us;
            result.retry_after_s = (int64_t)ceil(wait_us / 1e6);
            result.reset_at.unix_us = now.unix_us + result.retry_after_s * 1000000;
        }
    }
    pthread_mutex_unlock(&limiter->lock);
    return result;
}
