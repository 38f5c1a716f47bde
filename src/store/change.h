/*
 * The payloads of automatic events (behaviour §5) as ku_change.
 */
#ifndef KU_STORE_CHANGE_H
#define KU_STORE_CHANGE_H

#include "store/catalog.h"

/*
 * Decodes the payload of an automatic event.  Rows may be older than the program: members that it
 * does not know are ignored, those that are missing or null are zero.  KU_INVALID with issues: a
 * member has another type than the row's field.
 */
ku_status change_decode(
    ku_scope *scope, const event_def *def, ku_json *payload, const ku_change **ret_change);

#endif
