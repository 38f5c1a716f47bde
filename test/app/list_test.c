/*
 * Lists: every operator, nulls first and last, pages that lose and repeat nothing whatever the sort
 * column holds, totals, and rows that the system shares with every tenant.
 */
#include "app/lab.h"

/* ---- the feature ----------------------------------------------------------------------------- */

static const char *const colours[] = {"red", "green", "blue", NULL};

typedef struct thing {
    ku_str name;
    int64_t size;
    double weight;
    ku_decimal price;
    bool fine;
    int colour;
    ku_time made_at;
    ku_optional_str note;
    ku_optional_int64 rank;
    ku_optional_time due_at;
    ku_optional_decimal rebate;
    ku_id owner;
} thing;
static const ku_field thing_fields[] = {
    KU_FIELD(thing, name),
    KU_FIELD(thing, size),
    KU_FIELD(thing, weight),
    KU_FIELD(thing, price, .scale = 2),
    KU_FIELD(thing, fine),
    KU_FIELD(thing, colour, .names = colours),
    KU_FIELD(thing, made_at),
    KU_FIELD(thing, note),
    KU_FIELD(thing, rank),
    KU_FIELD(thing, due_at),
    KU_FIELD(thing, rebate, .scale = 2),
    KU_FIELD(thing, owner),
};
static const ku_entity thing_entity = {
    .name = "thing", .row = KU_SHAPE(thing), .soft_delete = true};

/* A table whose key has two columns, one of them an instant. */
typedef struct mark {
    ku_str name;
    ku_time at;
    int64_t n;
} mark;
static const ku_field mark_fields[] = {
    KU_FIELD(mark, name, .flags = KU_KEY),
    KU_FIELD(mark, at, .flags = KU_KEY),
    KU_FIELD(mark, n),
};
static const ku_table mark_table = {.name = "read_marks", .row = KU_SHAPE(mark)};

static const ku_handler writes[] = {LAB_DO, KU_END};
static const ku_handler queries[] = {
    LAB_DO,
    {.name = "thing:list",   .access = KU_OPEN_TO_ALL, .entity = &thing_entity, .verb = KU_VERB_LIST},
    {.name = "thing:detail",
      .access = KU_OPEN_TO_ALL,
      .entity = &thing_entity,
      .verb = KU_VERB_DETAIL                                                                         },
    KU_END,
};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &thing_entity),
    .tables = KU_LIST(ku_table, &mark_table),
    .writes = writes,
    .queries = queries,
};

enum { THINGS = 23 };

/* Few values in every column, so that every sort has duplicates; instants differ in microseconds.
 */
static thing thing_of(uint32_t i)
{
    thing row = {
        .name = KU_STR("same"),
        .size = i % 4,
        .weight = (double)(i % 3) / 3,
        .price = {(int64_t)(i % 5) * 125 - 250, 2},
        .fine = i % 2 == 0,
        .colour = (int)(i % 3),
        .made_at = {INT64_C(1767225600000000) + i % 7                           },
        .owner = lab_id(9, i % 2),
    };

    if (i % 3 != 0)
        row.note = (ku_optional_str){true, i % 3 == 1 ? KU_STR("a") : KU_STR("b\"")};
    if (i % 4 != 0)
        row.rank = (ku_optional_int64){true, i % 5};
    if (i % 2 != 0)
        row.due_at = (ku_optional_time){true, {INT64_C(1767225600000000) + i % 9}};
    if (i % 5 != 0)
        row.rebate = (ku_optional_decimal){
            true, {i % 3, 1}
        };
    return row;
}

static ku_status create_things(ku_scope *scope, void *context, ku_reply *reply)
{
    const uint32_t *n = context;

    (void)reply;
    for (uint32_t i = 0; i < *n; i++) {
        const thing row = thing_of(i);
        ku_status status =
            ku_entity_create(scope, &thing_entity, lab_id(7, i * 7 % 100), &row, NULL, NULL);
        if (status != KU_OK)
            return status;
    }
    return KU_OK;
}

static int set_up(void **state)
{
    static const uint32_t n = THINGS;
    lab *l = lab_new();

    lab_open(l, &feature, false);
    lab_assert_ok(l, lab_write(l, create_things, &n));
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* ---- reading what came ----------------------------------------------------------------------- */

static void list(lab *l, const char *payload)
{
    lab_assert_ok(l, lab_send(l, false, "lab:query:thing:list", payload));
}

static int count_rows(const lab *l)
{
    int n = 0;

    for (const char *at = lab_text(l); (at = strstr(at, "\"insertedAt\"")) != NULL; at++)
        n++;
    return n;
}

/* The value behind `"name":` as text, up to a comma or a brace; strings without quotes. */
static bool member_text(const char *text, const char *name, char *ret_text, size_t size)
{
    char key[64];

    (void)snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(text, key);
    if (at == NULL)
        return false;
    at += strlen(key);
    at += *at == '"' ? 1 : 0;
    size_t len = strcspn(at, "\",}");
    (void)snprintf(ret_text, size, "%.*s", (int)len, at);
    return true;
}

/* ---- filters --------------------------------------------------------------------------------- */

static void every_operator_takes_what_it_says(void **state)
{
    static const struct {
        const char *filter;
        int rows;
    } cases[] = {
        {"{\"field\":\"size\",\"op\":\"eq\",\"value\":1}",                              6 },
        {"{\"field\":\"size\",\"op\":\"ne\",\"value\":1}",                              17},
        {"{\"field\":\"size\",\"op\":\"lt\",\"value\":2}",                              12},
        {"{\"field\":\"size\",\"op\":\"gt\",\"value\":2}",                              5 },
        {"{\"field\":\"size\",\"op\":\"in\",\"value\":[0,3,77]}",                       11},
        {"{\"field\":\"size\",\"op\":\"in\",\"value\":[]}",                             0 },
        {"{\"field\":\"fine\",\"op\":\"eq\",\"value\":true}",                           12},
        {"{\"field\":\"colour\",\"op\":\"eq\",\"value\":\"blue\"}",                     7 },
        {"{\"field\":\"colour\",\"op\":\"in\",\"value\":[\"red\",\"blue\"]}",           15},
        {"{\"field\":\"price\",\"op\":\"lt\",\"value\":\"-1.25\"}",                     5 },
        {"{\"field\":\"price\",\"op\":\"eq\",\"value\":\"0\"}",                         5 },
        {"{\"field\":\"weight\",\"op\":\"gt\",\"value\":0.5}",                          7 },
        {"{\"field\":\"note\",\"op\":\"eq\",\"value\":null}",                           8 },
        {"{\"field\":\"note\",\"op\":\"ne\",\"value\":null}",                           15},
        {"{\"field\":\"note\",\"op\":\"eq\",\"value\":\"b\\\"\"}",                      7 },
        {"{\"field\":\"rank\",\"op\":\"lt\",\"value\":null}",                           0 },
        {"{\"field\":\"rebate\",\"op\":\"eq\",\"value\":\"0.10\"}",                     7 },
        {"{\"field\":\"version\",\"op\":\"eq\",\"value\":1}",                           23},
        {"{\"field\":\"owner\",\"op\":\"eq\","
         "\"value\":\"09000000-0000-7000-8000-000000000001\"}",                11},
 /* A wire instant is a millisecond: all that happened in it is equal to it. */
        {"{\"field\":\"madeAt\",\"op\":\"eq\",\"value\":\"2026-01-01T00:00:00.000Z\"}", 23},
        {"{\"field\":\"madeAt\",\"op\":\"gt\",\"value\":\"2026-01-01T00:00:00.000Z\"}", 0 },
        {"{\"field\":\"madeAt\",\"op\":\"lt\",\"value\":\"2026-01-01T00:00:00.001Z\"}", 23},
        {"{\"field\":\"madeAt\",\"op\":\"ne\",\"value\":\"2026-01-01T00:00:00.000Z\"}", 0 },
    };
    lab *l = *state;

    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        char payload[300];
        (void)snprintf(payload, sizeof(payload),
            "{\"filter\":%s,\"totalCount\":true,\"limit\":200}", cases[i].filter);
        list(l, payload);
        if (count_rows(l) != cases[i].rows)
            fail_msg("%s: %d rows, not %d", cases[i].filter, count_rows(l), cases[i].rows);
        char total[20];
        assert_true(member_text(lab_text(l), "total", total, sizeof(total)));
        assert_int_equal(atoi(total), cases[i].rows);
    }
}

static void in_takes_two_hundred_values_and_not_one_more(void **state)
{
    lab *l = *state;

    for (int n = LIMIT_FILTER_IN; n <= LIMIT_FILTER_IN + 1; n++) {
        char payload[2000];
        int len = snprintf(payload, sizeof(payload),
            "{\"filters\":[{\"field\":\"size\",\"op\":\"in\",\"value\":[");
        for (int i = 0; i < n; i++)
            len +=
                snprintf(payload + len, sizeof(payload) - (size_t)len, "%s%d", i > 0 ? "," : "", i);
        (void)snprintf(payload + len, sizeof(payload) - (size_t)len, "]}]}");
        assert_int_equal(lab_send(l, false, "lab:query:thing:list", payload),
            n <= LIMIT_FILTER_IN ? KU_OK : KU_INVALID);
    }
    lab_assert_has(l, "too_big");
}

static void a_filter_of_the_wrong_type_is_refused_with_its_path(void **state)
{
    lab *l = *state;

    assert_int_equal(lab_send(l, false, "lab:query:thing:list",
                         "{\"filters\":[{\"field\":\"size\",\"op\":\"eq\",\"value\":1},"
                         "{\"field\":\"size\",\"op\":\"eq\",\"value\":\"x\"},"
                         "{\"field\":\"nope\",\"op\":\"eq\",\"value\":1}]}"),
        KU_INVALID);
    lab_assert_has(l, "filters.2");
    assert_int_equal(lab_send(l, false, "lab:query:thing:list", "{\"sort\":\"nope\"}"), KU_INVALID);
    assert_int_equal(lab_send(l, false, "lab:query:thing:list", "{\"cursor\":\"!!\"}"), KU_INVALID);
    assert_int_equal(
        lab_send(l, false, "lab:query:thing:list", "{\"sort\":\"size\",\"cursor\":\"e30\"}"),
        KU_INVALID);
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The ids of a page, appended; each is `"id":"…"` behind which a tenantId follows. */
static size_t collect_ids(const lab *l, char ids[][40], size_t n)
{
    for (const char *at = lab_text(l); (at = strstr(at, "{\"id\":\"")) != NULL; at++) {
        assert_true(n < 100);
        (void)snprintf(ids[n++], 40, "%.36s", at + 7);
    }
    return n;
}

static void walk_pages(lab *l, const char *sort, const char *direction, int limit)
{
    static char all[100][40], paged[100][40];
    char payload[400], next[256] = "";
    size_t n = 0;

    (void)snprintf(payload, sizeof(payload),
        "{\"sort\":\"%s\",\"sortDirection\":\"%s\",\"limit\":200}", sort, direction);
    list(l, payload);
    assert_int_equal(collect_ids(l, all, 0), THINGS);
    for (int page = 0; page < 100; page++) {
        (void)snprintf(payload, sizeof(payload),
            "{\"sort\":\"%s\",\"sortDirection\":\"%s\",\"limit\":%d,\"totalCount\":true%s%s%s}",
            sort, direction, limit, next[0] != '\0' ? ",\"cursor\":\"" : "", next,
            next[0] != '\0' ? "\"" : "");
        list(l, payload);
        char total[20];
        assert_true(member_text(lab_text(l), "total", total, sizeof(total)));
        assert_int_equal(atoi(total), THINGS); /* whatever the page */
        n = collect_ids(l, paged, n);
        assert_true(member_text(lab_text(l), "nextCursor", next, sizeof(next)));
        if (strcmp(next, "null") == 0)
            break;
        assert_true(n <= THINGS + 1);
    }
    if (n != THINGS)
        fail_msg("sorted by %s %s in pages of %d: %zu rows", sort, direction, limit, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(paged[i], all[i]);
}

static void pages_lose_and_repeat_nothing_whatever_they_are_sorted_by(void **state)
{
    static const char *const sorts[] = {"id", "name", "size", "weight", "price", "fine", "colour",
        "madeAt", "note", "rank", "dueAt", "rebate", "owner", "insertedAt", "modifiedAt", "version",
        "insertedById", NULL};
    lab *l = *state;

    for (const char *const *sort = sorts; *sort != NULL; sort++) {
        for (int limit = 1; limit <= 10; limit += 3) {
            walk_pages(l, *sort, "asc", limit);
            walk_pages(l, *sort, "desc", limit);
        }
    }
}

static void nulls_come_last_ascending_and_first_descending(void **state)
{
    lab *l = *state;
    char text[40];

    list(l, "{\"sort\":\"rank\",\"limit\":1}");
    assert_true(member_text(lab_text(l), "rank", text, sizeof(text)));
    assert_string_equal(text, "0");
    list(l, "{\"sort\":\"rank\",\"sortDirection\":\"desc\",\"limit\":1}");
    assert_true(member_text(lab_text(l), "rank", text, sizeof(text)));
    assert_string_equal(text, "null");
}

static void an_offset_skips_and_a_cursor_beats_it(void **state)
{
    lab *l = *state;
    static char ids[100][40], shifted[100][40];

    list(l, "{\"limit\":10}");
    assert_int_equal(collect_ids(l, ids, 0), 10);
    list(l, "{\"limit\":3,\"offset\":4}");
    assert_int_equal(collect_ids(l, shifted, 0), 3);
    assert_string_equal(shifted[0], ids[4]);
    list(l, "{\"limit\":3}");
    char next[100], payload[200];
    assert_true(member_text(lab_text(l), "nextCursor", next, sizeof(next)));
    (void)snprintf(payload, sizeof(payload), "{\"limit\":2,\"offset\":9,\"cursor\":\"%s\"}", next);
    list(l, payload);
    assert_int_equal(collect_ids(l, shifted, 0), 2);
    assert_string_equal(shifted[0], ids[3]);
}

/* ---- keys of two columns --------------------------------------------------------------------- */

static ku_status put_marks(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_status status = KU_OK;

    (void)context;
    (void)reply;
    for (int64_t i = 0; i < 40 && status == KU_OK; i++) {
        const mark row = {.name = i % 2 == 0 ? KU_STR("a") : KU_STR("b"),
            .at = {INT64_C(1767225600000000) + i},
            .n = i % 3};
        status = ku_row_put(scope, &mark_table, &row);
    }
    return status;
}

static ku_status walk_marks(ku_scope *scope, void *context, ku_reply *reply)
{
    ku_row_query query = {.limit = 7, .sort = context, .count = true};
    ku_page page;
    bool seen[40] = {false};
    int n = 0;

    (void)reply;
    for (int pass = 0; pass < 2; pass++) {
        query.descending = pass == 1;
        query.cursor = KU_STR("");
        do {
            ku_status status = ku_query_projection(scope, &mark_table, &query, &page);
            if (status != KU_OK)
                return status;
            const mark *rows = page.rows;
            for (size_t i = 0; i < page.count; i++, n++) {
                int64_t at = rows[i].at.unix_us - INT64_C(1767225600000000);
                if (seen[at] != (pass == 1))
                    return ku_refuse(scope, "twice", "row %d is there twice", (int)at);
                seen[at] = pass == 0;
            }
            query.cursor = page.next_cursor;
        } while (query.cursor.len > 0);
    }
    if (n != 80 || page.total != 40)
        return ku_refuse(scope, "number", "%d rows of %d", n, (int)page.total);
    return KU_OK;
}

static void pages_of_a_key_of_two_columns_lose_and_repeat_nothing(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, put_marks, NULL));
    lab_assert_ok(l, lab_query(l, walk_marks, NULL));
    lab_assert_ok(l, lab_query(l, walk_marks, "n"));
    lab_assert_ok(l, lab_query(l, walk_marks, "at"));
    lab_assert_ok(l, lab_write(l, walk_marks, "name"));
}

/* ---- whose rows ------------------------------------------------------------------------------ */

static void rows_of_the_system_are_seen_by_everybody_and_others_by_nobody(void **state)
{
    static const uint32_t n = 2;
    lab *l = *state;
    const ku_user theirs = lab_user_of(2);
    ku_user system = {.id = KU_STR("s"), .roles = lab_system_roles, .n_roles = 1};
    const ku_user third = lab_user_of(3);

    assert_true(ku_id_parse(KU_STR("00000000-0000-4000-8000-000000000000"), &system.tenant));
    lab_assert_ok(l, lab_as(l, true, &theirs, create_things, &n));
    lab_assert_ok(l, lab_as(l, true, &system, create_things, &n));
    lab_assert_ok(l,
        lab_request(l, false, (ku_request){.type = KU_STR("lab:query:thing:list"), .user = third}));
    assert_int_equal(count_rows(l), 2);
    lab_assert_has(l, "\"tenantId\":\"00000000-0000-4000-8000-000000000000\"");
    lab_assert_ok(l, lab_request(l, false,
                         (ku_request){.type = KU_STR("lab:query:thing:detail"),
                             .payload = KU_STR("{\"id\":\"07000000-0000-7000-8000-000000000000\"}"),
                             .user = third}));
    lab_assert_has(l, "\"tenantId\":\"00000000-0000-4000-8000-000000000000\"");
    list(l, "{\"limit\":200}");
    assert_int_equal(count_rows(l), THINGS + 2);
}

static ku_status delete_one(ku_scope *scope, void *context, ku_reply *reply)
{
    (void)context;
    (void)reply;
    return ku_entity_delete(scope, &thing_entity, lab_id(7, 0), NULL);
}

static void deleted_rows_are_listed_only_if_asked_for(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, delete_one, NULL));
    list(l, "{\"limit\":200}");
    assert_int_equal(count_rows(l), THINGS - 1);
    list(l, "{\"limit\":200,\"includeDeleted\":true}");
    assert_int_equal(count_rows(l), THINGS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_operator_takes_what_it_says),
        CASE(in_takes_two_hundred_values_and_not_one_more),
        CASE(a_filter_of_the_wrong_type_is_refused_with_its_path),
        CASE(pages_lose_and_repeat_nothing_whatever_they_are_sorted_by),
        CASE(nulls_come_last_ascending_and_first_descending),
        CASE(an_offset_skips_and_a_cursor_beats_it),
        CASE(pages_of_a_key_of_two_columns_lose_and_repeat_nothing),
        CASE(rows_of_the_system_are_seen_by_everybody_and_others_by_nobody),
        CASE(deleted_rows_are_listed_only_if_asked_for),
    };

    return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
