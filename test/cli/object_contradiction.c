/* A feature with two mistakes: a handler that nobody may call, and a gap in the migrations. */
#include "kumiko.h"

typedef struct thing_happened {
    ku_str what;
} thing_happened;

static const ku_field thing_happened_fields[] = {KU_FIELD(thing_happened, what)};

static const ku_event_type thing_happened_event = {
    .name = "thing-happened",
    .version = 3,
    .tag = 1,
    .payload = KU_SHAPE(thing_happened),
    .migrations = KU_MIGRATIONS({.from = 1, .steps = KU_STEPS(KU_RENAME("that", "what"))}),
};

static const ku_entity thing_entity = {
    .name = "thing",
    .events = KU_LIST(ku_event_type, &thing_happened_event),
};

static ku_status do_nothing(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)scope;
    (void)input;
    (void)reply;
    return KU_OK;
}

static const ku_handler writes[] = {
    {.name = "thing:do", .run = do_nothing},
    KU_END,
};

static const ku_feature contradiction = {
    .abi = KU_ABI_VERSION,
    .name = "contradiction",
    .entities = KU_LIST(ku_entity, &thing_entity),
    .writes = writes,
};

KU_EXPORT_FEATURES(&contradiction);
