/*
 * The dispatcher: async projections, a moment after the commit (behaviour §6.3, architecture §7).
 *
 * A consumer has a cursor per lane.  Its effects on tables, what it appends, and its cursor are one
 * transaction, so that each event counts exactly once; a failing apply leaves nothing behind.
 *
 * The dispatcher finds lanes whose head is beyond the cursor, reads and lifts a batch of their
 * events on its own connection, and hands it to the writer as one job among commands: apply, move
 * the cursor from where it was, commit with the others.  While one batch is written the next is
 * read.
 *
 *      IDLE --behind--> READING --batch--> APPLYING --committed--> IDLE
 *                                             |
 *                                             +--failed--> BACKOFF --time--> IDLE
 *                                                             |
 *                                                             +--max_attempts--> HALTED
 */
#ifndef KU_DISPATCH_DISPATCHER_H
#define KU_DISPATCH_DISPATCHER_H

#include "app/state.h"

typedef struct dispatcher dispatcher;

/* Registers the consumers; with `background` starts the thread. */
ku_status dispatcher_open(
    ku_app *app, bool background, dispatcher **ret_dispatcher, ku_error *ret_error);
void dispatcher_close(dispatcher *d);
/* Looks at everything until nothing moves any more; see ku_dispatch_once. */
ku_status dispatcher_run_once(dispatcher *d, ku_dispatch_result *ret_result, ku_error *ret_error);
bool dispatcher_in_background(const dispatcher *d);

#endif
