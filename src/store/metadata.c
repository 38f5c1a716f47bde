/*
 * Metadata of events.
 *
 * Reading is on the way of every event that is loaded and hardly anybody looks at the result, so it
 * must cost next to nothing.  What this program wrote itself is recognised by a scan over the bytes
 * that borrows the text from them; anything unusual in it (escapes, blanks, another order of
 * things, members of a later version) is left to the JSON parser.
 */
#include "store/metadata.h"

#include "base/limits.h"

#include <string.h>

static void put_member(buffer *b, const char *name, ku_str value)
{
    if (value.len == 0)
        return;
    json_put_key(b, name);
    json_put_text(b, value);
}

ku_str metadata_write(ku_scope *scope, const ku_event *event)
{
    buffer b = {.arena = &scope->arena};

    buffer_reserve(&b, 160 + event->headers.json.len);
    buffer_add_char(&b, '{');
    put_member(&b, "requestId", event->request_id);
    put_member(&b, "correlationId", event->correlation_id);
    put_member(&b, "causationId", event->causation_id);
    put_member(&b, "idempotencyKey", event->idempotency_key);
    if (event->headers.json.len > 0) {
        json_put_key(&b, "headers");
        buffer_add_str(&b, event->headers.json);
    }
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Where a text member of that name goes; NULL: it is not one. */
static ku_str *member_of(ku_event *event, ku_str name)
{
    if (ku_str_is(name, "requestId"))
        return &event->request_id;
    if (ku_str_is(name, "correlationId"))
        return &event->correlation_id;
    if (ku_str_is(name, "causationId"))
        return &event->causation_id;
    if (ku_str_is(name, "idempotencyKey"))
        return &event->idempotency_key;
    return NULL;
}

/* Takes `"text"` without escapes from the front of the rest. */
static bool scan_text(ku_str *rest, ku_str *ret_text)
{
    if (rest->len < 2 || rest->ptr[0] != '"')
        return false;
    const char *start = rest->ptr + 1;
    const char *end = memchr(start, '"', rest->len - 1);
    if (end == NULL || memchr(start, '\\', (size_t)(end - start)) != NULL)
        return false;
    *ret_text = (ku_str){start, (size_t)(end - start)};
    rest->len -= ret_text->len + 2;
    rest->ptr = end + 1;
    return true;
}

static bool scan_char(ku_str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    rest->ptr++;
    rest->len--;
    return true;
}

/* Headers come last, and their values are scalars: one object, then the brace of the metadata. */
static bool scan_headers(ku_str rest, ku_event *event)
{
    bool quoted = false;

    if (rest.len < 2 || rest.ptr[0] != '{')
        return false;
    for (size_t i = 1; i < rest.len; i++) {
        char c = rest.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            return false;
        else if (!quoted && c == '}') {
            event->headers.json = (ku_str){rest.ptr, i + 1};
            return i + 2 == rest.len && rest.ptr[i + 1] == '}';
        }
    }
    return false;
}

static bool scan(ku_str rest, ku_event *event)
{
    ku_str name;

    if (!scan_char(&rest, '{'))
        return false;
    if (rest.len == 1)
        return rest.ptr[0] == '}';
    do {
        if (!scan_text(&rest, &name) || !scan_char(&rest, ':'))
            return false;
        if (ku_str_is(name, "headers"))
            return scan_headers(rest, event);
        ku_str *member = member_of(event, name);
        if (member == NULL || !scan_text(&rest, member))
            return false;
    } while (scan_char(&rest, ','));
    return rest.len == 1 && rest.ptr[0] == '}';
}

static void clear(ku_event *event)
{
    event->request_id = event->correlation_id = event->causation_id = event->idempotency_key =
        (ku_str){0};
    event->headers = (ku_raw){{0}};
}

static ku_status parse(ku_scope *scope, ku_str json, ku_event *event)
{
    ku_json *object = NULL;
    json_error error;

    if (!json_parse(&scope->arena, json, LIMIT_JSON_DEPTH, &object, &error) ||
        object->kind != KU_JSON_OBJECT)
        return scope_fail(scope, KU_INTERNAL, "the metadata is not a JSON object");
    for (const ku_json *member = object->first; member != NULL; member = member->next) {
        ku_str *text = member_of(event, member->key);
        if (text != NULL && member->kind == KU_JSON_TEXT)
            *text = member->text;
        else if (ku_str_is(member->key, "headers") && member->kind == KU_JSON_OBJECT)
            event->headers.json = ku_json_write(scope, member);
    }
    return KU_OK;
}

ku_status metadata_read(ku_scope *scope, ku_str json, ku_event *event)
{
    if (scan(json, event))
        return KU_OK;
    clear(event);
    return parse(scope, json, event);
}
