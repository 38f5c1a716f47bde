/*
 * Statuses and errors.
 *
 * A fallible function returns a `ku_status`.  What went wrong, in words and with details for the
 * client, is kept in the scope (or, where there is no scope, in the `ku_error` the caller passed).
 * One row below gives the enumerator, the code on the wire, the HTTP status, the i18n key, the exit
 * code of the command line and a sentence (behaviour §2).
 */
#ifndef KUMIKO_STATUS_H
#define KUMIKO_STATUS_H

#include "kumiko/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/*        name               wire code              HTTP  i18n key                      exit text */
#define KU_STATUS_MAP(X)                                                                           \
    X(OK, "ok", 200, "", 0, "done")                                                                \
    X(INVALID, "validation_error", 400, "errors.validation.failed", 2, "Validation failed")        \
    X(UNAUTHENTICATED, "invalid_token", 401, "auth.errors.invalidToken", 3, "not signed in")       \
    X(DENIED, "access_denied", 403, "errors.access.denied", 3, "the caller may not do this")       \
    X(DISABLED, "feature_disabled", 403, "errors.feature.disabled", 3, "the feature is off")       \
    X(NOT_FOUND, "not_found", 404, "errors.notFound", 4, "no such thing")                          \
    X(TIMEOUT, "timeout", 408, "errors.timeout", 5, "it took too long")                            \
    X(CONFLICT, "conflict", 409, "errors.conflict", 5, "the present state forbids it")             \
    X(VERSION_CONFLICT, "version_conflict", 409, "errors.versionConflict", 5,                      \
        "the stream has moved on")                                                                 \
    X(IDEMPOTENT_REPLAY, "idempotent_replay", 409, "errors.idempotentReplay", 5,                   \
        "an event with this idempotency key exists")                                               \
    X(UNIQUE_VIOLATION, "unique_violation", 409, "errors.uniqueViolation", 5,                      \
        "another row has this value")                                                              \
    X(TOO_LARGE, "payload_too_large", 413, "errors.payloadTooLarge", 2, "the body is too large")   \
    X(REFUSED, "unprocessable", 422, "errors.unprocessable", 6, "a rule says no")                  \
    X(UNCONFIGURED, "unconfigured", 422, "errors.unconfigured", 6, "a setting is missing")         \
    X(RATE_LIMITED, "rate_limited", 429, "errors.rate_limited", 7, "too many requests")            \
    X(CANCELLED, "cancelled", 499, "errors.cancelled", 7, "the caller has gone away")              \
    X(INTERNAL, "internal_error", 500, "errors.internal", 70, "internal error")                    \
    X(UNAVAILABLE, "unavailable", 503, "errors.unavailable", 75, "try again later")

typedef enum ku_status {
#define X(name, code, http, i18n, exit, text) KU_##name,
    KU_STATUS_MAP(X)
#undef X
} ku_status;

/* The facts of a status' row; static storage.  Thread-safe. */
KU_API const char *ku_status_code(ku_status status);
KU_API int ku_status_http(ku_status status);
KU_API const char *ku_status_i18n_key(ku_status status);
KU_API int ku_status_exit(ku_status status);
KU_API const char *ku_status_text(ku_status status);

/* What went wrong where there is no scope: opening an application, a file, a connection. */
typedef struct ku_error {
    ku_status status;
    char message[8192]; /* sentences, NUL-terminated; several problems are one per line */
} ku_error;

#ifdef __cplusplus
}
#endif
#endif
