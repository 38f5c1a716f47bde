/*
 * Arenas: memory that is made piece by piece and freed all at once.
 *
 * An arena is a list of chunks with a bump pointer in the newest.  Memory comes zeroed and never
 * NULL: when the machine has none left the process aborts, which is safe because the log is
 * transactional.  `arena_mark` and `arena_rewind` free what was made in between; under
 * AddressSanitizer what was freed is poisoned.
 *
 * One arena belongs to one thread at a time.
 */
#ifndef KU_BASE_ARENA_H
#define KU_BASE_ARENA_H

#include "kumiko/scope.h"

typedef struct arena_chunk arena_chunk;

typedef struct arena {
    arena_chunk *newest; /* NULL: nothing made yet; {0} is an empty arena */
    size_t high_water;   /* most bytes held from the machine at once */
} arena;

/* Zeroed, aligned for any type. */
void *arena_alloc(arena *a, size_t size);
/* Not zeroed; alignment 1: for text that is written at once. */
char *arena_text(arena *a, size_t size);
/*
 * Grows what was made last, in place: `end` is where it ends.  False, and nothing changed, if
 * something was made behind it or its chunk is full.
 */
bool arena_extend(arena *a, const char *end, size_t more);
/* A copy with a NUL behind it. */
ku_str arena_copy(arena *a, ku_str text);
ku_str arena_format(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
ku_str arena_vformat(arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
ku_mark arena_mark(const arena *a);
void arena_rewind(arena *a, ku_mark mark);
/* Empties it, keeping its first chunk for the next use. */
void arena_reset(arena *a);
/* Frees everything. */
void arena_done(arena *a);

/* malloc, calloc and realloc that abort instead of failing. */
void *mem_alloc(size_t size);
void *mem_zero(size_t count, size_t size);
void *mem_grow(void *memory, size_t size);

#endif
