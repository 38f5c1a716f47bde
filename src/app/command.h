/*
 * Commands: one handler call with everything that has to be asked before it (behaviour §7, §8).
 *
 * The gates, in this order: payload depth, handler, feature toggle, rate limit, access, shape of
 * the input, roles of fields.  The rate limit stands before access on purpose: who is refused pays,
 * too.
 */
#ifndef KU_APP_COMMAND_H
#define KU_APP_COMMAND_H

#include "app/reply.h"
#include "app/state.h"

typedef struct command {
    ku_str type; /* as the client sent it */
    ku_json *payload;
    const handler_entry *handler; /* once found */
    bool charged;                 /* the rate limit has been paid; running again is free */
    ku_status status;
    scope_error error; /* of a failed one */
    ku_reply reply;
} command;

/* Runs it in the scope; a failure's error is in command->error, too, and lives until the scope's.
 */
ku_status command_run(ku_scope *scope, command *c, bool write, call_rate *rate);

/* Why a scope that says it is cancelled is: KU_CANCELLED, or KU_TIMEOUT if its caller still waits.
 */
ku_status command_cancelled(const ku_scope *scope);

/* Runs a standard handler of an entity: entity_verbs.c. */
ku_status entity_run_verb(ku_scope *scope, const entity_entry *entity, ku_verb verb,
    const ku_json *payload, ku_reply *reply);

/* The hooks that wait for the commit of a scope's transaction; call it once it has committed. */
void app_run_after_commit(ku_app *app, ku_scope *scope);

#endif
