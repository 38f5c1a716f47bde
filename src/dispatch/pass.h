/*
 * Passes: one look at what is to be done, and a turn for every lane that wants one.
 *
 * A pass asks once for all consumers which lanes are behind.  Where several processes share the
 * database it claims those that nobody has, a handful at a time and just before their turn: what
 * one process has not come to yet is there for the others.  What others have asked for it gives
 * away before any turn, when nothing of it is in flight.  It keeps a bounded number of units in
 * flight: enough that reading and writing overlap and that the batches of many quiet lanes share a
 * commit, few enough that commands in the writers' queues hardly notice.
 */
#ifndef KU_DISPATCH_PASS_H
#define KU_DISPATCH_PASS_H

#include "dispatch/bell.h"
#include "dispatch/dispatcher.h"
#include "dispatch/quiet.h"
#include "dispatch/unit.h"

#include <pthread.h>

enum { UNITS = 32 /* in flight at most */ };

typedef struct failed_lane {
    const consumer_entry *consumer;
    ku_id tenant;
    int32_t lane;
} failed_lane;

struct dispatcher {
    ku_app *app;
    bool background;
    bool shared;       /* other processes may dispatch on the same database */
    ku_id owner;       /* what this process leases lanes as */
    ku_str names_json; /* of the consumers that are not paused; empty: there are none */
    arena memory;      /* of names_json */
    bell *bell;        /* shared only */
    pthread_t thread;
    pthread_mutex_t running; /* one pass at a time */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    unit *idle;        /* units that nobody uses */
    unit *handed_back; /* units that a writer is done with */
    bool work_hinted, stopping;

    /* owned by whoever holds `running` */
    db *d;          /* shared: NULL when the connection was lost */
    ku_scope scope; /* of looking for work */
    unit units[UNITS];
    unit_turn turns[UNITS + 1]; /* one for each unit that may be in flight, and the present one */
    int64_t events_in_flight;
    int n_in_flight;
    int caution;   /* how often in flight and batches are halved: leases ran out on the way */
    bool too_long; /* in this pass something was lost that may have taken too long */
    bool may_hold_leases;
    int64_t ask_next_us; /* CLOCK_MONOTONIC: not before does it ask others for lanes again */
    int64_t ask_rest_us; /* 0: it has not asked yet */
    ku_dispatch_result result;
    ku_status lost_by;   /* by hand: why a transaction of this call failed */
    quiet_lanes quiet;   /* in the background only */
    bool quiet_is_due;   /* this pass writes down what was noted */
    bool anything_waits; /* a lane backs off or is another's, or quiet moves are to be written */
    failed_lane *failed; /* by hand: lanes that failed in this call */
    size_t n_failed, failed_capacity;
};

/* The units' way back: unit.handed_back. */
void pass_take_back(unit *u, void *context);
/* Puts a unit where the next turn finds it. */
void pass_put_idle(dispatcher *d, unit *u);
/*
 * Every lane of every consumer has a turn; *moved: some cursor was moved, or what was seen is old
 * already: another pass is to follow.  When it returns nothing is in flight, whatever it returns.
 */
ku_status pass_run(dispatcher *d, bool *moved);

#endif
