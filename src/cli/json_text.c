/*
 * JSON for people.
 */
#include "cli/json_text.h"

#include "base/limits.h"

#include <assert.h>

ku_json *cli_json(arena *a, ku_str text)
{
    ku_json *json = NULL;
    json_error error;

    const bool parsed = json_parse(a, text, LIMIT_JSON_DEPTH, &json, &error);
    assert(parsed);
    return json;
}

static void put_scalar(buffer *b, const ku_json *json)
{
    buffer text = {0};

    json_put(&text, json);
    cli_add_safely(b, buffer_str(&text));
    buffer_done(&text);
}

static void put_quoted(buffer *b, ku_str name)
{
    buffer text = {0};

    json_put_text(&text, name);
    cli_add_safely(b, buffer_str(&text));
    buffer_done(&text);
}

void cli_json_pretty(buffer *b, const ku_json *json, int indent)
{
    const bool object = json->kind == KU_JSON_OBJECT;

    if ((!object && json->kind != KU_JSON_ARRAY) || json->count == 0) {
        put_scalar(b, json);
        return;
    }
    buffer_add_char(b, object ? '{' : '[');
    for (const ku_json *child = json->first; child != NULL; child = child->next) {
        buffer_format(b, "%s\n%*s", child == json->first ? "" : ",", indent + 2, "");
        if (object) {
            put_quoted(b, child->key);
            buffer_add_text(b, ": ");
        }
        cli_json_pretty(b, child, indent + 2);
    }
    buffer_format(b, "\n%*s%c", indent, "", object ? '}' : ']');
}

/* ---- differences ---------------------------------------------------------------------------- */

typedef struct differ {
    arena *arena;
    json_change *first, **end;
} differ;

static void compare(differ *d, ku_str path, const ku_json *before, const ku_json *after);

static void note(differ *d, ku_str path, const ku_json *from, const ku_json *to)
{
    json_change *change = arena_alloc(d->arena, sizeof(*change));

    *change = (json_change){.path = path, .from = from, .to = to};
    *d->end = change;
    d->end = &change->next;
}

static ku_str join(differ *d, ku_str path, ku_str name)
{
    if (path.len == 0)
        return name;
    return arena_format(d->arena, "%" KU_PRI ".%" KU_PRI, KU_FMT(path), KU_FMT(name));
}

static void compare_members(differ *d, ku_str path, const ku_json *before, const ku_json *after)
{
    for (const ku_json *to = after->first; to != NULL; to = to->next)
        compare(d, join(d, path, to->key), json_member(before, to->key), to);
    for (const ku_json *from = before->first; from != NULL; from = from->next) {
        if (json_member(after, from->key) == NULL)
            note(d, join(d, path, from->key), from, NULL);
    }
}

static void compare(differ *d, ku_str path, const ku_json *before, const ku_json *after)
{
    if (before == NULL)
        note(d, path, NULL, after);
    else if (before->kind == KU_JSON_OBJECT && after->kind == KU_JSON_OBJECT)
        compare_members(d, path, before, after);
    else if (!json_equal(before, after))
        note(d, path, before, after);
}

json_change *cli_json_changes(arena *a, const ku_json *before, const ku_json *after)
{
    differ d = {.arena = a};

    d.end = &d.first;
    compare(&d, (ku_str){0}, before, after);
    return d.first;
}
