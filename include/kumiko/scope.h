/*
 * The scope: one unit of work.
 *
 * A request, a command of a batch, one event given to a projection: each runs in a scope.  The
 * scope owns the memory made while working, the error, the tenant and the user, the clock, and the
 * deadline.  A handler is given one and uses it on the thread it was given on; it is gone when the
 * handler has returned and its reply is written.
 */
#ifndef KUMIKO_SCOPE_H
#define KUMIKO_SCOPE_H

#include "kumiko/status.h"

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_scope ku_scope;

/* ---- who, when ------------------------------------------------------------------------------- */

/* The tenant whose data this scope sees; from the token, never from the input (behaviour §9). */
KU_API ku_id ku_scope_tenant(const ku_scope *scope);
/* The caller's user id as the token has it; lives as long as the scope. */
KU_API ku_str ku_scope_user(const ku_scope *scope);
/* True if the caller has the role.  Case matters. */
KU_API bool ku_scope_has_role(const ku_scope *scope, const char *role);
/* The scope's clock: the same instant for the whole scope.  Tests set it. */
KU_API ku_time ku_scope_now(const ku_scope *scope);
/* A new UUIDv7 from the scope's clock; ids of one process ascend. */
KU_API ku_id ku_new_id(ku_scope *scope);
/*
 * True once the caller has gone away or the deadline has passed.  Long queries ask now and then and
 * return ku_fail(scope, KU_CANCELLED, …).
 */
KU_API bool ku_scope_cancelled(ku_scope *scope);

/* ---- memory ---------------------------------------------------------------------------------- */

/* Zeroed memory that lives as long as the scope (or until a rewind).  Never NULL. */
KU_API void *ku_alloc(ku_scope *scope, size_t size);
/* Formatted text, NUL-terminated behind the view. */
KU_API ku_str ku_format(ku_scope *scope, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy that lives as long as the scope, NUL-terminated behind the view. */
KU_API ku_str ku_copy(ku_scope *scope, ku_str text);
/* The id's text, for messages and keys. */
KU_API ku_str ku_id_text(ku_scope *scope, ku_id id);

/* A place in the scope's memory; rewinding frees everything made since, in one step. */
typedef struct ku_mark {
    void *chunk;
    size_t used;
} ku_mark;
KU_API ku_mark ku_scope_mark(ku_scope *scope);
KU_API void ku_scope_rewind(ku_scope *scope, ku_mark mark);

/* ---- refusals -------------------------------------------------------------------------------- */

/*
 * A rule says no: 422 `unprocessable` with `details.reason`.  The scope writes nothing.  `reason`
 * is a snake_case constant for programs; the sentence is for people.  Returns KU_REFUSED, so that a
 * handler ends with `return ku_refuse(…)`.
 */
KU_API ku_status ku_refuse(ku_scope *scope, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with any status (not KU_OK); `reason` may be NULL. */
KU_API ku_status ku_fail(ku_scope *scope, ku_status status, const char *reason, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
/*
 * 404 with `reason: "<snake_entity>_not_found"`, `entity` and `id` in the details (behaviour §2).
 */
KU_API ku_status ku_not_found(ku_scope *scope, const char *entity, ku_str id);
/* 422 `invalid_transition` with `from`, `to` and the allowed targets (NULL-terminated, or NULL). */
KU_API ku_status ku_invalid_transition(
    ku_scope *scope, ku_str from, ku_str to, const char *const *allowed);
/*
 * Adds a field issue to a validation error: path in dots (`lines.0.sku`), a code such as
 * `invalid_format`.  Returns KU_INVALID.  Issues add up; the reply lists them all.
 */
KU_API ku_status ku_issue(ku_scope *scope, const char *path, const char *code);

/* Adds a member to the `details` of the error that is set; call it after ku_fail or ku_refuse. */
KU_API void ku_detail_text(ku_scope *scope, const char *name, ku_str value);
KU_API void ku_detail_int(ku_scope *scope, const char *name, int64_t value);
KU_API void ku_detail_id(ku_scope *scope, const char *name, ku_id value);

/* Forgets the error: what failed was expected and has been dealt with. */
KU_API void ku_clear_error(ku_scope *scope);
/* The sentence of the error that is set, or the empty view. */
KU_API ku_str ku_error_message(const ku_scope *scope);
/* The reason of the error that is set, or the empty view. */
KU_API ku_str ku_error_reason(const ku_scope *scope);

#ifdef __cplusplus
}
#endif
#endif
