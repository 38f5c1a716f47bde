/*
 * Finding events for people: which ones a list shows, and reading them one by one.
 */
#ifndef KU_CLI_EVENTS_H
#define KU_CLI_EVENTS_H

#include "cli/reader.h"

/* Where an event is. */
typedef struct event_key {
    ku_id tenant;
    int32_t lane;
    int64_t position;
    ku_time at; /* never before that of the event in front of it in its lane */
} event_key;

typedef struct event_selection {
    bool one_tenant;
    ku_id tenant;
    ku_str types_json; /* of qualified names; empty: all */
    bool one_stream;
    ku_id stream;
    int64_t limit;
    bool forward; /* the first ones behind a position, instead of the newest */
    int32_t after_lane;
    int64_t after_position;
} event_selection;

/* The selected events in order of time; each lane's in its own order.  Freed with free(). */
ku_status events_select(
    cli_reader *reader, const event_selection *selection, event_key **ret_keys, size_t *ret_count);

/*
 * Reads an event, lifted to its type's version unless `as_stored`; it lives in the scope.  One that
 * cannot be lifted is given as it is stored, with the reason on stderr.  KU_NOT_FOUND.
 */
ku_status events_read(
    cli_reader *reader, const event_key *key, bool as_stored, ku_event *ret_event);
/* The same for a row that is at hand. */
ku_status events_lift(
    cli_reader *reader, const stored_event *stored, bool as_stored, ku_event *ret_event);

#endif
