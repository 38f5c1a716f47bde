/* Quiet lanes, a hash table with open addressing; at most half full. */
#include "dispatch/quiet.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64 };

/* The lane's slot, or the free one where it belongs. */
static quiet_lane *find_slot(
    const quiet_lanes *q, const consumer_entry *consumer, ku_id tenant, int32_t lane)
{
    uint64_t hash = hash_word(hash_id((uintptr_t)consumer, tenant), (uint64_t)lane);

    for (size_t i = (size_t)hash;; i++) {
        quiet_lane *slot = &q->slots[i & (q->capacity - 1)];
        if (slot->consumer == NULL ||
            (slot->consumer == consumer && slot->lane == lane && ku_id_equal(slot->tenant, tenant)))
            return slot;
    }
}

int64_t quiet_position(
    const quiet_lanes *q, const consumer_entry *consumer, ku_id tenant, int32_t lane)
{
    return q->count == 0 ? 0 : find_slot(q, consumer, tenant, lane)->position;
}

static void grow(quiet_lanes *q)
{
    quiet_lanes old = *q;

    q->capacity = old.capacity == 0 ? CAPACITY_FIRST : old.capacity * 2;
    q->slots = mem_zero(q->capacity, sizeof(*q->slots));
    for (size_t i = 0; i < old.capacity; i++) {
        const quiet_lane *from = &old.slots[i];
        if (from->consumer != NULL)
            *find_slot(q, from->consumer, from->tenant, from->lane) = *from;
    }
    free(old.slots);
}

void quiet_note(quiet_lanes *q, const consumer_entry *consumer, ku_id tenant, int32_t lane,
    int64_t position, int64_t now_us)
{
    if (q->count * 2 >= q->capacity)
        grow(q);
    quiet_lane *slot = find_slot(q, consumer, tenant, lane);
    if (slot->consumer == NULL)
        q->count++;
    *slot = (quiet_lane){consumer, tenant, lane, position};
    if (q->since_us == 0)
        q->since_us = now_us;
}

void quiet_clear(quiet_lanes *q)
{
    if (q->count > 0)
        memset(q->slots, 0, q->capacity * sizeof(*q->slots));
    q->count = 0;
    q->since_us = 0;
}

void quiet_done(quiet_lanes *q)
{
    free(q->slots);
    *q = (quiet_lanes){0};
}
