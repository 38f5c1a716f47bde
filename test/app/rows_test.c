/*
 * Rows of read tables inside writes: what a scope puts is what it and the next scope of the batch
 * see, what a failed scope put is gone, and what is written in the end is the same as if every call
 * had gone to the database.
 */
#include "app/lab.h"

/* ---- tables ---------------------------------------------------------------------------------- */

static const char *const colours[] = {"red", "green", "blue", NULL};
enum { RED, GREEN, BLUE };

typedef struct place {
    ku_str street;
    int64_t number;
} place;
static const ku_field place_fields[] = {KU_FIELD(place, street), KU_FIELD(place, number)};
static const ku_shape place_shape = KU_SHAPE(place);

typedef struct kinds {
    ku_id id;
    bool flag;
    int64_t integer;
    double number;
    ku_str text;
    ku_id other;
    ku_time at;
    ku_decimal money;
    ku_raw raw;
    int colour;
    ku_list numbers;
    ku_list places;
    place home;
    ku_optional_bool maybe_flag;
    ku_optional_int64 maybe_integer;
    ku_optional_double maybe_number;
    ku_optional_str maybe_text;
    ku_optional_id maybe_other;
    ku_optional_time maybe_at;
    ku_optional_decimal maybe_money;
    ku_optional_raw maybe_raw;
    ku_optional_enum maybe_colour;
    ku_optional_list maybe_numbers;
} kinds;
static const ku_field kinds_fields[] = {
    KU_FIELD(kinds, id, .flags = KU_KEY),
    KU_FIELD(kinds, flag),
    KU_FIELD(kinds, integer),
    KU_FIELD(kinds, number),
    KU_FIELD(kinds, text),
    KU_FIELD(kinds, other),
    KU_FIELD(kinds, at),
    KU_FIELD(kinds, money, .scale = 3),
    KU_FIELD(kinds, raw),
    KU_FIELD(kinds, colour, .names = colours),
    KU_FIELD(kinds, numbers, .items = KU_KIND_INT),
    KU_FIELD(kinds, places, .of = &place_shape),
    KU_NESTED(kinds, home, &place_shape),
    KU_FIELD(kinds, maybe_flag),
    KU_FIELD(kinds, maybe_integer),
    KU_FIELD(kinds, maybe_number),
    KU_FIELD(kinds, maybe_text),
    KU_FIELD(kinds, maybe_other),
    KU_FIELD(kinds, maybe_at),
    KU_FIELD(kinds, maybe_money, .scale = 2),
    KU_FIELD(kinds, maybe_raw),
    KU_FIELD(kinds, maybe_colour, .names = colours),
    KU_FIELD(kinds, maybe_numbers, .items = KU_KIND_INT),
};
static const ku_table kinds_table = {.name = "read_kinds", .row = KU_SHAPE(kinds)};

/* A key of several columns, one of them decimal. */
typedef struct tally {
    ku_str owner;
    int colour;
    ku_decimal rate;
    int64_t count;
    double weight;
    ku_decimal money;
    ku_str last;
} tally;
static const ku_field tally_fields[] = {
    KU_FIELD(tally, owner, .flags = KU_KEY),
    KU_FIELD(tally, colour, .names = colours, .flags = KU_KEY),
    KU_FIELD(tally, rate, .scale = 2, .flags = KU_KEY),
    KU_FIELD(tally, count, .flags = KU_SUM),
    KU_FIELD(tally, weight, .flags = KU_SUM),
    KU_FIELD(tally, money, .scale = 2, .flags = KU_SUM),
    KU_FIELD(tally, last),
};
static const ku_table tally_table = {.name = "read_tallies", .row = KU_SHAPE(tally)};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .tables = KU_LIST(ku_table, &kinds_table, &tally_table),
    .writes = writes,
    .queries = queries,
};

static int set_up(void **state)
{
    lab *l = lab_new();

    lab_open(l, &feature, false);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* ---- every kind ------------------------------------------------------------------------------ */

static const int64_t some_numbers[] = {3, -1, INT64_MAX};
static const place some_places[] = {
    {KU_STR_INIT("Straße"), 7 },
    {KU_STR_INIT(""),        -7},
};

static kinds full_row(void)
{
    return (kinds){
        .id = lab_id(2, 1),
        .flag = true,
        .integer = INT64_MIN,
        .number = 0.1,
        .text = KU_STR("a\"b\\c \xe2\x82\xac\n"),
        .other = lab_id(3, 9),
        .at = {INT64_C(1767225600123456)},
        .money = {            -1,                        0},
        .raw = {            KU_STR("{\"a\":[1,2.50,null]}")                        },
        .colour = BLUE,
        .numbers = { some_numbers,                         3},
        .places = {                          some_places,                         2},
        .home = {                        KU_STR("Weg"),                         1},
        .maybe_flag = {                                 true,                         false},
        .maybe_integer = {                                 true,                         0},
        .maybe_number = {                                 true,                         -1.5e300},
        .maybe_text = {                                 true,                         KU_STR("")},
        .maybe_other = {                                 true,                       lab_id(4, 4)},
        .maybe_at = {                                  true,                      {0}},
        .maybe_money = {            true,  {999999999999999999, 2}},
        .maybe_raw = {            true,           {KU_STR("[]")}},
        .maybe_colour = {            true,                      RED},
        .maybe_numbers = {            true,        {some_numbers, 0}},
    };
}

static ku_status put_kinds(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)reply;
    return ku_row_put(scope, &kinds_table, context);
}

static ku_status get_kinds(ku_scope *scope, void *context, ku_reply *reply)
{
    kinds *expected = context;
    kinds row = {.id = expected->id};
    ku_status status = ku_row_get(scope, &kinds_table, &row);

    (void)reply;
    for (size_t i = 0; status == KU_OK && i < KU_COUNT(kinds_fields); i++) {
        if (!field_equal(&kinds_fields[i], &row, expected))
            status = ku_refuse(scope, "differs", "column %s differs", kinds_fields[i].name);
    }
    return status;
}

static void every_kind_of_column_comes_back_as_it_went(void **state)
{
    lab *l = *state;
    const kinds full = full_row();
    const kinds empty = {.id = lab_id(2, 2), .raw = {KU_STR("null")}};

    lab_assert_ok(l, lab_write(l, put_kinds, &full));
    lab_assert_ok(l, lab_write(l, put_kinds, &empty));
    lab_assert_ok(l, lab_query(l, get_kinds, &full));
    lab_assert_ok(l, lab_query(l, get_kinds, &empty));
    lab_assert_ok(l, lab_write(l, get_kinds, &full)); /* from the database, in a write */
    lab_assert_ok(l, lab_write(l, get_kinds, &empty));
    assert_int_equal(lab_sql(l, "SELECT money FROM read_kinds WHERE colour = 'blue'"), -1000);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_kinds WHERE maybe_numbers IS NULL"), 1);
}

static ku_status get_missing(ku_scope *scope, void *context, ku_reply *reply)
{
    kinds row = {.id = lab_id(2, 77)};
    const ku_status *expected = context;

    (void)reply;
    if (ku_row_get(scope, &kinds_table, &row) != *expected)
        return ku_refuse(scope, "found", "there was a row");
    if (ku_error_message(scope).len > 0)
        return ku_refuse(scope, "error_set", "not found is no error");
    return KU_OK;
}

static void a_missing_row_is_no_error(void **state)
{
    lab *l = *state;
    const ku_status expected = KU_NOT_FOUND;

    lab_assert_ok(l, lab_write(l, get_missing, &expected));
    lab_assert_ok(l, lab_query(l, get_missing, &expected));
}

/* ---- merging in a scope ---------------------------------------------------------------------- */

static tally key_of(const char *owner)
{
    return (tally){
        .owner = ku_str_from(owner), .colour = GREEN, .rate = {150, 2}
    };
}

static tally tally_of(const char *owner, int64_t count, const char *last)
{
    tally row = key_of(owner);

    row.count = count;
    row.weight = (double)count / 2;
    row.money = (ku_decimal){count * 10, 1};
    row.last = ku_str_from(last);
    return row;
}

static ku_status expect_tally(ku_scope *scope, const char *owner, int64_t count, const char *last)
{
    tally row = key_of(owner);
    ku_status status = ku_row_get(scope, &tally_table, &row);

    if (count < 0)
        return status == KU_NOT_FOUND ? KU_OK : ku_refuse(scope, "there", "%s is there", owner);
    if (status != KU_OK)
        return ku_refuse(scope, "missing", "%s is missing", owner);
    if (row.count != count || row.weight != (double)count / 2 ||
        ku_decimal_compare(row.money, (ku_decimal){count * 10, 1}) != 0 ||
        !ku_str_is(row.last, last))
        return ku_refuse(scope, "differs", "%s has %lld, %f, %lld, %.*s", owner,
            (long long)row.count, row.weight, (long long)row.money.units, KU_FMT(row.last));
    return KU_OK;
}

/* A step of a script: p put, a add, s set count and last, r remove, ? expect, q query first. */
typedef struct step {
    char verb;
    const char *owner;
    int64_t count;
    const char *last;
} step;

static ku_status run_step(ku_scope *scope, const step *s)
{
    const tally row = tally_of(s->owner, s->count, s->last != NULL ? s->last : "");
    ku_page page;

    switch (s->verb) {
    case 'p':
        return ku_row_put(scope, &tally_table, &row);
    case 'a':
        return ku_row_add(scope, &tally_table, &row);
    case 's':
        return ku_row_set(
            scope, &tally_table, KU_COLUMNS("count", "weight", "money", "last"), &row);
    case 'r':
        return ku_row_remove(scope, &tally_table, &row);
    case 'q':
        return ku_query_projection(scope, &tally_table, NULL, &page);
    case '!':
        return ku_refuse(scope, "told_to", "told to fail");
    default:
        return expect_tally(scope, s->owner, s->count, s->last);
    }
}

static ku_status run_script(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_status status = KU_OK;

    (void)reply;
    for (const step *s = context; s->verb != '\0' && status == KU_OK; s++)
        status = run_step(scope, s);
    return status;
}

static void a_row_that_was_just_changed_is_what_the_next_get_sees(void **state)
{
    static const step script[] = {
        {'?',  "a", -1, NULL},
        {'p',  "a", 4, "x"},
        {'?',    "a", 4, "x"},
        {'a',"a", 3, "y"},
        {'?', "a", 7, "y"},
        {'s',  "a", 2, "z"},
        {'?',   "a", 2, "z"},
        {'r',    "a", 0, ""},
        {'?',  "a", -1, NULL},
        {'s', "a", 9, "no row, no effect"},
        {'?',  "a", -1, NULL},
        {'a',   "a", 5, "again"},
        {'?',    "a", 5, "again"},
        {'a',"b", 1, "only added"},
        {'a', "b", 2, "only added"},
        {0 },
    };
    static const step after[] = {
        {'?', "a", 5, "again"},
        {'?',  "b", 3, "only added"},
        {0  },
    };
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, run_script, script));
    lab_assert_ok(l, lab_query(l, run_script, after));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 2);
}

static void adding_to_a_stored_row_adds_whether_or_not_it_was_read(void **state)
{
    static const step first[] = {
        {'p',       "read", 10, "x"},
        {'p',       "unread", 20, "x"},
        {'p',         "gone", 30, "x"},
        {0},
    };
    static const step second[] = {
        {'?',       "read", 10, "x"},
        {'a',       "read", 1, "y"},
        {'a',         "unread", 2, "y"},
        {'a',"unread", 3, "z"},
        {'a',      "late", 1, "y"},
        {'a',       "late", 1, "y"},
        {'?',        "late", 2, "y"},
        {'r',         "gone", 0, ""},
        {'a',     "gone", 4, "y"},
        {0     },
    };
    static const step after[] = {
        {'?',       "read", 11, "y"},
        {'?',       "unread", 25, "z"},
        {'?',         "late", 2, "y"},
        {'?',"gone", 4, "y"},
        {0     },
    };
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, run_script, first));
    lab_assert_ok(l, lab_write(l, run_script, second));
    lab_assert_ok(l, lab_query(l, run_script, after));
}

static ku_status keys_by_value(ku_scope *scope, void *context, ku_reply *reply)
{
    /* Garbage between the members: a key is its values. */
    tally put, get;
    memset(&put, 0xa5, sizeof(put));
    memset(&get, 0x5a, sizeof(get));
    put.owner = get.owner = KU_STR("k");
    put.colour = get.colour = BLUE;
    put.rate.units = 15; /* 1.5 */
    put.rate.scale = 1;
    get.rate.units = 150; /* 1.50 */
    get.rate.scale = 2;
    put.count = 1;
    put.weight = 0;
    put.money = (ku_decimal){0, 0};
    put.last = KU_STR("");

    (void)context;
    (void)reply;
    ku_status status = ku_row_put(scope, &tally_table, &put);
    if (status == KU_OK)
        status = ku_row_add(scope, &tally_table, &put);
    if (status == KU_OK && ku_row_get(scope, &tally_table, &get) != KU_OK)
        return ku_refuse(scope, "missing", "equal keys are one row");
    if (status == KU_OK && get.count != 2)
        return ku_refuse(scope, "differs", "count is %lld", (long long)get.count);
    get.colour = RED;
    if (status == KU_OK && ku_row_get(scope, &tally_table, &get) != KU_NOT_FOUND)
        return ku_refuse(scope, "found", "another colour is another row");
    return status;
}

static void a_key_is_the_values_of_its_columns(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, keys_by_value, NULL));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 1);
    assert_int_equal(lab_sql(l, "SELECT rate FROM read_tallies"), 150);
}

/* ---- across scopes of one batch -------------------------------------------------------------- */

/* Runs the scripts as commands of one transaction; `fails` names those that must fail. */
static void run_together(lab *l, const step *const *scripts, size_t n, const bool *fails)
{
    lab_call *calls[8];
    lab_hold hold;

    assert_true(n <= KU_COUNT(calls));
    lab_hold_writer(l, &hold);
    for (size_t i = 0; i < n; i++)
        calls[i] = lab_submit_body(l, run_script, scripts[i], "");
    lab_release(&hold);
    for (size_t i = 0; i < n; i++)
        lab_expect(calls[i], fails != NULL && fails[i] ? KU_REFUSED : KU_OK);
}

static void a_batch_sees_what_its_earlier_scopes_left(void **state)
{
    static const step first[] = {
        {'a',  "s", 1, "1"},
        {'p',   "t", 5, "t"},
        {'p',    "u", 1, "u"},
        {0},
    };
    static const step second[] = {
        {'?',  "t", 5, "t"},
        {'a',   "s", 2, "2"},
        {'r',    "t", 0, ""},
        {'a',"u", 1, "v"},
        {0},
    };
    static const step failing[] = {
        {'?',    "s", 3, "2"},
        {'p',     "s", 100, "bad"},
        {'p',      "t", 100, "bad"},
        {'a',"u", 100, "bad"},
        {'!', "", 0, ""},
        {0   },
    };
    static const step third[] = {
        {'?',  "t", -1, NULL},
        {'a',  "s", 4, "3"},
        {'?',    "s", 7, "3"},
        {0},
    };
    static const step after[] = {
        {'?',  "s", 7, "3"},
        {'?',   "t", -1, NULL},
        {'?',    "u", 2, "v"},
        {0},
    };
    const step *const scripts[] = {first, second, failing, third};
    const bool fails[] = {false, false, true, false};
    lab *l = *state;

    run_together(l, scripts, 4, fails);
    lab_assert_ok(l, lab_query(l, run_script, after));
}

static void a_query_inside_a_write_sees_what_is_pending(void **state)
{
    static const step before[] = {
        {'p', "old", 1, "old"},
        {0 },
    };
    static const step first[] = {
        {'a', "old", 1, "first"},
        {0 },
    };
    static const step second[] = {
        {'p',      "new", 1, "new"},
        {'q',       "", 0, ""},
        {'?',        "new", 1, "new"},
        {'?',"old", 2, "first"},
        {'a',      "old", 1, "2nd"},
        {'a',      "new", 1, "2nd"},
        {'q',       "", 0, ""},
        {'a',        "new", 1, "3rd"},
        {'?',    "new", 3, "3rd"},
        {'q', "", 0, ""},
        {0     },
    };
    static const step after[] = {
        {'?', "old", 3, "2nd"},
        {'?',  "new", 3, "3rd"},
        {0  },
    };
    const step *const scripts[] = {first, second};
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, run_script, before));
    run_together(l, scripts, 2, NULL);
    lab_assert_ok(l, lab_query(l, run_script, after));
}

static void a_scope_that_fails_behind_a_query_takes_only_its_own_with_it(void **state)
{
    static const step before[] = {
        {'p', "old", 1, "old"},
        {0 },
    };
    static const step first[] = {
        {'a',     "old", 1, "first"},
        {'p',      "mine", 1, "first"},
        {'a',       "sum", 1, "first"},
        {0},
    };
    static const step failing[] = {
        {'?',    "old", 2, "first"},
        {'a',     "old", 50, "bad"},
        {'p',      "mine", 50, "bad"},
        {'a',"sum", 50, "bad"},
        {'p', "other", 50, "bad"},
        {'q',    "", 0, ""},
        {'r',    "old", 0, ""},
        {'q',      "", 0, ""},
        {'!',     "", 0, ""},
        {0},
    };
    static const step third[] = {
        {'?',      "old", 2, "first"},
        {'?',       "mine", 1, "first"},
        {'?',        "other", -1, NULL},
        {'a',"sum", 1, "third"},
        {'q', "", 0, ""},
        {'a',      "old", 1, "third"},
        {0     },
    };
    static const step after[] = {
        {'?',      "old", 3, "third"},
        {'?',       "mine", 1, "first"},
        {'?',        "sum", 2, "third"},
        {'?',"other", -1, NULL},
        {0},
    };
    const step *const scripts[] = {first, failing, third, failing};
    const bool fails[] = {false, true, false, true};
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, run_script, before));
    /* The last one expects "old" at 2 and refuses for that, too. */
    run_together(l, scripts, 4, fails);
    lab_assert_ok(l, lab_query(l, run_script, after));
}

/* ---- refusals -------------------------------------------------------------------------------- */

static ku_status put_in_a_query(ku_scope *scope, void *context, ku_reply *reply)
{
    const tally row = tally_of("q", 1, "");

    (void)context;
    (void)reply;
    return ku_row_put(scope, &tally_table, &row);
}

static void a_query_cannot_write(void **state)
{
    lab *l = *state;

    assert_int_equal(lab_query(l, put_in_a_query, NULL), KU_INTERNAL);
    lab_assert_has(l, "belongs into a write");
}

static ku_status put_unfitting(ku_scope *scope, void *context, ku_reply *reply)
{
    tally row = tally_of("x", 1, "");
    const int *what = context;

    (void)reply;
    if (*what == 0)
        row.money = (ku_decimal){12345, 4}; /* 1.2345 in a column of two digits */
    else if (*what == 1)
        row.colour = 3; /* there are three, from 0 */
    else if (*what == 4)
        row.owner = (ku_str){"a\0b", 3};
    else
        row.weight = 0.0 / 0.0;
    return *what == 3 ? ku_row_add(scope, &tally_table, &row)
                      : ku_row_put(scope, &tally_table, &row);
}

static void a_row_that_does_not_fit_its_columns_is_refused(void **state)
{
    lab *l = *state;

    for (int what = 0; what < 5; what++) {
        assert_int_equal(lab_write(l, put_unfitting, &what), KU_INVALID);
        assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 0);
    }
}

static ku_status set_unknown(ku_scope *scope, void *context, ku_reply *reply)
{
    tally row = tally_of("x", 1, "");

    (void)context;
    (void)reply;
    ku_status status = ku_row_put(scope, &tally_table, &row);
    return status == KU_OK ? ku_row_set(scope, &tally_table, KU_COLUMNS("nope"), &row) : status;
}

static void setting_an_unknown_column_is_a_mistake_of_the_program(void **state)
{
    lab *l = *state;

    assert_int_equal(lab_write(l, set_unknown, NULL), KU_INTERNAL);
    lab_assert_has(l, "nope");
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 0);
}

/* ---- tenants --------------------------------------------------------------------------------- */

static void rows_of_two_tenants_with_one_key_are_two_rows(void **state)
{
    static const step mine[] = {
        {'p', "same", 1, "mine"},
        {0 },
    };
    static const step theirs[] = {
        {'?', "same", -1, NULL},
        {'a', "same", 5, "theirs"},
        {0  },
    };
    static const step check[] = {
        {'?', "same", 1, "mine"},
        {0 },
    };
    const ku_user other = lab_user_of(2);
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, run_script, mine));
    lab_assert_ok(l, lab_as(l, true, &other, run_script, theirs));
    lab_assert_ok(l, lab_query(l, run_script, check));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 2);
}

/* ---- sums that do not fit -------------------------------------------------------------------- */

typedef struct addition {
    const char *owner;
    int64_t count;
    int64_t units; /* of money */
    bool get_first, get_after;
    int times;
} addition;

static ku_status run_addition(ku_scope *scope, void *context, ku_reply *reply)
{
    const addition *in = context;
    tally seen = key_of(in->owner), row = seen;
    ku_status status = KU_OK;

    (void)reply;
    row.count = in->count;
    row.money = (ku_decimal){in->units, 2};
    if (in->get_first)
        status = ku_row_get(scope, &tally_table, &seen);
    for (int i = 0; i < in->times && status == KU_OK; i++)
        status = ku_row_add(scope, &tally_table, &row);
    if (status == KU_OK && in->get_after)
        status = ku_row_get(scope, &tally_table, &seen);
    return status;
}

static void expect_sums(lab *l)
{
    assert_true(lab_sql(l, "SELECT count FROM read_tallies WHERE owner = 'full'") == INT64_MAX - 5);
    assert_true(lab_sql(l, "SELECT money FROM read_tallies WHERE owner = 'full'") == INT64_MIN + 5);
}

static void a_sum_that_does_not_fit_fails_its_write_and_no_other(void **state)
{
    static const addition fill = {.owner = "full", INT64_MAX - 6, INT64_MIN + 6, .times = 1};
    static const addition fits = {.owner = "full", 1, -1, .times = 1};
    static const addition elsewhere = {.owner = "empty", 1, 1, .times = 1};
    static const addition bad[] = {
        {.owner = "full",    6,          0,     .times = 1    },
        {.owner = "full",    0,          -6,    .times = 1    },
        {.owner = "full",    6,          0,     .times = 1,     .get_first = true},
        {.owner = "full",                  6,              0, .times = 1, .get_after = true},
        {.owner = "full", 2,           -2,  .times = 3,               .get_first = true},
        {.owner = "none",        INT64_MAX, 0,     .times = 2},
    };
    lab *l = *state;
    lab_hold hold;
    lab_call *calls[3];

    lab_assert_ok(l, lab_write(l, run_addition, &fill));
    lab_assert_ok(l, lab_write(l, run_addition, &fits));
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        assert_int_equal(lab_write(l, run_addition, &bad[i]), KU_INTERNAL);
        expect_sums(l);
        lab_hold_writer(l, &hold);
        calls[0] = lab_submit_body(l, run_addition, &elsewhere, "");
        calls[1] = lab_submit_body(l, run_addition, &bad[i], "");
        calls[2] = lab_submit_body(l, run_addition, &elsewhere, "");
        lab_release(&hold);
        lab_expect(calls[0], KU_OK);
        lab_expect(calls[1], KU_INTERNAL);
        lab_expect(calls[2], KU_OK);
        expect_sums(l);
    }
    assert_int_equal(
        lab_sql(l, "SELECT count FROM read_tallies WHERE owner = 'empty'"), 2 * KU_COUNT(bad));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_tallies"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_kind_of_column_comes_back_as_it_went, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_row_is_no_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_row_that_was_just_changed_is_what_the_next_get_sees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            adding_to_a_stored_row_adds_whether_or_not_it_was_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_is_the_values_of_its_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_batch_sees_what_its_earlier_scopes_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_query_inside_a_write_sees_what_is_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_scope_that_fails_behind_a_query_takes_only_its_own_with_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_query_cannot_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_row_that_does_not_fit_its_columns_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            setting_an_unknown_column_is_a_mistake_of_the_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            rows_of_two_tenants_with_one_key_are_two_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_sum_that_does_not_fit_fails_its_write_and_no_other, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
