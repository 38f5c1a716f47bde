/*
 * Commands, made by recipes (equal_recipes.h).
 *
 * What depends on time and not on the engine is kept out.  Commands that may leave a snapshot to
 * the writer go alone.  A request id is used once in a step.  In the tenant with several lanes ids
 * are the client's, because the lane of a stream is the hash of its id.
 */
#include "order/equal_commands.h"

#include "base/limits.h"
#include "event-sourcing/invoicing.h"
#include "order/equal_feature.h"
#include "order/equal_recipes.h"
#include "sample/probe.h"
#include "sample/recipes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ku_feature *const commander_features[] = {&parts_feature, &showcase_feature, &notes_feature,
    &staff_feature, &orders_feature, &pubsub_orders_feature, &pubsub_inbox_feature, &probe_feature,
    NULL};

static const char *const entity_names[KINDS] = {
    "part", "showcase-invoice", "showcase-approver", "note", "employee", "order"};

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
    const recipe *r = recipe_choose(c, recipe_of_writes, recipe_n_writes);
    ku_str payload = recipe_payload(c, r);
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
        const recipe *r = recipe_choose(c, recipe_of_writes, recipe_n_writes);
        const ku_str payload = recipe_payload(c, r);
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

/* ---- steps ----------------------------------------------------------------------------------- */

static void move_clock(commander *c)
{
    static const int64_t spans_us[] = {1, 1, 999, 1000, 1000000, 1000000, 2000000, 60000000};
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
    const recipe *r = recipe_choose(c, recipes, n);
    ku_str payload = recipe_payload(c, r);
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
        query_step(c, recipe_of_pages, recipe_n_pages);
    else if (c->step.kind == STEP_CALLS && way < 40)
        query_step(c, recipe_of_queries, recipe_n_queries);
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
                item_hear(c, (item_kind)k, tenant, (size_t)id, version);
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
