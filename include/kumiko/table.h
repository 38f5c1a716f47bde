/*
 * Read tables: typed rows that projections write and queries read.
 *
 * The table is created from the shape of its row when the application opens.  `tenant_id` stands in
 * front of its key and in every statement; the library adds it, nobody can forget it.
 *
 * In a write, rows are kept in memory until the transaction ends and written once, however often
 * they were changed; a row that was just put is what the next get sees.
 */
#ifndef KUMIKO_TABLE_H
#define KUMIKO_TABLE_H

#include "kumiko/scope.h"
#include "kumiko/shape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_index {
    const char *const *columns; /* NULL-terminated; the tenant goes in front */
} ku_index;

typedef struct ku_table {
    const char *name;        /* conventionally `read_…` */
    ku_shape row;            /* at least one field with KU_KEY */
    const ku_index *indexes; /* KU_END-terminated, may be NULL */
} ku_table;

#define KU_COLUMNS(...) KU_NAMES(__VA_ARGS__)

/*
 * Fills the row whose key columns are set in `*row`.  KU_NOT_FOUND (no error is set): no such row.
 */
KU_API ku_status ku_row_get(ku_scope *scope, const ku_table *table, void *row);
/* Inserts the row or replaces it. */
KU_API ku_status ku_row_put(ku_scope *scope, const ku_table *table, const void *row);
/* Sets the named columns of the row with that key.  No effect if there is none. */
KU_API ku_status ku_row_set(
    ku_scope *scope, const ku_table *table, const char *const *columns, const void *row);
/*
 * Inserts the row, or adds the KU_SUM columns to the row that is there and replaces the others.  In
 * an async projection this counts each event exactly once: the cursor moves in the same
 * transaction.
 */
KU_API ku_status ku_row_add(ku_scope *scope, const ku_table *table, const void *row);
/* Removes the row with that key.  No effect if there is none. */
KU_API ku_status ku_row_remove(ku_scope *scope, const ku_table *table, const void *row);

/* ---- queries --------------------------------------------------------------------------------- */

typedef enum ku_op { KU_EQ, KU_NE, KU_LT, KU_GT, KU_IN } ku_op;

typedef struct ku_filter {
    const char *column; /* member name */
    ku_op op;
    ku_raw value; /* JSON: a scalar or null; for KU_IN an array */
} ku_filter;

typedef struct ku_row_query {
    const ku_filter *filters; /* and-ed */
    size_t n_filters;
    const char *sort; /* member name; NULL: the key */
    bool descending;
    int64_t limit; /* 0: no limit but memory's; lists of entities use 50 */
    int64_t offset;
    ku_str cursor; /* from ret_page of the page before; beats the offset */
    bool count;    /* fill ret_page->total */
} ku_row_query;

typedef struct ku_page {
    const void *rows; /* `count` structs of the table's row; live as long as the scope */
    size_t count;
    ku_str next_cursor; /* empty: there is no next page */
    int64_t total;      /* of all rows that match, if asked for */
} ku_page;

/*
 * The tenant's rows (behaviour §8).  `query` may be NULL: all of them.  KU_INVALID: unknown column.
 */
KU_API ku_status ku_query_projection(
    ku_scope *scope, const ku_table *table, const ku_row_query *query, ku_page *ret_page);

#ifdef __cplusplus
}
#endif
#endif
