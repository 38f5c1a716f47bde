/*
 * Features: a part of a domain as one constant.
 *
 * A feature lists its entities, events, projections, handlers and hooks.  No code runs to register
 * it; the application checks it as a whole when it opens and reports everything that is wrong with
 * it in one message.  Names are qualified there, never in a feature's own code: handler
 * `invoice:create` of feature `showcase` is `showcase:write:invoice:create` on the wire (§3).
 */
#ifndef KUMIKO_FEATURE_H
#define KUMIKO_FEATURE_H

#include "kumiko/entity.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- projections ----------------------------------------------------------------------------- */

/* One row of a projection's table: which event, what to do.  Also the subscription filter. */
typedef struct ku_on {
    const ku_event_type *event; /* a domain event, or … */
    const ku_entity *entity;    /* … an automatic event of this entity, … */
    int verb;                   /* … KU_CREATED to KU_FORGOTTEN */
    ku_status (*apply)(ku_scope *scope, const ku_event *event);
} ku_on;
/* clang-format off */
#define KU_ON(type, function) {&type##_event, NULL, 0, function}
#define KU_ON_ENTITY(entity, verb, function) {NULL, entity, verb, function}
/* clang-format on */

/* A read model kept in the write's own transaction: a failing apply fails the write (§6.1). */
typedef struct ku_projection {
    const char *name;
    const ku_table *table;
    const ku_on *on; /* KU_END-terminated */
    const char *about;
} ku_projection;

/*
 * Where a consumer that is new begins in the lanes that there are; a tenant that comes later is
 * consumed from its beginning.
 */
typedef enum ku_start {
    KU_FROM_BEGINNING,
    KU_FROM_NOW,      /* behind what has happened */
    KU_FROM_POSITION, /* behind `.start_position` of each lane */
    KU_FROM_TIME,     /* behind the last event before `.start_time` */
} ku_start;

/*
 * A read model across streams, kept by the dispatcher a moment later (§6.3).  Its effects and its
 * cursor are one transaction, so each event counts exactly once.  Events it appends carry the
 * trigger's correlation id, and its event id as causation id.
 */
typedef struct ku_multi_stream_projection {
    const char *name;
    const ku_table *table;         /* NULL: effects only, or `.tables` */
    const ku_table *const *tables; /* further tables it writes, NULL-terminated */
    const ku_on *on;
    ku_start start; /* where a new consumer begins in each lane */
    int64_t start_position;
    ku_time start_time;
    int batch;        /* events per transaction; 0: 200 */
    int max_attempts; /* 0: 10; then the lane halts and says so */
    const char *about;
} ku_multi_stream_projection;

/* ---- handlers -------------------------------------------------------------------------------- */

/* Who may call: one of these.  A handler without any does not register. */
typedef struct ku_access {
    const char *const *roles;             /* any of them */
    bool open_to_all;                     /* every signed-in user */
    bool (*allow)(const ku_scope *scope); /* a predicate */
} ku_access;
/* clang-format off */
#define KU_ROLES(...) {.roles = KU_NAMES(__VA_ARGS__)}
#define KU_OPEN_TO_ALL {.open_to_all = true}
/* clang-format on */

typedef enum ku_rate_per {
    KU_PER_USER,
    KU_PER_TENANT,
    KU_PER_ADDRESS,
    KU_PER_USER_AND_HANDLER,
    KU_PER_TENANT_AND_HANDLER,
    KU_PER_ADDRESS_AND_HANDLER,
} ku_rate_per;

/* A token bucket of `limit`, refilled over the window (§7).  limit 0: none. */
typedef struct ku_rate_limit {
    ku_rate_per per;
    int limit;
    int window_s;
    int cost; /* 0: 1 */
} ku_rate_limit;

typedef struct ku_reply ku_reply;

/* Standard handlers of an entity; input, function and reply come from it (§5, §8). */
typedef enum ku_verb {
    KU_VERB_NONE,
    KU_VERB_CREATE,  /* write: the row's fields, optional `id` */
    KU_VERB_UPDATE,  /* write: {id, version, changes} */
    KU_VERB_DELETE,  /* write: {id} */
    KU_VERB_RESTORE, /* write: {id} */
    KU_VERB_DETAIL,  /* query: {id} */
    KU_VERB_LIST,    /* query: filters, sort, cursor, … */
} ku_verb;

typedef struct ku_handler {
    const char *name; /* `invoice:create` */
    ku_shape input;   /* {0}: an empty object */
    ku_access access;
    ku_status (*run)(ku_scope *scope, const void *input, ku_reply *reply);
    ku_rate_limit rate_limit;
    int retries; /* writes: so many times run again on a version conflict, from nothing */
    const ku_entity *entity; /* with `.verb`: a standard handler instead of `.run` */
    ku_verb verb;
    const char *about;
} ku_handler;
/* clang-format off */
/* clang-format on */

/*
 * What a handler answers.  Values are copied shallowly: what they point at must live as long as the
 * scope.  The reply is written as JSON after the events have their positions.  Of several the last
 * one counts; a handler that sets none answers `null`.
 */
KU_API ku_status ku_reply_value(
    ku_scope *scope, const ku_shape *shape, const void *value, ku_reply *reply);
KU_API ku_status ku_reply_list(
    ku_scope *scope, const ku_shape *shape, const void *items, size_t count, ku_reply *reply);
/* JSON text as it is; it must be valid. */
KU_API ku_status ku_reply_json(ku_scope *scope, ku_str json, ku_reply *reply);
/* All rows of a read table that the tenant has, as an array. */
KU_API ku_status ku_reply_table(ku_scope *scope, const ku_table *table, ku_reply *reply);

/* ---- hooks ----------------------------------------------------------------------------------- */

typedef enum ku_phase {
    KU_IN_TRANSACTION, /* on the writer; a failure fails the write */
    KU_AFTER_COMMIT,   /* on a reader thread, once, not after a crash; failures are logged */
} ku_phase;

/* Called for each automatic event of the entity (created, updated, deleted, …): behaviour §7. */
typedef struct ku_hook {
    const char *name;
    const ku_entity *entity;
    ku_phase phase;
    ku_status (*run)(ku_scope *scope, const ku_event *event);
} ku_hook;

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct ku_feature {
    int abi; /* KU_ABI_VERSION */
    const char *name;
    const char *about;
    const ku_entity *const *entities; /* all lists are NULL-terminated and may be NULL */
    const ku_table *const *tables;    /* read tables that no projection names */
    const ku_projection *const *projections;
    const ku_multi_stream_projection *const *multi_stream_projections;
    const ku_handler *writes; /* KU_END-terminated, may be NULL */
    const ku_handler *queries;
    const ku_hook *hooks; /* KU_END-terminated, may be NULL */
} ku_feature;

/* What a shared object exports for `kumiko serve --feature`: a NULL-terminated list. */
#define KU_EXPORT_FEATURES(...)                                                                    \
    KU_API extern const int kumiko_feature_abi;                                                    \
    KU_API extern const ku_feature *const kumiko_features[];                                       \
    const int kumiko_feature_abi = KU_ABI_VERSION;                                                 \
    const ku_feature *const kumiko_features[] = {__VA_ARGS__, NULL}

#ifdef __cplusplus
}
#endif
#endif
