/*
 * Queries over read tables: filters, sort, cursor, count (behaviour §8).
 *
 * The statement is composed from registered names; every value is a bind.
 */
#ifndef KU_APP_ROW_QUERY_H
#define KU_APP_ROW_QUERY_H

#include "app/row_table.h"

typedef struct row_filter {
    const ku_field *field;
    ku_op op;
    const ku_json *value;
    ku_str path; /* where the client wrote it, for issues: `filters.0` */
} row_filter;

typedef struct row_query {
    const row_filter *filters;
    size_t n_filters;
    int sort; /* field, or -1: the key */
    bool descending;
    int64_t limit; /* -1: none */
    int64_t offset;
    ku_str cursor;
    bool count;
    bool with_system; /* rows of the system tenant, too (behaviour §9) */
    ku_str condition; /* a further one, composed by the library; or empty */
} row_query;

typedef struct row_page {
    void *rows; /* structs of the table's row, in the scope's memory */
    size_t count;
    ku_str next_cursor;
    int64_t total;
} row_page;

/* Whose rows every tenant sees (behaviour §9). */
extern const ku_id row_system_tenant;

ku_status row_query_run(
    ku_scope *scope, const row_table *t, const row_query *query, row_page *ret_page);

#endif
