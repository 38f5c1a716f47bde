/*
 * From text to tree.
 *
 * The text is copied once, into the arena; simdjson says where its tokens begin (json_index.h), and
 * one recursive function per kind of value reads them in order.  Texts without escapes, keys and
 * numbers stay views of that copy, so a document costs one copy and one node per value.
 *
 * Accepted is RFC 8259 and nothing else: no trailing commas, no comments, no second value, no byte
 * order mark.  Beyond it, two members of an object may not have the same name (escapes undone), and
 * a text may not hold half a surrogate pair, because neither has a meaning that everybody agrees
 * on. Nesting is bounded, hence the recursion.
 */
#include "base/json.h"

#include "base/json_index.h"

#include <stdlib.h>
#include <string.h>

/* Up to this many members are compared with each other; more are sorted. */
enum { COMPARED_MEMBERS_MAX = 16 };

/* An object or array that is being read; its last child is the one that is being read. */
typedef struct open_node {
    const struct open_node *parent;
    const ku_json *node;
} open_node;

typedef struct parser {
    arena *arena;
    const char *text;
    const uint32_t *next; /* offset of the next token; `len`, where a NUL stands, behind the last */
    int depth_max;
    json_error *error;
} parser;

static bool fail(parser *p, const char *what)
{
    *p->error = (json_error){.code = "invalid_json", .what = what};
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Reads four hex digits; -1 if they are not. */
static int32_t read_hex4(const char *text)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        int digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10;
        else
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, int32_t code_point)
{
    if (code_point < 0x80) {
        *out++ = (char)code_point;
    } else if (code_point < 0x800) {
        *out++ = (char)(0xc0 | code_point >> 6);
        *out++ = (char)(0x80 | (code_point & 0x3f));
    } else if (code_point < 0x10000) {
        *out++ = (char)(0xe0 | code_point >> 12);
        *out++ = (char)(0x80 | (code_point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code_point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code_point >> 18);
        *out++ = (char)(0x80 | (code_point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code_point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code_point & 0x3f));
    }
    return out;
}

/* `at` is behind `\u`.  Four bytes, and the next escape, are readable: the text is padded. */
static const char *unescape_unicode(const char *at, char **out)
{
    int32_t code_point = read_hex4(at);
    if (code_point < 0 || (code_point >= 0xdc00 && code_point <= 0xdfff))
        return NULL;
    at += 4;
    if (code_point >= 0xd800 && code_point <= 0xdbff) {
        if (at[0] != '\\' || at[1] != 'u')
            return NULL;
        int32_t low = read_hex4(at + 2);
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    *out = put_utf8(*out, code_point);
    return at;
}

static char unescape_letter(char letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

/* Undoing escapes never makes a text longer. */
static bool unescape(parser *p, ku_str raw, ku_str *ret_text)
{
    char *start = arena_text(p->arena, raw.len), *out = start;
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t run = (size_t)((backslash != NULL ? backslash : end) - at);
        memcpy(out, at, run);
        out += run;
        at += run;
        if (backslash == NULL)
            break;
        if (at[1] == 'u') {
            at = unescape_unicode(at + 2, &out);
            if (at == NULL)
                return fail(p, "a \\u escape is not a Unicode character");
        } else {
            char c = unescape_letter(at[1]);
            if (c == '\0')
                return fail(p, "unknown escape in a string");
            *out++ = c;
            at += 2;
        }
    }
    *ret_text = (ku_str){start, (size_t)(out - start)};
    return true;
}

/* The next token is an opening quote.  What is between the string and the token behind it is space.
 */
static bool read_text(parser *p, ku_str *ret_text)
{
    const char *start = p->text + *p->next++ + 1;
    const char *end = p->text + *p->next;
    do
        end--;
    while (is_space(*end) && end > start);
    ku_str raw = {start, (size_t)(end - start)};
    if (raw.len == 0 || memchr(raw.ptr, '\\', raw.len) == NULL) {
        *ret_text = raw;
        return true;
    }
    return unescape(p, raw, ret_text);
}

/* ---- numbers and words ----------------------------------------------------------------------- */

/* True if nothing but space is between `end` and the token behind the one that was read. */
static bool ends_at(const parser *p, const char *end)
{
    const char *next = p->text + *p->next;
    while (end < next && is_space(*end))
        end++;
    return end == next;
}

static const char *skip_digits(const char *at)
{
    while (*at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number that begins here, or NULL.  The NUL behind the text stops it. */
static const char *number_end(const char *at)
{
    if (*at == '-')
        at++;
    const char *whole = at;
    at = skip_digits(at);
    if (at == whole || (*whole == '0' && at > whole + 1))
        return NULL;
    if (*at == '.') {
        const char *fraction = ++at;
        at = skip_digits(at);
        if (at == fraction)
            return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-')
            at++;
        const char *exponent = at;
        at = skip_digits(at);
        if (at == exponent)
            return NULL;
    }
    return at;
}

static bool read_number(parser *p, ku_json *node)
{
    const char *start = p->text + *p->next++;
    const char *end = number_end(start);
    if (end == NULL || !ends_at(p, end))
        return fail(p, "not a number");
    node->kind = KU_JSON_NUMBER;
    node->text = (ku_str){start, (size_t)(end - start)};
    return true;
}

static bool read_word(parser *p, const char *word, size_t len)
{
    const char *start = p->text + *p->next++;
    if (memcmp(start, word, len) != 0 || !ends_at(p, start + len))
        return fail(p, "expected a value");
    return true;
}

/* ---- duplicate keys -------------------------------------------------------------------------- */

static int compare_keys(const void *left, const void *right)
{
    const ku_json *a = *(ku_json *const *)left, *b = *(ku_json *const *)right;
    if (a->key.len != b->key.len)
        return a->key.len < b->key.len ? -1 : 1;
    return memcmp(a->key.ptr, b->key.ptr, a->key.len);
}

/* A member whose name another one has, too; NULL if there is none.  n log n however keys are
 * chosen. */
static const ku_json *find_duplicate(arena *a, const ku_json *object)
{
    if (object->count <= COMPARED_MEMBERS_MAX) {
        for (const ku_json *one = object->first; one != NULL; one = one->next)
            for (const ku_json *two = one->next; two != NULL; two = two->next)
                if (ku_str_equal(one->key, two->key))
                    return two;
        return NULL;
    }
    ku_mark mark = arena_mark(a);
    const ku_json **sorted = arena_alloc(a, object->count * sizeof(const ku_json *));
    size_t n = 0;
    for (const ku_json *member = object->first; member != NULL; member = member->next)
        sorted[n++] = member;
    qsort(sorted, n, sizeof(sorted[0]), compare_keys);
    const ku_json *found = NULL;
    for (size_t i = 1; i < n && found == NULL; i++)
        if (ku_str_equal(sorted[i - 1]->key, sorted[i]->key))
            found = sorted[i];
    arena_rewind(a, mark);
    return found;
}

static void put_path(buffer *path, const open_node *place)
{
    if (place == NULL)
        return;
    put_path(path, place->parent);
    if (place->node->kind == KU_JSON_OBJECT)
        buffer_add_str(path, place->node->last->key);
    else
        buffer_format(path, "%u", place->node->count - 1);
    buffer_add_char(path, '.');
}

static bool check_duplicates(parser *p, const ku_json *object, const open_node *parent)
{
    const ku_json *duplicate = find_duplicate(p->arena, object);
    if (duplicate == NULL)
        return true;
    buffer path = {.arena = p->arena};
    put_path(&path, parent);
    buffer_add_str(&path, duplicate->key);
    *p->error = (json_error){.code = "duplicate_key",
        .path = buffer_str(&path),
        .what = "two members have the same name"};
    return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool read_value(parser *p, const open_node *parent, int depth, ku_json *node);

static char token(const parser *p)
{
    return p->text[*p->next];
}

static bool read_object(parser *p, const open_node *parent, int depth, ku_json *node)
{
    node->kind = KU_JSON_OBJECT;
    p->next++;
    if (token(p) == '}') {
        p->next++;
        return true;
    }
    const open_node place = {parent, node};
    for (;;) {
        ku_str key;
        if (token(p) != '"')
            return fail(p, "expected a member's name");
        if (!read_text(p, &key))
            return false;
        if (token(p) != ':')
            return fail(p, "expected a colon");
        p->next++;
        ku_json *member = json_new(p->arena, KU_JSON_NULL);
        json_append(node, key, member);
        if (!read_value(p, &place, depth, member))
            return false;
        char behind = token(p);
        if (behind != ',' && behind != '}')
            return fail(p, "expected a comma or the end of the object");
        p->next++;
        if (behind == '}')
            return check_duplicates(p, node, parent);
    }
}

static bool read_array(parser *p, const open_node *parent, int depth, ku_json *node)
{
    node->kind = KU_JSON_ARRAY;
    p->next++;
    if (token(p) == ']') {
        p->next++;
        return true;
    }
    const open_node place = {parent, node};
    for (;;) {
        ku_json *item = json_new(p->arena, KU_JSON_NULL);
        json_append(node, (ku_str){0}, item);
        if (!read_value(p, &place, depth, item))
            return false;
        char behind = token(p);
        if (behind != ',' && behind != ']')
            return fail(p, "expected a comma or the end of the array");
        p->next++;
        if (behind == ']')
            return true;
    }
}

static bool read_value(parser *p, const open_node *parent, int depth, ku_json *node)
{
    char first = token(p);
    switch (first) {
    case '{':
    case '[':
        if (depth >= p->depth_max) {
            *p->error = (json_error){.code = "too_deep", .what = "nested too deeply"};
            return false;
        }
        return first == '{' ? read_object(p, parent, depth + 1, node)
                            : read_array(p, parent, depth + 1, node);
    case '"':
        node->kind = KU_JSON_TEXT;
        return read_text(p, &node->text);
    case 't':
        node->kind = KU_JSON_BOOL;
        node->boolean = true;
        return read_word(p, "true", 4);
    case 'f':
        node->kind = KU_JSON_BOOL;
        return read_word(p, "false", 5);
    case 'n':
        return read_word(p, "null", 4);
    default:
        if (first == '-' || (first >= '0' && first <= '9'))
            return read_number(p, node);
        return fail(p, "expected a value");
    }
}

static const char *index_problem(json_index_result result)
{
    switch (result) {
    case JSON_INDEX_EMPTY:
        return "the text is empty";
    case JSON_INDEX_UTF8:
        return "the text is not UTF-8";
    case JSON_INDEX_STRING:
        return "a string does not end or holds a control character";
    case JSON_INDEX_OK:
    case JSON_INDEX_FAILURE:
        break;
    }
    return "the text is too large";
}

bool json_parse(arena *a, ku_str text, int depth_max, ku_json **ret_json, json_error *ret_error)
{
    json_error error = {0};
    parser p = {.arena = a, .depth_max = depth_max, .error = &error};
    char *copy = arena_text(a, text.len + JSON_PADDING);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, 0, JSON_PADDING);
    p.text = copy;

    size_t count = 0;
    json_index_result result = json_index(copy, text.len, &p.next, &count);
    if (result != JSON_INDEX_OK) {
        *ret_error = (json_error){.code = "invalid_json", .what = index_problem(result)};
        return false;
    }
    const uint32_t *end = p.next + count;
    ku_json *root = json_new(a, KU_JSON_NULL);
    bool ok = read_value(&p, NULL, 0, root);
    if (ok && p.next != end)
        ok = fail(&p, "something stands behind the value");
    if (!ok) {
        *ret_error = error;
        return false;
    }
    *ret_json = root;
    return true;
}
