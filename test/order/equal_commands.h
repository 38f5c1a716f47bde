/*
 * A sequence of random commands and queries, the same for the same seed and the same answers.
 *
 *     commander *c = commander_new(seed, &now_us);
 *     const equal_step *step = commander_next(c);   // moves the clock
 *     …do it in each world, compare…
 *     commander_hear(c, answers);                   // ids and versions to go on with
 *
 * Ids are named as a world names them (equal_world.h).
 */
#ifndef TEST_ORDER_EQUAL_COMMANDS_H
#define TEST_ORDER_EQUAL_COMMANDS_H

#include "order/equal_world.h"

typedef struct commander commander;

typedef enum step_kind {
    STEP_CALLS,    /* at once */
    STEP_PAGES,    /* one query, and its further pages to the end */
    STEP_DISPATCH, /* async projections */
    STEP_PROGRESS, /* what is said of them */
} step_kind;

enum { STEP_CALLS_MAX = 8 };

typedef struct equal_step {
    step_kind kind;
    equal_call calls[STEP_CALLS_MAX];
    size_t n_calls;
    int n_writes; /* of them */
} equal_step;

/* The features that the commands are about, NULL-terminated; the tenant that has several lanes. */
extern const ku_feature *const commander_features[];
ku_id commander_laned_tenant(void);

/* Starts the clock. */
commander *commander_new(uint64_t seed, _Atomic int64_t *now_us);
void commander_free(commander *c);
/* The next step; it lives until the one after it. */
const equal_step *commander_next(commander *c);
/* What the step's calls were answered, one text each; for a step of calls. */
void commander_hear(commander *c, const ku_str *answers);

#endif
