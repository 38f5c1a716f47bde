/*
 * Writing JSON.
 *
 * Text is copied in runs: eight bytes at a time are looked at for one that needs an escape, and
 * most texts have none.  Numbers are written by hand, because printf is slow and knows locales.
 */
#include "base/json.h"

#include "base/json_index.h"

#include <math.h>
#include <string.h>

#define INT_SAFE_MAX INT64_C(9007199254740991) /* 2^53-1: what every JSON reader takes exactly */

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* Length of the run of bytes that need no escape. */
static size_t plain_run(const char *text, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, sizeof(word));
        /* A byte's top bit is set if it is below 0x20, a quote or a backslash (and never wrongly
         * 0). */
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        uint64_t found =
            ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
        if ((found & tops) != 0)
            break;
    }
    while (at < len && !needs_escape((unsigned char)text[at]))
        at++;
    return at;
}

static void put_escape(buffer *b, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c < 0x20 ? letters[c] : (char)c;
    if (letter != '\0') {
        char escape[] = {'\\', letter};
        buffer_add(b, escape, sizeof(escape));
    } else {
        char escape[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        buffer_add(b, escape, sizeof(escape));
    }
}

void json_put_text(buffer *b, ku_str text)
{
    char *out = buffer_reserve(b, text.len + 2);
    *out++ = '"';
    size_t run = plain_run(text.ptr, text.len);
    if (run > 0)
        memcpy(out, text.ptr, run);
    b->len += 1 + run;
    while (run < text.len) {
        put_escape(b, (unsigned char)text.ptr[run++]);
        size_t more = plain_run(text.ptr + run, text.len - run);
        buffer_add(b, text.ptr + run, more);
        run += more;
    }
    buffer_add_char(b, '"');
}

void json_put_int(buffer *b, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof(digits), *at = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    bool quoted = rest > (uint64_t)INT_SAFE_MAX;
    if (quoted)
        *--at = '"';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--at = '-';
    if (quoted)
        *--at = '"';
    buffer_add(b, at, (size_t)(end - at));
}

/* As ECMAScript writes numbers: plain from 1e-7 up to 1e21, otherwise with an exponent. */
void json_put_double(buffer *b, double value)
{
    if (!isfinite(value)) {
        buffer_add_text(b, "null");
        return;
    }
    if (signbit(value)) {
        buffer_add_char(b, '-');
        value = -value;
    }
    if (value == 0) {
        buffer_add_char(b, '0');
        return;
    }
    char digits[17];
    int exponent; /* value = 0.digits × 10^exponent */
    int n = json_double_digits(value, digits, &exponent);
    if (exponent > 21 || exponent < -5) {
        buffer_add_char(b, digits[0]);
        if (n > 1)
            buffer_add_char(b, '.');
        buffer_add(b, digits + 1, (size_t)n - 1);
        buffer_format(b, "e%+d", exponent - 1);
        return;
    }
    if (exponent <= 0)
        buffer_add_text(b, "0.");
    for (int i = exponent; i < 0; i++)
        buffer_add_char(b, '0');
    for (int i = 0; i < n || i < exponent; i++) {
        if (i == exponent && i > 0)
            buffer_add_char(b, '.');
        buffer_add_char(b, i < n ? digits[i] : '0');
    }
}

void json_put_id(buffer *b, ku_id id)
{
    char *out = buffer_reserve(b, 39);
    out[0] = '"';
    ku_id_format(id, out + 1);
    out[37] = '"';
    b->len += 38;
}

void json_put_time(buffer *b, ku_time time)
{
    char *out = buffer_reserve(b, 27);
    out[0] = '"';
    ku_time_format(time, out + 1);
    out[25] = '"';
    b->len += 26;
}

void json_put_decimal(buffer *b, ku_decimal value)
{
    char text[24];
    ku_decimal_format(value, text);
    buffer_add_char(b, '"');
    buffer_add_text(b, text);
    buffer_add_char(b, '"');
}

static void put_comma(buffer *b)
{
    if (b->len > 0 && b->ptr[b->len - 1] != '{')
        buffer_add_char(b, ',');
}

void json_put_key(buffer *b, const char *name)
{
    put_comma(b);
    json_put_text(b, ku_str_from(name));
    buffer_add_char(b, ':');
}

void json_put_key_str(buffer *b, ku_str name)
{
    put_comma(b);
    char *out = buffer_reserve(b, name.len + 3);
    out[0] = '"';
    memcpy(out + 1, name.ptr, name.len);
    out[name.len + 1] = '"';
    out[name.len + 2] = ':';
    b->len += name.len + 3;
}

static void put_children(buffer *b, const ku_json *json)
{
    bool is_object = json->kind == KU_JSON_OBJECT;
    buffer_add_char(b, is_object ? '{' : '[');
    for (const ku_json *child = json->first; child != NULL; child = child->next) {
        if (child != json->first)
            buffer_add_char(b, ',');
        if (is_object) {
            json_put_text(b, child->key);
            buffer_add_char(b, ':');
        }
        json_put(b, child);
    }
    buffer_add_char(b, is_object ? '}' : ']');
}

void json_put(buffer *b, const ku_json *json)
{
    switch (json->kind) {
    case KU_JSON_NULL:
        buffer_add_text(b, "null");
        break;
    case KU_JSON_BOOL:
        buffer_add_text(b, json->boolean ? "true" : "false");
        break;
    case KU_JSON_NUMBER:
        buffer_add_str(b, json->text);
        break;
    case KU_JSON_TEXT:
        json_put_text(b, json->text);
        break;
    case KU_JSON_ARRAY:
    case KU_JSON_OBJECT:
        put_children(b, json);
        break;
    }
}
