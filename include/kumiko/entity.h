/*
 * Entities: aggregates with a row of their own.
 *
 * An entity names a kind of stream.  It may have a fold (`.state`, `.evolve`): what its events add
 * up to.  It may have a row: then create, update, delete, restore and forget are events of their
 * own
 * (`<entity>.created` …) and the row is kept with them in one transaction (behaviour §5).
 */
#ifndef KUMIKO_ENTITY_H
#define KUMIKO_ENTITY_H

#include "kumiko/event.h"
#include "kumiko/table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_unique {
    const char *const *columns; /* NULL-terminated; unique within the tenant */
} ku_unique;

/* From one value of the field to those that may follow it. */
typedef struct ku_transition {
    const char *from;
    const char *const *to;
} ku_transition;
typedef struct ku_transitions {
    const char *field;
    const ku_transition *allowed; /* KU_END-terminated */
} ku_transitions;

typedef struct ku_entity {
    const char *name; /* stream type, e.g. "showcase-invoice"; unique in the program */
    const char *about;

    /* the row; leave out for an aggregate without one */
    ku_shape row;      /* its own fields; id, tenant, version … are added */
    const char *table; /* NULL: `read_` + snake_case name + `s` */
    bool soft_delete;
    const ku_unique *unique;           /* KU_END-terminated */
    const ku_transitions *transitions; /* KU_END-terminated; guarded on update */

    /* the fold */
    ku_shape state;
    int state_version; /* raise it when the struct or the fold changes */
    void (*evolve)(void *state, const ku_event *event);
    int snapshot_every; /* events; 0: only by ku_snapshot_aggregate */

    const ku_event_type *const *events; /* its domain events, NULL-terminated */
} ku_entity;

/*
 * The payload of an automatic event: the row after and before it, as the entity's row struct.
 * KU_CHANGE(event)->row is a `const invoice_row *`.
 */
typedef struct ku_change {
    const void *row;      /* after; NULL for deleted and forgotten */
    const void *previous; /* before; NULL for created */
    uint64_t changed;     /* bit i: the i-th field of the row's table was given */
} ku_change;
#define KU_CHANGE(event) ((const ku_change *)(event)->payload)

struct ku_reply;

/*
 * The verbs.  Each appends its event and changes the row in the scope's transaction.  `reply` (may
 * be NULL) becomes the save or delete context of behaviour §1.10.
 *
 * create: `id` nil makes one.  Optional members that are not set are left out of the event.
 * update: sets `columns` of the row to what `row` has, if the stream is at `expected_version`.
 *         Nothing that differs: no event, the row is returned.  KU_VERSION_CONFLICT, KU_NOT_FOUND,
 *         KU_UNIQUE_VIOLATION, KU_REFUSED reason `invalid_transition`.
 * delete: marks the row (`.soft_delete`) or removes it.
 * restore: brings a marked row back; KU_REFUSED `not_deleted`, `soft_delete_not_enabled`.
 * forget: removes the row even if it is soft-deletable.
 */
KU_API ku_status ku_entity_create(ku_scope *scope, const ku_entity *entity, ku_id id,
    const void *row, struct ku_reply *reply, ku_id *ret_id);
KU_API ku_status ku_entity_update(ku_scope *scope, const ku_entity *entity, ku_id id,
    int64_t expected_version, const char *const *columns, const void *row, struct ku_reply *reply);
KU_API ku_status ku_entity_delete(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply);
KU_API ku_status ku_entity_restore(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply);
KU_API ku_status ku_entity_forget(
    ku_scope *scope, const ku_entity *entity, ku_id id, struct ku_reply *reply);
/* The live row, as the entity's row struct.  KU_NOT_FOUND if absent or soft-deleted. */
KU_API ku_status ku_entity_get(ku_scope *scope, const ku_entity *entity, ku_id id, void *ret_row);

#ifdef __cplusplus
}
#endif
#endif
