/*
 * Commands under test, the implementation.
 */
#include "cli/run.h"

#include "support/process.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 32 };

ran run_program(const char *dir, const char *const *env, const char *const *arguments)
{
    const char *argv[ARGUMENTS_MAX + 1] = {NULL};
    char program[4096];
    ran r;

    (void)snprintf(program, sizeof(program), "%s/%s", TEST_BIN_DIR, arguments[0]);
    argv[0] = program;
    for (size_t i = 1; arguments[i] != NULL; i++) {
        assert_true(i < ARGUMENTS_MAX);
        argv[i] = arguments[i];
    }
    r.code = process_run(argv, env, dir, &r.output);
    return r;
}

void ran_done(ran *r)
{
    free(r->output);
    r->output = NULL;
}

void check_code(const ran *r, int expected, const char *file, int line)
{
    if (r->code != expected)
        print_error("it ended with %d, not %d, and printed:\n%s\n", r->code, expected, r->output);
    _assert_int_equal((unsigned long)r->code, (unsigned long)expected, file, line);
}

bool says(const ran *r, const char *text)
{
    return strstr(r->output, text) != NULL;
}

void check_says(const ran *r, const char *text, const char *file, int line)
{
    if (!says(r, text))
        print_error("`%s` is not in its output:\n%s\n", text, r->output);
    _assert_true(says(r, text), "output has the text", file, line);
}

ku_json *ran_json(const ran *r, arena *a)
{
    ku_json *json = NULL;
    json_error error;

    const bool parsed = json_parse(a, ku_str_from(r->output), 64, &json, &error);
    if (!parsed)
        print_error("this is not JSON (%s):\n%s\n", error.what, r->output);
    assert_true(parsed);
    return json;
}

const ku_json *node_at(const ku_json *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        const size_t length = strcspn(path, ".");
        if (json->kind == KU_JSON_ARRAY)
            json = ku_json_at(json, (size_t)strtoul(path, NULL, 10));
        else
            json = json_member(json, (ku_str){path, length});
        path += length + (path[length] == '.');
    }
    return json;
}

const char *text_at(arena *a, const ku_json *json, const char *path)
{
    const ku_json *node = node_at(json, path);
    buffer text = {.arena = a};

    if (node == NULL)
        return "(missing)";
    if (node->kind == KU_JSON_TEXT)
        return arena_copy(a, node->text).ptr;
    json_put(&text, node);
    return buffer_str(&text).ptr;
}

const ku_json *item_with(const ku_json *array, const char *member, const char *text)
{
    for (const ku_json *item = array != NULL ? array->first : NULL; item != NULL;
         item = item->next) {
        const ku_json *node = node_at(item, member);
        if (node != NULL && node->kind == KU_JSON_TEXT && ku_str_is(node->text, text))
            return item;
    }
    print_error("there is no item whose %s is %s\n", member, text);
    fail();
    return NULL;
}

const char *object_path(const char *name)
{
    static char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_BIN_DIR, name);
    return path;
}

char *folder_new(void)
{
    const char *parent = getenv("TMPDIR");
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/kumiko-cli-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
    char *folder = strdup(path);
    assert_non_null(folder);
    return folder;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void folder_remove(char *folder)
{
    (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}
