/*
 * The rate limit per client address (behaviour §1.2, L1).  One thread's: the loop's.
 */
#ifndef KU_HTTP_ADDRESS_LIMIT_H
#define KU_HTTP_ADDRESS_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_LIMIT_WINDOW_S = 60 };

/* An address as it is counted: IPv4 mapped into IPv6, IPv6 by its first 64 bits. */
typedef struct address_key {
    uint64_t high, low;
} address_key;

/* Reads `192.0.2.1`, `2001:db8::1`; false: neither. */
bool address_key_parse(const char *text, address_key *ret_key);

typedef struct address_limit address_limit;

/* `per_minute` requests at once and per minute; `buckets`: addresses remembered at once. */
address_limit *address_limit_new(int per_minute, size_t buckets);
void address_limit_free(address_limit *limit);

typedef struct address_verdict {
    bool allowed;
    int64_t limit, remaining;
    int64_t next_in_us; /* until one more request is allowed; 0: now */
} address_verdict;

/* Counts a request at that time (CLOCK_MONOTONIC); a refused one costs nothing. */
address_verdict address_limit_take(address_limit *limit, address_key key, int64_t now_us);

#endif
