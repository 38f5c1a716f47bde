/*
 * The words are the ones that engines quarrel about: upper and lower case, umlauts composed and
 * decomposed, scripts, signs that locales ignore, wildcards, quotes, and the ends of UTF-8.
 */
#include "order/equal_values.h"

#include "base/json.h"

#include <stdio.h>

size_t chance_below(chance *c, size_t n)
{
    c->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = c->state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((z ^ z >> 31) % n);
}

bool chance_of(chance *c, int percent)
{
    return chance_below(c, 100) < (size_t)percent;
}

#define ONE_OF(c, array) ((array)[chance_below((c), KU_COUNT(array))])

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *const words[] = {"a", "A", "b", "B", "Z", "z", "a b", "a-b", "a_b", "ab", "aB",
    "a%", "_", "-", "~", " ", "zebra", "Äpfel", "äpfel", "Apfel", "ÄPFEL", "A\314\210pfel",
    "straße", "strasse", "Straße", "STRASSE", "éclair", "e\314\201clair", "İstanbul", "ısparta",
    "Øre", "中文", "日本", "العربية", "😀", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbd", "ﬁ", "co-op", "coop",
    "résumé", "10", "9", "1e1", "null", "O'Neill", "tab\there", "{\"x\":1}"};

const char *value_word(chance *c)
{
    return ONE_OF(c, words);
}

void value_text(chance *c, buffer *b)
{
    static const char *const odd[] = {"\"\"", "\"\\u0000\"", "\"a\\u0000b\"", "\"\\u0001\\u007f\"",
        "\"\\ud83d\\ude00\"", "\"\\\"\\\\\\/\"", "\"\\u00e4\"", "\"line\\nline\\r\\t\"",
        "\"\\u2028\"", "\"  \""};
    if (chance_of(c, 7))
        buffer_add_text(b, ONE_OF(c, odd));
    else
        json_put_text(b, ku_str_from(value_word(c)));
}

void value_code(chance *c, buffer *b)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%zu", value_word(c), chance_below(c, 12));
    json_put_text(b, ku_str_from(text));
}

/* ---- numbers --------------------------------------------------------------------------------- */

void value_small_int(chance *c, buffer *b)
{
    buffer_format(b, "%d", (int)chance_below(c, 25) - 3);
}

void value_int(chance *c, buffer *b)
{
    static const char *const odd[] = {"9007199254740991", "-9007199254740991",
        "\"9007199254740993\"", "\"9223372036854775807\"", "\"-9223372036854775808\"",
        "9223372036854775808", "1.0", "1e2", "1.5", "-0", "\"12\"", "2147483648"};
    if (chance_of(c, 10))
        buffer_add_text(b, ONE_OF(c, odd));
    else
        buffer_format(b, "%d", (int)chance_below(c, 2000) - 500);
}

void value_price(chance *c, buffer *b)
{
    static const char *const odd[] = {"\"0\"", "0", "\"-0.00\"", "\"-0.01\"", "12.5", "1e2",
        "\"1.005\"", "\"12.3\"", "\"9999999999999999.99\"", "\"x\"", "1.10", "\"00012.30\""};
    if (chance_of(c, 12))
        buffer_add_text(b, ONE_OF(c, odd));
    else
        buffer_format(b, "\"%d.%02d\"", (int)chance_below(c, 300) - 100, (int)chance_below(c, 100));
}

void value_rebate(chance *c, buffer *b)
{
    if (chance_of(c, 20))
        buffer_add_text(b, "null");
    else
        buffer_format(b, "\"0.%03d\"", (int)chance_below(c, 20) * 50);
}

void value_double(chance *c, buffer *b)
{
    static const char *const numbers[] = {"0", "0.1", "-0.0", "1e308", "-1.7976931348623157e308",
        "5e-324", "2.2250738585072014e-308", "1e-7", "123456789.123456789", "0.30000000000000004",
        "1e21", "1e22", "9007199254740993", "-1.5", "3.3333333333333335", "1e400", "100", "7e-10"};
    if (chance_of(c, 60))
        buffer_add_text(b, ONE_OF(c, numbers));
    else
        json_put_double(b, (double)chance_below(c, 1000) / 7);
}

void value_bool(chance *c, buffer *b)
{
    buffer_add_text(b, chance_of(c, 50) ? "true" : "false");
}

/* ---- names, instants ------------------------------------------------------------------------- */

void value_grade(chance *c, buffer *b)
{
    static const char *const grades[] = {"rough", "fine", "polished", "fine", "rough", "Rough"};
    buffer_format(b, "\"%s\"", ONE_OF(c, grades));
}

void value_finish(chance *c, buffer *b)
{
    static const char *const finishes[] = {"\"matt\"", "\"gloss\"", "null", "\"\""};
    buffer_add_text(b, ONE_OF(c, finishes));
}

static void put_instant(buffer *b, int64_t unix_us, bool micros)
{
    char text[25];
    ku_time_format((ku_time){unix_us}, text);
    if (micros)
        buffer_format(b, "\"%.23s%03dZ\"", text, (int)(unix_us % 1000));
    else
        buffer_format(b, "\"%s\"", text);
}

void value_past(chance *c, buffer *b)
{
    const int64_t span = c->now_us - c->begin_us;
    put_instant(b, c->begin_us + (int64_t)chance_below(c, (size_t)span + 1), chance_of(c, 30));
}

void value_time(chance *c, buffer *b)
{
    static const char *const odd[] = {"\"0001-01-01T00:00:00Z\"", "\"9999-12-31T23:59:59.999Z\"",
        "\"1969-12-31T23:59:59.999999Z\"", "\"1970-01-01T00:00:00Z\"",
        "\"2026-01-01T02:00:00+02:00\"", "\"2026-01-01T00:00:00.000001Z\"",
        "\"2024-02-29T12:00:00.5-11:30\"", "\"2026-02-30T00:00:00Z\"", "\"2026-01-01\"",
        "\"1582-10-15T00:00:00Z\"", "\"2000-01-01T00:00:00Z\"", "1767225600000"};
    /* Few instants, so that filters find some. */
    if (chance_of(c, 15))
        buffer_add_text(b, ONE_OF(c, odd));
    else
        put_instant(b, c->begin_us + (int64_t)chance_below(c, 12) * 1500250, chance_of(c, 50));
}

/* ---- lists and nests ------------------------------------------------------------------------- */

static void put_list(chance *c, buffer *b, size_t n_max, void (*value)(chance *c, buffer *b))
{
    const size_t n = chance_below(c, n_max + 1);
    buffer_add_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        value(c, b);
    }
    buffer_add_char(b, ']');
}

void value_tags(chance *c, buffer *b)
{
    put_list(c, b, 4, value_text);
}

void value_numbers(chance *c, buffer *b)
{
    put_list(c, b, 5, value_int);
}

static void value_size(chance *c, buffer *b)
{
    buffer_add_text(b, "{\"name\":");
    value_text(c, b);
    buffer_add_text(b, ",\"length\":");
    value_small_int(c, b);
    buffer_add_char(b, '}');
}

void value_sizes(chance *c, buffer *b)
{
    put_list(c, b, 2, value_size);
}

void value_frame(chance *c, buffer *b)
{
    buffer_add_text(b, "{\"painted\":");
    value_bool(c, b);
    if (chance_of(c, 50)) {
        buffer_add_text(b, ",\"colour\":");
        value_text(c, b);
    }
    buffer_format(
        b, ",\"thickness\":\"%d.%d\"}", (int)chance_below(c, 9), (int)chance_below(c, 9999));
}

void value_anything(chance *c, buffer *b)
{
    static void (*const values[])(chance * c, buffer * b) = {value_text, value_int, value_double,
        value_bool, value_time, value_tags, value_numbers, value_frame, value_finish};
    static const char *const odd[] = {"1.0", "1E+2", "123456789012345678901234567890", "-0.0", "{}",
        "[]", "null", "{\"b\":1,\"a\":2}", "[[[[]]]]", "{\"\":null}", "\"\\u00e9\""};
    const size_t way = chance_below(c, 10);
    if (way < 6) {
        values[chance_below(c, KU_COUNT(values))](c, b);
    } else if (way < 8) {
        buffer_add_text(b, ONE_OF(c, odd));
    } else if (way == 8) {
        put_list(c, b, 3, value_anything);
    } else {
        buffer_add_text(b, "{\"ä\":");
        value_anything(c, b);
        buffer_add_text(b, ",\"nested\":{\"deep\":");
        value_anything(c, b);
        buffer_add_text(b, "}}");
    }
}
