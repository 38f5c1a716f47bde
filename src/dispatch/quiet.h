/*
 * Quiet lanes: what is known to hold nothing for a consumer, but is not written down yet.
 *
 * A lane whose new events are of no interest to a consumer would still cost it a commit to say so.
 * The dispatcher remembers such positions here for up to a second instead; they are written with
 * the next batch that does have events, or together.  Losing them costs a second look, never an
 * event.
 */
#ifndef KU_DISPATCH_QUIET_H
#define KU_DISPATCH_QUIET_H

#include "app/registry.h"

typedef struct quiet_lane {
    const consumer_entry *consumer; /* NULL: a free slot */
    ku_id tenant;
    int32_t lane;
    int64_t position; /* nothing of interest up to here */
} quiet_lane;

typedef struct quiet_lanes {
    quiet_lane *slots;
    size_t capacity, count;
    int64_t since_us; /* CLOCK_MONOTONIC, of the first that was noted; 0: none */
} quiet_lanes;

/* The position noted for the lane, or 0. */
int64_t quiet_position(
    const quiet_lanes *q, const consumer_entry *consumer, ku_id tenant, int32_t lane);
void quiet_note(quiet_lanes *q, const consumer_entry *consumer, ku_id tenant, int32_t lane,
    int64_t position, int64_t now_us);
/* Forgets all of them, keeping the memory. */
void quiet_clear(quiet_lanes *q);
void quiet_done(quiet_lanes *q);

#endif
