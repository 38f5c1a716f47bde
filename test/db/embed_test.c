/*
 * The tool that turns sql/ into constants.
 */
#include "db/db_fixture.h"

/* ---- helpers --------------------------------------------------------------------------------- */

typedef struct sources {
    char folder[64];
    char output[8192];
} sources;

static void write_source(const sources *s, const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make(const sources *s, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int start(void **state)
{
    sources *s = mem_zero(1, sizeof(*s));

    strcpy(s->folder, "/tmp/kumiko-test-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    make(s, "common");
    make(s, "sqlite");
    *state = s;
    return 0;
}

static int end(void **state)
{
    sources *s = *state;
    const char *const folders[] = {"common", "sqlite", "postgres"};
    char path[128];

    for (size_t i = 0; i < KU_COUNT(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", s->folder, folders[i]);
        if (access(path, F_OK) == 0)
            remove_folder(path);
    }
    remove_folder(s->folder);
    free(s);
    return 0;
}

/* Runs the tool; the output is what it wrote, or what it complained about. */
static bool embed(sources *s)
{
    char command[512];
    size_t length = 0;

    snprintf(command, sizeof(command),
        "%s/embed %s %s/out.h %s/out.c 2>&1 && cat %s/out.h %s/out.c", TEST_BIN_DIR, s->folder,
        s->folder, s->folder, s->folder, s->folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    length = fread(s->output, 1, sizeof(s->output) - 1, pipe);
    s->output[length] = '\0';
    return pclose(pipe) == 0;
}

static void assert_embeds(sources *s, const char *part)
{
    if (!embed(s) || strstr(s->output, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, s->output);
}

static void assert_complains(sources *s, const char *part)
{
    if (embed(s) || strstr(s->output, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, s->output);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void statements_lose_comments_and_get_numbers(void **state)
{
    sources *s = *state;

    write_source(s, "common/b.sql",
        "-- What it's for.  $1 a\n\n-- more\nSELECT $1, '$2 -- ;', \"a\\\"\n    FROM t; -- its "
        "end\n");
    write_source(s, "sqlite/a.sql", "SELECT 'it''s' -- don't\n  , $2\n");
    assert_embeds(s, "    SQL_A,\n    SQL_B,\n    SQL_COUNT_\n");
    assert_embeds(s, "\"SELECT ?1, '$2 -- ;', \\\"a\\\\\\\"\\n\"\n    \"    FROM t\",");
    assert_embeds(s, "\"SELECT 'it''s' \\n\"\n    \"  , ?2\",");
    assert_null(strstr(s->output, "postgres"));
}

static void an_engines_own_statement_replaces_the_common_one(void **state)
{
    sources *s = *state;

    make(s, "postgres");
    write_source(s, "common/a.sql", "SELECT $1");
    write_source(s, "postgres/a.sql", "SELECT $1::int");
    assert_embeds(s, "sql_sqlite_texts[SQL_COUNT_] = {\n    /* a */\n    \"SELECT ?1\",");
    assert_embeds(s, "sql_postgres_texts[SQL_COUNT_] = {\n    /* a */\n    \"SELECT $1::int\",");
}

static void a_name_that_an_engine_lacks_fails_the_build(void **state)
{
    sources *s = *state;

    write_source(s, "sqlite/only_here.sql", "SELECT 1");
    assert_embeds(s, "SQL_ONLY_HERE");
    make(s, "postgres");
    assert_complains(s, "postgres has no statement 'only_here'");
}

static void a_statement_that_says_so_belongs_to_one_engine(void **state)
{
    sources *s = *state;

    make(s, "postgres");
    write_source(s, "common/a.sql", "SELECT 1");
    write_source(s, "postgres/b.sql", "-- postgres only\n-- What it does.\nSELECT 2");
    assert_embeds(s, "sql_sqlite_texts[SQL_COUNT_] = {\n    /* a */\n    \"SELECT 1\",\n"
                     "    /* b */\n    NULL,\n");
    assert_embeds(s, "    /* b */\n    \"SELECT 2\",\n");
    write_source(s, "postgres/b.sql", "-- What it does.\n-- postgres only\nSELECT 2");
    assert_complains(s, "sqlite has no statement 'b'");
    write_source(s, "postgres/b.sql", "-- sqlite only\nSELECT 2");
    assert_complains(s, "sqlite has no statement 'b'");
}

static void a_file_is_one_statement_but_a_schema_is_a_script(void **state)
{
    sources *s = *state;

    write_source(s, "common/schema_1.sql", "CREATE TABLE a(b);\nCREATE TABLE c(d);\n");
    assert_embeds(s, "CREATE TABLE a(b);\\n\"\n    \"CREATE TABLE c(d);");
    write_source(s, "common/schema_1.sql", "CREATE TABLE a( -- of all\n    b);");
    assert_embeds(s, "CREATE TABLE a(\\n\"\n    \"    b);\"");
    write_source(s, "common/schema_found.sql", "SELECT 1;");
    assert_embeds(s, "    \"SELECT 1\",\n");
    write_source(s, "common/two.sql", "SELECT 1; SELECT 2");
    assert_complains(s, "two: more than one statement");
    write_source(s, "common/two.sql", "-- nothing\n");
    assert_complains(s, "two: there is no statement");
    write_source(s, "common/two.sql", "SELECT 'open");
    assert_complains(s, "two: a quote is left open");
}

static void a_long_text_is_embedded_whole(void **state)
{
    sources *s = *state;
    char text[5000];

    memset(text, 'x', sizeof(text));
    memcpy(text, "SELECT ", 7);
    text[4500] = '\0';
    write_source(s, "common/long.sql", text);
    assert_embeds(s, "static const char sqlite_long[] = {\n    83, 69, 76,");
}

static void a_bad_name_or_an_empty_folder_fails_the_build(void **state)
{
    sources *s = *state;

    assert_complains(s, "no statements");
    write_source(s, "common/Bad-name.sql", "SELECT 1");
    assert_complains(s, "names are lower case");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(statements_lose_comments_and_get_numbers, start, end),
        cmocka_unit_test_setup_teardown(
            an_engines_own_statement_replaces_the_common_one, start, end),
        cmocka_unit_test_setup_teardown(a_name_that_an_engine_lacks_fails_the_build, start, end),
        cmocka_unit_test_setup_teardown(a_statement_that_says_so_belongs_to_one_engine, start, end),
        cmocka_unit_test_setup_teardown(
            a_file_is_one_statement_but_a_schema_is_a_script, start, end),
        cmocka_unit_test_setup_teardown(a_long_text_is_embedded_whole, start, end),
        cmocka_unit_test_setup_teardown(a_bad_name_or_an_empty_folder_fails_the_build, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
