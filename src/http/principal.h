/*
 * Principals: verified tokens, kept until they expire.  One thread's: the loop's.
 */
#ifndef KU_HTTP_PRINCIPAL_H
#define KU_HTTP_PRINCIPAL_H

#include "http/token.h"

/* What a verified token says.  Lives while someone holds it or the cache does. */
typedef struct principal principal;
struct principal {
    ku_user user;
    int64_t expires_unix_s;

    /* the cache's */
    int holders;
    ku_str token;
    principal *next_in_slot;
    principal *newer, *older;
};

typedef struct principal_cache principal_cache;

/* The keys and the issuer outlive the cache. */
principal_cache *principal_cache_new(const token_keys *keys, ku_str issuer, size_t capacity);
void principal_cache_free(principal_cache *cache);

/* The token's principal, held for the caller; NULL: the token is not to be believed. */
principal *principal_of(principal_cache *cache, ku_str token, ku_time now);
void principal_release(principal *held);
size_t principal_count(const principal_cache *cache);

#endif
