/*
 * Errors as clients see them (behaviour §2).
 */
#ifndef KU_APP_ERRORS_H
#define KU_APP_ERRORS_H

#include "app/state.h"

/*
 * Appends the error object: code, httpStatus, i18nKey, i18nParams?, message, details?, docsUrl?,
 * requestId, timestamp.
 */
void error_write(buffer *b, const ku_app *app, const scope_error *error, ku_str trace_id);

#endif
