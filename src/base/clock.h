/*
 * Clocks and ids.
 *
 * Wall time comes from a source that tests replace; ids are UUIDv7 (RFC 9562) from that time, made
 * ascending within the process by a counter in the bits behind the millisecond.
 */
#ifndef KU_BASE_CLOCK_H
#define KU_BASE_CLOCK_H

#include "kumiko/value.h"

#include <stdatomic.h>

typedef struct clock_source {
    ku_time (*now)(void *context); /* NULL: the system's clock */
    void *context;
} clock_source;

ku_time clock_now(const clock_source *source);
/* CLOCK_MONOTONIC in microseconds, for deadlines and durations. */
int64_t clock_monotonic_us(void);

/* A UUIDv7 at that time; thread-safe; each is greater than the one before it in this process. */
ku_id id_new(ku_time time);

#endif
