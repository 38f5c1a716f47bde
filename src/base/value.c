/*
 * Views of text, and ids.
 *
 * Ids are read through a table of hex digits and written through one of digit pairs: both happen
 * several times per request.
 */
#include "kumiko/value.h"

#include <string.h>

ku_str ku_str_from(const char *text)
{
    return text == NULL ? (ku_str){"", 0} : (ku_str){text, strlen(text)};
}

bool ku_str_equal(ku_str a, ku_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool ku_str_is(ku_str a, const char *text)
{
    return ku_str_equal(a, ku_str_from(text));
}

bool ku_id_equal(ku_id a, ku_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool ku_id_is_nil(ku_id id)
{
    return ku_id_equal(id, (ku_id){{0}});
}

/* A hex digit's value plus one; 0 for every other byte. */
static const uint8_t hex_values[256] = {
    ['0'] = 1,
    ['1'] = 2,
    ['2'] = 3,
    ['3'] = 4,
    ['4'] = 5,
    ['5'] = 6,
    ['6'] = 7,
    ['7'] = 8,
    ['8'] = 9,
    ['9'] = 10,
    ['a'] = 11,
    ['b'] = 12,
    ['c'] = 13,
    ['d'] = 14,
    ['e'] = 15,
    ['f'] = 16,
    ['A'] = 11,
    ['B'] = 12,
    ['C'] = 13,
    ['D'] = 14,
    ['E'] = 15,
    ['F'] = 16,
};

/* Where each byte's two digits stand in the text; the dashes are at 8, 13, 18 and 23. */
static const uint8_t id_places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

bool ku_id_parse(ku_str text, ku_id *ret_id)
{
    if (text.len != 36 || text.ptr[8] != '-' || text.ptr[13] != '-' || text.ptr[18] != '-' ||
        text.ptr[23] != '-')
        return false;
    ku_id id;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        unsigned high = hex_values[(uint8_t)text.ptr[id_places[i]]];
        unsigned low = hex_values[(uint8_t)text.ptr[id_places[i] + 1]];
        if (high == 0 || low == 0)
            return false;
        id.bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    *ret_id = id;
    return true;
}

void ku_id_format(ku_id id, char ret_text[37])
{
    static const char digits[] = "0123456789abcdef";
    ret_text[8] = ret_text[13] = ret_text[18] = ret_text[23] = '-';
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        ret_text[id_places[i]] = digits[id.bytes[i] >> 4];
        ret_text[id_places[i] + 1] = digits[id.bytes[i] & 15];
    }
    ret_text[36] = '\0';
}
