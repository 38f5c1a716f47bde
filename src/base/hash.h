/*
 * Hashes for tables in memory: every bit of the input moves every bit of the result, so that a
 * table may take its lowest bits.  Not for what outlives the process, and not against an attacker
 * who can choose keys (http/address_limit.c has a seed of its own for that).
 */
#ifndef KU_BASE_HASH_H
#define KU_BASE_HASH_H

#include "kumiko/value.h"

#include <string.h>

static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
    return hash ^ hash >> 32;
}

/* Eight bytes at a time; what is left is taken as one word. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t word;

    hash = hash_word(hash, size);
    for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = hash_word(hash, word);
    }
    if (size > 0) {
        word = 0;
        memcpy(&word, at, size);
        hash = hash_word(hash, word);
    }
    return hash_word(hash, 0);
}

static inline uint64_t hash_id(uint64_t hash, ku_id id)
{
    return hash_bytes(hash, id.bytes, sizeof(id.bytes));
}

static inline uint64_t hash_text(uint64_t hash, ku_str text)
{
    return hash_bytes(hash, text.ptr, text.len);
}

#endif
