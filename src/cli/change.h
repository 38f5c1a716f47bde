/*
 * A change by an operator: a transaction of its own, in which nobody else changes the schema or
 * what belongs to it.
 */
#ifndef KU_CLI_CHANGE_H
#define KU_CLI_CHANGE_H

#include "db/db.h"

/* Runs it in a scope without a tenant and commits; on failure nothing of it is there. */
ku_status cli_change(db *d, ku_status (*run)(ku_scope *scope, const void *context),
    const void *context, ku_error *ret_error);

#endif
