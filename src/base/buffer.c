/*
 * Buffers.
 *
 * Capacity doubles, so adding n bytes one by one costs O(n).  In an arena a buffer that is the last
 * thing made grows in place; only when something else was made behind it does it move.
 */
#include "base/buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST = 256 };

static void grow(buffer *b, size_t needed)
{
    assert(needed >= b->len && needed <= SIZE_MAX / 4);
    size_t capacity = b->capacity > 0 ? b->capacity : BUFFER_FIRST;
    while (capacity < needed)
        capacity *= 2;

    if (b->arena == NULL) {
        b->ptr = mem_grow(b->ptr, capacity);
    } else if (b->ptr == NULL ||
               !arena_extend(b->arena, b->ptr + b->capacity, capacity - b->capacity)) {
        char *moved = arena_text(b->arena, capacity);
        if (b->len > 0)
            memcpy(moved, b->ptr, b->len);
        b->ptr = moved;
    }
    b->capacity = capacity;
}

char *buffer_reserve(buffer *b, size_t size)
{
    if (b->capacity - b->len < size || b->ptr == NULL)
        grow(b, b->len + size);
    return b->ptr + b->len;
}

void buffer_add(buffer *b, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_reserve(b, size), bytes, size);
    b->len += size;
}

void buffer_add_str(buffer *b, ku_str text)
{
    buffer_add(b, text.ptr, text.len);
}

void buffer_add_text(buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_add_char(buffer *b, char c)
{
    *buffer_reserve(b, 1) = c;
    b->len++;
}

void buffer_format(buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    char *room = buffer_reserve(b, 128);
    size_t free_bytes = b->capacity - b->len;
    int len = vsnprintf(room, free_bytes, format, args);
    assert(len >= 0);
    if ((size_t)len >= free_bytes)
        (void)vsnprintf(buffer_reserve(b, (size_t)len + 1), (size_t)len + 1, format, again);
    b->len += (size_t)len;
    va_end(again);
    va_end(args);
}

ku_str buffer_str(buffer *b)
{
    *buffer_reserve(b, 1) = '\0';
    return (ku_str){b->ptr, b->len};
}

void buffer_done(buffer *b)
{
    if (b->arena == NULL)
        free(b->ptr);
    b->ptr = NULL;
    b->len = 0;
    b->capacity = 0;
}
