/*
 * Errors where there is no scope (kumiko/status.h): a status and a sentence in the caller's
 * ku_error.
 */
#ifndef KU_BASE_ERROR_H
#define KU_BASE_ERROR_H

#include "kumiko/status.h"

/* Fills *ret_error (may be NULL) and returns the status; a sentence that is too long is cut. */
ku_status error_set(ku_error *ret_error, ku_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
