/*
 * Units: one batch of one consumer's lane on its way from the log through the writer.
 *
 * Filled by the dispatcher's thread (unit_read), run by the writer's (unit_submit), and handed back
 * through the dispatcher's lock when its transaction has ended.
 */
#ifndef KU_DISPATCH_UNIT_H
#define KU_DISPATCH_UNIT_H

#include "app/command.h"
#include "app/writer.h"
#include "store/log.h"

typedef enum unit_result {
    UNIT_MOVED,  /* applied, and the cursor is at `to` */
    UNIT_FAILED, /* event `failed_at` could not be applied; nothing of the batch is there */
    UNIT_LOST,   /* the cursor is elsewhere or another's, or the transaction failed: look again */
} unit_result;

/*
 * A few batches of one lane, one after the other.  Several of them may be on their way at once: a
 * tenant has one writer, which runs them in order.
 */
typedef struct unit_turn {
    int n_units;       /* in flight; the dispatcher's */
    bool stopped;      /* one of them did not move the cursor; the dispatcher's */
    int64_t broken_at; /* where the first that failed begins, or INT64_MAX; the writer's */
} unit_turn;

typedef struct unit {
    writer_job job; /* first: the writer knows it by this */
    ku_app *app;
    const consumer_entry *consumer;
    unit_turn *turn;
    cursor cursor;        /* as it was found; its position is moved to where this batch begins */
    int64_t known, limit; /* see unit_prepare */
    int64_t to;
    ku_event *events; /* lifted, only what the consumer subscribes to */
    size_t n_events;
    ku_scope scope; /* memory of the events; read connection of the dispatcher */
    size_t failed_at;
    bool lost;     /* another has moved or claimed the cursor: set when the batch was flushed */
    cursor failed; /* UNIT_FAILED for its first event: what was noted */
    unit_result result;
    ku_status lost_by; /* UNIT_LOST: why the transaction failed; KU_OK: another moved the cursor */
    bool read_failed;  /* an event could not be lifted: the writer only notes the failure */
    char error[512];
    void (*handed_back)(struct unit *u, void *context); /* on the writer's thread */
    void *context;
    struct unit *next; /* free list of the dispatcher */
} unit;

/*
 * Says what is to be read on that connection: up to `limit` events behind the cursor, or behind
 * `known`, up to which nothing is of interest (0: nothing is known).
 */
void unit_prepare(unit *u, db *d, const consumer_entry *consumer, const cursor *cursor,
    int64_t known, int64_t limit);
/* A hint that unit_read will follow, in the same transaction. */
void unit_prefetch(unit *u);
/*
 * Reads it.  An event that cannot be lifted ends the batch before it; if it is the first, the unit
 * fails for it.  The return value is for machine failures.
 */
ku_status unit_read(unit *u);
bool unit_submit(unit *u);
/*
 * The transaction of this unit alone failed for what is in it, which events are not asked for one
 * by one.  Applies only the first half of them next; a single one is noted as what failed.
 */
void unit_narrow(unit *u);
/* Applies only the events before the one that failed; the next unit begins with that one. */
void unit_shorten(unit *u);

#endif
