/*
 * What is in a database, as text that does not say which engine it is.
 */
#ifndef TEST_ORDER_EQUAL_DUMP_H
#define TEST_ORDER_EQUAL_DUMP_H

#include "base/buffer.h"
#include "support/database.h"

/*
 * Adds every row of the log's tables and of every read table, a line each: `table|column=value|…`.
 * Ids as text, times as microseconds, truth as 0 and 1, doubles with all their digits.  Events come
 * first, in the order of their lanes; the order of everything else is nobody's.
 *
 * Left out are stored replies that have expired by `now`, the chance in a cursor's `retry_at`, and
 * what one engine alone has: row numbers (SQLite), leases, revisions and buckets (PostgreSQL).
 */
void dump_tables(const test_database *database, ku_time now, buffer *lines);

#endif
