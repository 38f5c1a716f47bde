/*
 * The bell between processes that share a database: "there are new events".
 *
 * A thread with a connection of its own tells the others that this process has committed events,
 * and hears when they have.  It is a hint: what is to be done stands in the database, and whoever
 * hears nothing looks there by himself every now and then.  So nothing waits for the bell, a bell
 * that cannot reach the database fails nothing, and it rings outside any transaction.
 *
 * Commits come by the thousand and one look is enough for all of them: there are at least 5 ms
 * between two rings, and after the last commit it always rings once more.
 */
#ifndef KU_DISPATCH_BELL_H
#define KU_DISPATCH_BELL_H

#include "app/state.h"

typedef struct bell bell;

/*
 * `heard` is called on the bell's thread when another process has rung, and when it may have rung
 * unheard.  NULL: this process only rings; then nothing is connected before it does.
 */
bell *bell_open(ku_app *app, void (*heard)(void *context), void *context);
/* Any thread; does not wait. */
void bell_ring(bell *b);
/* Rings what has not been rung, if the database is there.  NULL is fine. */
void bell_close(bell *b);

#endif
