/*
 * The wire names of fields.
 *
 * They are computed when a shape is first used and kept for the process, in a hash table that
 * readers search without a lock: slots are set once, and a table that grew replaces the smaller
 * one, which stays for readers that are still in it.  Writers take a mutex.
 *
 * An entry remembers the settings it was made from.  Where a table of fields was freed and another
 * one now stands at its address, they differ, and the entry is made anew.
 */
#include "shape/shape.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_FIRST = 256 }; /* slots; a power of two */

typedef struct names_entry {
    const ku_field *fields;
    size_t count;
    const struct names_entry *replaced; /* an older one for the same address; keeps it reachable */
    field_names names[];
} names_entry;

typedef struct names_table {
    size_t capacity;
    size_t used;
    struct names_table *smaller;
    _Atomic(const names_entry *) slots[];
} names_table;

static _Atomic(names_table *) current;
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static size_t first_slot(const names_table *table, const ku_field *fields, size_t count)
{
    return (size_t)hash_word(count, (uintptr_t)fields) & (table->capacity - 1);
}

/* The slot that holds the entry, or the free one where it belongs. */
static _Atomic(const names_entry *) *find_slot(
    names_table *table, const ku_field *fields, size_t count)
{
    size_t at = first_slot(table, fields, count);
    for (;; at = (at + 1) & (table->capacity - 1)) {
        const names_entry *entry = atomic_load_explicit(&table->slots[at], memory_order_acquire);
        if (entry == NULL || (entry->fields == fields && entry->count == count))
            return &table->slots[at];
    }
}

static bool is_current(const names_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        if (entry->names[i].name != entry->fields[i].name ||
            entry->names[i].json != entry->fields[i].json)
            return false;
    return true;
}

/* `amount_cents` is `amountCents`; a `_` at the end, there to avoid a keyword, is dropped. */
static void put_camel_case(buffer *b, const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        if (*at != '_' || at == name) {
            buffer_add_char(b, *at);
            continue;
        }
        while (at[1] == '_')
            at++;
        if (at[1] == '\0')
            return;
        at++;
        buffer_add_char(b, *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at);
    }
}

static ku_str keep(buffer *b)
{
    char *kept = mem_alloc(b->len + 1);
    memcpy(kept, buffer_str(b).ptr, b->len + 1);
    return (ku_str){kept, b->len};
}

static const names_entry *make_entry(const ku_field *fields, size_t count)
{
    names_entry *entry = mem_zero(1, sizeof(*entry) + count * sizeof(entry->names[0]));
    entry->fields = fields;
    entry->count = count;
    buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        field_names *names = &entry->names[i];
        names->name = fields[i].name;
        names->json = fields[i].json;
        text.len = 0;
        if (fields[i].json != NULL)
            buffer_add_text(&text, fields[i].json);
        else
            put_camel_case(&text, fields[i].name);
        names->wire = keep(&text);
        text.len = 0;
        json_put_text(&text, names->wire);
        buffer_add_char(&text, ':');
        names->key = keep(&text);
    }
    buffer_done(&text);
    return entry;
}

static names_table *grow_table(names_table *table)
{
    size_t capacity = table == NULL ? TABLE_FIRST : table->capacity * 2;
    names_table *larger = mem_zero(1, sizeof(*larger) + capacity * sizeof(larger->slots[0]));
    larger->capacity = capacity;
    larger->smaller = table;
    for (size_t i = 0; table != NULL && i < table->capacity; i++) {
        const names_entry *entry = atomic_load_explicit(&table->slots[i], memory_order_relaxed);
        if (entry == NULL)
            continue;
        atomic_store_explicit(
            find_slot(larger, entry->fields, entry->count), entry, memory_order_relaxed);
        larger->used++;
    }
    atomic_store_explicit(&current, larger, memory_order_release);
    return larger;
}

static const names_entry *add_entry(const ku_field *fields, size_t count)
{
    (void)pthread_mutex_lock(&writing);
    names_table *table = atomic_load_explicit(&current, memory_order_relaxed);
    if (table == NULL || table->used * 2 >= table->capacity)
        table = grow_table(table);
    _Atomic(const names_entry *) *slot = find_slot(table, fields, count);
    const names_entry *entry = atomic_load_explicit(slot, memory_order_relaxed);
    if (entry == NULL || !is_current(entry)) {
        names_entry *made = (names_entry *)make_entry(fields, count);
        made->replaced = entry;
        table->used += entry == NULL ? 1 : 0;
        entry = made;
        atomic_store_explicit(slot, entry, memory_order_release);
    }
    (void)pthread_mutex_unlock(&writing);
    return entry;
}

static const field_names *names_of(const ku_field *fields, size_t count)
{
    names_table *table = atomic_load_explicit(&current, memory_order_acquire);
    const names_entry *entry = NULL;
    if (table != NULL)
        entry = atomic_load_explicit(find_slot(table, fields, count), memory_order_acquire);
    if (entry == NULL || !is_current(entry))
        entry = add_entry(fields, count);
    return entry->names;
}

const field_names *shape_names(const ku_shape *shape)
{
    return names_of(shape->fields, shape->n_fields);
}

ku_str field_wire_name(const ku_field *field)
{
    return names_of(field, 1)->wire;
}

int shape_find_column(const ku_shape *shape, ku_str name)
{
    for (size_t i = 0; i < shape->n_fields; i++)
        if (ku_str_is(name, shape->fields[i].name))
            return (int)i;
    return -1;
}

int shape_find_wire(const ku_shape *shape, ku_str name)
{
    const field_names *names = shape_names(shape);
    for (size_t i = 0; i < shape->n_fields; i++)
        if (ku_str_equal(names[i].wire, name))
            return (int)i;
    return -1;
}
