/*
 * The description for people: what a feature holds, in words, from top to bottom.
 */
#include "app/describe.h"

#include <inttypes.h>
#include <string.h>

static void put_about(buffer *b, const char *about, int indent)
{
    if (about != NULL)
        buffer_format(b, "%*s%s\n", indent, "", about);
}

static void put_list(buffer *b, const char *const *names, const char *separator)
{
    for (size_t i = 0; names[i] != NULL; i++)
        buffer_format(b, "%s%s", i == 0 ? "" : separator, names[i]);
}

/* ---- fields --------------------------------------------------------------------------------- */

static const char *kind_name(int kind)
{
    static const char *const names[] = {
        [KU_KIND_NONE] = "nothing",
        [KU_KIND_BOOL] = "boolean",
        [KU_KIND_INT] = "integer",
        [KU_KIND_DOUBLE] = "number",
        [KU_KIND_TEXT] = "text",
        [KU_KIND_ID] = "id",
        [KU_KIND_TIME] = "time",
        [KU_KIND_DECIMAL] = "decimal",
        [KU_KIND_RAW] = "any JSON",
        [KU_KIND_ENUM] = "one of",
        [KU_KIND_LIST] = "list",
        [KU_KIND_NESTED] = "object",
    };
    return names[kind];
}

static void put_bounds(buffer *b, const ku_bounds *bounds, const char *unit)
{
    if (!bounds->set)
        return;
    if (bounds->max == INT64_MAX)
        buffer_format(b, ", at least %" PRId64 "%s", bounds->min, unit);
    else if (bounds->min == INT64_MIN)
        buffer_format(b, ", at most %" PRId64 "%s", bounds->max, unit);
    else
        buffer_format(b, ", %" PRId64 " to %" PRId64 "%s", bounds->min, bounds->max, unit);
}

static void put_type(buffer *b, const ku_field *field)
{
    buffer_add_text(b, kind_name(field->kind));
    switch (field->kind) {
    case KU_KIND_TEXT:
        put_bounds(b, &field->length, " characters");
        if (field->one_of != NULL) {
            buffer_add_text(b, ": one of ");
            put_list(b, field->one_of, ", ");
        }
        break;
    case KU_KIND_ENUM:
        buffer_add_char(b, ' ');
        put_list(b, field->names, ", ");
        break;
    case KU_KIND_DECIMAL:
        buffer_format(b, " with %d digits after the point", field->scale);
        break;
    case KU_KIND_LIST:
        buffer_format(b, " of %s", field->of != NULL ? "objects" : kind_name(field->items));
        put_bounds(b, &field->length, " items");
        break;
    default:
        put_bounds(b, &field->value, "");
    }
}

static void put_fields(buffer *b, const ku_shape *shape, int indent)
{
    size_t width = 0;

    for (size_t i = 0; i < shape->n_fields; i++) {
        const size_t length = field_wire_name(&shape->fields[i]).len;
        width = length > width ? length : width;
    }
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        const ku_str name = field_wire_name(field);

        buffer_format(b, "%*s%-*.*s  ", indent, "", (int)width, KU_FMT(name));
        put_type(b, field);
        if (field->optional)
            buffer_add_text(b, ", optional");
        if (field->initial != NULL)
            buffer_format(b, ", initially %s", field->initial);
        if ((field->flags & KU_KEY) != 0)
            buffer_add_text(b, ", key");
        if ((field->flags & KU_SUM) != 0)
            buffer_add_text(b, ", sum");
        if (field->read_roles != NULL) {
            buffer_add_text(b, ", read by ");
            put_list(b, field->read_roles, ", ");
        }
        if (field->write_roles != NULL) {
            buffer_add_text(b, ", written by ");
            put_list(b, field->write_roles, ", ");
        }
        if (field->about != NULL)
            buffer_format(b, " (%s)", field->about);
        buffer_add_char(b, '\n');
        if (field->of != NULL)
            put_fields(b, field->of, indent + 4);
    }
}

/* ---- entities and events -------------------------------------------------------------------- */

static void put_rules(buffer *b, const ku_entity *entity)
{
    for (const ku_unique *u = entity->unique; u != NULL && u->columns != NULL; u++) {
        buffer_add_text(b, "      unique:");
        for (size_t i = 0; u->columns[i] != NULL; i++)
            buffer_format(b, "%s %" KU_PRI, i == 0 ? "" : ",",
                KU_FMT(describe_wire_name(&entity->row, u->columns[i])));
        buffer_add_char(b, '\n');
    }
    for (const ku_transitions *t = entity->transitions; t != NULL && t->field != NULL; t++) {
        for (const ku_transition *from = t->allowed; from != NULL && from->from != NULL; from++) {
            buffer_format(b, "      %" KU_PRI ": %s → ",
                KU_FMT(describe_wire_name(&entity->row, t->field)), from->from);
            if (from->to != NULL && from->to[0] != NULL)
                put_list(b, from->to, ", ");
            else
                buffer_add_text(b, "nothing");
            buffer_add_char(b, '\n');
        }
    }
}

static void put_entity(buffer *b, const entity_entry *entry)
{
    const ku_entity *entity = entry->entity;

    buffer_format(b, "  entity %s\n", entity->name);
    put_about(b, entity->about, 4);
    if (entry->table != NULL) {
        buffer_format(b, "    row in %" KU_PRI "%s\n", KU_FMT(entry->table->name),
            entity->soft_delete ? ", soft delete" : "");
        put_fields(b, &entity->row, 6);
        put_rules(b, entity);
    }
    if (entity->evolve != NULL) {
        buffer_format(b, "    state, version %d", entity->state_version);
        if (entity->snapshot_every > 0)
            buffer_format(b, ", a snapshot every %d events", entity->snapshot_every);
        buffer_add_char(b, '\n');
        put_fields(b, &entity->state, 6);
    }
}

static void put_step(buffer *b, const ku_step *step)
{
    switch (step->kind) {
    case KU_STEP_RENAME:
        buffer_format(b, "rename %s → %s", step->name, step->text);
        break;
    case KU_STEP_DEFAULT:
        buffer_format(b, "default %s = %s", step->name, step->text);
        break;
    case KU_STEP_CONVERT:
        buffer_format(b, "convert %s", step->name);
        break;
    case KU_STEP_REMOVE:
        buffer_format(b, "remove %s", step->name);
        break;
    case KU_STEP_END:
        break;
    }
}

static void put_event(buffer *b, const event_def *def)
{
    const ku_event_type *type = def->type;

    buffer_format(b, "  event %" KU_PRI ", version %d, of %s\n", KU_FMT(def->name),
        type->version == 0 ? 1 : type->version, def->entity->name);
    put_about(b, type->about, 4);
    put_fields(b, &type->payload, 6);
    for (const ku_migration *m = type->migrations; m != NULL && m->from != 0; m++) {
        buffer_format(b, "    from version %d to %d: ", m->from, m->from + 1);
        if (m->apply != NULL)
            buffer_add_text(b, "by a function");
        for (const ku_step *step = m->steps; step != NULL && step->kind != KU_STEP_END; step++) {
            if (step != m->steps)
                buffer_add_text(b, "; ");
            put_step(b, step);
        }
        buffer_add_char(b, '\n');
    }
}

/* Automatic events say nothing that the entity did not say: one line for all of an entity's. */
static void put_automatic_events(buffer *b, const entity_entry *entry)
{
    if (entry->table == NULL)
        return;
    buffer_add_text(b, "  events");
    for (size_t i = 0; i < KU_COUNT(entry->automatic); i++)
        buffer_format(b, "%s %" KU_PRI, i == 0 ? "" : ",", KU_FMT(entry->automatic[i]->def.name));
    buffer_add_text(b, ", automatic\n");
}

/* ---- projections and handlers --------------------------------------------------------------- */

static void put_subscriptions(buffer *b, const registry *r, const ku_on *on)
{
    for (; !describe_on_is_end(on); on++)
        buffer_format(b, "    on %" KU_PRI "\n", KU_FMT(describe_on_name(r, on)));
}

static void put_table_of(buffer *b, const ku_table *table)
{
    buffer_format(b, "    table %s\n", table->name);
    put_fields(b, &table->row, 6);
}

static void put_projection(buffer *b, const registry *r, const projection_entry *entry)
{
    buffer_format(b, "  projection %" KU_PRI ", inline\n", KU_FMT(entry->name));
    put_about(b, entry->projection->about, 4);
    put_subscriptions(b, r, entry->projection->on);
    put_table_of(b, entry->projection->table);
}

static void put_consumer(buffer *b, const registry *r, const consumer_entry *entry)
{
    const ku_multi_stream_projection *projection = entry->projection;

    char time[25];

    ku_time_format(projection->start_time, time);
    buffer_format(b, "  projection %" KU_PRI ", asynchronous", KU_FMT(entry->name));
    if (projection->start == KU_FROM_NOW)
        buffer_add_text(b, ", from now on");
    else if (projection->start == KU_FROM_POSITION)
        buffer_format(b, ", behind position %lld", (long long)projection->start_position);
    else if (projection->start == KU_FROM_TIME)
        buffer_format(b, ", from %s on", time);
    buffer_add_char(b, '\n');
    put_about(b, projection->about, 4);
    put_subscriptions(b, r, projection->on);
    if (projection->table != NULL)
        put_table_of(b, projection->table);
    for (size_t i = 0; projection->tables != NULL && projection->tables[i] != NULL; i++)
        put_table_of(b, projection->tables[i]);
}

static void put_access(buffer *b, const ku_access *access)
{
    if (access->open_to_all)
        buffer_add_text(b, "every signed-in user");
    else if (access->roles != NULL)
        put_list(b, access->roles, ", ");
    if (access->allow != NULL)
        buffer_add_text(
            b, access->open_to_all || access->roles != NULL ? ", or a predicate" : "a predicate");
}

static void put_handler(buffer *b, const handler_entry *entry)
{
    const ku_handler *handler = entry->handler;
    const ku_rate_limit *rate = &handler->rate_limit;

    buffer_format(b, "  %s %" KU_PRI "\n", entry->write ? "write" : "query", KU_FMT(entry->name));
    put_about(b, handler->about, 4);
    buffer_add_text(b, "    for ");
    put_access(b, &handler->access);
    buffer_add_char(b, '\n');
    if (rate->limit > 0)
        buffer_format(b, "    at most %d in %d s per %s\n", rate->limit, rate->window_s,
            describe_rate_per(rate->per));
    if (handler->retries > 0)
        buffer_format(
            b, "    runs again on a version conflict, up to %d times\n", handler->retries);
    if (handler->verb != KU_VERB_NONE)
        buffer_format(
            b, "    %s of %s\n", describe_verb(handler->verb), entry->entity->entity->name);
    put_fields(b, &handler->input, 6);
}

static void put_hooks(buffer *b, const ku_hook *hook)
{
    for (; hook != NULL && hook->name != NULL; hook++)
        buffer_format(b, "  hook %s on %s, %s\n", hook->name, hook->entity->name,
            hook->phase == KU_AFTER_COMMIT ? "after the commit" : "in the transaction");
}

/* ---- the document --------------------------------------------------------------------------- */

static void put_feature(buffer *b, const registry *r, const feature_entry *feature)
{
    buffer_format(b, "feature %" KU_PRI "\n", KU_FMT(feature->name));
    put_about(b, feature->feature->about, 2);

    for (const entity_entry *e = r->entities; e != NULL; e = e->next) {
        if (e->feature != feature)
            continue;
        buffer_add_char(b, '\n');
        put_entity(b, e);
        put_automatic_events(b, e);
    }
    for (const event_entry *e = r->events; e != NULL; e = e->next) {
        if (e->def.feature != feature || e->def.verb != 0)
            continue;
        buffer_add_char(b, '\n');
        put_event(b, &e->def);
    }
    for (const projection_entry *p = r->projections; p != NULL; p = p->next) {
        if (p->feature != feature)
            continue;
        buffer_add_char(b, '\n');
        put_projection(b, r, p);
    }
    for (const consumer_entry *c = r->consumers; c != NULL; c = c->next) {
        if (c->feature != feature)
            continue;
        buffer_add_char(b, '\n');
        put_consumer(b, r, c);
    }
    for (const handler_entry *h = r->handlers; h != NULL; h = h->next) {
        if (h->feature != feature)
            continue;
        buffer_add_char(b, '\n');
        put_handler(b, h);
    }
    put_hooks(b, feature->feature->hooks);
}

void describe_text(buffer *b, const registry *r)
{
    for (size_t i = 0; i < r->n_features; i++) {
        if (i > 0)
            buffer_add_char(b, '\n');
        put_feature(b, r, &r->features[i]);
    }
}
