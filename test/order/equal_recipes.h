/*
 * The commander from inside: what it knows, and the recipes by which it makes payloads.
 *
 * A recipe is a type and how its payload is made.  What there is to be changed is known from the
 * answers: an item has an id, a kind and the version that was last heard of, which is mostly the
 * right one.
 */
#ifndef TEST_ORDER_EQUAL_RECIPES_H
#define TEST_ORDER_EQUAL_RECIPES_H

#include "order/equal_commands.h"
#include "order/equal_values.h"

enum { TENANTS = 3, LANED = 2, RECENT = 6, REMEMBERED = 24 };

typedef enum item_kind { PART, INVOICE, APPROVER, NOTE, EMPLOYEE, ORDER, KINDS } item_kind;
typedef struct item {
    item_kind kind;
    int tenant;
    size_t id; /* the number of its name */
    int64_t version;
} item;

typedef struct item_list {
    item *items;
    size_t n, capacity;
} item_list;

struct commander {
    chance chance;
    _Atomic int64_t *now_us;
    arena memory; /* of the step */
    equal_step step;
    int tenant;                  /* whose command is being made */
    size_t aims[STEP_CALLS_MAX]; /* what each call is about: an item plus 1; 0: nothing known */
    size_t aim;
    item_list items;
    size_t recent[TENANTS][KINDS][RECENT]; /* items plus 1 */
    size_t n_recent[TENANTS][KINDS];
    unsigned client_ids, requests;
    arena kept; /* of what is remembered */
    equal_call old[REMEMBERED];
    size_t n_old;
    bool alone; /* the step's only call */
};

static inline bool chance_in(commander *c, int percent)
{
    return chance_of(&c->chance, percent);
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Notes what an answer says: a new item, or the version of one that is known. */
void item_hear(commander *c, item_kind kind, int tenant, size_t id, int64_t version);

/* ---- recipes --------------------------------------------------------------------------------- */

typedef struct recipe {
    int weight;
    const char *type;
    void (*payload)(commander *c, buffer *b);
    bool laned; /* also where ids are the client's */
    bool alone; /* it may leave a snapshot to the writer */
} recipe;

extern const recipe recipe_of_writes[];
extern const size_t recipe_n_writes;
extern const recipe recipe_of_queries[];
extern const size_t recipe_n_queries;
extern const recipe recipe_of_pages[]; /* their answers have a cursor */
extern const size_t recipe_n_pages;

/* By weight; one that the tenant and the step can have. */
const recipe *recipe_choose(commander *c, const recipe *recipes, size_t n);
/* A payload; c->aim is what it is about. */
ku_str recipe_payload(commander *c, const recipe *r);

#endif
