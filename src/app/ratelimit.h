/*
 * Rate limits: token buckets (behaviour §7).
 *
 * A bucket holds at most `limit` tokens and is refilled evenly over the window.  Where one process
 * has the database, buckets are in memory, and one that is full again is forgotten.  Where several
 * share it, buckets are rows of the database, so that a limit holds for all of them together: one
 * statement per limited call takes the tokens, on a connection of the limiter's own, outside of
 * the command's transaction.
 *
 * What the database last said of a bucket is remembered in memory.  Others can only have taken from
 * it since, so whoever is over the limit by that alone is refused without asking.  While the
 * database does not answer, each process counts for itself.
 */
#ifndef KU_APP_RATELIMIT_H
#define KU_APP_RATELIMIT_H

#include "base/log.h"
#include "db/db.h"

typedef struct rate_limiter rate_limiter;

typedef struct rate_result {
    bool allowed;
    int64_t remaining;
    int64_t retry_after_s; /* 0 if allowed */
    ku_time reset_at;      /* when the bucket is full again; if refused: when to come back */
} rate_result;

typedef struct rate_bucket {
    ku_id tenant;
    ku_str name; /* with the limit and the window, which are the same for all that share it */
    int limit, window_s;
} rate_bucket;

/* Buckets in memory.  One limiter is shared by all threads. */
rate_limiter *rate_limiter_new(void);
/* From now on buckets are rows of the database, if it is one that several processes share. */
ku_status rate_limiter_share(rate_limiter *limiter, const char *url, const db_catalog *catalog,
    const log_sink *log, ku_error *ret_error);
void rate_limiter_free(rate_limiter *limiter);

/* Takes `cost` tokens from the bucket if it has them.  Its name is copied. */
rate_result rate_limiter_take(rate_limiter *limiter, const rate_bucket *key, int cost, ku_time now);

#endif
