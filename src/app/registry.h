/*
 * The registry: every feature of the program, checked and by name.
 *
 * Built once from the constants that features are, before any thread runs; constant afterwards.
 * registry_build collects everything that is wrong and reports it in one message, a line each
 * (behaviour §3, boot validation).
 */
#ifndef KU_APP_REGISTRY_H
#define KU_APP_REGISTRY_H

#include "app/row_table.h"
#include "kumiko/feature.h"
#include "store/catalog.h"

typedef struct feature_entry {
    const ku_feature *feature;
    ku_str name; /* kebab-case */
    bool disabled;
} feature_entry;

/* What a projection or a consumer does with one event type. */
typedef struct subscription {
    const struct projection_entry *projection; /* inline, or … */
    const struct consumer_entry *consumer;     /* … async */
    ku_status (*apply)(ku_scope *scope, const ku_event *event);
    struct subscription *next;
} subscription;

/* An event type as the registry knows it; the catalog holds pointers to `.def`. */
typedef struct event_entry {
    event_def def;
    subscription *inlines; /* in order of registration */
    subscription *asyncs;
    struct event_entry *next; /* all of them */
} event_entry;

typedef struct entity_entry {
    const ku_entity *entity;
    const feature_entry *feature;
    row_table *table;  /* NULL: no row */
    size_t n_base;     /* fields of table->row that are the library's; the entity's follow */
    size_t row_offset; /* where the entity's own struct begins in the full row */
    event_entry *automatic[5]; /* by -verb - 1; NULL without a row */
    int *unique_sql;           /* one look-up per .unique */
    bool *has_transitions;     /* by field */
    bool restricted;           /* some field has read_roles or write_roles */
    struct entity_entry *next;
} entity_entry;

typedef struct handler_entry {
    const ku_handler *handler;
    const feature_entry *feature;
    const entity_entry
        *entity; /* of a standard handler, or by the name's first part; may be NULL */
    ku_str name; /* qualified */
    bool write;
    struct handler_entry *same_slot, *next;
} handler_entry;

typedef struct projection_entry {
    const ku_projection *projection;
    const feature_entry *feature;
    ku_str name;
    row_table *table;
    struct projection_entry *next;
} projection_entry;

typedef struct consumer_entry {
    const ku_multi_stream_projection *projection;
    const feature_entry *feature;
    ku_str name;
    ku_str types_json; /* what it subscribes to, as a JSON array of qualified names */
    struct consumer_entry *next;
} consumer_entry;

enum { REGISTRY_SLOTS = 512 };

typedef struct registry {
    arena arena;
    feature_entry *features;
    size_t n_features;
    event_catalog *catalog;
    event_entry *events, *last_event;
    entity_entry *entities, *last_entity;
    handler_entry *handlers, *last_handler;
    handler_entry *slots[REGISTRY_SLOTS];
    projection_entry *projections, *last_projection;
    consumer_entry *consumers, *last_consumer;
    row_table *tables, *last_table;
    db_catalog *statements;
} registry;

/* KU_INVALID: ret_error lists every problem.  `disabled` are feature names, NULL-terminated. */
ku_status registry_build(const ku_feature *const *features, const char *const *disabled,
    registry *ret_registry, ku_error *ret_error);
void registry_done(registry *r);

const handler_entry *registry_handler(const registry *r, bool write, ku_str qualified_name);
const entity_entry *registry_entity(const registry *r, const ku_entity *entity);
const entity_entry *registry_entity_named(const registry *r, ku_str name);
const row_table *registry_table(const registry *r, const ku_table *table);

/* `pubsubOrders` → `pubsub-orders` (behaviour §3); in the arena. */
ku_str name_kebab(arena *a, ku_str name);
/* Every segment between colons is `[a-z][a-z0-9-]*`. */
bool name_valid(ku_str name);

#endif
