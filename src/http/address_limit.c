/*
 * Token buckets per address, in a table of fixed size.
 *
 * A bucket is one number: the time at which it will be full again.  Full is now or earlier, so a
 * bucket that is left alone becomes equal to one that never was, and its place is free without
 * anyone sweeping.  A request moves the time by one interval; it is refused when that would put the
 * time further ahead than the whole bucket takes to fill.
 *
 * The table has sets of eight places; an address may stand in any place of its set.  When a set has
 * no free place the bucket that is full soonest makes way: whoever is being held back longest is
 * forgotten last.  The hash has a random seed, so that nobody can aim at a set.
 */
#include "http/address_limit.h"
#include "base/arena.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PLACES = 8 };

typedef struct bucket {
    address_key key;
    int64_t full_at_us;
} bucket;

struct address_limit {
    int64_t limit;
    int64_t interval_us; /* from one request to the next at the steady rate */
    size_t n_sets;       /* a power of two */
    uint64_t seed[2];
    bucket *buckets;
};

bool address_key_parse(const char *text, address_key *ret_key)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret_key = (address_key){UINT64_C(0xffff), ntohl(v4.s_addr)};
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        uint32_t last;
        memcpy(&last, v6.s6_addr + 12, sizeof last);
        *ret_key = (address_key){UINT64_C(0xffff), ntohl(last)};
        return true;
    }
    /* Whoever has one IPv6 address has the other 2^64 of its network as well. */
    uint64_t high;
    memcpy(&high, v6.s6_addr, sizeof high);
    *ret_key = (address_key){high, UINT64_C(1) << 32};
    return true;
}

address_limit *address_limit_new(int per_minute, size_t buckets)
{
    assert(per_minute > 0);
    address_limit *made = mem_zero(1, sizeof *made);
    made->limit = per_minute;
    made->interval_us = (int64_t)ADDRESS_LIMIT_WINDOW_S * 1000000 / per_minute;
    made->n_sets = 1;
    while (made->n_sets * PLACES < buckets)
        made->n_sets *= 2;
    made->buckets = mem_zero(made->n_sets * PLACES, sizeof *made->buckets);
    ssize_t drawn = getrandom(made->seed, sizeof made->seed, 0);
    assert(drawn == (ssize_t)sizeof made->seed);
    return made;
}

void address_limit_free(address_limit *limit)
{
    if (limit == NULL)
        return;
    free(limit->buckets);
    free(limit);
}

static bucket *set_of(address_limit *limit, address_key key)
{
    uint64_t hash = (key.high ^ limit->seed[0]) * UINT64_C(0x9E3779B97F4A7C15);
    hash = (hash ^ hash >> 29 ^ key.low ^ limit->seed[1]) * UINT64_C(0xBF58476D1CE4E5B9);
    return &limit->buckets[((hash >> 32) & (limit->n_sets - 1)) * PLACES];
}

static bucket *bucket_of(address_limit *limit, address_key key)
{
    bucket *set = set_of(limit, key), *soonest = set;
    for (int i = 0; i < PLACES; i++) {
        if (set[i].key.high == key.high && set[i].key.low == key.low)
            return &set[i];
        if (set[i].full_at_us < soonest->full_at_us)
            soonest = &set[i];
    }
    *soonest = (bucket){.key = key};
    return soonest;
}

address_verdict address_limit_take(address_limit *limit, address_key key, int64_t now_us)
{
    bucket *b = bucket_of(limit, key);
    int64_t full_at_us = b->full_at_us > now_us ? b->full_at_us : now_us;
    const int64_t whole_us = limit->limit * limit->interval_us;
    address_verdict verdict = {.limit = limit->limit};
    int64_t after_us = full_at_us + limit->interval_us;
    verdict.allowed = after_us - now_us <= whole_us;
    if (verdict.allowed)
        b->full_at_us = full_at_us = after_us;
    const int64_t owed_us = full_at_us - now_us;
    verdict.remaining = (whole_us - owed_us) / limit->interval_us;
    if (verdict.remaining == 0)
        verdict.next_in_us = owed_us + limit->interval_us - whole_us;
    return verdict;
}
