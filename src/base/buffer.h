/*
 * Buffers: text that grows while it is written.  Backed by an arena (`arena` set: never freed by
 * itself) or by the heap (`arena` NULL: buffer_done frees it).  {0} is an empty heap buffer.
 */
#ifndef KU_BASE_BUFFER_H
#define KU_BASE_BUFFER_H

#include "base/arena.h"

typedef struct buffer {
    char *ptr;
    size_t len;
    size_t capacity;
    arena *arena;
} buffer;

/* Room for `size` more bytes behind `len`; returns where they start. */
char *buffer_reserve(buffer *b, size_t size);
void buffer_add(buffer *b, const void *bytes, size_t size);
void buffer_add_str(buffer *b, ku_str text);
void buffer_add_text(buffer *b, const char *text);
void buffer_add_char(buffer *b, char c);
void buffer_format(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text so far, with a NUL behind it; valid until the next change. */
ku_str buffer_str(buffer *b);
void buffer_done(buffer *b);

#endif
