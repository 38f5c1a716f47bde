/*
 * The writer: one thread, one write connection, many commands per commit.
 *
 * Whatever has queued while the last commit was flushing becomes the next batch (never waiting for
 * more, at most LIMIT_SCOPES_PER_COMMIT).  Each job runs in a scope with a layer of its own; a job
 * that fails leaves nothing, the others are not disturbed.  Nobody hears of success before the
 * commit that holds it has returned.
 *
 *     BEGIN
 *     execute   each job in its layer; success merges the layer into the batch's
 *     number    the batch's events get their positions
 *     settle    each job writes its answer (it may put it into the database, too)
 *     flush     rows, streams, events, snapshots
 *     COMMIT
 *     finish    each job learns what became of the commit
 *
 * If anything between BEGIN and COMMIT fails that is not one job's own refusal, the transaction is
 * rolled back and the jobs are run again one by one, so that only the guilty one fails.
 */
#ifndef KU_APP_WRITER_H
#define KU_APP_WRITER_H

#include "app/rows.h"
#include "app/state.h"

typedef struct writer writer;
typedef struct writer_job writer_job;

struct writer_job {
    /* Runs in a fresh scope, possibly more than once.  Anything but KU_OK drops what it did. */
    ku_status (*execute)(writer_job *job, ku_scope *scope);
    /* May be NULL.  `executed` is what execute returned.  A failure fails the transaction. */
    ku_status (*settle)(writer_job *job, ku_scope *scope, ku_status executed);
    /* `committed`: KU_OK, or why nothing of the transaction is there.  The job may be freed here.
     */
    void (*finish)(writer_job *job, ku_scope *scope, ku_status committed);

    writer_job *next; /* the queue's */
    /* the writer's own */
    ku_scope *scope;
    ku_status executed;
    bool deferred;
};

ku_status writer_open(ku_app *app, writer **ret_writer, ku_error *ret_error);
/* Runs what is queued, then stops the thread; what is submitted afterwards is refused. */
void writer_stop(writer *w);
/* Closes the connection of a writer that has stopped. */
void writer_close(writer *w);

/* False: the queue is full (not for `internal` jobs) or the writer is stopping; finish is not
 * called. */
bool writer_submit(writer *w, writer_job *job, bool internal);
/* From inside execute: run this job in the next batch instead.  Return KU_OK after it. */
void writer_defer(writer_job *job);

#endif
