/*
 * Given, when, then: kumiko/test.h over a real application in memory.
 *
 * `seen` is the position in the tenant's lane up to which events have been accounted for: what was
 * given, and what a KU_THEN has looked at.
 */
#include "app/raw.h"
#include "app/state.h"
#include "kumiko/test.h"
#include "store/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROLES_MAX = 64 };

struct ku_test {
    ku_app *app;
    ku_time now; /* read by the writer's thread, moved between commands only */
    ku_user user;
    ku_str roles[ROLES_MAX];
    ku_status status;
    ku_response response;
    int64_t seen;
    ku_scope scope; /* memory for inputs and expectations */
};

static void (*on_failure)(const char *sentence);

void ku_test_on_failure(void (*fail)(const char *sentence))
{
    on_failure = fail;
}

static void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void failed(const char *format, ...)
{
    static char sentence[9000];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (on_failure != NULL) {
        on_failure(sentence);
        return;
    }
    (void)fprintf(stderr, "%s\n", sentence);
    abort();
}

/* ---- the stage ------------------------------------------------------------------------------- */

static ku_time test_clock(void *context)
{
    const ku_test *test = context;

    return test->now;
}

static void add_roles(ku_test *test, const char *const *roles)
{
    for (; roles != NULL && *roles != NULL; roles++) {
        bool known = test->user.n_roles == ROLES_MAX;
        for (size_t i = 0; i < test->user.n_roles; i++)
            known = known || ku_str_is(test->roles[i], *roles);
        if (!known)
            test->roles[test->user.n_roles++] = ku_str_from(*roles);
    }
}

static void take_every_role(ku_test *test)
{
    for (const handler_entry *h = test->app->registry.handlers; h != NULL; h = h->next)
        add_roles(test, h->handler->access.roles);
    for (const entity_entry *e = test->app->registry.entities; e != NULL; e = e->next) {
        for (size_t i = 0; i < e->entity->row.n_fields; i++) {
            add_roles(test, e->entity->row.fields[i].read_roles);
            add_roles(test, e->entity->row.fields[i].write_roles);
        }
    }
}

ku_test *ku_test_open(const ku_feature *const *features)
{
    ku_test *test = mem_zero(1, sizeof(*test));
    const ku_app_options options = {
        .size = sizeof(options),
        .url = "sqlite::memory:",
        .features = features,
        .readers = 1,
        .without_rate_limits = true,
        .clock = test_clock,
        .clock_context = test,
    };
    ku_error error;

    scope_init(&test->scope);
    test->now.unix_us = INT64_C(1767225600000000); /* 2026-01-01T00:00:00Z */
    test->user =
        (ku_user){.tenant = ku_test_id(0), .id = KU_STR_INIT("tester"), .roles = test->roles};
    if (ku_app_open(&options, &test->app, &error) != KU_OK)
        failed("the application does not open: %s", error.message);
    else
        take_every_role(test);
    return test;
}

void ku_test_close(ku_test *test)
{
    ku_response_free(&test->response);
    ku_app_close(test->app);
    scope_done(&test->scope);
    free(test);
}

ku_id ku_test_id(int number)
{
    ku_id id = {
        {0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0xff, 0, 0, 0, 0, 0}
    };

    for (int i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)((unsigned)number >> (8 * i));
    return id;
}

void ku_test_as(ku_test *test, const ku_user *user)
{
    test->user = *user;
    test->seen = 0; /* another tenant has another lane; the next step finds its head */
}

void ku_test_advance(ku_test *test, int64_t microseconds)
{
    test->now.unix_us += microseconds;
}

ku_str ku_test_answer(const ku_test *test)
{
    return test->response.body;
}

void ku_test_dispatch(ku_test *test)
{
    ku_dispatch_result result;
    ku_error error;

    if (ku_dispatch_once(test->app, &result, &error) != KU_OK)
        failed("dispatch: %s", error.message);
    else if (result.failed > 0)
        failed("a projection failed %lld times", (long long)result.failed);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Runs in a write scope, the one place from which everything can be reached. */
typedef struct step {
    ku_test *test;
    ku_id stream;
    const ku_event_type *type;
    const void *payload;
    ku_str name, json; /* expected */
    int64_t head;
    bool found;
    char difference[4096];
} step;

static void run_step(
    ku_test *test, const char *what, ku_status (*run)(ku_scope *scope, void *context), step *s)
{
    ku_error error;

    s->test = test;
    if (app_run_write(test->app, &test->user, run, s, &error) != KU_OK)
        failed("%s: %s", what, error.message);
}

static ku_status read_head(ku_scope *scope, void *context)
{
    step *s = context;
    lane_head *lanes = NULL;
    size_t n = 0;
    ku_status status = log_lanes(scope, scope->tenant, &lanes, &n);

    s->head = n > 0 ? lanes[0].head : 0;
    return status;
}

static void see_everything(ku_test *test)
{
    step s = {0};

    run_step(test, "read the log", read_head, &s);
    test->seen = s.head;
}

static ku_status append_given(ku_scope *scope, void *context)
{
    step *s = context;
    const event_def *def = event_catalog_of(scope->app->registry.catalog, s->type);
    const ku_event *event = NULL;

    if (def == NULL)
        return scope_fail(scope, KU_INTERNAL, "event %s is not registered", s->type->name);
    scope->feature = def->feature;
    const log_append append = {
        .def = def, .entity = def->entity, .stream = s->stream, .payload = s->payload};
    ku_status status = log_append_event(scope, &append, &event);
    return status == KU_OK ? app_project(scope, event) : status;
}

void ku_test_given(ku_test *test, ku_id stream, const ku_event_type *type, const void *payload)
{
    step s = {.stream = stream, .type = type, .payload = payload};

    run_step(test, "given", append_given, &s);
    see_everything(test);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void run_request(ku_test *test, const char *name, ku_str payload, bool write)
{
    const ku_request request = {
        .size = sizeof(request),
        .type = ku_str_from(name),
        .payload = payload,
        .user = test->user,
    };

    ku_response_free(&test->response);
    test->status = write ? ku_write(test->app, &request, &test->response)
                         : ku_query(test->app, &request, &test->response);
}

void ku_test_when(ku_test *test, const char *name, const ku_shape *shape, const void *input)
{
    buffer b = {.arena = &test->scope.arena};
    ku_mark mark = arena_mark(&test->scope.arena);

    see_everything(test);
    shape_encode(&b, shape, input, false);
    run_request(test, name, buffer_str(&b), true);
    arena_rewind(&test->scope.arena, mark);
}

void ku_test_when_json(ku_test *test, const char *name, ku_str payload_json)
{
    see_everything(test);
    run_request(test, name, payload_json, true);
}

void ku_test_query(ku_test *test, const char *name, ku_str payload_json)
{
    run_request(test, name, payload_json, false);
    if (test->status != KU_OK)
        failed("query %s: %.*s", name, KU_FMT(test->response.body));
}

/* ---- expectations ---------------------------------------------------------------------------- */

static ku_status compare_next(ku_scope *scope, const stored_event *stored, void *context)
{
    step *s = context;
    ku_json *left = NULL, *right = NULL;

    s->found = true;
    s->test->seen = stored->position;
    bool same = ku_str_equal(stored->type, s->name) && ku_id_equal(stored->stream, s->stream) &&
                ku_json_parse(scope, stored->payload, &left) == KU_OK &&
                ku_json_parse(scope, s->json, &right) == KU_OK && json_equal(left, right);
    if (!same) {
        char stream[37], wanted[37];
        ku_id_format(stored->stream, stream);
        ku_id_format(s->stream, wanted);
        (void)snprintf(s->difference, sizeof(s->difference),
            "then: expected %.*s %.*s on %s, but it was %.*s %.*s on %s", KU_FMT(s->name),
            KU_FMT(s->json), wanted, KU_FMT(stored->type), KU_FMT(stored->payload), stream);
    }
    return KU_OK;
}

static ku_status look_at_next(ku_scope *scope, void *context)
{
    step *s = context;

    return log_each_of_lane(
        scope, scope->tenant, 0, s->test->seen, INT64_MAX, KU_STR(""), 1, compare_next, s);
}

void ku_test_then_json(ku_test *test, ku_id stream, const char *event_name, ku_str payload_json)
{
    step s = {.stream = stream, .name = ku_str_from(event_name), .json = payload_json};

    if (test->status != KU_OK) {
        failed("then: expected event %s, but the command was refused: %.*s", event_name,
            KU_FMT(test->response.body));
        return;
    }
    run_step(test, "read the log", look_at_next, &s);
    if (!s.found)
        failed("then: expected event %s, but nothing more happened", event_name);
    else if (s.difference[0] != '\0')
        failed("%s", s.difference);
}

void ku_test_then(ku_test *test, ku_id stream, const ku_event_type *type, const void *payload)
{
    const event_def *def = event_catalog_of(test->app->registry.catalog, type);
    buffer json = {.arena = &test->scope.arena};
    ku_mark mark = arena_mark(&test->scope.arena);

    if (def == NULL) {
        failed("then: event %s is not registered", type->name);
        return;
    }
    shape_encode(&json, &type->payload, payload, false);
    ku_test_then_json(test, stream, def->name.ptr, buffer_str(&json));
    arena_rewind(&test->scope.arena, mark);
}

static void expect_nothing_more(ku_test *test)
{
    step s = {0};

    run_step(test, "read the log", read_head, &s);
    if (s.head > test->seen)
        failed("then: expected nothing more, but %lld events were appended",
            (long long)(s.head - test->seen));
}

void ku_test_then_nothing(ku_test *test)
{
    if (test->status != KU_OK)
        failed("then: expected success, but the command was refused: %.*s",
            KU_FMT(test->response.body));
    else
        expect_nothing_more(test);
}

void ku_test_then_refused(ku_test *test, const char *reason)
{
    ku_mark mark = arena_mark(&test->scope.arena);
    ku_json *answer = NULL;
    ku_str found = {0};

    if (ku_json_parse(&test->scope, test->response.body, &answer) == KU_OK) {
        const ku_json *error = ku_json_get(answer, "error");
        const ku_json *details = ku_json_get(error, "details");
        if (!ku_json_text(ku_json_get(details, "reason"), &found))
            (void)ku_json_text(ku_json_get(error, "code"), &found);
    }
    bool same = test->status != KU_OK && ku_str_is(found, reason);
    arena_rewind(&test->scope.arena, mark);
    if (!same)
        failed("then: expected the refusal %s, but the answer was %.*s", reason,
            KU_FMT(test->response.body));
    else
        expect_nothing_more(test);
}
