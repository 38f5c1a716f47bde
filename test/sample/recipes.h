/*
 * Small features, each of them one recipe (behaviour §15.3), together the program `recipes`.
 */
#ifndef TEST_SAMPLE_RECIPES_H
#define TEST_SAMPLE_RECIPES_H

#include "kumiko.h"

extern const ku_feature notes_feature;         /* an entity, its events, hooks; refusals half-way */
extern const ku_feature staff_feature;         /* unique, transitions, fields by role, defaults */
extern const ku_feature orders_feature;        /* every kind of refusal */
extern const ku_feature pubsub_orders_feature; /* an event … */
extern const ku_feature pubsub_inbox_feature;  /* … that another feature listens to */
extern const ku_feature chain_feature;         /* projections that append; conflicts */

/* What pubsub_orders_feature tells others. */
typedef struct order_placed {
    ku_str customer;
} order_placed;
extern const ku_event_type order_placed_event;

#endif
