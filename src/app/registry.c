/*
 * Building the registry.
 *
 * Two passes: the first names everything (entities, events, tables), so that the second
 * (projections, consumers, handlers, hooks) may refer to what another feature declares.  Nothing
 * stops at the first mistake: a feature's author wants the whole list.
 */
#include "app/registry.h"

#include "base/hash.h"
#include "base/limits.h"

#include <string.h>

/* What is passed along while building. */
typedef struct builder {
    registry *r;
    const feature_entry *feature; /* whose parts are looked at */
    buffer problems;
} builder;

static void problem(builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void problem(builder *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_add_str(&b->problems, arena_vformat(&b->r->arena, format, args));
    buffer_add_char(&b->problems, '\n');
    va_end(args);
}

static ku_str qualify(builder *b, const char *type, const char *name)
{
    arena *a = &b->r->arena;
    ku_str kebab = name_kebab(a, ku_str_from(name));
    ku_str scope = b->feature->name;
    ku_str full = arena_format(a, "%" KU_PRI ":%s:%" KU_PRI, KU_FMT(scope), type, KU_FMT(kebab));

    if (!name_valid(kebab))
        problem(b, "feature %" KU_PRI ": %s name `%s`: every part must match [a-z][a-z0-9-]*",
            KU_FMT(scope), type, name);
    if (full.len > LIMIT_NAME_BYTES)
        problem(b, "feature %" KU_PRI ": %s name `%s` makes more than %d bytes", KU_FMT(scope),
            type, name, LIMIT_NAME_BYTES);
    size_t prefix = scope.len + 1 + strlen(type) + 1;
    if (kebab.len > prefix && memcmp(kebab.ptr, full.ptr, prefix) == 0)
        problem(
            b, "feature %" KU_PRI ": %s name `%s` is qualified already", KU_FMT(scope), type, name);
    return full;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void check_migrations(builder *b, ku_str name, const ku_event_type *type)
{
    int version = type->version == 0 ? 1 : type->version;
    uint64_t seen = 0;

    if (version < 1 || version > 63) {
        problem(b, "event %" KU_PRI ": version %d is not between 1 and 63", KU_FMT(name), version);
        return;
    }
    for (const ku_migration *m = type->migrations; m != NULL && m->from != 0; m++) {
        if (m->from < 1 || m->from >= version)
            problem(b, "event %" KU_PRI ": a migration from version %d, but the event is at %d",
                KU_FMT(name), m->from, version);
        else if ((seen & (UINT64_C(1) << m->from)) != 0)
            problem(b, "event %" KU_PRI ": two migrations from version %d", KU_FMT(name), m->from);
        else
            seen |= UINT64_C(1) << m->from;
        if ((m->steps != NULL) == (m->apply != NULL))
            problem(b, "event %" KU_PRI ": the migration from version %d needs steps or a function",
                KU_FMT(name), m->from);
    }
    for (int from = 1; from < version; from++) {
        if ((seen & (UINT64_C(1) << from)) == 0)
            problem(b, "event %" KU_PRI ": no migration from version %d to %d", KU_FMT(name), from,
                from + 1);
    }
}

static event_entry *add_event(
    builder *b, const ku_event_type *type, ku_str name, const ku_entity *entity, int verb)
{
    registry *r = b->r;
    event_entry *entry = arena_alloc(&r->arena, sizeof(*entry));

    entry->def = (event_def){
        .name = name, .type = type, .entity = entity, .verb = verb, .feature = b->feature};
    if (!event_catalog_add(r->catalog, &entry->def))
        problem(b, "event %" KU_PRI ": declared twice", KU_FMT(name));
    if (r->last_event != NULL)
        r->last_event->next = entry;
    else
        r->events = entry;
    r->last_event = entry;
    return entry;
}

static void add_domain_events(builder *b, const ku_entity *entity)
{
    int tags[64];
    size_t n_tags = 0;

    for (size_t i = 0; entity->events != NULL && entity->events[i] != NULL; i++) {
        const ku_event_type *type = entity->events[i];
        ku_str name = qualify(b, "event", type->name);

        if (type->payload.n_fields > 0)
            shape_verify(&b->problems, arena_format(&b->r->arena, "event %s", type->name).ptr,
                &type->payload);
        check_migrations(b, name, type);
        if (event_catalog_of(b->r->catalog, type) != NULL)
            problem(b, "event %" KU_PRI ": listed by two entities", KU_FMT(name));
        for (size_t j = 0; j < n_tags; j++) {
            if (type->tag == tags[j])
                problem(b, "event %" KU_PRI ": tag %d is taken by another event of %s",
                    KU_FMT(name), type->tag, entity->name);
        }
        if (type->tag < 0)
            problem(b, "event %" KU_PRI ": tag %d is negative", KU_FMT(name), type->tag);
        if (n_tags < KU_COUNT(tags))
            tags[n_tags++] = type->tag;
        (void)add_event(b, type, name, entity, 0);
    }
}

/* `<entity>.created` and its siblings; their payload is decoded as a ku_change. */
static void add_automatic_events(builder *b, entity_entry *entry)
{
    static const char *const verbs[] = {"created", "updated", "deleted", "restored", "forgotten"};
    arena *a = &b->r->arena;

    for (int i = 0; i < 5; i++) {
        ku_event_type *type = arena_alloc(a, sizeof(*type));
        ku_str name = arena_format(a, "%s.%s", entry->entity->name, verbs[i]);
        type->name = name.ptr;
        type->version = 1;
        type->tag = -i - 1;
        type->payload = entry->entity->row;
        entry->automatic[i] = add_event(b, type, name, entry->entity, -i - 1);
    }
}

/* ---- entities and tables --------------------------------------------------------------------- */

static void add_table(builder *b, row_table *table)
{
    registry *r = b->r;

    for (const row_table *t = r->tables; t != NULL; t = t->next) {
        if (ku_str_equal(t->name, table->name))
            problem(b, "table %" KU_PRI ": declared twice", KU_FMT(table->name));
    }
    for (size_t i = 0; i < table->name.len; i++) {
        char c = table->name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || c == '_' || (i > 0 && c >= '0' && c <= '9'))) {
            problem(b, "table %" KU_PRI ": a name is [a-z_][a-z0-9_]*", KU_FMT(table->name));
            break;
        }
    }
    if (table->name.len >= 3 && memcmp(table->name.ptr, "ku_", 3) == 0)
        problem(b, "table %" KU_PRI ": names that start with ku_ are the library's",
            KU_FMT(table->name));
    table->place = r->last_table != NULL ? r->last_table->place + 1 : 0;
    if (r->last_table != NULL)
        r->last_table->next = table;
    else
        r->tables = table;
    r->last_table = table;
}

static void use_table(builder *b, const ku_table *table)
{
    if (table == NULL || registry_table(b->r, table) != NULL)
        return;
    shape_verify(
        &b->problems, arena_format(&b->r->arena, "table %s", table->name).ptr, &table->row);
    add_table(b, row_table_of(&b->r->arena, table, b->r->statements, &b->problems));
    for (const ku_index *i = table->indexes; i != NULL && i->columns != NULL; i++) {
        for (size_t c = 0; i->columns[c] != NULL; c++) {
            if (shape_find_column(&table->row, ku_str_from(i->columns[c])) < 0)
                problem(b, "table %s: index on unknown column %s", table->name, i->columns[c]);
        }
    }
}

/* `SELECT id FROM table WHERE tenant_id = $1 AND a = $2 AND … LIMIT 1` */
static int compose_unique(builder *b, const row_table *t, const ku_unique *unique)
{
    buffer sql = {.arena = &b->r->arena};

    buffer_add_text(&sql, "SELECT id FROM ");
    db_quote_name(&sql, t->name);
    buffer_add_text(&sql, " WHERE tenant_id = $1");
    for (size_t i = 0; unique->columns[i] != NULL; i++) {
        buffer_add_text(&sql, " AND ");
        db_quote_name(&sql, ku_str_from(unique->columns[i]));
        buffer_format(&sql, " = $%zu", i + 2);
    }
    return db_catalog_add(b->r->statements, buffer_str(&sql));
}

static void add_uniques(builder *b, entity_entry *entry)
{
    const ku_entity *entity = entry->entity;
    size_t n = 0;

    while (entity->unique != NULL && entity->unique[n].columns != NULL)
        n++;
    entry->unique_sql = arena_alloc(&b->r->arena, (n + 1) * sizeof(int));
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; entity->unique[i].columns[c] != NULL; c++) {
            if (shape_find_column(&entity->row, ku_str_from(entity->unique[i].columns[c])) < 0)
                problem(b, "entity %s: unique on unknown field %s", entity->name,
                    entity->unique[i].columns[c]);
        }
        entry->unique_sql[i] = compose_unique(b, entry->table, &entity->unique[i]);
    }
}

static void add_transitions(builder *b, entity_entry *entry)
{
    const ku_entity *entity = entry->entity;

    entry->has_transitions = arena_alloc(&b->r->arena, entity->row.n_fields + 1);
    for (const ku_transitions *t = entity->transitions; t != NULL && t->field != NULL; t++) {
        int field = shape_find_column(&entity->row, ku_str_from(t->field));
        if (field < 0)
            problem(b, "entity %s: transitions of unknown field %s", entity->name, t->field);
        else if (entity->row.fields[field].kind != KU_KIND_TEXT &&
                 entity->row.fields[field].kind != KU_KIND_ENUM)
            problem(b, "entity %s: transitions of %s, which is no text and no enum", entity->name,
                t->field);
        else
            entry->has_transitions[field] = true;
    }
}

static void add_initials(builder *b, const ku_entity *entity)
{
    arena scratch = {0};

    for (size_t i = 0; i < entity->row.n_fields; i++) {
        const ku_field *field = &entity->row.fields[i];
        ku_json *json = NULL;
        json_error error;
        if (field->initial != NULL &&
            !json_parse(&scratch, ku_str_from(field->initial), LIMIT_JSON_DEPTH, &json, &error))
            problem(b, "entity %s: the initial value of %s is not JSON: %s", entity->name,
                field->name, error.what);
        arena_reset(&scratch);
    }
    arena_done(&scratch);
}

static void add_row(builder *b, entity_entry *entry)
{
    const ku_entity *entity = entry->entity;

    shape_verify(
        &b->problems, arena_format(&b->r->arena, "entity %s, row", entity->name).ptr, &entity->row);
    entry->table = row_table_of_entity(
        &b->r->arena, entity, b->r->statements, &entry->n_base, &entry->row_offset, &b->problems);
    add_table(b, entry->table);
    add_automatic_events(b, entry);
    add_uniques(b, entry);
    add_transitions(b, entry);
    add_initials(b, entity);
    for (size_t i = 0; i < entity->row.n_fields; i++) {
        const ku_field *field = &entity->row.fields[i];
        entry->restricted =
            entry->restricted || field->read_roles != NULL || field->write_roles != NULL;
    }
}

static void add_entity(builder *b, const ku_entity *entity)
{
    registry *r = b->r;
    ku_str name = ku_str_from(entity->name);
    entity_entry *entry = arena_alloc(&r->arena, sizeof(*entry));

    for (const entity_entry *e = r->entities; e != NULL; e = e->next) {
        if (ku_str_equal(ku_str_from(e->entity->name), name))
            problem(b, "entity %s: declared twice", entity->name);
    }
    if (!name_valid(name_kebab(&r->arena, name)))
        problem(b, "entity name `%s`: must match [a-z][a-z0-9-]*", entity->name);
    entry->entity = entity;
    entry->feature = b->feature;
    if (r->last_entity != NULL)
        r->last_entity->next = entry;
    else
        r->entities = entry;
    r->last_entity = entry;
    if (entity->row.n_fields > 0)
        add_row(b, entry);
    else if (entity->unique != NULL || entity->transitions != NULL || entity->soft_delete)
        problem(b, "entity %s: unique, transitions and soft_delete need a row", entity->name);
    add_domain_events(b, entity);
    if (entity->evolve != NULL)
        shape_verify(&b->problems, arena_format(&r->arena, "entity %s, state", entity->name).ptr,
            &entity->state);
    else if (entity->snapshot_every != 0 || entity->state.n_fields > 0)
        problem(b, "entity %s: a state needs .evolve", entity->name);
    if (entity->snapshot_every < 0)
        problem(b, "entity %s: snapshot_every is negative", entity->name);
}

/* ---- projections and consumers --------------------------------------------------------------- */

static event_entry *resolve_on(builder *b, ku_str who, const ku_on *on)
{
    const entity_entry *entity;

    if (on->apply == NULL)
        problem(b, "projection %" KU_PRI ": a row of .on has no function", KU_FMT(who));
    if (on->event != NULL) {
        const event_def *def = event_catalog_of(b->r->catalog, on->event);
        if (def == NULL)
            problem(b, "projection %" KU_PRI ": event %s is not listed by any entity", KU_FMT(who),
                on->event->name);
        return (event_entry *)def; /* .def is its first member */
    }
    entity = registry_entity(b->r, on->entity);
    if (entity == NULL || entity->table == NULL || on->verb > KU_CREATED ||
        on->verb < KU_FORGOTTEN) {
        problem(b, "projection %" KU_PRI ": entity %s has no such automatic event", KU_FMT(who),
            on->entity != NULL ? on->entity->name : "(none)");
        return NULL;
    }
    return entity->automatic[-on->verb - 1];
}

/* The event it subscribed to; NULL, and a problem noted, if there is none. */
static const event_entry *subscribe(builder *b, ku_str who, const ku_on *on,
    const projection_entry *projection, const consumer_entry *consumer)
{
    event_entry *event = resolve_on(b, who, on);
    if (event == NULL)
        return NULL;

    subscription **list = projection != NULL ? &event->inlines : &event->asyncs;
    while (*list != NULL) {
        if ((*list)->projection == projection && (*list)->consumer == consumer)
            problem(b, "projection %" KU_PRI ": two rows for %" KU_PRI, KU_FMT(who),
                KU_FMT(event->def.name));
        list = &(*list)->next;
    }
    subscription *s = arena_alloc(&b->r->arena, sizeof(*s));
    *s = (subscription){.projection = projection, .consumer = consumer, .apply = on->apply};
    *list = s;
    return event;
}

static bool on_is_end(const ku_on *on)
{
    return on->event == NULL && on->entity == NULL && on->apply == NULL;
}

static void check_projection_name(builder *b, ku_str name)
{
    for (const projection_entry *p = b->r->projections; p != NULL; p = p->next) {
        if (ku_str_equal(p->name, name))
            problem(b, "projection %" KU_PRI ": declared twice", KU_FMT(name));
    }
    for (const consumer_entry *c = b->r->consumers; c != NULL; c = c->next) {
        if (ku_str_equal(c->name, name))
            problem(b, "projection %" KU_PRI ": declared twice", KU_FMT(name));
    }
}

static void add_projection(builder *b, const ku_projection *projection)
{
    registry *r = b->r;
    projection_entry *entry = arena_alloc(&r->arena, sizeof(*entry));

    entry->projection = projection;
    entry->feature = b->feature;
    entry->name = qualify(b, "projection", projection->name);
    check_projection_name(b, entry->name);
    if (projection->table == NULL)
        problem(b, "projection %" KU_PRI ": has no table", KU_FMT(entry->name));
    else
        use_table(b, projection->table);
    entry->table = (row_table *)registry_table(r, projection->table);
    if (projection->on == NULL || on_is_end(projection->on))
        problem(b, "projection %" KU_PRI ": subscribes to nothing", KU_FMT(entry->name));
    for (const ku_on *on = projection->on; on != NULL && !on_is_end(on); on++)
        (void)subscribe(b, entry->name, on, entry, NULL);
    if (r->last_projection != NULL)
        r->last_projection->next = entry;
    else
        r->projections = entry;
    r->last_projection = entry;
}

static void add_consumer(builder *b, const ku_multi_stream_projection *projection)
{
    registry *r = b->r;
    consumer_entry *entry = arena_alloc(&r->arena, sizeof(*entry));
    buffer types = {.arena = &r->arena};

    entry->projection = projection;
    entry->feature = b->feature;
    entry->name = qualify(b, "projection", projection->name);
    check_projection_name(b, entry->name);
    use_table(b, projection->table);
    for (size_t i = 0; projection->tables != NULL && projection->tables[i] != NULL; i++)
        use_table(b, projection->tables[i]);
    if (projection->start_position < 0 ||
        (projection->start_position > 0 && projection->start != KU_FROM_POSITION) ||
        (projection->start_time.unix_us != 0 && projection->start != KU_FROM_TIME))
        problem(b, "projection %" KU_PRI ": start_position and start_time go with their .start",
            KU_FMT(entry->name));
    if (projection->batch < 0 || projection->max_attempts < 0)
        problem(b, "projection %" KU_PRI ": batch and max_attempts are not negative",
            KU_FMT(entry->name));
    if (projection->on == NULL || on_is_end(projection->on))
        problem(b, "projection %" KU_PRI ": subscribes to nothing", KU_FMT(entry->name));
    buffer_add_char(&types, '[');
    for (const ku_on *on = projection->on; on != NULL && !on_is_end(on); on++) {
        const event_entry *event = subscribe(b, entry->name, on, NULL, entry);
        if (types.len > 1)
            buffer_add_char(&types, ',');
        json_put_text(&types, event != NULL ? event->def.name : KU_STR(""));
    }
    buffer_add_char(&types, ']');
    entry->types_json = buffer_str(&types);
    if (r->last_consumer != NULL)
        r->last_consumer->next = entry;
    else
        r->consumers = entry;
    r->last_consumer = entry;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static size_t slot_of(ku_str name)
{
    return hash_text(0, name) % REGISTRY_SLOTS;
}

static void check_standard(builder *b, const handler_entry *entry)
{
    const ku_handler *handler = entry->handler;
    bool is_query = handler->verb == KU_VERB_DETAIL || handler->verb == KU_VERB_LIST;

    if (handler->verb == KU_VERB_NONE) {
        if (handler->run == NULL)
            problem(b, "handler %" KU_PRI ": has no function", KU_FMT(entry->name));
        return;
    }
    if (handler->run != NULL || handler->input.n_fields > 0)
        problem(b, "handler %" KU_PRI ": a standard verb brings its own input and function",
            KU_FMT(entry->name));
    if (entry->entity == NULL || entry->entity->table == NULL)
        problem(b, "handler %" KU_PRI ": its verb needs an entity with a row", KU_FMT(entry->name));
    if (is_query == entry->write)
        problem(b, "handler %" KU_PRI ": this verb is a %s", KU_FMT(entry->name),
            is_query ? "query" : "write");
}

/* The entity a handler speaks of: its own, or the one whose name stands before the first colon. */
static const entity_entry *handler_entity(builder *b, const ku_handler *handler)
{
    if (handler->entity != NULL) {
        const entity_entry *entry = registry_entity(b->r, handler->entity);
        if (entry == NULL)
            problem(b, "handler %s: its entity %s is not registered", handler->name,
                handler->entity->name);
        return entry;
    }
    const char *colon = strchr(handler->name, ':');
    if (colon == NULL)
        return NULL;
    ku_str first = {handler->name, (size_t)(colon - handler->name)};
    const entity_entry *entry = registry_entity_named(b->r, first);
    return entry != NULL && entry->feature == b->feature ? entry : NULL;
}

static void add_handler(builder *b, const ku_handler *handler, bool write)
{
    registry *r = b->r;
    handler_entry *entry = arena_alloc(&r->arena, sizeof(*entry));

    entry->handler = handler;
    entry->feature = b->feature;
    entry->write = write;
    entry->name = qualify(b, write ? "write" : "query", handler->name);
    entry->entity = handler_entity(b, handler);
    if (registry_handler(r, write, entry->name) != NULL)
        problem(b, "handler %" KU_PRI ": declared twice", KU_FMT(entry->name));
    if (handler->access.roles == NULL && !handler->access.open_to_all &&
        handler->access.allow == NULL)
        problem(
            b, "handler %" KU_PRI ": says nobody may call it; set .access", KU_FMT(entry->name));
    if (handler->input.n_fields > 0)
        shape_verify(&b->problems,
            arena_format(&r->arena, "handler %" KU_PRI, KU_FMT(entry->name)).ptr, &handler->input);
    if (handler->rate_limit.limit < 0 || handler->rate_limit.cost < 0 ||
        (handler->rate_limit.limit > 0 && handler->rate_limit.window_s < 1))
        problem(b, "handler %" KU_PRI ": the rate limit needs a limit and a window of seconds",
            KU_FMT(entry->name));
    if (handler->retries < 0 || handler->retries > LIMIT_RETRIES)
        problem(b, "handler %" KU_PRI ": retries are 0 to %d", KU_FMT(entry->name), LIMIT_RETRIES);
    check_standard(b, entry);

    size_t slot = slot_of(entry->name);
    entry->same_slot = r->slots[slot];
    r->slots[slot] = entry;
    if (r->last_handler != NULL)
        r->last_handler->next = entry;
    else
        r->handlers = entry;
    r->last_handler = entry;
}

static void check_hooks(builder *b, const ku_hook *hooks)
{
    for (const ku_hook *hook = hooks; hook != NULL && hook->name != NULL; hook++) {
        const entity_entry *entity = registry_entity(b->r, hook->entity);
        if (entity == NULL || entity->table == NULL)
            problem(b, "hook %s: its entity is not registered or has no row", hook->name);
        if (hook->run == NULL)
            problem(b, "hook %s: has no function", hook->name);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void name_features(
    builder *b, const ku_feature *const *features, const char *const *disabled)
{
    registry *r = b->r;

    while (features != NULL && features[r->n_features] != NULL)
        r->n_features++;
    r->features = arena_alloc(&r->arena, (r->n_features + 1) * sizeof(feature_entry));
    for (size_t i = 0; i < r->n_features; i++) {
        const ku_feature *feature = features[i];
        ku_str name = name_kebab(&r->arena, ku_str_from(feature->name));
        if (feature->abi != KU_ABI_VERSION)
            problem(b, "feature %s: built for ABI %d, this library has %d; rebuild it",
                feature->name, feature->abi, KU_ABI_VERSION);
        if (!name_valid(name) || memchr(name.ptr, ':', name.len) != NULL)
            problem(b, "feature name `%s`: must match [a-z][a-z0-9-]*", feature->name);
        for (size_t j = 0; j < i; j++) {
            if (ku_str_equal(r->features[j].name, name))
                problem(b, "feature %" KU_PRI ": declared twice", KU_FMT(name));
        }
        r->features[i] = (feature_entry){.feature = feature, .name = name};
        for (size_t j = 0; disabled != NULL && disabled[j] != NULL; j++)
            r->features[i].disabled = r->features[i].disabled || ku_str_is(name, disabled[j]);
    }
    for (size_t j = 0; disabled != NULL && disabled[j] != NULL; j++) {
        bool known = false;
        for (size_t i = 0; i < r->n_features; i++)
            known = known || ku_str_is(r->features[i].name, disabled[j]);
        if (!known)
            problem(b, "disabled feature %s: there is no such feature", disabled[j]);
    }
}

static void declare(builder *b, const ku_feature *feature)
{
    for (size_t i = 0; feature->entities != NULL && feature->entities[i] != NULL; i++)
        add_entity(b, feature->entities[i]);
    for (size_t i = 0; feature->tables != NULL && feature->tables[i] != NULL; i++)
        use_table(b, feature->tables[i]);
}

static void connect(builder *b, const ku_feature *feature)
{
    for (size_t i = 0; feature->projections != NULL && feature->projections[i] != NULL; i++)
        add_projection(b, feature->projections[i]);
    for (size_t i = 0;
         feature->multi_stream_projections != NULL && feature->multi_stream_projections[i] != NULL;
         i++)
        add_consumer(b, feature->multi_stream_projections[i]);
    for (const ku_handler *h = feature->writes; h != NULL && h->name != NULL; h++)
        add_handler(b, h, true);
    for (const ku_handler *h = feature->queries; h != NULL && h->name != NULL; h++)
        add_handler(b, h, false);
    check_hooks(b, feature->hooks);
}

ku_status registry_build(const ku_feature *const *features, const char *const *disabled,
    registry *ret_registry, ku_error *ret_error)
{
    registry *r = ret_registry;
    builder b = {.r = r};

    memset(r, 0, sizeof(*r));
    r->catalog = event_catalog_new();
    r->statements = db_catalog_new();
    name_features(&b, features, disabled);
    /* A feature of another ABI has other structs: looking into it would be reading noise. */
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < r->n_features; i++) {
            b.feature = &r->features[i];
            if (b.feature->feature->abi != KU_ABI_VERSION)
                continue;
            if (pass == 0)
                declare(&b, b.feature->feature);
            else
                connect(&b, b.feature->feature);
        }
    }
    ku_status status = KU_OK;
    if (b.problems.len > 0) {
        ku_str text = buffer_str(&b.problems);
        size_t len = text.len - 1; /* without the last newline */
        if (len >= sizeof(ret_error->message))
            len = sizeof(ret_error->message) - 1;
        status = ret_error->status = KU_INVALID;
        memcpy(ret_error->message, text.ptr, len);
        ret_error->message[len] = '\0';
        registry_done(r);
    }
    buffer_done(&b.problems);
    return status;
}

void registry_done(registry *r)
{
    event_catalog_free(r->catalog);
    db_catalog_free(r->statements);
    arena_done(&r->arena);
    memset(r, 0, sizeof(*r));
}

/* ---- look-ups -------------------------------------------------------------------------------- */

const handler_entry *registry_handler(const registry *r, bool write, ku_str qualified_name)
{
    const handler_entry *entry = r->slots[slot_of(qualified_name)];

    while (entry != NULL && (entry->write != write || !ku_str_equal(entry->name, qualified_name)))
        entry = entry->same_slot;
    return entry;
}

const entity_entry *registry_entity(const registry *r, const ku_entity *entity)
{
    const entity_entry *entry = r->entities;

    while (entry != NULL && entry->entity != entity)
        entry = entry->next;
    return entry;
}

const entity_entry *registry_entity_named(const registry *r, ku_str name)
{
    const entity_entry *entry = r->entities;

    while (entry != NULL && !ku_str_is(name, entry->entity->name))
        entry = entry->next;
    return entry;
}

const row_table *registry_table(const registry *r, const ku_table *table)
{
    const row_table *t = r->tables;

    while (t != NULL && (t->table == NULL || t->table != table))
        t = t->next;
    return t;
}
