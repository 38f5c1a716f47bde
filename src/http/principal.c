/*
 * The cache of verified tokens.
 *
 * Verifying costs a HMAC, two base64 decodings and two JSON documents; a client sends the same
 * token with every request.  So what was verified is kept under the token's whole text, and
 * forgotten when it expires or when it is the one not seen for longest and the cache is full.
 * Tokens that were refused are not kept: they would let anyone fill the cache.
 *
 * Only tokens with a good signature are in the table, and the slot is computed from the signature,
 * which is as good as random to anyone who cannot sign; nobody can aim at a slot.
 *
 * A principal is one block of memory: the struct, its roles, all its text.
 */
#include "http/principal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct principal_cache {
    const token_keys *keys;
    ku_str issuer;
    size_t capacity, count;
    size_t n_slots; /* a power of two */
    principal **slots;
    principal *newest, *oldest; /* by use */
    arena scratch;
};

principal_cache *principal_cache_new(const token_keys *keys, ku_str issuer, size_t capacity)
{
    assert(capacity > 0);
    principal_cache *cache = mem_zero(1, sizeof *cache);
    cache->keys = keys;
    cache->issuer = issuer;
    cache->capacity = capacity;
    cache->n_slots = 1;
    while (cache->n_slots < capacity)
        cache->n_slots *= 2;
    cache->slots = mem_zero(cache->n_slots, sizeof *cache->slots);
    return cache;
}

static size_t slot_of(const principal_cache *cache, ku_str token)
{
    /* The last characters are the signature's; the very last carries two of its bits only. */
    uint64_t tail[2] = {0, 0};
    if (token.len >= sizeof tail)
        memcpy(tail, token.ptr + token.len - sizeof tail, sizeof tail);
    uint64_t mixed = (tail[0] ^ (tail[1] << 1)) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(mixed >> 32) & (cache->n_slots - 1);
}

void principal_release(principal *held)
{
    if (held == NULL)
        return;
    assert(held->holders > 0);
    if (--held->holders == 0)
        free(held);
}

static void unlink_by_use(principal_cache *cache, principal *p)
{
    *(p->newer != NULL ? &p->newer->older : &cache->newest) = p->older;
    *(p->older != NULL ? &p->older->newer : &cache->oldest) = p->newer;
    p->newer = p->older = NULL;
}

static void link_as_newest(principal_cache *cache, principal *p)
{
    p->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = p;
    cache->newest = p;
}

static void forget(principal_cache *cache, principal *p)
{
    principal **link = &cache->slots[slot_of(cache, p->token)];
    while (*link != p)
        link = &(*link)->next_in_slot;
    *link = p->next_in_slot;
    unlink_by_use(cache, p);
    cache->count--;
    principal_release(p);
}

void principal_cache_free(principal_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->oldest != NULL)
        forget(cache, cache->oldest);
    arena_done(&cache->scratch);
    free(cache->slots);
    free(cache);
}

size_t principal_count(const principal_cache *cache)
{
    return cache->count;
}

static ku_str put_text(char **next, ku_str text)
{
    char *at = *next;
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    *next = at + text.len;
    return (ku_str){at, text.len};
}

static principal *make_principal(const token_claims *claims, ku_str token)
{
    const ku_user *user = &claims->user;
    size_t size = sizeof(principal) + user->n_roles * sizeof(ku_str) + user->id.len + token.len;
    for (size_t i = 0; i < user->n_roles; i++)
        size += user->roles[i].len;

    principal *p = mem_zero(1, size);
    ku_str *roles = (ku_str *)(p + 1);
    char *next = (char *)(roles + user->n_roles);
    for (size_t i = 0; i < user->n_roles; i++)
        roles[i] = put_text(&next, user->roles[i]);
    p->user = *user;
    p->user.id = put_text(&next, user->id);
    p->user.roles = roles;
    p->token = put_text(&next, token);
    p->expires_unix_s = claims->expires_unix_s;
    return p;
}

principal *principal_of(principal_cache *cache, ku_str token, ku_time now)
{
    const size_t slot = slot_of(cache, token);
    for (principal *p = cache->slots[slot]; p != NULL; p = p->next_in_slot) {
        if (!ku_str_equal(p->token, token))
            continue;
        if (p->expires_unix_s <= now.unix_us / 1000000) {
            forget(cache, p);
            return NULL;
        }
        if (cache->newest != p) {
            unlink_by_use(cache, p);
            link_as_newest(cache, p);
        }
        p->holders++;
        return p;
    }

    token_claims claims;
    arena_reset(&cache->scratch);
    if (!token_verify(cache->keys, cache->issuer, token, now, &cache->scratch, &claims))
        return NULL;
    if (cache->count == cache->capacity)
        forget(cache, cache->oldest);
    principal *made = make_principal(&claims, token);
    made->next_in_slot = cache->slots[slot];
    cache->slots[slot] = made;
    link_as_newest(cache, made);
    cache->count++;
    made->holders = 2; /* the cache's and the caller's */
    return made;
}
