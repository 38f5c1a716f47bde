/*
 * A command is a recipe: a type and how its payload is made.  What there is to be changed is known
 * from the answers: an item has an id, a kind and the version that was last heard of, which is
 * mostly the right one.
 *
 * What depends on time and not on the engine is kept out.  Commands that may leave a snapshot to
 * the writer go alone.  A request id is used once in a step.  In the tenant with several lanes ids
 * are the client's, because the lane of a stream is the hash of its id.
 */
#include "order/equal_commands.h"

#include "base/limits.h"
#include "event-sourcing/invoicing.h"
#include "order/equal_feature.h"
#include "order/equal_values.h"
#include "sample/probe.h"
#include "sample/recipes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENANTS = 3, LANED = 2, RECENT = 12, REMEMBERED = 24 };

const ku_feature *const commander_features[] = {&parts_feature, &showcase_feature, &notes_feature,
    &staff_feature, &orders_feature, &pubsub_orders_feature, &pubsub_inbox_feature, &probe_feature,
    NULL};

typedef enum item_kind { PART, INVOICE, APPROVER, NOTE, EMPLOYEE, ORDER, KINDS } item_kind;
static const char *const entity_names[KINDS] = {
    "part", "showcase-invoice", "showcase-approver", "note", "employee", "order"};

typedef struct item {
    item_kind kind;
    int tenant;
    size_t id; /* the number of its name */
    int64_t version;
} item;

typedef struct item_list {
    item *items;
    size_t n, capacity;
} item_list;

struct commander {
    chance chance;
    _Atomic int64_t *now_us;
    arena memory; /* of the step */
    equal_step step;
    int tenant;                  /* whose command is being made */
    size_t aims[STEP_CALLS_MAX]; /* what each call is about: an item plus 1; 0: nothing known */
    size_t aim;
    item_list items;
    size_t recent[TENANTS][KINDS][RECENT]; /* items plus 1 */
    size_t n_recent[TENANTS][KINDS];
    unsigned client_ids, requests;
    arena kept; /* of what is remembered */
    equal_call old[REMEMBERED];
    size_t n_old;
    bool alone; /* the step's only call */
};

static bool chance_in(commander *c, int percent)
{
    return chance_of(&c->chance, percent);
}

/* ---- tenants and users ----------------------------------------------------------------------- */

static ku_id tenant_id(int tenant)
{
    return (ku_id){
        {0x7e, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)(tenant + 1)}
    };
}

ku_id commander_laned_tenant(void)
{
    return tenant_id(LANED);
}

static ku_user random_user(commander *c)
{
    static const ku_str admin[] = {KU_STR_INIT("Admin"), KU_STR_INIT("User")};
    static const ku_str clerk[] = {KU_STR_INIT("User")};
    static const ku_str human_resources[] = {KU_STR_INIT("HR"), KU_STR_INIT("User")};
    static const ku_str guest[] = {KU_STR_INIT("Guest")};
    static const ku_user users[] = {
        {.id = KU_STR_INIT("ada"),     .roles = admin,           .n_roles = KU_COUNT(admin)          },
        {.id = KU_STR_INIT("Jürgen"), .roles = clerk,           .n_roles = KU_COUNT(clerk)          },
        {.id = KU_STR_INIT("hr"),      .roles = human_resources, .n_roles = KU_COUNT(human_resources)},
        {.id = KU_STR_INIT("guest"),   .roles = guest,           .n_roles = KU_COUNT(guest)          },
    };
    ku_user user = users[chance_in(c, 75) ? 0 : chance_below(&c->chance, KU_COUNT(users))];
    user.tenant = tenant_id(c->tenant);
    return user;
}

/* ---- items ----------------------------------------------------------------------------------- */

static item *find_item(commander *c, size_t id, int tenant)
{
    for (size_t i = c->items.n; i-- > 0;) {
        if (c->items.items[i].id == id && c->items.items[i].tenant == tenant)
            return &c->items.items[i];
    }
    return NULL;
}

static void hear_item(commander *c, item_kind kind, int tenant, size_t id, int64_t version)
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

typedef struct recipe {
    int weight;
    const char *type;
    void (*payload)(commander *c, buffer *b);
    bool laned; /* also where ids are the client's */
    bool alone; /* it may leave a snapshot to the writer */
} recipe;

/* clang-format off */
static const recipe write_recipes[] = {
    {14, "parts:write:part:create", create_part, true, false},
    {12, "parts:write:part:update", update_part, true, false},
    {4, "parts:write:part:delete", part_id, true, false},
    {4, "parts:write:part:restore", part_id, true, false},
    {1, "parts:write:part:forget", part_id, true, false},
    {14, "parts:write:part:weigh", weigh_part, true, false},
    {4, "parts:write:part:try-weigh", weigh_part, true, false},
    {5, "parts:write:part:weigh-more", weigh_part, true, true},
    {8, "parts:write:part:move", move_part, true, false},
    {2, "parts:write:part:archive", part_id, true, false},
    {3, "parts:write:part:unarchive", part_id, true, false},
    {3, "parts:write:part:snapshot", part_id, true, false},
    {6, "showcase:write:invoice:create", put_customer, false, false},
    {8, "showcase:write:invoice:approve", approve_invoice, false, false},
    {8, "showcase:write:invoice:pay", pay_invoice, false, false},
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
    {2, "pubsubOrders:write:order:place", put_customer, false, false},
    {1, "parts:write:part:paint", part_id, true, false},
    {1, "parts:query:part:detail", part_id, true, false},
};
/* clang-format on */

static const recipe *choose_recipe(commander *c, const recipe *recipes, size_t n)
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

static ku_str payload_of(commander *c, const recipe *r)
{
    buffer b = {.arena = &c->memory};
    buffer_add_char(&b, '{');
    c->aim = 0;
    r->payload(c, &b);
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

static bool is_json(commander *c, ku_str text)
{
    ku_json *json;
    json_error error;
    return json_parse(&c->memory, text, LIMIT_JSON_DEPTH - 3, &json, &error);
}

/* Something is wrong with it that no recipe thinks of. */
static ku_str mangled(commander *c, ku_str payload)
{
    static const char *const others[] = {"[]", "null", "\"text\"", "{\"id\":1}", "{\"id\":\"x\"}",
        "{\"id\":\"11111111-1111-4111-8111-111111111111\",\"id\":1}", "{\"unknown\":1}", "7", " ",
        "{\"customer\":7,\"code\":[],\"title\":null}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\xff\"}"};
    if (payload.len > 2 && chance_in(c, 30))
        return (ku_str){payload.ptr, payload.len - 1};
    return ku_str_from(others[chance_below(&c->chance, KU_COUNT(others))]);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static ku_str random_request_id(commander *c)
{
    if (chance_in(c, 3))
        return KU_STR(
            "01234567890123456789012345678901234567890123456789012345678901234567890123456"
            "78901234567890123456789012345678901234567890123456789012345678901234567890123"
            "45678901234567890123456789012345678901234567890123456789012345678901234567890"
            "12345678901234567890123456789");
    return arena_format(&c->memory, "Anfrage-№%u", c->requests++);
}

static equal_call begin_call(commander *c, call_kind kind)
{
    equal_call call = {.kind = kind, .user = random_user(c)};
    if (chance_in(c, 50))
        call.trace_id = arena_format(&c->memory, "trace-%zu", chance_below(&c->chance, 1000));
    if (chance_in(c, 20))
        call.correlation_id =
            arena_format(&c->memory, "Zusammenhang „%zu“", chance_below(&c->chance, 9));
    return call;
}

static void put_envelope(buffer *b, ku_str type, ku_str payload)
{
    buffer_add_text(b, "{\"type\":");
    json_put_text(b, type);
    buffer_format(b, ",\"payload\":%" KU_PRI, KU_FMT(payload));
}

/* With a body if it has to be, or half the time; else by type and payload. */
static equal_call wrap(commander *c, call_kind kind, ku_str type, ku_str payload, ku_str request)
{
    equal_call call = begin_call(c, kind);
    if (!is_json(c, payload) || (kind != CALL_COMMAND && chance_in(c, 50))) {
        call.kind = kind == CALL_COMMAND ? CALL_WRITE : kind;
        call.type = type;
        call.payload = payload;
        call.request_id = request;
        return call;
    }
    buffer b = {.arena = &c->memory};
    put_envelope(&b, type, payload);
    if (request.len > 0 && kind != CALL_QUERY) {
        json_put_key(&b, "requestId");
        json_put_text(&b, request);
    }
    buffer_add_char(&b, '}');
    call.body = buffer_str(&b);
    return call;
}

static equal_call one_write(commander *c, ku_str request)
{
    const recipe *r = choose_recipe(c, write_recipes, KU_COUNT(write_recipes));
    ku_str payload = payload_of(c, r);
    if (chance_in(c, 3))
        payload = mangled(c, payload);
    return wrap(
        c, chance_in(c, 8) ? CALL_COMMAND : CALL_WRITE, ku_str_from(r->type), payload, request);
}

/* Several commands in one request; one that fails takes the others with it. */
static equal_call batch(commander *c, ku_str request)
{
    equal_call call = begin_call(c, CALL_BATCH);
    buffer b = {.arena = &c->memory};
    const size_t n = chance_below(&c->chance, 6);
    buffer_add_text(&b, "{\"commands\":[");
    for (size_t i = 0; i < n; i++) {
        const recipe *r = choose_recipe(c, write_recipes, KU_COUNT(write_recipes));
        const ku_str payload = payload_of(c, r);
        buffer_add_text(&b, i > 0 ? "," : "");
        put_envelope(&b, ku_str_from(r->type), is_json(c, payload) ? payload : KU_STR("{}"));
        buffer_add_char(&b, '}');
    }
    buffer_add_char(&b, ']');
    if (request.len > 0) {
        json_put_key(&b, "requestId");
        json_put_text(&b, request);
    }
    buffer_add_char(&b, '}');
    call.body = buffer_str(&b);
    c->aim = 0;
    return call;
}

static equal_call odd_body(commander *c)
{
    static const char *const bodies[] = {"[]", "{}", "{\"type\":1}", "{\"payload\":{}}", "null",
        "{\"type\":\"parts:write:part:create\"}", "{\"commands\":{}}", "{\"commands\":[1]}",
        "{\"type\":\"nobody:write:knows:this\",\"payload\":{}}",
        "{\"type\":\"parts:write:part:forget\",\"payload\":{},\"requestId\":5}"};
    equal_call call = begin_call(c, chance_in(c, 40) ? CALL_BATCH : CALL_WRITE);
    call.body = ku_str_from(bodies[chance_below(&c->chance, KU_COUNT(bodies))]);
    return call;
}

/* ---- requests again -------------------------------------------------------------------------- */

static void remember(commander *c, const equal_call *call)
{
    equal_call *kept = &c->old[c->n_old++ % REMEMBERED];
    *kept = *call;
    kept->body = arena_copy(&c->kept, call->body);
    kept->payload = arena_copy(&c->kept, call->payload);
    kept->request_id = arena_copy(&c->kept, call->request_id);
    kept->trace_id = kept->correlation_id = KU_STR("");
}

/* The same request once more, or its id with another payload. */
static equal_call again(commander *c)
{
    const size_t n = c->n_old < REMEMBERED ? c->n_old : REMEMBERED;
    equal_call call = c->old[chance_below(&c->chance, n)];
    if (call.body.len == 0 && chance_in(c, 30))
        call.payload = KU_STR("{\"other\":true}");
    return call;
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
    static const char *const sorts[] = {"place", "at", "moves", "lastPart", "lastGrams"};
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
static const recipe query_recipes[] = {
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
    {1, "pubsubInbox:query:inbox:list", nothing, false, true},
    {1, "probe:query:events", part_id, true, true},
    {1, "probe:query:stream", nothing, false, true},
    {1, "nobody:query:knows:this", nothing, true, true},
};
static const recipe page_recipes[] = {
    {4, "parts:query:part:list", list_parts, true, true},
    {2, "parts:query:places", list_places, true, true},
    {1, "showcase:query:approver:list", list_others, false, true},
    {1, "notes:query:note:list", list_others, false, true},
    {1, "staff:query:employee:list", list_others, false, true},
};
/* clang-format on */

/* ---- steps ----------------------------------------------------------------------------------- */

static void move_clock(commander *c)
{
    static const int64_t spans_us[] = {1, 1, 999, 1000, 1000000, 1000000, 20000000, 60000000};
    int64_t us = (int64_t)chance_below(
        &c->chance, 1 + (size_t)spans_us[chance_below(&c->chance, KU_COUNT(spans_us))]);
    if (chance_below(&c->chance, 400) == 0)
        us = INT64_C(13) * 3600 * 1000000;
    c->chance.now_us += us;
    atomic_store(c->now_us, c->chance.now_us);
}

/* One call of a step; `repeated`: another of the step has an old request's id. */
static equal_call write_call(commander *c, bool *repeated)
{
    const size_t way = chance_below(&c->chance, 100);
    ku_str request = KU_STR("");
    equal_call call;
    c->aim = 0;
    if (way < 8 && c->alone && c->n_old > 0 && !*repeated) {
        *repeated = true;
        return again(c);
    }
    if (chance_in(c, 15))
        request = random_request_id(c);
    if (way < 10)
        return odd_body(c);
    if (way < 20)
        call = batch(c, request);
    else
        call = one_write(c, request);
    if (request.len > 0)
        remember(c, &call);
    return call;
}

static void write_step(commander *c)
{
    equal_step *s = &c->step;
    bool repeated = false;
    c->alone = chance_in(c, 75);
    s->n_calls = c->alone ? 1 : 2 + chance_below(&c->chance, STEP_CALLS_MAX - 1);
    s->n_writes = (int)s->n_calls;
    for (size_t i = 0; i < s->n_calls; i++) {
        s->calls[i] = write_call(c, &repeated);
        c->aims[i] = c->aim;
    }
}

static void query_step(commander *c, const recipe *recipes, size_t n)
{
    const recipe *r = choose_recipe(c, recipes, n);
    ku_str payload = payload_of(c, r);
    if (c->step.kind == STEP_CALLS && chance_in(c, 3))
        payload = mangled(c, payload);
    c->step.calls[0] = wrap(c, CALL_QUERY, ku_str_from(r->type), payload, KU_STR(""));
    if (c->step.kind == STEP_PAGES) {
        c->step.calls[0].body = KU_STR("");
        c->step.calls[0].type = ku_str_from(r->type);
        c->step.calls[0].payload = payload;
    }
    c->step.n_calls = 1;
    c->aims[0] = c->aim;
}

const equal_step *commander_next(commander *c)
{
    arena_reset(&c->memory);
    move_clock(c);
    c->tenant = (int)chance_below(&c->chance, TENANTS);
    c->alone = true;
    c->step = (equal_step){.kind = STEP_CALLS};
    const size_t way = chance_below(&c->chance, 100);
    if (way < 6)
        c->step.kind = STEP_DISPATCH;
    else if (way < 8)
        c->step.kind = STEP_PROGRESS;
    else if (way < 13)
        c->step.kind = STEP_PAGES;
    if (c->step.kind == STEP_PAGES)
        query_step(c, page_recipes, KU_COUNT(page_recipes));
    else if (c->step.kind == STEP_CALLS && way < 40)
        query_step(c, query_recipes, KU_COUNT(query_recipes));
    else if (c->step.kind == STEP_CALLS)
        write_step(c);
    return &c->step;
}

/* ---- hearing --------------------------------------------------------------------------------- */

/* What follows the text, as a number; false: the text is not there. */
static bool number_behind(const char *at, const char *text, long long *ret_number)
{
    at = strstr(at, text);
    return at != NULL && sscanf(at + strlen(text), "%lld", ret_number) == 1;
}

/* Rows that were created or changed say what they are. */
static void hear_saved(commander *c, int tenant, const char *answer)
{
    static const char save[] = "\"kind\":\"save\",\"id\":\"@{";
    static const char name[] = "\"entityName\":\"";
    for (const char *at = answer; (at = strstr(at, save)) != NULL; at++) {
        long long id, version;
        const char *kind = strstr(at, name);
        if (kind == NULL || !number_behind(at, save, &id) ||
            !number_behind(at, "\"version\":", &version))
            return;
        kind += strlen(name);
        for (int k = 0; k < KINDS; k++) {
            const size_t len = strlen(entity_names[k]);
            if (strncmp(kind, entity_names[k], len) == 0 && kind[len] == '"')
                hear_item(c, (item_kind)k, tenant, (size_t)id, version);
        }
    }
}

void commander_hear(commander *c, const ku_str *answers)
{
    for (size_t i = 0; i < c->step.n_calls; i++) {
        const int tenant = c->step.calls[i].user.tenant.bytes[15] - 1;
        const char *answer = answers[i].ptr;
        long long version;
        hear_saved(c, tenant, answer);
        if (c->aims[i] == 0 || c->step.calls[i].kind == CALL_BATCH)
            continue;
        if (number_behind(answer, "\"currentVersion\":", &version) ||
            number_behind(answer, "\"version\":", &version))
            c->items.items[c->aims[i] - 1].version = version;
    }
}

/* ---- beginning and end ----------------------------------------------------------------------- */

commander *commander_new(uint64_t seed, _Atomic int64_t *now_us)
{
    commander *c = mem_zero(1, sizeof *c);
    const int64_t begin = INT64_C(1767225600000000); /* 2026-01-01T00:00:00Z */
    c->chance = (chance){.state = seed, .now_us = begin, .begin_us = begin};
    c->now_us = now_us;
    atomic_store(now_us, begin);
    return c;
}

void commander_free(commander *c)
{
    arena_done(&c->memory);
    arena_done(&c->kept);
    free(c->items.items);
    free(c);
}
