/*
 * Events as an older program stored them: for tests of migrations and for importers.
 */
#ifndef KU_APP_RAW_H
#define KU_APP_RAW_H

#include "app/state.h"

/*
 * Appends an event with a payload of an older version, as it is, in a write scope: `name` is
 * qualified, nothing is checked against the shape and nothing is projected.
 */
ku_status app_raw_append(ku_scope *scope, const char *name, ku_id stream, int stored_version,
    ku_str payload_json, ku_optional_time at);

/* Runs a function in a write transaction of its own, as a user, and waits for the commit. */
ku_status app_run_write(ku_app *app, const ku_user *user,
    ku_status (*run)(ku_scope *scope, void *context), void *context, ku_error *ret_error);

#endif
