/*
 * A feature that contradicts itself does not start, and one message lists everything that is wrong
 * with it, so that nobody fixes one thing at a time.
 */
#include "sample/sample.h"

#include "event-sourcing/invoicing.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- a feature with everything wrong --------------------------------------------------------- */

typedef struct thing {
    ku_str name;
    ku_str forgotten; /* the table below leaves it out */
    int64_t size;
} thing;
static const ku_field thing_fields[] = {KU_FIELD(thing, name), KU_FIELD(thing, size)};

typedef struct fine {
    ku_id id;
    int64_t n;
} fine;
static const ku_field fine_fields[] = {KU_FIELD(fine, id, .flags = KU_KEY), KU_FIELD(fine, n)};

typedef struct keyless {
    int64_t n;
} keyless;
static const ku_field keyless_fields[] = {KU_FIELD(keyless, n)};

static const ku_step no_steps[] = {
    {KU_STEP_END, NULL, NULL, NULL}
};

/* Version 3, and nobody says how to get from 1 to 2. */
static const ku_event_type gap_event = {
    .name = "gap",
    .version = 3,
    .tag = 1,
    .payload = KU_SHAPE(fine),
    .migrations = KU_MIGRATIONS({.from = 2, .steps = no_steps}),
};
/* A migration beyond the version that is declared. */
static const ku_event_type beyond_event = {
    .name = "beyond",
    .version = 1,
    .tag = 2,
    .payload = KU_SHAPE(fine),
    .migrations = KU_MIGRATIONS({.from = 1, .steps = no_steps}),
};
static const ku_event_type uncovered_event = {
    .name = "uncovered", .version = 1, .tag = 3, .payload = KU_SHAPE(thing)};
static const ku_event_type misnamed_event = {
    .name = "Mis_Named", .version = 1, .tag = 4, .payload = KU_SHAPE(fine)};
/* Nobody's: no entity lists it. */
static const ku_event_type homeless_event = {
    .name = "homeless", .version = 1, .tag = 5, .payload = KU_SHAPE(fine)};

static const ku_entity wrong_entity = {
    .name = "wrong",
    .events = KU_LIST(ku_event_type, &gap_event, &beyond_event, &uncovered_event, &misnamed_event),
};

static const ku_table keyless_table = {.name = "read_keyless", .row = KU_SHAPE(keyless)};
static const ku_table fine_table = {.name = "read_fine", .row = KU_SHAPE(fine)};

static ku_status apply(ku_scope *scope, const ku_event *event)
{
    (void)scope;
    (void)event;
    return KU_OK;
}

static const ku_on keyless_on[] = {
    {&gap_event, NULL, 0, apply},
    KU_END,
};
static const ku_on homeless_on[] = {
    {&homeless_event, NULL, 0, apply},
    KU_END,
};
static const ku_projection keyless_projection = {
    .name = "keyless", .table = &keyless_table, .on = keyless_on};
/* The same name twice: projections share one namespace. */
static const ku_multi_stream_projection same_name_projection = {
    .name = "keyless", .table = &fine_table, .on = homeless_on};

static ku_status run(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)scope;
    (void)input;
    (void)reply;
    return KU_OK;
}

static const ku_handler wrong_writes[] = {
    {.name = "open-door",       .run = run              },
    {.name = "twice",           .access = KU_OPEN_TO_ALL, .run = run},
    {.name = "twice",                         .access = KU_OPEN_TO_ALL,                                   .run = run},
    {.name = "no good",               .access = KU_OPEN_TO_ALL,     .run = run},
    {.name = "idle",.access = KU_OPEN_TO_ALL},
    KU_END,
};

static const ku_feature wrong_feature = {
    .abi = KU_ABI_VERSION,
    .name = "wrongs",
    .entities = KU_LIST(ku_entity, &wrong_entity),
    .projections = KU_LIST(ku_projection, &keyless_projection),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &same_name_projection),
    .writes = wrong_writes,
};

static const ku_feature old_feature = {.abi = KU_ABI_VERSION + 1, .name = "from-the-future"};

/* ---- cases ----------------------------------------------------------------------------------- */

static const char *problems_of(sample *s, const ku_feature *const *features)
{
    static ku_error error;
    const ku_app_options options = {
        .size = sizeof options,
        .url = s->database->url,
        .features = features,
    };
    ku_app *app = NULL;
    assert_int_not_equal(ku_app_open(&options, &app, &error), KU_OK);
    assert_null(app);
    return error.message;
}

/* One line that names both. */
static void assert_problem(const char *message, const char *what, const char *why)
{
    const char *line = message;
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        if (memmem(line, len, what, strlen(what)) != NULL &&
            memmem(line, len, why, strlen(why)) != NULL)
            return;
        line += len;
        line += *line == '\n';
    }
    print_error("no line says %s: %s; they are:\n%s\n", what, why, message);
    fail();
}

static void everything_that_is_wrong_is_in_one_message(void **state)
{
    const char *message = problems_of(*state, KU_LIST(ku_feature, &wrong_feature, &old_feature));
    assert_problem(message, "gap", "1");
    assert_problem(message, "beyond", "1");
    assert_problem(message, "uncovered", "thing");
    assert_problem(message, "Mis_Named", "every part");
    assert_problem(message, "homeless", "entity");
    assert_problem(message, "read_keyless", "key");
    assert_problem(message, "keyless", "twice");
    assert_problem(message, "open-door", "access");
    assert_problem(message, "twice", "twice");
    assert_problem(message, "no good", "every part");
    assert_problem(message, "idle", "function");
    assert_problem(message, "from-the-future", "ABI");
}

static void a_feature_given_twice_is_refused(void **state)
{
    assert_problem(problems_of(*state, KU_LIST(ku_feature, &showcase_feature, &showcase_feature)),
        "showcase", "twice");
}

static void the_showcase_alone_is_fine(void **state)
{
    ku_app_close(sample_app(*state, KU_LIST(ku_feature, &showcase_feature), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(everything_that_is_wrong_is_in_one_message),
        FOLDER_TEST(a_feature_given_twice_is_refused),
        FOLDER_TEST(the_showcase_alone_is_fine),
    };
    return cmocka_run_group_tests_name("contradiction", tests, NULL, NULL);
}
