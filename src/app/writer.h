/*
 * A writer: one thread, one write connection, many commands per commit.
 *
 * Whatever has queued while the last commit was flushing becomes the next batch (never waiting for
 * more, at most LIMIT_SCOPES_PER_COMMIT).  Each job runs in a scope with a layer of its own; a job
 * that fails leaves nothing, the others are not disturbed.  Nobody hears of success before the
 * commit that holds it has returned.
 *
 *     BEGIN
 *     execute   each job in its layer; success merges the layer into the batch's
 *     flush     streams, rows
 *     number    cursors and heads move, the batch's events get their positions
 *     settle    each job writes its answer (it may want it stored, too)
 *     flush     events, snapshots, stored replies
 *     COMMIT
 *     finish    each job learns what became of the commit
 *
 * Where several writers share a database nothing is locked while jobs run, and what they have read
 * is compared when it is written.  A batch that loses such a comparison, or a connection before its
 * COMMIT, is run again a few times as it is.  Then, and if anything fails that is not one job's own
 * refusal, the jobs are run one by one, so that only the guilty one fails.
 *
 * A connection that is lost between COMMIT and its answer leaves a question that only the database
 * can answer.  Jobs that may be repeated are (a stored reply decides), the others are told.
 */
#ifndef KU_APP_WRITER_H
#define KU_APP_WRITER_H

#include "app/rows.h"
#include "app/state.h"

typedef struct writer writer;
typedef struct writer_job writer_job;

struct writer_job {
    /* May be NULL.  Before any job of the batch is executed, where a query is a way to another
     * machine: says with db_prefetch what execute will ask first, so that all go together. */
    void (*prepare)(writer_job *job, db *d);
    /* Runs in a fresh scope, possibly several times, of which the last one counts.  Anything but
     * KU_OK drops what it did. */
    ku_status (*execute)(writer_job *job, ku_scope *scope);
    /* May be NULL.  `executed` is what execute returned.  A failure fails the transaction. */
    ku_status (*settle)(writer_job *job, ku_scope *scope, ku_status executed);
    /*
     * `committed`: KU_OK, or why nothing of the transaction is there (KU_VERSION_CONFLICT: others
     * were faster every time), unless outcome_unknown says that it may be.  The job may be freed
     * here.
     */
    void (*finish)(writer_job *job, ku_scope *scope, ku_status committed);
    /* May be executed again when nobody knows whether its transaction was committed. */
    bool repeatable;
    bool outcome_unknown; /* for finish: the job may have been committed, or not */

    writer_job *next; /* the queue's */
    /* the writer's own */
    ku_scope *scope;
    ku_status executed;
    bool deferred;
};

/* Starts the thread of a writer with that connection, which it owns from now on.  The chief of an
 * application's writers does what is to be done once and not by each. */
writer *writer_start(ku_app *app, db *d, bool chief);
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
