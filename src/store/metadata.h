/*
 * An event's metadata: who asked for it and why, as stored beside the payload.
 *
 * It is a JSON object with requestId, correlationId, causationId, idempotencyKey and headers, each
 * only if there is one; the user is a column of its own.
 */
#ifndef KU_STORE_METADATA_H
#define KU_STORE_METADATA_H

#include "base/scope.h"
#include "kumiko/event.h"

/* The JSON; lives as long as the scope. */
ku_str metadata_write(ku_scope *scope, const ku_event *event);
/*
 * Sets the five members of the event from the JSON, which must live as long as the event: text is
 * borrowed from it where it can be.  Members that are not known are ignored.  KU_INTERNAL: no JSON
 * object.
 */
ku_status metadata_read(ku_scope *scope, ku_str json, ku_event *event);

#endif
