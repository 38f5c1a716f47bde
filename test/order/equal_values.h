/*
 * Random values in JSON, from a seed: the same on every machine.  The edges come often.
 */
#ifndef TEST_ORDER_EQUAL_VALUES_H
#define TEST_ORDER_EQUAL_VALUES_H

#include "base/buffer.h"

typedef struct chance {
    uint64_t state;
    int64_t now_us; /* instants are around it */
    int64_t begin_us;
} chance;

/* 0 to n - 1. */
size_t chance_below(chance *c, size_t n);
/* True so many times in a hundred. */
bool chance_of(chance *c, int percent);

/* A text without quotes; static storage. */
const char *value_word(chance *c);
void value_text(chance *c, buffer *b); /* any */
void value_code(chance *c, buffer *b); /* one of many */
void value_int(chance *c, buffer *b);
void value_small_int(chance *c, buffer *b);
void value_price(chance *c, buffer *b);
void value_rebate(chance *c, buffer *b);
void value_double(chance *c, buffer *b);
void value_bool(chance *c, buffer *b);
void value_grade(chance *c, buffer *b);
void value_finish(chance *c, buffer *b);
void value_time(chance *c, buffer *b);
void value_past(chance *c, buffer *b); /* since the beginning */
void value_tags(chance *c, buffer *b);
void value_numbers(chance *c, buffer *b);
void value_sizes(chance *c, buffer *b);
void value_frame(chance *c, buffer *b);
void value_anything(chance *c, buffer *b); /* nested JSON */

#endif
