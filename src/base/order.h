/*
 * The order of values: negative, zero, positive, as qsort wants it.
 *
 * It is the order in which rows are locked, so whoever sorts rows that others write, too, has to
 * sort them by these.  Texts are ordered by their bytes, as the databases order them.
 */
#ifndef KU_BASE_ORDER_H
#define KU_BASE_ORDER_H

#include "kumiko/value.h"

#include <string.h>

static inline int order_ints(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static inline int order_ids(ku_id a, ku_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

static inline int order_texts(ku_str a, ku_str b)
{
    size_t length = a.len < b.len ? a.len : b.len;
    int order = length == 0 ? 0 : memcmp(a.ptr, b.ptr, length);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
