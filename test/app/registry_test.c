/*
 * Opening checks every feature as a whole: each mistake is named, none hides another, and a
 * database is not even touched by features that contradict themselves.
 */
#include "app/lab.h"

/* ---- parts that are right -------------------------------------------------------------------- */

typedef struct part {
    ku_id id;
    ku_str name;
    int64_t n;
} part;
static const ku_field part_fields[] = {
    KU_FIELD(part, id, .flags = KU_KEY),
    KU_FIELD(part, name),
    KU_FIELD(part, n),
};
typedef struct row {
    ku_str name;
    int64_t n;
} row;
static const ku_field row_fields[] = {KU_FIELD(row, name), KU_FIELD(row, n)};

static ku_status apply(ku_scope *scope, const ku_event *event)
{
    (void)scope;
    (void)event;
    return KU_OK;
}
static ku_status run(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_json(scope, KU_STR("1"), reply);
}
static ku_status convert(ku_scope *scope, ku_json *payload)
{
    (void)scope;
    (void)payload;
    return KU_OK;
}

#define OPEN .access = KU_OPEN_TO_ALL

static const ku_event_type twice_listed_event = {
    .name = "twice-listed", .tag = 1, .payload = KU_SHAPE(part)};
static const ku_entity row_entity = {.name = "row-entity", .row = KU_SHAPE(row)};
static const ku_event_type fine_event = {.name = "fine", .tag = 1, .payload = KU_SHAPE(part)};
static const ku_entity bare_entity = {
    .name = "bare-entity", .events = KU_LIST(ku_event_type, &fine_event)};
static const ku_table fine_table = {.name = "read_fine", .row = KU_SHAPE(part)};

/* ---- one mistake each ------------------------------------------------------------------------ */

typedef struct wide {
    int64_t a, b, c, d, e, f, g, h, i;
} wide;
#define KEYED(member) KU_FIELD(wide, member, .flags = KU_KEY)
static const ku_field wide_fields[] = {
    KEYED(a), KEYED(b), KEYED(c), KEYED(d), KEYED(e), KEYED(f), KEYED(g), KEYED(h), KEYED(i)};

typedef struct strange {
    ku_optional_str id;
    ku_str sum;
    ku_id tenant_id;
} strange;
static const ku_field strange_fields[] = {
    KU_FIELD(strange, id, .flags = KU_KEY),
    KU_FIELD(strange, sum, .flags = KU_SUM),
    KU_FIELD(strange, tenant_id),
};
typedef struct taken {
    int64_t version;
    ku_str name;
} taken;
static const ku_field taken_fields[] = {
    KU_FIELD(taken, version), KU_FIELD(taken, name, .initial = "{nonsense")};

static const ku_transition some_moves[] = {
    {"a",  KU_NAMES("b")},
    {NULL, NULL         }
};
static const ku_transitions wrong_transitions[] = {
    {"nope", some_moves},
    {"n",    some_moves},
    {NULL,   NULL      }
};
static const ku_unique wrong_unique[] = {{KU_NAMES("name", "gone")}, KU_END};
static const ku_index wrong_indexes[] = {{KU_NAMES("lost")}, KU_END};

static const ku_event_type minus_event = {.name = "minus", .tag = -4, .payload = KU_SHAPE(part)};
static const ku_event_type tag_one_event = {.name = "one", .tag = 1, .payload = KU_SHAPE(part)};
static const ku_event_type tag_also_event = {.name = "also", .tag = 1, .payload = KU_SHAPE(part)};
static const ku_event_type doubled_event = {.name = "doubled",
    .version = 2,
    .tag = 2,
    .payload = KU_SHAPE(part),
    .migrations = KU_MIGRATIONS({.from = 1, .apply = convert}, {.from = 1, .apply = convert})};
static const ku_event_type idle_event = {.name = "idle",
    .version = 2,
    .tag = 3,
    .payload = KU_SHAPE(part),
    .migrations = KU_MIGRATIONS({.from = 1})};
static const ku_event_type below_event = {
    .name = "below", .version = -1, .tag = 4, .payload = KU_SHAPE(part)};

static const ku_on no_function_on[] = {
    {&fine_event, NULL, 0, NULL},
    KU_END
};
static const ku_on no_verb_on[] = {
    {NULL, &bare_entity, KU_CREATED, apply},
    KU_END
};
static const ku_on twice_on[] = {
    {&fine_event, NULL, 0, apply},
    {&fine_event, NULL, 0, apply},
    KU_END
};
static const ku_on fine_on[] = {
    {&fine_event, NULL, 0, apply},
    KU_END
};
static const ku_on empty_on[] = {KU_END};

static const ku_projection tableless_projection = {.name = "tableless", .on = fine_on};
static const ku_projection empty_projection = {
    .name = "empty", .table = &fine_table, .on = empty_on};
static const ku_projection functionless_projection = {
    .name = "functionless", .table = &fine_table, .on = no_function_on};
static const ku_projection verbless_projection = {
    .name = "verbless", .table = &fine_table, .on = no_verb_on};
static const ku_projection doubled_projection = {
    .name = "doubled", .table = &fine_table, .on = twice_on};
static const ku_multi_stream_projection minus_consumer = {
    .name = "minus", .on = fine_on, .batch = -1};

static const ku_hook wrong_hooks[] = {
    {"rowless",        &bare_entity, KU_AFTER_COMMIT, apply},
    {"functionless", &row_entity, KU_IN_TRANSACTION, NULL},
    {.name = NULL               },
};

typedef struct mistake {
    const ku_feature *feature;
    const char *line;
} mistake;

/* The good parts come first, in a feature of their own that every case has beside it. */
static const ku_feature good = {
    .abi = KU_ABI_VERSION,
    .name = "good",
    .entities = KU_LIST(ku_entity, &row_entity, &bare_entity),
    .tables = KU_LIST(ku_table, &fine_table),
};

static const ku_feature old = {.abi = KU_ABI_VERSION + 1, .name = "from-the-future"};
static const ku_feature named = {.abi = KU_ABI_VERSION, .name = "No Name"};
static const ku_feature again = {.abi = KU_ABI_VERSION, .name = "good"};
static const ku_entity same = {.name = "row-entity"};
static const ku_feature entity_twice = {
    .abi = KU_ABI_VERSION, .name = "a1", .entities = KU_LIST(ku_entity, &same)};
static const ku_entity clash = {.name = "clash", .row = KU_SHAPE(row), .table = "read_fine"};
static const ku_feature table_clash = {
    .abi = KU_ABI_VERSION, .name = "a2", .entities = KU_LIST(ku_entity, &clash)};
static const ku_table reserved = {.name = "ku_events", .row = KU_SHAPE(part)};
static const ku_table spelt = {.name = "Read Me", .row = KU_SHAPE(part)};
static const ku_table indexed = {
    .name = "read_indexed", .row = KU_SHAPE(part), .indexes = wrong_indexes};
static const ku_table too_wide = {.name = "read_wide", .row = KU_SHAPE(wide)};
static const ku_table odd = {.name = "read_odd", .row = KU_SHAPE(strange)};
static const ku_feature tables = {.abi = KU_ABI_VERSION,
    .name = "a3",
    .tables = KU_LIST(ku_table, &reserved, &spelt, &indexed, &too_wide, &odd)};
static const ku_entity rowed = {.name = "rowed",
    .row = KU_SHAPE(row),
    .unique = wrong_unique,
    .transitions = wrong_transitions};
static const ku_entity initials = {.name = "initials", .row = KU_SHAPE(taken)};
static const ku_entity rowless = {.name = "rowless", .soft_delete = true};
static const ku_entity unfolded = {.name = "unfolded", .snapshot_every = 3};
static const ku_entity minus = {.name = "minus", .snapshot_every = -3};
static const ku_feature entities = {.abi = KU_ABI_VERSION,
    .name = "a4",
    .entities = KU_LIST(ku_entity, &rowed, &initials, &rowless, &unfolded, &minus)};
static const ku_entity lists = {.name = "lists",
    .events = KU_LIST(ku_event_type, &minus_event, &tag_one_event, &tag_also_event, &doubled_event,
        &idle_event, &below_event, &twice_listed_event)};
static const ku_entity also_lists = {
    .name = "also-lists", .events = KU_LIST(ku_event_type, &twice_listed_event)};
static const ku_feature events = {
    .abi = KU_ABI_VERSION, .name = "a5", .entities = KU_LIST(ku_entity, &lists, &also_lists)};
static const ku_feature projections = {.abi = KU_ABI_VERSION,
    .name = "a6",
    .projections = KU_LIST(ku_projection, &tableless_projection, &empty_projection,
        &functionless_projection, &verbless_projection, &doubled_projection),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &minus_consumer)};
static const ku_entity stranger = {.name = "stranger", .row = KU_SHAPE(row)};
static const ku_handler handlers[] = {
    {.name = "listing",       OPEN,                .entity = &row_entity,  .verb = KU_VERB_LIST      },
    {.name = "both",          OPEN,                .entity = &row_entity,  .verb = KU_VERB_CREATE,     .run = run},
    {.name = "nobody",                       OPEN,                           .verb = KU_VERB_DELETE                      },
    {.name = "unlimited",     OPEN,                .run = run,             .rate_limit = {.limit = 3}},
    {.name = "stubborn",      OPEN,                .run = run,             .retries = 11},
    {.name = "a7:write:full", OPEN,                .run = run            },
    {.name = "strange",                   OPEN, .entity = &stranger, .verb = KU_VERB_CREATE             },
    KU_END,
};
static const ku_feature writes = {
    .abi = KU_ABI_VERSION, .name = "a7", .writes = handlers, .hooks = wrong_hooks};

static const mistake mistakes[] = {
    {&old,          "feature from-the-future: built for ABI 2, this library has 1"               },
    {&named,        "feature name `No Name`"                                                     },
    {&again,        "feature good: declared twice"                                               },
    {&entity_twice, "entity row-entity: declared twice"                                          },
    {&table_clash,  "table read_fine: declared twice"                                            },
    {&tables,       "table ku_events: names that start with ku_ are the library's"               },
    {&tables,       "table Read Me: a name is"                                                   },
    {&tables,       "table read_indexed: index on unknown column lost"                           },
    {&tables,       "table read_wide: more than 8 key columns"                                   },
    {&tables,       "table read_odd: key column id must be a plain value"                        },
    {&tables,       "table read_odd: KU_SUM column sum is not a number"                          },
    {&tables,       "table read_odd: tenant_id is added by the library"                          },
    {&entities,     "entity rowed: unique on unknown field gone"                                 },
    {&entities,     "entity rowed: transitions of unknown field nope"                            },
    {&entities,     "entity rowed: transitions of n, which is no text and no enum"               },
    {&entities,     "entity initials: the row's field version is the library's"                  },
    {&entities,     "entity initials: the initial value of name is not JSON"                     },
    {&entities,     "entity rowless: unique, transitions and soft_delete need a row"             },
    {&entities,     "entity unfolded: a state needs .evolve"                                     },
    {&entities,     "entity minus: snapshot_every is negative"                                   },
    {&events,       "event a5:event:minus: tag -4 is negative"                                   },
    {&events,       "event a5:event:also: tag 1 is taken by another event of lists"              },
    {&events,       "event a5:event:doubled: two migrations from version 1"                      },
    {&events,       "event a5:event:idle: the migration from version 1 needs steps or a function"},
    {&events,       "event a5:event:below: version -1 is not between 1 and 63"                   },
    {&events,       "event a5:event:twice-listed: listed by two entities"                        },
    {&projections,  "projection a6:projection:tableless: has no table"                           },
    {&projections,  "projection a6:projection:empty: subscribes to nothing"                      },
    {&projections,  "projection a6:projection:functionless: a row of .on has no function"        },
    {&projections,
     "projection a6:projection:verbless: entity bare-entity has no such automatic event"         },
    {&projections,  "projection a6:projection:doubled: two rows for good:event:fine"             },
    {&projections,  "projection a6:projection:minus: batch and max_attempts are not negative"    },
    {&writes,       "handler a7:write:listing: this verb is a query"                             },
    {&writes,       "handler a7:write:both: a standard verb brings its own input and function"   },
    {&writes,       "handler a7:write:nobody: its verb needs an entity with a row"               },
    {&writes,       "handler a7:write:unlimited: the rate limit needs a limit and a window"      },
    {&writes,       "handler a7:write:stubborn: retries are 0 to 10"                             },
    {&writes,       "write name `a7:write:full` is qualified already"                            },
    {&writes,       "handler strange: its entity stranger is not registered"                     },
    {&writes,       "hook rowless: its entity is not registered or has no row"                   },
    {&writes,       "hook functionless: has no function"                                         },
};
enum { MISTAKES = KU_COUNT(mistakes) };

static int set_up(void **state)
{
    *state = lab_new();
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

static ku_status try_features(
    lab *l, const ku_feature *const *features, const char *const *disabled, ku_error *ret_error)
{
    const ku_app_options options = {.features = features, .disabled_features = disabled};

    memset(ret_error, 0, sizeof(*ret_error));
    return lab_try_open(l, &options, ret_error);
}

static void every_mistake_is_named(void **state)
{
    lab *l = *state;
    ku_error error;

    for (size_t i = 0; i < MISTAKES; i++) {
        const ku_feature *const features[] = {&good, mistakes[i].feature, NULL};
        assert_int_equal(try_features(l, features, NULL, &error), KU_INVALID);
        assert_int_equal(error.status, KU_INVALID);
        if (strstr(error.message, mistakes[i].line) == NULL)
            fail_msg("`%s` is not in:\n%s", mistakes[i].line, error.message);
    }
    if (test_engine_is_postgres()) /* nothing was made */
        assert_int_equal(
            lab_sql(l, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"), 0);
    else
        assert_int_not_equal(access(l->database->path, F_OK), 0);
}

static void no_mistake_hides_another(void **state)
{
    lab *l = *state;
    ku_error error;
    size_t n_features = 0;
    const ku_feature *features[MISTAKES + 2] = {&good};
    static const char *const disabled[] = {"nobody-has-this", NULL};

    for (size_t i = 0; i < MISTAKES; i++) {
        if (features[n_features] != mistakes[i].feature)
            features[++n_features] = mistakes[i].feature;
    }
    assert_int_equal(try_features(l, features, disabled, &error), KU_INVALID);
    for (size_t i = 0; i < MISTAKES; i++) {
        if (strstr(error.message, mistakes[i].line) == NULL)
            fail_msg("`%s` is not in:\n%s", mistakes[i].line, error.message);
    }
    assert_non_null(strstr(error.message, "disabled feature nobody-has-this"));
    assert_int_not_equal(error.message[strlen(error.message) - 1], '\n');
}

/* ---- names, toggles -------------------------------------------------------------------------- */

static const ku_handler camel_writes[] = {
    {.name = "SSEBroadcast:placeOrder", OPEN, .run = run},
    {.name = "task.create",             OPEN, .run = run},
    KU_END,
};
static const ku_handler camel_queries[] = {
    {.name = "all", OPEN, .run = run},
    KU_END
};
static const ku_feature camel = {.abi = KU_ABI_VERSION,
    .name = "pubsubOrders",
    .writes = camel_writes,
    .queries = camel_queries};

static void names_are_qualified_in_kebab_case(void **state)
{
    lab *l = *state;

    lab_open(l, &camel, false);
    lab_assert_ok(l, lab_send(l, true, "pubsub-orders:write:sse-broadcast:place-order", ""));
    lab_assert_ok(l, lab_send(l, true, "pubsub-orders:write:task-create", ""));
    lab_assert_ok(l, lab_send(l, false, "pubsub-orders:query:all", ""));
    assert_int_equal(lab_send(l, true, "pubsubOrders:write:task-create", ""), KU_NOT_FOUND);
}

static void a_disabled_feature_answers_that_it_is_off(void **state)
{
    lab *l = *state;
    ku_error error;
    const ku_feature *const features[] = {&good, &camel, NULL};
    static const char *const disabled[] = {"pubsub-orders", NULL};

    assert_int_equal(try_features(l, features, disabled, &error), KU_OK);
    assert_int_equal(lab_send(l, true, "pubsub-orders:write:task-create", ""), KU_DISABLED);
    assert_int_equal(l->response.http_status, 403);
    lab_assert_has(l, "\"code\":\"feature_disabled\"");
    lab_assert_has(l, "\"i18nParams\":{\"feature\":\"pubsub-orders\"}");
    lab_assert_has(l, "\"reason\":\"feature_disabled\"");
    assert_int_equal(lab_send(l, false, "pubsub-orders:query:all", ""), KU_DISABLED);
}

static void a_program_may_have_no_features_at_all(void **state)
{
    lab *l = *state;
    ku_error error;

    assert_int_equal(try_features(l, NULL, NULL, &error), KU_OK);
    assert_int_equal(lab_send(l, true, "x:write:y", ""), KU_NOT_FOUND);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_mistake_is_named),
        CASE(no_mistake_hides_another),
        CASE(names_are_qualified_in_kebab_case),
        CASE(a_disabled_feature_answers_that_it_is_off),
        CASE(a_program_may_have_no_features_at_all),
    };

    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
