/*
 * The approver directory: an entity that needs no code of its own, and a table that is keyed by
 * what people look it up with.
 *
 * Creating, changing and listing approvers are standard handlers (see the tables in invoicing.c).
 * They append `showcase-approver.created` and `.updated`; the projection below keeps
 * read_showcase_approver_directory in the same transaction, so a name can be used at once.
 */
#include "directory.h"

/* ---- the entity ------------------------------------------------------------------------------ */

typedef struct approver_row {
    ku_str approver_id; /* as the company writes it, e.g. `u-42`; not the id of the stream */
    ku_str display_name;
} approver_row;

static const ku_field approver_row_fields[] = {
    KU_FIELD(approver_row, approver_id, .length = KU_BETWEEN(1, 100)),
    KU_FIELD(approver_row, display_name, .length = KU_BETWEEN(1, 200)),
};

static const ku_unique approver_unique[] = {{KU_COLUMNS("approver_id")}, KU_END};

const ku_entity approver_entity = {
    .name = "showcase-approver",
    .about = "Somebody who approves or acknowledges invoices.",
    .row = KU_SHAPE(approver_row),
    .unique = approver_unique,
};

/* ---- the directory --------------------------------------------------------------------------- */

typedef struct directory_row {
    ku_str approver_id;
    ku_str display_name;
} directory_row;

static const ku_field directory_row_fields[] = {
    KU_FIELD(directory_row, approver_id, .flags = KU_KEY),
    KU_FIELD(directory_row, display_name),
};

static const ku_table directory_table = {
    .name = "read_showcase_approver_directory",
    .row = KU_SHAPE(directory_row),
};

/* Created and updated alike: the old entry goes, the new one comes. */
static ku_status directory_changed(ku_scope *scope, const ku_event *event)
{
    const approver_row *before = KU_CHANGE(event)->previous;
    const approver_row *after = KU_CHANGE(event)->row;

    if (before != NULL && !ku_str_equal(before->approver_id, after->approver_id)) {
        const directory_row gone = {.approver_id = before->approver_id};
        ku_status status = ku_row_remove(scope, &directory_table, &gone);
        if (status != KU_OK)
            return status;
    }
    const directory_row entry = {
        .approver_id = after->approver_id,
        .display_name = after->display_name,
    };
    return ku_row_put(scope, &directory_table, &entry);
}

static const ku_on approver_directory_on[] = {
    KU_ON_ENTITY(&approver_entity, KU_CREATED, directory_changed),
    KU_ON_ENTITY(&approver_entity, KU_UPDATED, directory_changed),
    KU_END,
};

const ku_projection approver_directory_projection = {
    .name = "approver-directory",
    .table = &directory_table,
    .on = approver_directory_on,
    .about = "Names by approver id.",
};

ku_status approver_display_name(ku_scope *scope, ku_str approver_id, ku_str *ret_name)
{
    directory_row entry = {.approver_id = approver_id};
    ku_status status = ku_row_get(scope, &directory_table, &entry);

    if (status == KU_NOT_FOUND)
        *ret_name = ku_format(scope, "unknown:%" KU_PRI, KU_FMT(approver_id));
    else if (status == KU_OK)
        *ret_name = entry.display_name;
    return status == KU_NOT_FOUND ? KU_OK : status;
}
