/* The recipes, and the items that they are about. */
#include "order/equal_recipes.h"

#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- items ----------------------------------------------------------------------------------- */

static item *find_item(commander *c, size_t id, int tenant)
{
    for (size_t i = c->items.n; i-- > 0;) {
        if (c->items.items[i].id == id && c->items.items[i].tenant == tenant)
            return &c->items.items[i];
    }
    return NULL;
}

void item_hear(commander *c, item_kind kind, int tenant, size_t id, int64_t version)
{
    item *known = find_item(c, id, tenant);
    if (known != NULL) {
        known->version = version;
        return;
    }
    item_list *list = &c->items;
    if (list->n == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->items = mem_grow(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->n++] = (item){kind, tenant, id, version};
    c->recent[tenant][kind][c->n_recent[tenant][kind]++ % RECENT] = list->n;
}

/* Mostly a recent one of the kind and the tenant; now and then any; plus 1, 0: none. */
static size_t choose_item(commander *c, item_kind kind)
{
    size_t n = c->n_recent[c->tenant][kind];
    if (c->items.n > 0 && c->tenant != LANED && chance_in(c, 5))
        return chance_below(&c->chance, c->items.n) + 1;
    if (n == 0 || chance_in(c, 2))
        return 0;
    n = n < RECENT ? n : RECENT;
    return c->recent[c->tenant][kind][chance_below(&c->chance, n)];
}

static void put_id(commander *c, item_kind kind, buffer *b)
{
    c->aim = choose_item(c, kind);
    if (c->aim == 0)
        buffer_add_text(b, "\"11111111-1111-4111-8111-111111111111\"");
    else
        buffer_format(b, "\"@{%zu}\"", c->items.items[c->aim - 1].id);
}

/* The version of what put_id has chosen, or another one. */
static int64_t version_of_aim(commander *c)
{
    const int64_t known = c->aim > 0 ? c->items.items[c->aim - 1].version : 1;
    return chance_in(c, 88) ? known : (int64_t)chance_below(&c->chance, 6) - 1;
}

/* Below or above all ids that are made from the clock. */
static void put_client_id(commander *c, buffer *b)
{
    if (c->client_ids > 0 && chance_in(c, 5))
        buffer_format(
            b, "\"00000000-0000-7000-8000-%012zx\"", chance_below(&c->chance, c->client_ids));
    else
        buffer_format(b, "\"%s-7000-8000-%012x\"",
            c->client_ids % 3 == 0 ? "ffffffff-ffff" : "00000000-0000", c->client_ids);
    c->client_ids++;
}

/* ---- payloads -------------------------------------------------------------------------------- */

typedef void put_value(chance *c, buffer *b);

/* `"name":value`, so many times in a hundred. */
static void put_member(commander *c, buffer *b, int percent, const char *name, put_value *value)
{
    if (!chance_in(c, percent))
        return;
    json_put_key(b, name);
    value(&c->chance, b);
}

static void put_raw_member(buffer *b, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_raw_member(buffer *b, const char *name, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_put_key(b, name);
    buffer_add_text(b, text);
}

typedef struct part_field {
    const char *name;
    put_value *value;
    int often; /* in a create */
    bool nullable;
} part_field;

static const part_field part_fields[] = {
    {"code",    value_code,      99, false},
    {"family",  value_text,      99, false},
    {"serial",  value_small_int, 40, false},
    {"grade",   value_grade,     30, false},
    {"finish",  value_finish,    40, true },
    {"amount",  value_int,       60, false},
    {"price",   value_price,     99, false},
    {"rebate",  value_rebate,    50, true },
    {"weight",  value_double,    99, false},
    {"drift",   value_double,    40, false},
    {"active",  value_bool,      60, false},
    {"checked", value_bool,      40, true },
    {"madeAt",  value_time,      99, false},
    {"dueAt",   value_time,      50, true },
    {"label",   value_text,      60, true },
    {"tags",    value_tags,      50, false},
    {"numbers", value_numbers,   30, false},
    {"sizes",   value_sizes,     40, false},
    {"frame",   value_frame,     50, false},
    {"extra",   value_anything,  30, false},
};

static void put_part_field(commander *c, buffer *b, const part_field *field)
{
    json_put_key(b, field->name);
    if (field->nullable && chance_in(c, 10))
        buffer_add_text(b, "null");
    else
        field->value(&c->chance, b);
}

static void put_owner(commander *c, buffer *b)
{
    json_put_key(b, "owner");
    put_id(c, chance_in(c, 50) ? PART : NOTE, b);
    c->aim = 0;
}

static void create_part(commander *c, buffer *b)
{
    if (c->tenant == LANED || chance_in(c, 20)) {
        json_put_key(b, "id");
        put_client_id(c, b);
    }
    for (size_t i = 0; i < KU_COUNT(part_fields); i++) {
        if (chance_in(c, part_fields[i].often))
            put_part_field(c, b, &part_fields[i]);
    }
    if (chance_in(c, 30))
        put_owner(c, b);
}

static void part_id(commander *c, buffer *b)
{
    json_put_key(b, "id");
    put_id(c, PART, b);
}

static void update_part(commander *c, buffer *b)
{
    part_id(c, b);
    if (chance_in(c, 97))
        put_raw_member(b, "version", "%lld", (long long)version_of_aim(c));
    buffer_add_text(b, ",\"changes\":{");
    for (size_t i = 0; i < KU_COUNT(part_fields); i++) {
        if (chance_in(c, 8))
            put_part_field(c, b, &part_fields[i]);
    }
    buffer_add_char(b, '}');
}

static void weigh_part(commander *c, buffer *b)
{
    part_id(c, b);
    put_raw_member(b, "grams", "%d", (int)chance_below(&c->chance, 1100) - 60);
    put_member(c, b, 60, "note", value_text);
    if (chance_in(c, 40))
        put_raw_member(b, "expectedVersion", "%lld", (long long)version_of_aim(c));
    if (chance_in(c, 15))
        put_raw_member(b, "key", "\"key-%d\"", (int)chance_below(&c->chance, 40));
}

static void move_part(commander *c, buffer *b)
{
    part_id(c, b);
    put_member(c, b, 99, "place", value_text);
    put_member(c, b, 60, "at", value_time);
    put_member(c, b, 40, "route", value_tags);
    if (chance_in(c, 40))
        put_raw_member(b, "expectedVersion", "%lld", (long long)version_of_aim(c));
}

static void put_customer(commander *c, buffer *b)
{
    put_member(c, b, 98, "customer", value_text);
}

static void invoice_id(commander *c, buffer *b)
{
    json_put_key(b, "id");
    put_id(c, INVOICE, b);
}

/* The amount follows from the id, so that payments are mostly right. */
static void put_cents(commander *c, buffer *b)
{
    const size_t id = c->aim > 0 ? c->items.items[c->aim - 1].id : 0;
    put_raw_member(b, "amountCents", "%d", chance_in(c, 92) ? (int)(id % 5000) + 1 : 7);
}

static void approve_invoice(commander *c, buffer *b)
{
    invoice_id(c, b);
    put_cents(c, b);
    put_member(c, b, 99, "approvedBy", value_text);
    put_member(c, b, 20, "geoRegion", value_text);
    put_member(c, b, 20, "abTestBucket", value_text);
}

static void pay_invoice(commander *c, buffer *b)
{
    invoice_id(c, b);
    put_cents(c, b);
}

static void acknowledge_invoice(commander *c, buffer *b)
{
    invoice_id(c, b);
    put_member(c, b, 98, "approverId", value_text);
}

static void create_approver(commander *c, buffer *b)
{
    put_member(c, b, 98, "approverId", value_text);
    put_member(c, b, 98, "displayName", value_text);
}

static void begin_update(commander *c, buffer *b, item_kind kind)
{
    json_put_key(b, "id");
    put_id(c, kind, b);
    put_raw_member(b, "version", "%lld", (long long)version_of_aim(c));
    buffer_add_text(b, ",\"changes\":{");
}

static void update_approver(commander *c, buffer *b)
{
    begin_update(c, b, APPROVER);
    put_member(c, b, 50, "approverId", value_text);
    put_member(c, b, 50, "displayName", value_text);
    buffer_add_char(b, '}');
}

static void put_note(commander *c, buffer *b)
{
    static const char *const refused[] = {"uncountable", "forbidden"};
    if (chance_in(c, 8))
        put_raw_member(b, "title", "\"%s\"", refused[chance_below(&c->chance, 2)]);
    else
        put_member(c, b, 98, "title", value_text);
    put_member(c, b, 60, "body", value_text);
}

static void update_note(commander *c, buffer *b)
{
    begin_update(c, b, NOTE);
    put_note(c, b);
    buffer_add_char(b, '}');
}

static void note_id(commander *c, buffer *b)
{
    json_put_key(b, "id");
    put_id(c, NOTE, b);
}

static void put_employee(commander *c, buffer *b)
{
    static const char *const statuses[] = {"applied", "hired", "left"};
    put_member(c, b, 90, "email", value_code);
    put_member(c, b, 90, "name", value_text);
    if (chance_in(c, 30))
        put_raw_member(b, "status", "\"%s\"", statuses[chance_below(&c->chance, 3)]);
    put_member(c, b, 30, "level", value_small_int);
    put_member(c, b, 20, "salaryCents", value_int);
}

static void update_employee(commander *c, buffer *b)
{
    begin_update(c, b, EMPLOYEE);
    put_employee(c, b);
    buffer_add_char(b, '}');
}

static void employee_id(commander *c, buffer *b)
{
    json_put_key(b, "id");
    put_id(c, EMPLOYEE, b);
}

static void place_order(commander *c, buffer *b)
{
    put_member(c, b, 95, "totalCents", value_int);
}

static void order_id(commander *c, buffer *b)
{
    json_put_key(b, "id");
    put_id(c, ORDER, b);
}

/* ---- recipes of writes ----------------------------------------------------------------------- */

/* clang-format off */
const recipe recipe_of_writes[] = {
    {14, "parts:write:part:create", create_part, true, false},
    {12, "parts:write:part:update", update_part, true, false},
    {6, "parts:write:part:delete", part_id, true, false},
    {8, "parts:write:part:restore", part_id, true, false},
    {2, "parts:write:part:forget", part_id, true, false},
    {14, "parts:write:part:weigh", weigh_part, true, false},
    {4, "parts:write:part:try-weigh", weigh_part, true, false},
    {5, "parts:write:part:weigh-more", weigh_part, true, true},
    {8, "parts:write:part:move", move_part, true, false},
    {2, "parts:write:part:archive", part_id, true, false},
    {3, "parts:write:part:unarchive", part_id, true, false},
    {3, "parts:write:part:snapshot", part_id, true, false},
    {6, "showcase:write:invoice:create", put_customer, false, false},
    {12, "showcase:write:invoice:approve", approve_invoice, false, false},
    {16, "showcase:write:invoice:pay", pay_invoice, false, false},
    {3, "showcase:write:invoice:acknowledge", acknowledge_invoice, false, false},
    {1, "showcase:write:invoice:archive", invoice_id, false, false},
    {1, "showcase:write:invoice:take-snapshot", invoice_id, false, false},
    {3, "showcase:write:approver:create", create_approver, false, false},
    {3, "showcase:write:approver:update", update_approver, false, false},
    {4, "notes:write:note:create", put_note, false, false},
    {3, "notes:write:note:update", update_note, false, false},
    {2, "notes:write:note:delete", note_id, false, false},
    {2, "notes:write:note:restore", note_id, false, false},
    {1, "notes:write:note:archive", note_id, false, false},
    {1, "notes:write:note:unarchive", note_id, false, false},
    {1, "notes:write:note:create-two", put_note, false, false},
    {1, "notes:write:note:forget", note_id, false, false},
    {1, "notes:write:note:write-and-refuse", put_note, false, false},
    {3, "staff:write:employee:create", put_employee, false, false},
    {3, "staff:write:employee:update", update_employee, false, false},
    {1, "staff:write:employee:delete", employee_id, false, false},
    {1, "staff:write:employee:restore", employee_id, false, false},
    {2, "orders:write:order:place", place_order, false, false},
    {2, "orders:write:order:pay", order_id, false, false},
    {2, "orders:write:order:cancel", order_id, false, false},
    {2, "pubsub-orders:write:order:place", put_customer, false, false},
    {1, "parts:write:part:paint", part_id, true, false},
    {1, "parts:query:part:detail", part_id, true, false},
};
const size_t recipe_n_writes = KU_COUNT(recipe_of_writes);
/* clang-format on */

const recipe *recipe_choose(commander *c, const recipe *recipes, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += recipes[i].weight;
    for (;;) {
        int at = (int)chance_below(&c->chance, (size_t)sum);
        const recipe *chosen = recipes;
        while (at >= chosen->weight)
            at -= (chosen++)->weight;
        if ((chosen->laned || c->tenant != LANED) && (!chosen->alone || c->alone))
            return chosen;
    }
}

ku_str recipe_payload(commander *c, const recipe *r)
{
    buffer b = {.arena = &c->memory};
    buffer_add_char(&b, '{');
    c->aim = 0;
    r->payload(c, &b);
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

/* ---- queries --------------------------------------------------------------------------------- */

static void put_filter(commander *c, buffer *b)
{
    static const char *const operators[] = {"eq", "ne", "lt", "gt", "in"};
    static const part_field others[] = {
        {"version",      value_small_int, 0, false},
        {"insertedAt",   value_past,      0, false},
        {"modifiedAt",   value_past,      0, true },
        {"insertedById", value_text,      0, false},
        {"unheardOf",    value_text,      0, false},
    };
    const size_t way = chance_below(&c->chance, KU_COUNT(part_fields) + KU_COUNT(others));
    const part_field *field =
        way < KU_COUNT(part_fields) ? &part_fields[way] : &others[way - KU_COUNT(part_fields)];
    const size_t op = chance_below(&c->chance, KU_COUNT(operators));
    buffer_format(b, "{\"field\":\"%s\",\"op\":\"%s\",\"value\":", field->name, operators[op]);
    const size_t n = op < 4 ? 1 : chance_below(&c->chance, 7);
    buffer_add_text(b, op < 4 ? "" : "[");
    for (size_t i = 0; i < n; i++) {
        buffer_add_text(b, i > 0 ? "," : "");
        if (field->nullable && chance_in(c, 15))
            buffer_add_text(b, "null");
        else
            field->value(&c->chance, b);
    }
    buffer_add_text(b, op < 4 ? "}" : "]}");
}

static void put_list(commander *c, buffer *b, const char *const *sorts, size_t n_sorts)
{
    put_raw_member(b, "limit", "%d", 1 + (int)chance_below(&c->chance, 30));
    if (chance_in(c, 75))
        put_raw_member(b, "sort", "\"%s\"", sorts[chance_below(&c->chance, n_sorts)]);
    if (chance_in(c, 60))
        put_raw_member(b, "sortDirection", "\"%s\"", chance_in(c, 60) ? "desc" : "asc");
    put_member(c, b, 40, "totalCount", value_bool);
    put_member(c, b, 30, "includeDeleted", value_bool);
    if (chance_in(c, 10))
        put_raw_member(b, "offset", "%d", (int)chance_below(&c->chance, 12));
}

static void list_parts(commander *c, buffer *b)
{
    static const char *const sorts[] = {"code", "family", "serial", "grade", "finish", "amount",
        "price", "rebate", "weight", "drift", "active", "checked", "madeAt", "dueAt", "owner",
        "label", "id", "insertedAt", "modifiedAt", "version", "insertedById", "extra", "tags"};
    put_list(c, b, sorts, KU_COUNT(sorts));
    if (chance_in(c, 50)) {
        const size_t n = 1 + chance_below(&c->chance, 3);
        buffer_add_text(b, ",\"filters\":[");
        for (size_t i = 0; i < n; i++) {
            buffer_add_text(b, i > 0 ? "," : "");
            put_filter(c, b);
        }
        buffer_add_char(b, ']');
    }
}

static void list_others(commander *c, buffer *b)
{
    static const char *const sorts[] = {"title", "body", "email", "name", "level", "salaryCents",
        "approverId", "displayName", "insertedAt", "deletedAt"};
    put_list(c, b, sorts, KU_COUNT(sorts));
}

static void list_places(commander *c, buffer *b)
{
    static const char *const sorts[] = {"place", "at", "moves", "lastPart", "lastRoute"};
    put_raw_member(b, "limit", "%d", 1 + (int)chance_below(&c->chance, 9));
    if (chance_in(c, 75))
        put_raw_member(b, "sort", "\"%s\"", sorts[chance_below(&c->chance, KU_COUNT(sorts))]);
    put_member(c, b, 60, "descending", value_bool);
    put_member(c, b, 30, "behind", value_text);
}

static void nothing(commander *c, buffer *b)
{
    (void)c;
    (void)b;
}

static void state_of_part(commander *c, buffer *b)
{
    part_id(c, b);
    put_member(c, b, 30, "asOf", value_past);
    if (chance_in(c, 30))
        put_raw_member(b, "atVersion", "%lld", (long long)version_of_aim(c));
    put_member(c, b, 30, "archived", value_bool);
}

static void state_of_invoice(commander *c, buffer *b)
{
    invoice_id(c, b);
    put_member(c, b, 30, "asOf", value_past);
    if (chance_in(c, 30))
        put_raw_member(b, "atVersion", "%d", (int)chance_below(&c->chance, 5));
}

/* clang-format off */
const recipe recipe_of_queries[] = {
    {6, "parts:query:part:detail", part_id, true, true},
    {8, "parts:query:part:list", list_parts, true, true},
    {8, "parts:query:part:state", state_of_part, true, true},
    {3, "parts:query:part:events", state_of_part, true, true},
    {3, "parts:query:places", list_places, true, true},
    {2, "parts:query:families", nothing, true, true},
    {2, "parts:query:codes", nothing, true, true},
    {3, "parts:query:weights", nothing, true, true},
    {3, "showcase:query:invoice:state", state_of_invoice, false, true},
    {2, "showcase:query:invoice:fast-state", invoice_id, false, true},
    {2, "showcase:query:invoice:detail", invoice_id, false, true},
    {2, "showcase:query:revenue:list", nothing, false, true},
    {2, "showcase:query:approver:list", list_others, false, true},
    {1, "notes:query:note:detail", note_id, false, true},
    {2, "notes:query:note:list", list_others, false, true},
    {1, "notes:query:note:is-archived", note_id, false, true},
    {1, "notes:query:count", nothing, false, true},
    {1, "staff:query:employee:detail", employee_id, false, true},
    {2, "staff:query:employee:list", list_others, false, true},
    {1, "pubsub-inbox:query:inbox:list", nothing, false, true},
    {1, "probe:query:events", part_id, true, true},
    {1, "probe:query:stream", nothing, false, true},
    {1, "nobody:query:knows:this", nothing, true, true},
};
const size_t recipe_n_queries = KU_COUNT(recipe_of_queries);
const recipe recipe_of_pages[] = {
    {4, "parts:query:part:list", list_parts, true, true},
    {2, "parts:query:places", list_places, true, true},
    {1, "showcase:query:approver:list", list_others, false, true},
    {1, "notes:query:note:list", list_others, false, true},
    {1, "staff:query:employee:list", list_others, false, true},
};
const size_t recipe_n_pages = KU_COUNT(recipe_of_pages);
/* clang-format on */
