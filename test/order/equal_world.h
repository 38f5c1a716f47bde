/*
 * A world: an application over a database of its own on one engine, whose ids have names.
 *
 * Two worlds that were told the same make different ids.  In everything that a world says an id is
 * written `@{n}`: the n-th id that this world has shown; what is said to it may name ids the same
 * way.  A cursor is written as what is in it.  Times are not changed: both worlds have one clock.
 */
#ifndef TEST_ORDER_EQUAL_WORLD_H
#define TEST_ORDER_EQUAL_WORLD_H

#include "app/call.h"
#include "base/buffer.h"

#include <stdatomic.h>

typedef struct world world;

/* A call as either world is given it. */
typedef struct equal_call {
    call_kind kind;
    ku_user user;
    ku_str body;    /* the request as JSON; empty: */
    ku_str type;    /*   the type */
    ku_str payload; /*   and the payload's text, which need not be JSON */
    ku_str request_id;
    ku_str trace_id; /* empty: made up */
    ku_str correlation_id;
    ku_str address;
} equal_call;

/* Opens the features over a fresh database; `laned` is the tenant that has three lanes. */
world *world_open(
    bool postgres, const ku_feature *const *features, const _Atomic int64_t *now_us, ku_id laned);
void world_close(world *w);
const char *world_name(const world *w);

/*
 * Submits the calls one behind the other without waiting, then waits for all of them and for what
 * they left to the writer.  Each answer is `<HTTP status> <body>`, named; they live in `memory`.
 */
void world_call(world *w, const equal_call *calls, size_t n, arena *memory, ku_str *ret_answers);
/* The cursor of the next page in the last answer to world_call, as it is; empty: there is none. */
ku_str world_next_cursor(const world *w);
/* Dispatches once and says what came of it. */
ku_str world_dispatch(world *w, arena *memory);
/* What the application says of its consumers. */
ku_str world_progress(world *w, arena *memory);

/* Every row of every table that both engines have, a line each, in an order that is theirs. */
void world_dump(world *w, buffer *ret_lines);
/* Runs SQL beside the application. */
void world_sql(world *w, const char *sql);
/* The log's own check finds nothing; false: it was printed. */
bool world_is_sound(world *w);

#endif
