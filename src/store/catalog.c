/*
 * The catalog of event types: two hash tables, by name and by type.
 *
 * By name the definitions of a slot are chained through event_def.next_; by type it is open
 * addressing, since a definition has room for one chain only.  Both grow before they are half full,
 * and nothing is ever taken out.
 */
#include "store/catalog.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

struct event_catalog {
    event_def **by_name;       /* n_slots chains */
    const event_def **by_type; /* n_slots places, NULL: free */
    size_t n_slots;            /* a power of two */
    size_t n_defs;
};

enum { SLOTS_FIRST = 64 };

static size_t hash_name(ku_str name)
{
    return (size_t)hash_text(0, name);
}

static size_t hash_type(const ku_event_type *type)
{
    return (size_t)hash_word(0, (uintptr_t)type);
}

static void make_slots(event_catalog *catalog, size_t n_slots)
{
    catalog->n_slots = n_slots;
    catalog->by_name = mem_zero(n_slots, sizeof(*catalog->by_name));
    catalog->by_type = mem_zero(n_slots, sizeof(*catalog->by_type));
}

event_catalog *event_catalog_new(void)
{
    event_catalog *catalog = mem_zero(1, sizeof(*catalog));
    make_slots(catalog, SLOTS_FIRST);
    return catalog;
}

void event_catalog_free(event_catalog *catalog)
{
    if (catalog == NULL)
        return;
    free(catalog->by_name);
    free(catalog->by_type);
    free(catalog);
}

static void link_def(event_catalog *catalog, event_def *def)
{
    size_t mask = catalog->n_slots - 1;
    size_t name = hash_name(def->name) & mask;
    size_t type = hash_type(def->type) & mask;

    def->next_ = catalog->by_name[name];
    catalog->by_name[name] = def;
    while (catalog->by_type[type] != NULL)
        type = (type + 1) & mask;
    catalog->by_type[type] = def;
}

static void grow(event_catalog *catalog)
{
    event_catalog old = *catalog;
    event_def *next;

    make_slots(catalog, 2 * old.n_slots);
    for (size_t i = 0; i < old.n_slots; i++)
        for (event_def *def = old.by_name[i]; def != NULL; def = next) {
            next = def->next_;
            link_def(catalog, def);
        }
    free(old.by_name);
    free(old.by_type);
}

bool event_catalog_add(event_catalog *catalog, event_def *def)
{
    if (event_catalog_find(catalog, def->name) != NULL)
        return false;
    if (2 * (catalog->n_defs + 1) > catalog->n_slots)
        grow(catalog);
    link_def(catalog, def);
    catalog->n_defs++;
    return true;
}

const event_def *event_catalog_find(const event_catalog *catalog, ku_str name)
{
    const event_def *def = catalog->by_name[hash_name(name) & (catalog->n_slots - 1)];

    while (def != NULL && !ku_str_equal(def->name, name))
        def = def->next_;
    return def;
}

const event_def *event_catalog_of(const event_catalog *catalog, const ku_event_type *type)
{
    size_t mask = catalog->n_slots - 1;
    size_t place = hash_type(type) & mask;

    while (catalog->by_type[place] != NULL && catalog->by_type[place]->type != type)
        place = (place + 1) & mask;
    return catalog->by_type[place];
}
