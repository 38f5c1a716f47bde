/*
 * Durations, counted by size.
 *
 * A histogram has 64 slots for each power of two: small enough to keep one per thread, exact enough
 * for a table.  The maximum is exact.
 */
#include "bench.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS_PER_DOUBLING = 64, SLOT_BITS = 6, ENDINGS_MAX = 8 };

static size_t slot_of(uint64_t value)
{
    if (value < SLOTS_PER_DOUBLING)
        return (size_t)value;
    int shift = 63 - __builtin_clzll(value) - SLOT_BITS;
    size_t slot = (size_t)(shift + 1) * SLOTS_PER_DOUBLING +
                  (size_t)((value >> shift) & (SLOTS_PER_DOUBLING - 1));
    return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

/* The middle of a slot. */
static uint64_t value_of(size_t slot)
{
    if (slot < SLOTS_PER_DOUBLING)
        return slot;
    int shift = (int)(slot / SLOTS_PER_DOUBLING) - 1;
    uint64_t low = (SLOTS_PER_DOUBLING + (uint64_t)slot % SLOTS_PER_DOUBLING) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void histogram_add(histogram *h, uint64_t nanoseconds)
{
    h->slots[slot_of(nanoseconds)]++;
    h->count++;
    if (nanoseconds > h->max)
        h->max = nanoseconds;
}

void histogram_merge(histogram *into, const histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
        into->slots[i] += from->slots[i];
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_at(const histogram *h, double share)
{
    uint64_t wanted = (uint64_t)ceil((double)h->count * share);
    uint64_t seen = 0;

    assert(share >= 0 && share <= 1);
    if (h->count == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += h->slots[i];
        if (seen >= wanted && seen > 0)
            return value_of(i) < h->max ? value_of(i) : h->max;
    }
    return h->max;
}

uint64_t cpu_ns(clockid_t clock)
{
    struct timespec t = {0};
    if (clock_gettime(clock, &t) != 0)
        die("a clock cannot be read");
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void)
{
    return cpu_ns(CLOCK_MONOTONIC);
}

double seconds_since(uint64_t start_ns)
{
    return (double)(now_ns() - start_ns) / 1e9;
}

void die(const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fputs("kumiko-bench: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    leave(1);
}

static void (*endings[ENDINGS_MAX])(void);
static atomic_size_t n_endings;

void at_end(void (*ending)(void))
{
    assert(n_endings < ENDINGS_MAX);
    endings[n_endings] = ending;
    n_endings++;
}

void leave(int status)
{
    static atomic_flag leaving = ATOMIC_FLAG_INIT;

    while (atomic_flag_test_and_set(&leaving))
        (void)pause(); /* somebody else does it */
    while (n_endings > 0)
        endings[--n_endings]();
    if (status == 0)
        exit(0);
    (void)fflush(NULL);
    _exit(status); /* other threads may still need what exit takes away */
}

void check(ku_status status, const ku_error *error, const char *what)
{
    if (status != KU_OK)
        die("%s: %s: %s", what, ku_status_code(status), error->message);
}
