/*
 * Clocks and ids.
 *
 * A UUIDv7 is 48 bits of milliseconds, 12 + 62 further bits and 6 fixed ones.  One atomic word
 * holds the milliseconds and a 16-bit counter of the last id made; the counter fills the 12 bits
 * and the first 4 of the 62.  In a new millisecond it starts at a random value below its middle,
 * after that it counts; when it runs over it carries into the milliseconds, so that ids ascend
 * whatever the clock does.  The remaining 58 bits are random.
 *
 * Random bytes are drawn from the kernel 512 at a time per thread; a fork makes both processes draw
 * anew, or they would hand out the same ids.
 */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* 9999-12-31T23:59:59.999Z: far below 2^48, so that the counter's carry has room. */
#define ID_MS_MAX UINT64_C(253402300799999)

ku_time clock_now(const clock_source *source)
{
    if (source != NULL && source->now != NULL)
        return source->now(source->context);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (ku_time){(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000};
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

typedef struct random_pool {
    uint64_t words[64];
    size_t left;
    unsigned generation;
} random_pool;

static _Thread_local random_pool pool;
static atomic_uint fork_generation = 1; /* a thread's pool starts at 0 and is therefore filled */
static pthread_once_t fork_watch = PTHREAD_ONCE_INIT;

static void forked(void)
{
    (void)atomic_fetch_add(&fork_generation, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forked);
}

static uint64_t random_word(void)
{
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (pool.left == 0 || pool.generation != generation) {
        (void)pthread_once(&fork_watch, watch_forks);
        size_t filled = 0;
        while (filled < sizeof(pool.words)) {
            ssize_t got = getrandom((char *)pool.words + filled, sizeof(pool.words) - filled, 0);
            if (got < 0 && errno != EINTR)
                abort(); /* without random bytes ids would collide */
            filled += got > 0 ? (size_t)got : 0;
        }
        pool.left = KU_COUNT(pool.words);
        pool.generation = generation;
    }
    return pool.words[--pool.left];
}

/* Milliseconds and counter of the last id of this process. */
static _Atomic uint64_t last_tick;

static uint64_t next_tick(uint64_t ms, unsigned seed)
{
    uint64_t fresh = ms << 16 | (seed & 0x7fff);
    uint64_t last = atomic_load_explicit(&last_tick, memory_order_relaxed);
    uint64_t next;
    do {
        next = last >> 16 < ms ? fresh : last + 1;
    } while (!atomic_compare_exchange_weak_explicit(
        &last_tick, &last, next, memory_order_relaxed, memory_order_relaxed));
    return next;
}

ku_id id_new(ku_time time)
{
    uint64_t ms = time.unix_us < 0 ? 0 : (uint64_t)time.unix_us / 1000;
    if (ms > ID_MS_MAX)
        ms = ID_MS_MAX;
    uint64_t noise = random_word();
    uint64_t tick = next_tick(ms, (unsigned)(noise >> 49) & 0x7fff);
    noise = random_word();

    ku_id id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(tick >> (56 - 8 * i));
    id.bytes[6] = (uint8_t)(0x70 | (tick >> 12 & 0x0f));
    id.bytes[7] = (uint8_t)(tick >> 4);
    id.bytes[8] = (uint8_t)(0x80 | (tick & 0x0f) << 2 | (noise >> 56 & 0x03));
    for (int i = 9; i < 16; i++)
        id.bytes[i] = (uint8_t)(noise >> (8 * (15 - i)));
    return id;
}
