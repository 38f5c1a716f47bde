/*
 * Reading a database, also beside the server that owns it.
 */
#ifndef KU_CLI_READER_H
#define KU_CLI_READER_H

#include "app/state.h"
#include "cli/cli.h"
#include "store/log.h"

/* A read-only application and a scope on a connection of its own; for one thread. */
typedef struct cli_reader {
    ku_app *app;
    db *d;
    ku_scope scope;          /* of user and role `system`; .tenant is the caller's to set */
    event_catalog *no_types; /* empty: what is read with it stays as it is stored */
} cli_reader;

/*
 * Opens the database of the options with the features of the options.  KU_NOT_FOUND: there is none.
 * On failure the message is printed and *ret_exit is the exit code.
 */
bool cli_reader_open(
    const cli *program, const cli_options *options, cli_reader *ret_reader, int *ret_exit);
void cli_reader_close(cli_reader *reader);

/*
 * What is read comes from one snapshot.  This lets go of it, waits, and takes a new one: a snapshot
 * that is held keeps the server from reusing its write-ahead log.
 */
ku_status cli_reader_pause(cli_reader *reader, unsigned seconds);

/*
 * Decides whose data is meant: the tenant that was named, else the only one there is.  KU_INVALID
 * with a message in the scope: there are several, or none.
 */
ku_status cli_choose_tenant(cli_reader *reader, const ku_id *named, ku_id *ret_tenant);

/*
 * Finds the tenant of a stream: the one that was named, else whichever has it.  Sets the scope's
 * tenant.  KU_NOT_FOUND; KU_INVALID: several tenants have a stream of that id.
 */
ku_status cli_find_stream(
    cli_reader *reader, const ku_id *named, ku_id stream, stream_state *ret_state);

/* `12`, or `3-12` in lane 3.  False: the text is no event id. */
bool cli_parse_event_id(const char *text, int32_t *ret_lane, int64_t *ret_position);

#endif
