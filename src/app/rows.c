/*
 * Rows in memory, the implementation.
 *
 * Entries hold whole structs of the table's row.  What the struct points at is copied into the
 * layer's memory (that of its unit of work) when it is put, so that an entry outlives the caller's
 * variables and rewinds.  How they are written stands in rows_flush.c.
 */
#include "app/rows.h"

#include "base/hash.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { SLOTS_FIRST = 16 };

void row_layer_init(row_layer *layer, row_layer *parent, work *unit)
{
    *layer = (row_layer){.parent = parent, .work = unit};
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t key_hash(const row_table *t, ku_id tenant, const void *row)
{
    uint64_t hash = hash_id((uintptr_t)t, tenant);

    for (size_t i = 0; i < t->n_key; i++) {
        const ku_field *field = &t->row.fields[t->key[i]];
        const char *at = (const char *)row + field->offset;
        if (field->kind == KU_KIND_TEXT) {
            const ku_str *text = (const void *)at;
            hash = hash_text(hash, *text);
        } else if (field->kind == KU_KIND_DECIMAL) { /* 1.5 is 1.50, and padding is no value */
            ku_decimal decimal = *(const ku_decimal *)(const void *)at;
            (void)ku_decimal_rescale(decimal, field->scale, &decimal);
            hash = hash_bytes(hash, &decimal.units, sizeof(decimal.units));
        } else if (field->kind == KU_KIND_DOUBLE) {
            double number = *(const double *)(const void *)at + 0.0; /* -0 is 0 */
            hash = hash_bytes(hash, &number, sizeof(number));
        } else {
            hash = hash_bytes(hash, at, field->size);
        }
    }
    return hash;
}

static bool key_equal(const row_table *t, const void *a, const void *b)
{
    for (size_t i = 0; i < t->n_key; i++) {
        if (!field_equal(&t->row.fields[t->key[i]], a, b))
            return false;
    }
    return true;
}

/* A row of which only the key is known: the caller may have left the rest as it was. */
static void *key_copy(arena *a, const row_table *t, const void *row)
{
    void *copy = arena_alloc(a, t->row.size);

    for (size_t i = 0; i < t->n_key; i++) {
        const ku_field *field = &t->row.fields[t->key[i]];
        field_copy(field, copy, row);
        if (field->kind == KU_KIND_TEXT) {
            ku_str *text = (void *)((char *)copy + field->offset);
            *text = arena_copy(a, *text);
        }
    }
    return copy;
}

static bool fits(const ku_field *field, const void *value)
{
    ku_decimal decimal;
    int n_names = 0;

    switch (field->kind) {
    case KU_KIND_DECIMAL:
        return ku_decimal_rescale(*(const ku_decimal *)value, field->scale, &decimal);
    case KU_KIND_DOUBLE:
        return isfinite(*(const double *)value);
    case KU_KIND_TEXT: { /* PostgreSQL's texts hold no NUL, and what SQLite makes of one varies */
        const ku_str *text = value;
        return text->len == 0 || memchr(text->ptr, '\0', text->len) == NULL;
    }
    case KU_KIND_ENUM:
        while (field->names[n_names] != NULL)
            n_names++;
        return *(const int *)value >= 0 && *(const int *)value < n_names;
    default:
        return true;
    }
}

/* Values that their columns cannot hold come from data (a finer scale in an event), not only bugs.
 */
static ku_status check_fits(ku_scope *scope, const row_table *t, const void *row, bool key_only)
{
    ku_status status = KU_OK;

    for (size_t i = 0; i < t->row.n_fields; i++) {
        const ku_field *field = &t->row.fields[i];
        if ((key_only && (field->flags & KU_KEY) == 0) || !field_is_set(field, row) ||
            fits(field, field_value(field, row)))
            continue;
        ku_str path = arena_format(&scope->arena, "%" KU_PRI ".%s", KU_FMT(t->name), field->name);
        status = scope_issue(scope, path, "invalid_value", KU_STR(""));
    }
    return status;
}

/* ---- the map --------------------------------------------------------------------------------- */

row_entry *row_layer_find(
    const row_layer *layer, const row_table *t, ku_id tenant, uint64_t hash, const void *row)
{
    if (layer->n_slots == 0)
        return NULL;
    row_entry *entry = layer->slots[hash & (layer->n_slots - 1)];
    while (
        entry != NULL && !(entry->hash == hash && entry->table == t &&
                             ku_id_equal(entry->tenant, tenant) && key_equal(t, entry->row, row)))
        entry = entry->same_slot;
    return entry;
}

static void layer_grow(row_layer *layer)
{
    size_t n = layer->n_slots == 0 ? SLOTS_FIRST : layer->n_slots * 4;

    layer->slots = arena_alloc(layer->work->arena, n * sizeof(row_entry *));
    layer->n_slots = n;
    for (row_entry *entry = layer->first; entry != NULL; entry = entry->next) {
        row_entry **slot = &layer->slots[entry->hash & (n - 1)];
        entry->same_slot = *slot;
        *slot = entry;
    }
}

static void layer_link(row_layer *layer, row_entry *entry)
{
    if (layer->n_entries >= layer->n_slots)
        layer_grow(layer);
    row_entry **slot = &layer->slots[entry->hash & (layer->n_slots - 1)];
    entry->same_slot = *slot;
    *slot = entry;
    entry->next = NULL;
    if (layer->last != NULL)
        layer->last->next = entry;
    else
        layer->first = entry;
    layer->last = entry;
    layer->n_entries++;
}

static row_entry *layer_add(
    row_layer *layer, const row_table *t, ku_id tenant, uint64_t hash, row_state state, void *row)
{
    row_entry *entry = arena_alloc(layer->work->arena, sizeof(*entry));

    *entry = (row_entry){.table = t,
        .tenant = tenant,
        .hash = hash,
        .state = state,
        .revision = DB_REVISION_ANY,
        .row = row};
    layer_link(layer, entry);
    return entry;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* False, and nothing is added: it does not fit. */
static bool add_field(const ku_field *field, void *to, const void *from)
{
    void *sum = (char *)to + field->offset;
    const void *part = (const char *)from + field->offset;

    switch ((ku_kind)field->kind) {
    case KU_KIND_INT:
        return !__builtin_add_overflow(*(int64_t *)sum, *(const int64_t *)part, (int64_t *)sum);
    case KU_KIND_DOUBLE:
        *(double *)sum += *(const double *)part;
        return true;
    default: {
        /* Both have the column's scale: one was read from it or rescaled when it was added. */
        ku_decimal a = *(ku_decimal *)sum;
        ku_decimal b = *(const ku_decimal *)part;
        bool fitting =
            ku_decimal_rescale(a, field->scale, &a) && ku_decimal_rescale(b, field->scale, &b);
        assert(
            fitting); /* registration allows KU_SUM on numbers only; shape_check bounds the scale */
        (void)fitting;
        int64_t units;
        if (__builtin_add_overflow(a.units, b.units, &units))
            return false;
        *(ku_decimal *)sum = (ku_decimal){units, field->scale};
        return true;
    }
    }
}

/*
 * The row that comes of adding `delta` to `row`: sums add up, all else is replaced.  False: a sum
 * does not fit, and what became of the row is of no use.
 */
static bool apply_add(const row_table *t, void *row, const void *delta)
{
    bool fitting = true;

    for (size_t i = 0; i < t->row.n_fields; i++) {
        const ku_field *field = &t->row.fields[i];
        if ((field->flags & KU_SUM) == 0)
            field_copy(field, row, delta);
        else
            fitting = add_field(field, row, delta) && fitting;
    }
    return fitting;
}

static ku_status sum_too_large(ku_scope *scope, const row_table *t)
{
    return scope_fail(
        scope, KU_INTERNAL, "a sum in %" KU_PRI " does not fit into 64 bits", KU_FMT(t->name));
}

/* ---- reading --------------------------------------------------------------------------------- */

/* *ret_revision 0: there is no such row. */
static ku_status read_stored(ku_scope *scope, arena *memory, const row_table *t, const void *key,
    void *ret_row, int64_t *ret_revision)
{
    bool found = false;
    db_value binds[ROW_KEY_MAX + 1];
    db_rows rows = {0};

    binds[0] = db_id(scope->tenant);
    for (size_t i = 0; i < t->n_key; i++)
        binds[i + 1] = row_bind(&scope->arena, &t->row.fields[t->key[i]], key);
    ku_status status = db_query(scope->db, t->sql.get, binds, t->n_key + 1, &rows);
    if (status == KU_OK)
        status = db_next(&rows, &found);
    if (status != KU_OK)
        (void)scope_fail(
            scope, status, "read %" KU_PRI ": %s", KU_FMT(t->name), db_error(scope->db));
    else if (found)
        status = row_read(scope, memory, t, &rows, ret_row);
    if (status == KU_OK)
        *ret_revision = found ? db_column_int(&rows, (int)t->n_columns) : 0;
    db_rows_done(&rows);
    return status;
}

/*
 * The row as a layer sees it: *ret_row, or NULL if there is none.  What is read or added up on the
 * way is kept in the layer.
 */
static ku_status resolve(ku_scope *scope, row_layer *layer, const row_table *t, uint64_t hash,
    const void *key, const void **ret_row)
{
    row_entry *entry = row_layer_find(layer, t, scope->tenant, hash, key);
    row_state state = entry != NULL ? entry->state : ROW_UNKNOWN;
    const void *below = NULL;
    int64_t revision = DB_REVISION_ANY;
    ku_status status = KU_OK;

    if (state == ROW_CLEAN || state == ROW_PUT || state == ROW_ABSENT || state == ROW_REMOVED) {
        *ret_row = state == ROW_CLEAN || state == ROW_PUT ? entry->row : NULL;
        return KU_OK;
    }
    /* In a savepoint the database has all that was pending, and what it shows may yet be undone:
     * nothing of it is for the parent to remember. */
    row_layer *parent = layer->in_savepoint ? NULL : layer->parent;
    if (entry == NULL && parent != NULL)
        return resolve(scope, parent, t, hash, key, ret_row); /* the parent keeps it */
    if (state == ROW_ADD && parent != NULL) {
        status = resolve(scope, parent, t, hash, key, &below);
    } else {
        void *stored = arena_alloc(layer->work->arena, t->row.size);
        status = read_stored(scope, layer->work->arena, t, key, stored, &revision);
        below = revision != 0 ? stored : NULL;
    }
    if (status != KU_OK)
        return status;
    if (state == ROW_ADD) {
        if (below != NULL) {
            void *sum = arena_alloc(layer->work->arena, t->row.size);
            memcpy(sum, below, t->row.size);
            if (!apply_add(t, sum, entry->row))
                return sum_too_large(scope, t);
            entry->row = sum;
        }
        entry->state = ROW_PUT;
        entry->revision = revision;
        *ret_row = entry->row;
        return KU_OK;
    }
    void *row = (void *)below;
    if (row == NULL)
        row = key_copy(layer->work->arena, t, key);
    if (entry == NULL) {
        entry =
            layer_add(layer, t, scope->tenant, hash, below != NULL ? ROW_CLEAN : ROW_ABSENT, row);
    } else {
        entry->state = below != NULL ? ROW_CLEAN : ROW_ABSENT;
        entry->row = row;
    }
    entry->revision = revision;
    *ret_row = below;
    return KU_OK;
}

ku_status rows_get(ku_scope *scope, const row_table *t, void *row)
{
    const void *found = NULL;
    ku_status fitting = check_fits(scope, t, row, true);

    if (fitting != KU_OK)
        return fitting;
    if (scope->work == NULL) {
        void *stored = arena_alloc(&scope->arena, t->row.size);
        int64_t revision = 0;
        ku_status status = read_stored(scope, &scope->arena, t, row, stored, &revision);
        if (status == KU_OK && revision != 0)
            memcpy(row, stored, t->row.size);
        return status != KU_OK ? status : revision != 0 ? KU_OK : KU_NOT_FOUND;
    }
    uint64_t hash = key_hash(t, scope->tenant, row);
    ku_status status = resolve(scope, scope->work->rows, t, hash, row, &found);
    if (status != KU_OK)
        return status;
    if (found == NULL)
        return KU_NOT_FOUND;
    memcpy(row, found, t->row.size);
    return KU_OK;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* `kept`: the row and what it points at are in the layer's memory already. */
static void set_entry(
    ku_scope *scope, const row_table *t, const void *row, row_state state, bool kept)
{
    row_layer *layer = scope->work->rows;
    uint64_t hash = key_hash(t, scope->tenant, row);
    row_entry *entry = row_layer_find(layer, t, scope->tenant, hash, row);
    void *copy = kept                   ? (void *)row
                 : state == ROW_REMOVED ? key_copy(layer->work->arena, t, row)
                                        : shape_copy(layer->work->arena, &t->row, row);

    if (entry == NULL) {
        (void)layer_add(layer, t, scope->tenant, hash, state, copy);
        return;
    }
    entry->row = copy;
    entry->state = state;
}

ku_status rows_put(ku_scope *scope, const row_table *t, const void *row)
{
    assert(scope->work != NULL);
    ku_status status = check_fits(scope, t, row, false);
    if (status == KU_OK)
        set_entry(scope, t, row, ROW_PUT, false);
    return status;
}

ku_status rows_put_kept(ku_scope *scope, const row_table *t, const void *row)
{
    assert(scope->work != NULL);
    set_entry(scope, t, row, ROW_PUT, true);
    return KU_OK;
}

ku_status rows_remove(ku_scope *scope, const row_table *t, const void *row)
{
    assert(scope->work != NULL);
    ku_status status = check_fits(scope, t, row, true);
    if (status == KU_OK)
        set_entry(scope, t, row, ROW_REMOVED, false);
    return status;
}

/* False, and the entry is as it was: a sum does not fit. */
static bool add_to_entry(row_layer *layer, row_entry *entry, const void *delta)
{
    const row_table *t = entry->table;
    void *row = arena_alloc(layer->work->arena, t->row.size);

    switch (entry->state) {
    case ROW_CLEAN:
    case ROW_PUT:
    case ROW_ADD: {
        bool counts_only = true;
        for (size_t i = 0; i < t->row.n_fields && counts_only; i++) {
            const ku_field *field = &t->row.fields[i];
            counts_only = (field->flags & KU_SUM) != 0 || field_equal(field, entry->row, delta);
        }
        memcpy(row, entry->row, t->row.size);
        /* Text that is the same already is kept, so that a hot sum does not fill the arena. */
        if (!apply_add(
                t, row, counts_only ? delta : shape_copy(layer->work->arena, &t->row, delta)))
            return false;
        if (counts_only) {
            for (size_t i = 0; i < t->row.n_fields; i++) {
                if ((t->row.fields[i].flags & KU_SUM) == 0)
                    field_copy(&t->row.fields[i], row, entry->row);
            }
        }
        entry->row = row;
        if (entry->state == ROW_CLEAN)
            entry->state = ROW_PUT;
        return true;
    }
    case ROW_ABSENT:
    case ROW_REMOVED:
        entry->row = shape_copy(layer->work->arena, &t->row, delta);
        entry->state = ROW_PUT;
        return true;
    case ROW_UNKNOWN:
        entry->row = shape_copy(layer->work->arena, &t->row, delta);
        entry->state = ROW_ADD;
        return true;
    }
    return true;
}

ku_status rows_add(ku_scope *scope, const row_table *t, const void *row)
{
    assert(scope->work != NULL);
    ku_status status = check_fits(scope, t, row, false);
    if (status != KU_OK)
        return status;
    row_layer *layer = scope->work->rows;
    uint64_t hash = key_hash(t, scope->tenant, row);
    row_entry *entry = row_layer_find(layer, t, scope->tenant, hash, row);

    if (entry != NULL && !add_to_entry(layer, entry, row))
        return sum_too_large(scope, t);
    if (entry == NULL)
        (void)layer_add(
            layer, t, scope->tenant, hash, ROW_ADD, shape_copy(layer->work->arena, &t->row, row));
    return KU_OK;
}

void rows_doom(ku_scope *scope, ku_status status)
{
    row_layer *layer = scope->work->rows;

    if (layer->doomed != KU_OK)
        return; /* the first failure is the cause */
    layer->doomed = status;
    layer->doomed_reason = arena_copy(scope->work->arena, scope->error.reason);
    layer->doomed_message = arena_copy(scope->work->arena, scope->error.message);
}

ku_status rows_doomed(ku_scope *scope)
{
    const row_layer *layer = scope->work->rows;

    if (layer->doomed == KU_OK)
        return KU_OK;
    return ku_fail(scope, layer->doomed,
        layer->doomed_reason.len > 0 ? layer->doomed_reason.ptr : NULL, "%" KU_PRI,
        KU_FMT(layer->doomed_message));
}

/* ---- merging --------------------------------------------------------------------------------- */

void rows_merge(row_layer *scope_layer)
{
    row_layer *parent = scope_layer->parent;
    row_entry *next;

    for (row_entry *entry = scope_layer->first; entry != NULL; entry = next) {
        next = entry->next;
        row_entry *below =
            row_layer_find(parent, entry->table, entry->tenant, entry->hash, entry->row);
        if (below == NULL) {
            layer_link(parent, entry);
        } else if (entry->state == ROW_ADD) {
            if (!add_to_entry(parent, below, entry->row))
                parent->broken = parent->too_large = true;
        } else {
            below->state = entry->state;
            below->row = entry->row;
            /* What the scope built on was read through the parent, unless it read by itself. */
            if (entry->revision != DB_REVISION_ANY)
                below->revision = entry->revision;
        }
    }
}
