/*
 * The same commands on SQLite and on PostgreSQL: every answer is the same to the byte, apart from
 * ids, and so is every row of every table in the end.
 *
 * Both applications hear the same sequence of random commands and queries, at the same instants of
 * one clock.  KUMIKO_EQUAL_COMMANDS and KUMIKO_EQUAL_SEED ask for another one; a difference is
 * printed with the seed and the number of the command, so that it can be found again.
 */
#include "order/equal_commands.h"

#include "support/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    WORLDS = 2,
    COMMANDS = 2000,

    PAGES_MAX = 1000,
    DIFFERENCES_SHOWN = 4
};
#define SEED UINT64_C(20260101)

typedef struct comparison {
    uint64_t seed;
    _Atomic int64_t now_us;
    commander *commander;
    world *worlds[WORLDS];
    arena memory; /* of a step */
    int n_commands;
    int n_accepted;
    bool quiet;        /* a difference is what is wanted */
    int n_differences; /* of one step, or of the tables */
} comparison;

static uint64_t number_from(const char *variable, uint64_t if_missing)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : if_missing;
}

/* ---- differences ----------------------------------------------------------------------------- */

/* cmocka cuts what is long. */
static void print_text(const char *what, ku_str text)
{
    if (text.len > 0)
        fprintf(stderr, "  %s: %" KU_PRI "\n", what, KU_FMT(text));
}

static void print_call(const equal_call *call)
{
    print_text("user", call->user.id);
    print_text("request id", call->request_id);
    print_text("type", call->type);
    print_text("payload", call->payload);
    print_text("body", call->body);
}

/* The part of both in which they differ first, and both. */
static void print_said(const comparison *c, const ku_str *said)
{
    enum { BEFORE = 60, SHOWN = 160 };
    size_t at = 0;
    while (at < said[0].len && at < said[1].len && said[0].ptr[at] == said[1].ptr[at])
        at++;
    const size_t from = at > BEFORE ? at - BEFORE : 0;
    for (int i = 0; i < WORLDS; i++) {
        const size_t left = said[i].len - from;
        fprintf(stderr, "%s from byte %zu: %.*s\n", world_name(c->worlds[i]), from,
            (int)(left < SHOWN ? left : SHOWN), said[i].ptr + from);
    }
    for (int i = 0; i < WORLDS; i++)
        print_text(world_name(c->worlds[i]), said[i]);
}

static void compare(comparison *c, const char *what, const equal_call *call, const ku_str *said)
{
    if (ku_str_equal(said[0], said[1]))
        return;
    c->n_differences++;
    if (c->quiet || c->n_differences > DIFFERENCES_SHOWN)
        return;
    fprintf(
        stderr, "KUMIKO_EQUAL_SEED=%" PRIu64 ", command %d, %s:\n", c->seed, c->n_commands, what);
    if (call != NULL)
        print_call(call);
    print_said(c, said);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void compare_calls(comparison *c, const equal_step *step)
{
    ku_str answers[WORLDS][STEP_CALLS_MAX];
    for (int i = 0; i < WORLDS; i++)
        world_call(c->worlds[i], step->calls, step->n_calls, &c->memory, answers[i]);
    for (size_t i = 0; i < step->n_calls; i++) {
        compare(c, "answer", &step->calls[i], (ku_str[]){answers[0][i], answers[1][i]});
        c->n_accepted += i < (size_t)step->n_writes && answers[0][i].ptr[0] == '2';
    }
    commander_hear(c->commander, answers[0]);
}

/* Each world goes on with its own cursor. */
static void compare_pages(comparison *c, const equal_step *step)
{
    ku_str cursors[WORLDS] = {{0}};
    for (int page = 0; page < PAGES_MAX && c->n_differences == 0; page++) {
        ku_str answers[WORLDS];
        equal_call call;
        for (int i = 0; i < WORLDS; i++) {
            call = step->calls[0];
            if (page > 0)
                call.payload = arena_format(&c->memory, "{\"cursor\":\"%" KU_PRI "\",%s",
                    KU_FMT(cursors[i]), step->calls[0].payload.ptr + 1);
            world_call(c->worlds[i], &call, 1, &c->memory, &answers[i]);
            cursors[i] = arena_copy(&c->memory, world_next_cursor(c->worlds[i]));
        }
        compare(c, "page", &call, answers);
        if (cursors[0].len == 0)
            return;
    }
    if (c->n_differences == 0)
        fail_msg("a list without an end");
}

static void compare_step(comparison *c, const equal_step *step)
{
    ku_str said[WORLDS];
    switch (step->kind) {
    case STEP_CALLS:
        compare_calls(c, step);
        break;
    case STEP_PAGES:
        compare_pages(c, step);
        break;
    case STEP_DISPATCH:
        for (int i = 0; i < WORLDS; i++)
            said[i] = world_dispatch(c->worlds[i], &c->memory);
        compare(c, "dispatch", NULL, said);
        break;
    case STEP_PROGRESS:
        for (int i = 0; i < WORLDS; i++)
            said[i] = world_progress(c->worlds[i], &c->memory);
        compare(c, "progress", NULL, said);
        break;
    }
    c->n_commands += step->n_writes;
    arena_reset(&c->memory);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a text, sorted; the text is cut.  The caller frees the array. */
static char **sorted_lines(buffer *text, size_t *ret_count)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += text->ptr[i] == '\n';
    char **lines = mem_zero(n + 1, sizeof *lines);
    char *at = text->ptr;
    for (size_t i = 0; i < n; i++) {
        lines[i] = at;
        at += strcspn(at, "\n");
        *at++ = '\0';
    }
    qsort(lines, n, sizeof *lines, by_bytes);
    *ret_count = n;
    return lines;
}

static size_t compare_tables(comparison *c)
{
    buffer dumps[WORLDS] = {{0}};
    char **lines[WORLDS];
    size_t n[WORLDS];
    for (int i = 0; i < WORLDS; i++) {
        world_dump(c->worlds[i], &dumps[i]);
        (void)buffer_str(&dumps[i]);
        lines[i] = sorted_lines(&dumps[i], &n[i]);
    }
    for (size_t i = 0; i < n[0] || i < n[1]; i++) {
        const ku_str said[] = {
            ku_str_from(i < n[0] ? lines[0][i] : "(no further row)"),
            ku_str_from(i < n[1] ? lines[1][i] : "(no further row)"),
        };
        compare(c, "row", NULL, said);
    }
    for (int i = 0; i < WORLDS; i++) {
        free(lines[i]);
        buffer_done(&dumps[i]);
    }
    return n[0];
}

/* ---- the comparison -------------------------------------------------------------------------- */

static comparison *comparison_new(void)
{
    comparison *c = mem_zero(1, sizeof *c);
    c->seed = number_from("KUMIKO_EQUAL_SEED", SEED);
    c->commander = commander_new(c->seed, &c->now_us);
    for (int i = 0; i < WORLDS; i++)
        c->worlds[i] = world_open(i == 1, commander_features, &c->now_us, commander_laned_tenant());
    return c;
}

static void comparison_free(comparison *c)
{
    for (int i = 0; i < WORLDS; i++)
        world_close(c->worlds[i]);
    commander_free(c->commander);
    arena_done(&c->memory);
    free(c);
}

static void compare_commands(comparison *c, int n)
{
    while (c->n_commands < n && c->n_differences == 0)
        compare_step(c, commander_next(c->commander));
}

static void the_same_commands_have_the_same_answers_and_leave_the_same_tables(void **state)
{
    (void)state;
    comparison *c = comparison_new();
    const int n = (int)number_from("KUMIKO_EQUAL_COMMANDS", COMMANDS);
    compare_commands(c, n);
    const size_t rows = compare_tables(c);
    print_message("seed %" PRIu64 ": %d commands, %d accepted, %zu rows\n", c->seed, c->n_commands,
        c->n_accepted, rows);
    const bool differs = c->n_differences > 0;
    const bool sound = world_is_sound(c->worlds[0]) && world_is_sound(c->worlds[1]);
    /* Both refuse everything?  Then they would be equal, too. */
    const bool busy = c->n_accepted * 4 > c->n_commands && rows * 2 > (size_t)c->n_commands;
    comparison_free(c);
    assert_false(differs);
    assert_true(sound);
    assert_true(busy);
}

/* A test of the test: a table that PostgreSQL sorts as people do. */
static void a_table_of_another_collation_is_noticed(void **state)
{
    (void)state;
    comparison *c = comparison_new();
    c->quiet = true;
    world_sql(c->worlds[1], "ALTER TABLE read_parts"
                            " ALTER COLUMN code TYPE text COLLATE \"und-x-icu\","
                            " ALTER COLUMN family TYPE text COLLATE \"und-x-icu\","
                            " ALTER COLUMN label TYPE text COLLATE \"und-x-icu\"");
    compare_commands(c, COMMANDS);
    const bool differs = c->n_differences > 0;
    comparison_free(c);
    assert_true(differs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_commands_have_the_same_answers_and_leave_the_same_tables),
        cmocka_unit_test(a_table_of_another_collation_is_noticed),
    };
    return cmocka_run_group_tests_name("equal engines", tests, NULL, NULL);
}
