/*
 * The dispatcher: async projections, a moment after the commit (behaviour §6.3, architecture §7).
 *
 * A consumer has a cursor per lane.  Its effects on tables, what it appends, and its cursor are one
 * transaction, so that each event counts exactly once; a failing apply leaves nothing behind.
 *
 * The dispatcher finds lanes whose head is beyond the cursor, reads and lifts a batch of their
 * events on its own connection, and hands it to the tenant's writer as one job among commands:
 * apply, move the cursor from where it was, commit with the others.  While one batch is written the
 * next is read.
 *
 *      IDLE --behind--> LEASED --batch--> APPLYING --committed--> IDLE
 *                                            |
 *                                            +--failed--> BACKOFF --time--> IDLE
 *                                            |               |
 *                                            |               +--max_attempts--> HALTED
 *                                            +--lost: another has claimed it--> IDLE
 *
 * Where several processes share the database each leases the lanes that it is about to run, and the
 * lease is renewed by every batch; one that ends, hangs or is cut off leaves its lanes to the
 * others within seconds.  One that has work to do keeps its lanes, so who comes later, sees that
 * others' lanes are behind and has clearly less than its share asks for some, by leaving its name
 * at them; the owner sees that when it looks for work, and gives them away.  The lease only saves
 * work that would be in vain: what keeps events from counting twice is that a cursor moves only
 * from where it was, under the epoch of the latest claim.
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
