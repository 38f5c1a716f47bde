/*
 * The tables of an application: the log's and those of its features.
 */
#ifndef KU_APP_SCHEMA_H
#define KU_APP_SCHEMA_H

#include "app/registry.h"

/*
 * Creates what is missing and brings the rest to the program's version, in one transaction; other
 * processes that want the same wait.  KU_CONFLICT: what is there cannot be brought there.
 */
ku_status schema_apply(const registry *r, db *d, ku_error *ret_error);
/*
 * Changes nothing.  KU_NOT_FOUND: something is missing; the message names it and says what to run.
 */
ku_status schema_check(const registry *r, db *d, ku_error *ret_error);
/* The same of the log's tables alone: what somebody needs who only reads. */
ku_status schema_check_log(db *d, ku_error *ret_error);
/* The script that schema_apply would run where nothing is there yet. */
void schema_print(const registry *r, db_dialect dialect, buffer *b);

#endif
