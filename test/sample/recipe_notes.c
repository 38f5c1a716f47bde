/*
 * Notes: an entity with soft delete and standard handlers, a projection that counts its automatic
 * events, hooks before and after the commit, and handlers that show what a refusal leaves behind:
 * nothing.
 */
#include "sample/recipes.h"

#include <stdatomic.h>

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

/* ---- how many notes there are: every verb counts, however many a handler uses ---------------- */

typedef struct note_count {
    ku_str what;
    int64_t notes;
} note_count;
static const ku_field note_count_fields[] = {
    KU_FIELD(note_count, what, .flags = KU_KEY),
    KU_FIELD(note_count, notes, .flags = KU_SUM),
};
static const ku_table note_count_table = {
    .name = "read_note_count",
    .row = KU_SHAPE(note_count),
};

static ku_status add_notes(ku_scope *scope, int64_t notes)
{
    const note_count row = {KU_STR("live"), notes};
    return ku_row_add(scope, &note_count_table, &row);
}

/* A projection that cannot keep up with an event fails the write that appended it. */
static ku_status count_appeared(ku_scope *scope, const ku_event *event)
{
    const note_row *note = KU_CHANGE(event)->row;
    if (ku_str_is(note->title, "uncountable"))
        return ku_refuse(scope, "uncountable", "this note cannot be counted");
    return add_notes(scope, 1);
}

static ku_status count_vanished(ku_scope *scope, const ku_event *event)
{
    (void)event;
    return add_notes(scope, -1);
}

static const ku_on note_count_on[] = {
    KU_ON_ENTITY(&note_entity, KU_CREATED, count_appeared),
    KU_ON_ENTITY(&note_entity, KU_RESTORED, count_appeared),
    KU_ON_ENTITY(&note_entity, KU_DELETED, count_vanished),
    KU_END,
};
static const ku_projection note_count_projection = {
    .name = "note-count",
    .table = &note_count_table,
    .on = note_count_on,
};

static ku_status list_count(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &note_count_table, reply);
}

/* ---- hooks ----------------------------------------------------------------------------------- */

/* A hook in the transaction has a veto. */
static ku_status check_title(ku_scope *scope, const ku_event *event)
{
    const ku_change *change = KU_CHANGE(event);
    const note_row *note = change->row;
    if (note != NULL && ku_str_is(note->title, "forbidden"))
        return ku_refuse(scope, "forbidden_title", "nobody may call a note that");
    return KU_OK;
}

/* A hook after the commit hears only of what has really happened. */
static atomic_int heard;

static ku_status hear(ku_scope *scope, const ku_event *event)
{
    (void)scope;
    (void)event;
    atomic_fetch_add(&heard, 1);
    return KU_OK;
}

static const ku_hook note_hooks[] = {
    {.name = "check-title",       .entity = &note_entity, .phase = KU_IN_TRANSACTION, .run = check_title},
    {.name = "hear", .entity = &note_entity, .phase = KU_AFTER_COMMIT, .run = hear},
    {.name = NULL                          },
};

typedef struct heard_answer {
    int64_t events;
} heard_answer;
static const ku_field heard_answer_fields[] = {KU_FIELD(heard_answer, events)};
static const ku_shape heard_answer_shape = KU_SHAPE(heard_answer);

static ku_status count_heard(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    const heard_answer answer = {atomic_load(&heard)};
    return ku_reply_value(scope, &heard_answer_shape, &answer, reply);
}

/* ---- handlers -------------------------------------------------------------------------------- */

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

static ku_status unarchive(ku_scope *scope, const void *input, ku_reply *reply)
{
    const note_id *in = input;
    (void)reply;
    return ku_restore_stream(scope, &note_entity, in->id);
}

typedef struct archived_answer {
    bool archived;
} archived_answer;
static const ku_field archived_answer_fields[] = {KU_FIELD(archived_answer, archived)};
static const ku_shape archived_answer_shape = KU_SHAPE(archived_answer);

static ku_status is_archived(ku_scope *scope, const void *input, ku_reply *reply)
{
    const note_id *in = input;
    archived_answer answer;
    ku_status status = ku_stream_archived(scope, in->id, &answer.archived);
    return status == KU_OK ? ku_reply_value(scope, &archived_answer_shape, &answer, reply) : status;
}

static ku_status forget(ku_scope *scope, const void *input, ku_reply *reply)
{
    const note_id *in = input;
    return ku_entity_forget(scope, &note_entity, in->id, reply);
}

/* Two events of one verb in one handler; the second is what it answers. */
static ku_status create_two(ku_scope *scope, const void *input, ku_reply *reply)
{
    ku_status status = ku_entity_create(scope, &note_entity, (ku_id){{0}}, input, NULL, NULL);
    if (status == KU_OK)
        status = ku_entity_create(scope, &note_entity, (ku_id){{0}}, input, reply, NULL);
    return status;
}

/* Writes two notes, has second thoughts, and refuses. */
static ku_status write_and_refuse(ku_scope *scope, const void *input, ku_reply *reply)
{
    ku_status status = create_two(scope, input, reply);
    return status == KU_OK ? ku_refuse(scope, "second_thoughts", "on reflection, no") : status;
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
    {.name = "note:unarchive", .input = KU_SHAPE(note_id), .access = ADMIN, .run = unarchive},
    {.name = "note:create-two", .input = KU_SHAPE(note_row), .access = ADMIN, .run = create_two},
    {.name = "note:forget", .input = KU_SHAPE(note_id), .access = ADMIN, .run = forget},
    {.name = "note:write-and-refuse", .input = KU_SHAPE(note_row), .access = ADMIN,
        .run = write_and_refuse},
    KU_END,
};

static const ku_handler queries[] = {
    {.name = "note:detail", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_DETAIL},
    {.name = "note:list", .access = ANYBODY, .entity = &note_entity, .verb = KU_VERB_LIST},
    {.name = "note:is-archived", .input = KU_SHAPE(note_id), .access = ADMIN, .run = is_archived},
    {.name = "count", .access = ANYBODY, .run = list_count},
    {.name = "heard", .access = ANYBODY, .run = count_heard},
    KU_END,
};
/* clang-format on */

const ku_feature notes_feature = {
    .abi = KU_ABI_VERSION,
    .name = "notes",
    .entities = KU_LIST(ku_entity, &note_entity),
    .projections = KU_LIST(ku_projection, &note_count_projection),
    .writes = writes,
    .queries = queries,
    .hooks = note_hooks,
};
