/*
 * The description for programs: one JSON document with everything a feature declares.
 *
 * Payloads, rows, states and inputs are JSON Schemas (2020-12), from the same field tables that
 * decode and validate them.
 */
#include "app/describe.h"

#include "kumiko/app.h"

static void put_separator(buffer *b, bool *first)
{
    if (!*first)
        buffer_add_char(b, ',');
    *first = false;
}

static void put_flag(buffer *b, const char *name, bool value)
{
    json_put_key(b, name);
    buffer_add_text(b, value ? "true" : "false");
}

static void put_number(buffer *b, const char *name, int64_t value)
{
    json_put_key(b, name);
    json_put_int(b, value);
}

static void put_name(buffer *b, const char *key, ku_str name)
{
    json_put_key(b, key);
    json_put_text(b, name);
}

/* ---- entities ------------------------------------------------------------------------------- */

static void put_unique(buffer *b, const ku_entity *entity)
{
    bool first = true;

    json_put_key(b, "unique");
    buffer_add_char(b, '[');
    for (const ku_unique *u = entity->unique; u != NULL && u->columns != NULL; u++) {
        put_separator(b, &first);
        buffer_add_char(b, '[');
        for (size_t i = 0; u->columns[i] != NULL; i++) {
            if (i > 0)
                buffer_add_char(b, ',');
            json_put_text(b, describe_wire_name(&entity->row, u->columns[i]));
        }
        buffer_add_char(b, ']');
    }
    buffer_add_char(b, ']');
}

static void put_transitions(buffer *b, const ku_entity *entity)
{
    const ku_transitions *transitions = entity->transitions;
    bool first = true;

    json_put_key(b, "transitions");
    buffer_add_char(b, '[');
    for (; transitions != NULL && transitions->field != NULL; transitions++) {
        put_separator(b, &first);
        buffer_add_char(b, '{');
        put_name(b, "field", describe_wire_name(&entity->row, transitions->field));
        json_put_key(b, "allowed");
        buffer_add_char(b, '{');
        for (const ku_transition *t = transitions->allowed; t != NULL && t->from != NULL; t++) {
            json_put_key(b, t->from);
            describe_names(b, t->to);
        }
        buffer_add_text(b, "}}");
    }
    buffer_add_char(b, ']');
}

static void put_entity(buffer *b, const entity_entry *entry)
{
    const ku_entity *entity = entry->entity;

    buffer_add_char(b, '{');
    describe_member(b, "name", entity->name);
    describe_member(b, "about", entity->about);
    if (entry->table != NULL) {
        put_name(b, "table", entry->table->name);
        put_flag(b, "softDelete", entity->soft_delete);
        json_put_key(b, "row");
        describe_schema(b, &entity->row);
        put_unique(b, entity);
        put_transitions(b, entity);
    }
    if (entity->evolve != NULL) {
        json_put_key(b, "state");
        describe_schema(b, &entity->state);
        put_number(b, "stateVersion", entity->state_version);
        put_number(b, "snapshotEvery", entity->snapshot_every);
    }
    buffer_add_char(b, '}');
}

/* ---- events --------------------------------------------------------------------------------- */

static void put_step(buffer *b, const ku_step *step)
{
    buffer_add_char(b, '{');
    switch (step->kind) {
    case KU_STEP_RENAME:
        describe_member(b, "rename", step->name);
        describe_member(b, "to", step->text);
        break;
    case KU_STEP_DEFAULT:
        describe_member(b, "default", step->name);
        json_put_key(b, "value");
        buffer_add_text(b, step->text);
        break;
    case KU_STEP_CONVERT:
        describe_member(b, "convert", step->name);
        break;
    case KU_STEP_REMOVE:
        describe_member(b, "remove", step->name);
        break;
    case KU_STEP_END:
        break;
    }
    buffer_add_char(b, '}');
}

static void put_migrations(buffer *b, const ku_migration *migrations)
{
    bool first = true;

    json_put_key(b, "migrations");
    buffer_add_char(b, '[');
    for (const ku_migration *m = migrations; m != NULL && m->from != 0; m++) {
        put_separator(b, &first);
        buffer_add_char(b, '{');
        put_number(b, "from", m->from);
        put_number(b, "to", m->from + 1);
        put_flag(b, "function", m->apply != NULL);
        json_put_key(b, "steps");
        buffer_add_char(b, '[');
        bool first_step = true;
        for (const ku_step *step = m->steps; step != NULL && step->kind != KU_STEP_END; step++) {
            put_separator(b, &first_step);
            put_step(b, step);
        }
        buffer_add_text(b, "]}");
    }
    buffer_add_char(b, ']');
}

/* Automatic events carry rows (behaviour §5), not the struct that their readers get. */
static void put_payload(buffer *b, const event_def *def)
{
    switch (def->verb) {
    case 0:
    case KU_CREATED:
        describe_schema(b, &def->type->payload);
        return;
    case KU_UPDATED:
        buffer_add_text(b, "{\"type\":\"object\",\"properties\":{\"changes\":");
        buffer_add_text(b, "{\"type\":\"object\"},\"previous\":");
        describe_schema(b, &def->type->payload);
        buffer_add_text(b, "},\"required\":[\"changes\",\"previous\"]}");
        return;
    default:
        buffer_add_text(b, "{\"type\":\"object\",\"properties\":{\"previous\":");
        describe_schema(b, &def->type->payload);
        buffer_add_text(b, "},\"required\":[\"previous\"]}");
    }
}

static void put_event(buffer *b, const event_def *def)
{
    buffer_add_char(b, '{');
    put_name(b, "name", def->name);
    describe_member(b, "about", def->type->about);
    describe_member(b, "entity", def->entity->name);
    put_flag(b, "automatic", def->verb != 0);
    put_number(b, "version", def->type->version == 0 ? 1 : def->type->version);
    json_put_key(b, "payload");
    put_payload(b, def);
    put_migrations(b, def->type->migrations);
    buffer_add_char(b, '}');
}

/* ---- projections and tables ----------------------------------------------------------------- */

static void put_subscriptions(buffer *b, const registry *r, const ku_on *on)
{
    bool first = true;

    json_put_key(b, "on");
    buffer_add_char(b, '[');
    for (; !describe_on_is_end(on); on++) {
        put_separator(b, &first);
        json_put_text(b, describe_on_name(r, on));
    }
    buffer_add_char(b, ']');
}

static void put_projection(buffer *b, const registry *r, const projection_entry *entry)
{
    buffer_add_char(b, '{');
    put_name(b, "name", entry->name);
    describe_member(b, "about", entry->projection->about);
    describe_member(b, "kind", "inline");
    describe_member(b, "table", entry->projection->table->name);
    put_subscriptions(b, r, entry->projection->on);
    buffer_add_char(b, '}');
}

static void put_consumer(buffer *b, const registry *r, const consumer_entry *entry)
{
    const ku_multi_stream_projection *projection = entry->projection;
    bool first = true;

    buffer_add_char(b, '{');
    put_name(b, "name", entry->name);
    describe_member(b, "about", projection->about);
    describe_member(b, "kind", "async");
    if (projection->table != NULL)
        describe_member(b, "table", projection->table->name);
    json_put_key(b, "tables");
    buffer_add_char(b, '[');
    for (size_t i = 0; projection->tables != NULL && projection->tables[i] != NULL; i++) {
        put_separator(b, &first);
        json_put_text(b, ku_str_from(projection->tables[i]->name));
    }
    buffer_add_char(b, ']');
    static const char *const starts[] = {"beginning", "now", "position", "time"};
    describe_member(b, "start", starts[projection->start]);
    if (projection->start == KU_FROM_POSITION)
        put_number(b, "startPosition", projection->start_position);
    if (projection->start == KU_FROM_TIME) {
        json_put_key(b, "startTime");
        json_put_time(b, projection->start_time);
    }
    put_number(b, "batch", projection->batch == 0 ? 200 : projection->batch);
    put_number(b, "maxAttempts", projection->max_attempts == 0 ? 10 : projection->max_attempts);
    put_subscriptions(b, r, projection->on);
    buffer_add_char(b, '}');
}

static void put_table(buffer *b, const row_table *table)
{
    bool first = true;

    buffer_add_char(b, '{');
    put_name(b, "name", table->name);
    if (table->entity != NULL)
        describe_member(b, "entity", table->entity->name);
    json_put_key(b, "key");
    buffer_add_char(b, '[');
    for (size_t i = 0; i < table->n_key; i++) {
        put_separator(b, &first);
        json_put_text(b, field_wire_name(&table->row.fields[table->key[i]]));
    }
    buffer_add_char(b, ']');
    json_put_key(b, "row");
    describe_schema(b, &table->row);
    buffer_add_char(b, '}');
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void put_handler(buffer *b, const handler_entry *entry)
{
    const ku_handler *handler = entry->handler;

    buffer_add_char(b, '{');
    put_name(b, "name", entry->name);
    describe_member(b, "about", handler->about);
    if (entry->entity != NULL)
        describe_member(b, "entity", entry->entity->entity->name);
    describe_member(b, "verb", describe_verb(handler->verb));
    json_put_key(b, "access");
    buffer_add_char(b, '{');
    json_put_key(b, "roles");
    describe_names(b, handler->access.roles);
    put_flag(b, "openToAll", handler->access.open_to_all);
    put_flag(b, "predicate", handler->access.allow != NULL);
    buffer_add_char(b, '}');
    if (handler->rate_limit.limit > 0) {
        json_put_key(b, "rateLimit");
        buffer_add_char(b, '{');
        describe_member(b, "per", describe_rate_per(handler->rate_limit.per));
        put_number(b, "limit", handler->rate_limit.limit);
        put_number(b, "windowSeconds", handler->rate_limit.window_s);
        put_number(b, "cost", handler->rate_limit.cost == 0 ? 1 : handler->rate_limit.cost);
        buffer_add_char(b, '}');
    }
    if (entry->write)
        put_number(b, "retries", handler->retries);
    json_put_key(b, "input");
    describe_input_schema(b, entry);
    buffer_add_char(b, '}');
}

static void put_handlers(buffer *b, const registry *r, const feature_entry *feature, bool write)
{
    bool first = true;

    json_put_key(b, write ? "writes" : "queries");
    buffer_add_char(b, '[');
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next) {
        if (h->feature != feature || h->write != write)
            continue;
        put_separator(b, &first);
        put_handler(b, h);
    }
    buffer_add_char(b, ']');
}

static void put_hooks(buffer *b, const ku_hook *hook)
{
    bool first = true;

    json_put_key(b, "hooks");
    buffer_add_char(b, '[');
    for (; hook != NULL && hook->name != NULL; hook++) {
        put_separator(b, &first);
        buffer_add_char(b, '{');
        describe_member(b, "name", hook->name);
        describe_member(b, "entity", hook->entity->name);
        describe_member(
            b, "phase", hook->phase == KU_AFTER_COMMIT ? "afterCommit" : "inTransaction");
        buffer_add_char(b, '}');
    }
    buffer_add_char(b, ']');
}

/* ---- the document --------------------------------------------------------------------------- */

static void put_feature(buffer *b, const registry *r, const feature_entry *feature)
{
    bool first = true;

    buffer_add_char(b, '{');
    put_name(b, "name", feature->name);
    describe_member(b, "about", feature->feature->about);

    json_put_key(b, "entities");
    buffer_add_char(b, '[');
    for (const entity_entry *e = r->entities; e != NULL; e = e->next) {
        if (e->feature != feature)
            continue;
        put_separator(b, &first);
        put_entity(b, e);
    }
    buffer_add_char(b, ']');

    first = true;
    json_put_key(b, "events");
    buffer_add_char(b, '[');
    for (const event_entry *e = r->events; e != NULL; e = e->next) {
        if (e->def.feature != feature)
            continue;
        put_separator(b, &first);
        put_event(b, &e->def);
    }
    buffer_add_char(b, ']');

    first = true;
    json_put_key(b, "projections");
    buffer_add_char(b, '[');
    for (const projection_entry *p = r->projections; p != NULL; p = p->next) {
        if (p->feature != feature)
            continue;
        put_separator(b, &first);
        put_projection(b, r, p);
    }
    for (const consumer_entry *c = r->consumers; c != NULL; c = c->next) {
        if (c->feature != feature)
            continue;
        put_separator(b, &first);
        put_consumer(b, r, c);
    }
    buffer_add_char(b, ']');

    put_handlers(b, r, feature, true);
    put_handlers(b, r, feature, false);
    put_hooks(b, feature->feature->hooks);
    buffer_add_char(b, '}');
}

void describe_json(buffer *b, const registry *r)
{
    bool first = true;

    buffer_add_char(b, '{');
    describe_member(b, "kumiko", ku_version());
    put_number(b, "abi", KU_ABI_VERSION);
    json_put_key(b, "features");
    buffer_add_char(b, '[');
    for (size_t i = 0; i < r->n_features; i++) {
        put_separator(b, &first);
        put_feature(b, r, &r->features[i]);
    }
    buffer_add_char(b, ']');

    first = true;
    json_put_key(b, "tables");
    buffer_add_char(b, '[');
    for (const row_table *t = r->tables; t != NULL; t = t->next) {
        put_separator(b, &first);
        put_table(b, t);
    }
    buffer_add_text(b, "]}\n");
}
