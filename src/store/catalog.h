/*
 * The event types that a program knows, by qualified name.
 *
 * Built by the registry before threads run, constant afterwards.
 */
#ifndef KU_STORE_CATALOG_H
#define KU_STORE_CATALOG_H

#include "base/scope.h"
#include "kumiko/entity.h"

typedef struct event_def {
    ku_str name;               /* `showcase:event:invoice-approved`, `showcase-invoice.created` */
    const ku_event_type *type; /* for automatic events one that the registry made */
    const ku_entity *entity;   /* whose streams it is appended to */
    int verb;                  /* KU_CREATED … KU_FORGOTTEN, or 0: a domain event */
    const struct feature_entry *feature;
    struct event_def *next_; /* same hash slot */
} event_def;

typedef struct event_catalog event_catalog;

event_catalog *event_catalog_new(void);
void event_catalog_free(event_catalog *catalog);
/* Adds a definition (kept by reference).  False: the name is taken. */
bool event_catalog_add(event_catalog *catalog, event_def *def);
const event_def *event_catalog_find(const event_catalog *catalog, ku_str name);
/* By registered type; NULL if the type is not in it. */
const event_def *event_catalog_of(const event_catalog *catalog, const ku_event_type *type);

#endif
