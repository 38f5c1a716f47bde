/*
 * Names for ids: `@{n}` for the n-th one that was seen, and cursors as what is in them.
 */
#ifndef TEST_ORDER_EQUAL_NAMES_H
#define TEST_ORDER_EQUAL_NAMES_H

#include "base/buffer.h"

typedef struct id_names {
    ku_id *ids; /* by number */
    size_t n_ids;
    size_t *slots; /* numbers plus 1 by hash; 0: free */
    size_t n_slots;
} id_names;

/* The text with each id in it replaced by its name. */
void names_hide(id_names *names, ku_str text, buffer *b);
/* The text with each name in it replaced by its id; asserts that there is such a name. */
void names_show(const id_names *names, ku_str text, buffer *b);
void names_done(id_names *names);

/* What follows `"nextCursor":"` as it is; empty: there is none. */
ku_str names_next_cursor(ku_str text);

#endif
