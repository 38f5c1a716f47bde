/*
 * Rows in memory, the writing.
 *
 * Rows are sent table by table, statement by statement, sorted by their keys, which is the order in
 * which every writer locks them.  A row that was read is written only if it is still as it was: its
 * statement counts the rows that were, and the counts are compared when the answers are there
 * (rows_compare).  From then on the row is locked by this transaction.
 *
 * A query inside a write is the one thing that makes rows go early; what fails there fails the
 * whole transaction, because scopes before have built on the same reads.
 */
#include "app/rows.h"

#include "base/order.h"

#include <stdlib.h>
#include <string.h>

/* What an entry needs, in the order in which a table's statements are sent. */
typedef enum row_verb {
    VERB_INSERT, /* was not there when it was read; counted */
    VERB_UPDATE, /* is as it was read; counted */
    VERB_PUT,
    VERB_ADD,
    VERB_REMOVE_AT, /* is as it was read; counted */
    VERB_REMOVE,
    VERB_NONE,
} row_verb;

static row_verb verb_of(const row_entry *entry)
{
    bool compares = entry->revision > 0;

    switch (entry->state) {
    case ROW_PUT:
        return entry->revision == 0 ? VERB_INSERT : compares ? VERB_UPDATE : VERB_PUT;
    case ROW_ADD:
        return VERB_ADD;
    case ROW_REMOVED:
        return compares ? VERB_REMOVE_AT : VERB_REMOVE;
    case ROW_CLEAN:
    case ROW_ABSENT:
    case ROW_UNKNOWN:
        break;
    }
    return VERB_NONE;
}

static int statement_of(const row_table *t, row_verb verb)
{
    switch (verb) {
    case VERB_INSERT:
        return t->sql.insert;
    case VERB_UPDATE:
        return t->sql.update;
    case VERB_PUT:
        return t->sql.put;
    case VERB_ADD:
        return t->sql.add;
    case VERB_REMOVE_AT:
        return t->sql.remove_at;
    case VERB_REMOVE:
    case VERB_NONE:
        break;
    }
    return t->sql.remove;
}

static bool is_counted(row_verb verb)
{
    return verb == VERB_INSERT || verb == VERB_UPDATE || verb == VERB_REMOVE_AT;
}

static int compare_values(const ku_field *field, const void *a, const void *b)
{
    switch (field->kind) {
    case KU_KIND_TEXT:
        return order_texts(*(const ku_str *)a, *(const ku_str *)b);
    case KU_KIND_DOUBLE: {
        double left = *(const double *)a, right = *(const double *)b;
        return (left > right) - (left < right);
    }
    case KU_KIND_DECIMAL:
        return ku_decimal_compare(*(const ku_decimal *)a, *(const ku_decimal *)b);
    case KU_KIND_INT:
    case KU_KIND_TIME: {
        int64_t left, right;
        memcpy(&left, a, sizeof(left));
        memcpy(&right, b, sizeof(right));
        return order_ints(left, right);
    }
    case KU_KIND_ID:
        return memcmp(a, b, sizeof(ku_id));
    case KU_KIND_BOOL:
        return *(const bool *)a - *(const bool *)b;
    default: /* an enum: nothing else can be a key */
        return *(const int *)a - *(const int *)b;
    }
}

static int compare_keys(const row_table *t, const void *a, const void *b)
{
    int order = 0;

    for (size_t i = 0; i < t->n_key && order == 0; i++) {
        const ku_field *field = &t->row.fields[t->key[i]];
        order = compare_values(field, field_value(field, a), field_value(field, b));
    }
    return order;
}

static int compare_entries(const void *a, const void *b)
{
    const row_entry *left = *(row_entry *const *)a, *right = *(row_entry *const *)b;
    const row_verb left_verb = verb_of(left), right_verb = verb_of(right);

    if (left->table != right->table)
        return left->table->place < right->table->place ? -1 : 1;
    if (left_verb != right_verb)
        return left_verb < right_verb ? -1 : 1;
    int order = order_ids(left->tenant, right->tenant);
    return order != 0 ? order : compare_keys(left->table, left->row, right->row);
}

static size_t bind_entry(arena *a, const row_entry *entry, row_verb verb, db_value *binds)
{
    const row_table *t = entry->table;
    size_t n_columns = verb == VERB_REMOVE || verb == VERB_REMOVE_AT ? t->n_key : t->n_columns;
    size_t n = 0;

    binds[n++] = db_id(entry->tenant);
    for (size_t i = 0; i < n_columns; i++)
        binds[n++] = row_bind(a, &t->row.fields[t->columns[i]], entry->row);
    if (verb == VERB_UPDATE || verb == VERB_REMOVE_AT)
        binds[n++] = db_int(entry->revision);
    return n;
}

/* From here on the row is locked by this transaction, so whatever it becomes is nobody else's. */
static void mark_written(row_entry *entry)
{
    entry->state = entry->state == ROW_PUT   ? ROW_CLEAN
                   : entry->state == ROW_ADD ? ROW_UNKNOWN
                                             : ROW_ABSENT;
    entry->revision = DB_REVISION_ANY;
}

/* Entries that need one statement, as one set. */
static ku_status send_entries(
    ku_scope *scope, row_layer *layer, row_entry **entries, size_t n_entries, row_verb verb)
{
    const row_table *t = entries[0]->table;
    row_check *check = arena_alloc(layer->work->arena, sizeof(*check));
    ku_mark mark = arena_mark(&scope->arena);
    size_t n_columns = 0, used = 0;

    db_value *binds = arena_alloc(&scope->arena, n_entries * (t->n_columns + 2) * sizeof(db_value));
    for (size_t i = 0; i < n_entries; i++) {
        n_columns = bind_entry(&scope->arena, entries[i], verb, binds + used);
        used += n_columns;
        mark_written(entries[i]);
    }
    if (is_counted(verb)) {
        check->expected = (int64_t)n_entries;
        check->next = layer->checks;
        layer->checks = check;
    }
    ku_status status = db_send_many(scope->db, statement_of(t, verb), binds, n_columns, n_entries,
        is_counted(verb) ? &check->changes : NULL);
    if (status != KU_OK)
        (void)scope_fail(
            scope, status, "write %" KU_PRI ": %s", KU_FMT(t->name), db_error(scope->db));
    arena_rewind(&scope->arena, mark);
    return status;
}

/* The entries that are to be written, in the order in which all writers lock rows. */
static row_entry **dirty_entries(const row_layer *layer, size_t *ret_count)
{
    row_entry **entries =
        arena_alloc(layer->work->arena, (layer->n_entries + 1) * sizeof(*entries));
    size_t n = 0;

    for (row_entry *entry = layer->first; entry != NULL; entry = entry->next) {
        if (verb_of(entry) != VERB_NONE)
            entries[n++] = entry;
    }
    qsort(entries, n, sizeof(*entries), compare_entries);
    *ret_count = n;
    return entries;
}

ku_status rows_flush(ku_scope *scope, row_layer *layer)
{
    size_t n = 0, end;
    row_entry **entries = dirty_entries(layer, &n);

    for (size_t first = 0; first < n; first = end) {
        row_verb verb = verb_of(entries[first]);
        for (end = first + 1; end < n; end++) {
            if (entries[end]->table != entries[first]->table || verb_of(entries[end]) != verb)
                break;
        }
        ku_status status = send_entries(scope, layer, entries + first, end - first, verb);
        if (status != KU_OK) {
            layer->broken = true;
            return status;
        }
    }
    return KU_OK;
}

ku_status rows_compare(row_layer *layer)
{
    bool same = true;

    for (const row_check *check = layer->checks; check != NULL; check = check->next)
        same = same && check->changes == check->expected;
    layer->checks = NULL;
    return same ? KU_OK : KU_VERSION_CONFLICT;
}

/* ---- writing early --------------------------------------------------------------------------- */

static bool is_dirty(const row_layer *layer)
{
    for (const row_entry *entry = layer->first; entry != NULL; entry = entry->next) {
        if (verb_of(entry) != VERB_NONE)
            return true;
    }
    return false;
}

/* Sends, waits and compares.  What fails here fails the transaction, whatever the scope says. */
static ku_status flush_now(ku_scope *scope, row_layer *layer)
{
    row_layer *batch = layer->parent != NULL ? layer->parent : layer;
    ku_status status = rows_flush(scope, layer);

    if (status == KU_OK && (status = db_settle(scope->db)) != KU_OK)
        (void)scope_fail(scope, status, "write rows: %s", db_error(scope->db));
    if (status == KU_OK && (status = rows_compare(layer)) != KU_OK)
        (void)scope_fail(scope, status, "somebody else has changed the same rows");
    if (status == KU_OK)
        return KU_OK;
    layer->broken = true;
    /* On an engine with one writer a unique value that is taken is the scope's own doing. */
    bool lost =
        status == KU_VERSION_CONFLICT || (status == KU_UNIQUE_VIOLATION && db_is_shared(scope->db));
    if (lost)
        batch->broken = batch->lost = true;
    return status;
}

/*
 * What the batch knows of the scope's rows is out of date once they are written, whatever becomes
 * of the savepoint: the database knows.  The revision at which they were read goes along.
 */
static void take_over(row_layer *layer)
{
    for (row_entry *entry = layer->first; entry != NULL; entry = entry->next) {
        if (verb_of(entry) == VERB_NONE)
            continue;
        row_entry *below =
            row_layer_find(layer->parent, entry->table, entry->tenant, entry->hash, entry->row);
        if (below == NULL)
            continue;
        if (entry->revision == DB_REVISION_ANY)
            entry->revision = below->revision;
        below->state = ROW_UNKNOWN;
        below->revision = DB_REVISION_ANY;
    }
}

ku_status rows_flush_for_query(ku_scope *scope)
{
    row_layer *layer = scope->work != NULL ? scope->work->rows : NULL;
    ku_status status = KU_OK;

    if (layer == NULL)
        return KU_OK;
    if (layer->parent != NULL && !layer->in_savepoint && is_dirty(layer->parent))
        status = flush_now(scope, layer->parent);
    if (status != KU_OK || !is_dirty(layer))
        return status;
    if (!layer->in_savepoint) {
        status = db_savepoint(scope->db);
        if (status != KU_OK)
            return scope_fail(scope, status, "savepoint: %s", db_error(scope->db));
        layer->in_savepoint = true;
    }
    if (layer->parent != NULL)
        take_over(layer);
    return flush_now(scope, layer);
}
