/*
 * A feature whose consumer fails at its first event and halts: what an operator restarts.
 *
 * Its entity has a row and no fold, so its history can only be told from the row.
 */
#include "kumiko.h"

typedef struct note_row {
    ku_str text;
    ku_optional_str colour;
} note_row;

static const ku_field note_row_fields[] = {
    KU_FIELD(note_row, text, .length = KU_BETWEEN(1, 100)),
    KU_FIELD(note_row, colour),
};

static const ku_entity note_entity = {
    .name = "fault-note",
    .row = KU_SHAPE(note_row),
};

static ku_status refuse_event(ku_scope *scope, const ku_event *event)
{
    (void)event;
    return ku_fail(scope, KU_INTERNAL, NULL, "the consumer does not like this event");
}

static const ku_on never_on[] = {
    KU_ON_ENTITY(&note_entity, KU_CREATED, refuse_event),
    KU_END,
};

static const ku_multi_stream_projection never_projection = {
    .name = "never",
    .on = never_on,
    .max_attempts = 1,
};

static const ku_handler writes[] = {
    {.name = "fault-note:create",
     .access = KU_OPEN_TO_ALL,
     .entity = &note_entity,
     .verb = KU_VERB_CREATE},
    {.name = "fault-note:update",
     .access = KU_OPEN_TO_ALL,
     .entity = &note_entity,
     .verb = KU_VERB_UPDATE},
    {.name = "fault-note:delete",
     .access = KU_OPEN_TO_ALL,
     .entity = &note_entity,
     .verb = KU_VERB_DELETE},
    KU_END,
};

static const ku_feature fault = {
    .abi = KU_ABI_VERSION,
    .name = "fault",
    .entities = KU_LIST(ku_entity, &note_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &never_projection),
    .writes = writes,
};

KU_EXPORT_FEATURES(&fault);
