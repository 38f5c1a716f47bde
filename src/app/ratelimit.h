/*
 * Rate limits: token buckets in memory (behaviour §7).
 *
 * A bucket holds at most `limit` tokens and is refilled evenly over the window.  One limiter is
 * shared by all threads under its own lock; a bucket that is full again is forgotten.
 */
#ifndef KU_APP_RATELIMIT_H
#define KU_APP_RATELIMIT_H

#include "base/arena.h"

typedef struct rate_limiter rate_limiter;

typedef struct rate_result {
    bool allowed;
    int64_t remaining;
    int64_t retry_after_s; /* 0 if allowed */
    ku_time reset_at;      /* when the bucket is full again; if refused: when to come back */
} rate_result;

rate_limiter *rate_limiter_new(void);
void rate_limiter_free(rate_limiter *limiter);

/* Takes `cost` tokens from the bucket if it has them.  `name` is copied. */
rate_result rate_limiter_take(
    rate_limiter *limiter, ku_str name, int limit, int window_s, int cost, ku_time now);

#endif
