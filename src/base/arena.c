/*
 * Arenas.
 *
 * Memory comes from chunks that double in size, each with a bump pointer; only the newest is
 * written to.  A mark is a chunk and its bump pointer, so a rewind frees the chunks made since and
 * sets the pointer back.  Emptying an arena keeps its oldest chunk: a scope that is used again and
 * again settles at no calls of malloc at all.
 *
 * Under AddressSanitizer everything that is not handed out is poisoned, and a gap is left behind
 * each piece, so that an overrun and a use after a rewind are found as they would be with malloc.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
enum { ARENA_GAP = 16, TEXT_ALIGNMENT = 8 };
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
enum { ARENA_GAP = 0, TEXT_ALIGNMENT = 1 };
#endif

enum {
    ALIGNMENT = 16,
    CHUNK_FIRST = 8192,
    CHUNK_MAX =
        1 << 20, /* chunks stop doubling here; a bigger piece gets a chunk of its own size */
};

struct arena_chunk {
    arena_chunk *older;
    size_t size;  /* of data */
    size_t used;  /* of data */
    size_t below; /* bytes held by this chunk and the older ones */
    _Alignas(ALIGNMENT) char data[];
};

static void add_chunk(arena *a, size_t size)
{
    size_t capacity = CHUNK_FIRST - sizeof(arena_chunk);
    if (a->newest != NULL) {
        size_t doubled = 2 * (a->newest->size + sizeof(arena_chunk));
        capacity = (doubled < CHUNK_MAX ? doubled : CHUNK_MAX) - sizeof(arena_chunk);
    }
    if (capacity < size + ALIGNMENT + ARENA_GAP)
        capacity = size + ALIGNMENT + ARENA_GAP;

    arena_chunk *chunk = mem_alloc(sizeof(arena_chunk) + capacity);
    chunk->older = a->newest;
    chunk->size = capacity;
    chunk->used = 0;
    chunk->below = sizeof(arena_chunk) + capacity + (a->newest != NULL ? a->newest->below : 0);
    ASAN_POISON_MEMORY_REGION(chunk->data, capacity);
    a->newest = chunk;
    if (a->high_water < chunk->below)
        a->high_water = chunk->below;
}

static char *take(arena *a, size_t size, size_t alignment)
{
    assert(size <= SIZE_MAX / 4);
    arena_chunk *chunk = a->newest;
    size_t at = chunk == NULL ? 0 : (chunk->used + alignment - 1) & ~(alignment - 1);
    if (chunk == NULL || at > chunk->size || chunk->size - at < size + ARENA_GAP) {
        add_chunk(a, size);
        chunk = a->newest;
        at = 0;
    }
    chunk->used = at + size + ARENA_GAP;
    char *memory = chunk->data + at;
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    return memory;
}

void *arena_alloc(arena *a, size_t size)
{
    void *memory = take(a, size, ALIGNMENT);
    return memset(memory, 0, size);
}

char *arena_text(arena *a, size_t size)
{
    return take(a, size, TEXT_ALIGNMENT);
}

bool arena_extend(arena *a, const char *end, size_t more)
{
    arena_chunk *chunk = a->newest;
    if (chunk == NULL || end == NULL || end + ARENA_GAP != chunk->data + chunk->used ||
        chunk->size - chunk->used < more)
        return false;
    ASAN_UNPOISON_MEMORY_REGION(end, more);
    chunk->used += more;
    return true;
}

ku_str arena_copy(arena *a, ku_str text)
{
    char *copy = arena_text(a, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (ku_str){copy, text.len};
}

ku_str arena_format(arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ku_str text = arena_vformat(a, format, args);
    va_end(args);
    return text;
}

ku_str arena_vformat(arena *a, const char *format, va_list args)
{
    char shorter[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(shorter, sizeof(shorter), format, args);
    assert(len >= 0); /* a format that the compiler has checked does not fail */
    char *text = arena_text(a, (size_t)len + 1);
    if ((size_t)len < sizeof(shorter))
        memcpy(text, shorter, (size_t)len + 1);
    else
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (ku_str){text, (size_t)len};
}

ku_mark arena_mark(const arena *a)
{
    if (a->newest == NULL)
        return (ku_mark){NULL, 0};
    return (ku_mark){a->newest, a->newest->used};
}

static void drop_newest(arena *a)
{
    arena_chunk *chunk = a->newest;
    a->newest = chunk->older;
    ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
    free(chunk);
}

static void set_back(arena_chunk *chunk, size_t used)
{
    assert(used <= chunk->used);
    chunk->used = used;
    ASAN_POISON_MEMORY_REGION(chunk->data + used, chunk->size - used);
}

void arena_rewind(arena *a, ku_mark mark)
{
    if (mark.chunk == NULL) {
        arena_reset(a);
        return;
    }
    while (a->newest != mark.chunk) {
        assert(a->newest != NULL); /* the mark was made in this arena and not rewound past */
        drop_newest(a);
    }
    set_back(a->newest, mark.used);
}

void arena_reset(arena *a)
{
    if (a->newest == NULL)
        return;
    while (a->newest->older != NULL)
        drop_newest(a);
    /* A first chunk that was made for one huge piece is not worth keeping. */
    if (a->newest->size > CHUNK_MAX)
        drop_newest(a);
    else
        set_back(a->newest, 0);
}

void arena_done(arena *a)
{
    while (a->newest != NULL)
        drop_newest(a);
}

static void *or_abort(void *memory, size_t size)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return or_abort(malloc(size > 0 ? size : 1), size);
}

void *mem_zero(size_t count, size_t size)
{
    return or_abort(calloc(count > 0 ? count : 1, size > 0 ? size : 1), size);
}

void *mem_grow(void *memory, size_t size)
{
    return or_abort(realloc(memory, size > 0 ? size : 1), size);
}
