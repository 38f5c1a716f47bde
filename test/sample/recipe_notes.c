/*
 * Notes: an entity with soft delete and nothing but standard handlers, and three handlers that show
 * what a refusal leaves behind: nothing.
 */
#include "sample/recipes.h"

typedef struct note_row {
    ku_str title;
    ku_optional_str body;
} note_row;

static const ku_field note_row_fields[] = {
    KU_FIELD(note_row, title, .length = KU_BETWEEN(1, 100)),
    KU_FIELD(note_row, body, .flags = KU_NULLABLE),
};

static const ku_entity note_entity = {
    .name = "note",
    .row = KU_SHAPE(note_row),
    .soft_delete = true,
};

typedef struct note_id {
    ku_id id;
} note_id;
static const ku_field note_id_fields[] = {KU_FIELD(note_id, id)};

static ku_status archive(ku_scope *scope, const void *input, ku_reply *reply)
{
    const note_id *in = input;
    (void)reply;
    return ku_archive_stream(scope, &note_entity, in->id, KU_STR("a test"));
}

static ku_status forget(ku_scope *scope, const void *input, ku_reply *reply)
{
    const note_id *in = input;
    return ku_entity_forget(scope, &note_entity, in->id, reply);
}

/* Writes two notes, has second thoughts, and refuses. */
static ku_status write_and_refuse(ku_scope *scope, const void *input, ku_reply *reply)
{
    for (int i = 0; i < 2; i++) {
        ku_status status = ku_entity_create(scope, &note_entity, (ku_id){{0}}, input, reply, NULL);
        if (status != KU_OK)
            return status;
    }
    return ku_refuse(scope, "second_thoughts", "on reflection, no");
}

#define ANYBODY KU_ROLES("User", "Admin")
#define ADMIN KU_ROLES("Admin")

/* clang-format off */
static const ku_handler writes[] = {
    {.name = "note:create", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_CREATE},
    {.name = "note:update", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_UPDATE},
    {.name = "note:delete", .access = ADMIN, .entity = &note_entity, .verb = KU_VERB_DELETE},
    {.name = "note:restore", .access = ADMIN, .entity = &note_entity, .verb = KU_VERB_RESTORE},
    {.name = "note:archive", .input = KU_SHAPE(note_id), .access = ADMIN, .run = archive},
    {.name = "note:forget", .input = KU_SHAPE(note_id), .access = ADMIN, .run = forget},
    {.name = "note:write-and-refuse", .input = KU_SHAPE(note_row), .access = ADMIN,
        .run = write_and_refuse},
    KU_HANDLER_END,
};

static const ku_handler queries[] = {
    {.name = "note:detail", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_DETAIL},
    {.name = "note:list", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_LIST},
    KU_HANDLER_END,
};
/* clang-format on */

const ku_feature notes_feature = {
    .abi = KU_ABI_VERSION,
    .name = "notes",
    .entities = KU_LIST(ku_entity, &note_entity),
    .writes = writes,
    .queries = queries,
};
