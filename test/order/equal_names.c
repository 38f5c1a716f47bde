/*
 * Ids are found by their form: 8-4-4-4-12 hexadecimal digits, lower case, that no further digit
 * follows.  The base64url text of a `nextCursor` is opened first, because it has an id in it.
 */
#include "order/equal_names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ID_LENGTH = 36 };

/* ---- names ----------------------------------------------------------------------------------- */

static size_t slot_of(const id_names *names, ku_id id)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof id.bytes; i++)
        hash = (hash ^ id.bytes[i]) * UINT64_C(1099511628211);
    size_t slot = (size_t)(hash >> 20) % names->n_slots;
    while (names->slots[slot] != 0 && !ku_id_equal(names->ids[names->slots[slot] - 1], id))
        slot = (slot + 1) % names->n_slots;
    return slot;
}

static void grow(id_names *names)
{
    free(names->slots);
    names->n_slots = names->n_slots == 0 ? 1024 : names->n_slots * 4;
    names->slots = mem_zero(names->n_slots, sizeof *names->slots);
    names->ids = mem_grow(names->ids, names->n_slots / 2 * sizeof *names->ids);
    for (size_t i = 0; i < names->n_ids; i++)
        names->slots[slot_of(names, names->ids[i])] = i + 1;
}

static size_t number_of(id_names *names, ku_id id)
{
    if (names->n_ids * 2 >= names->n_slots)
        grow(names);
    const size_t slot = slot_of(names, id);
    if (names->slots[slot] == 0) {
        names->ids[names->n_ids++] = id;
        names->slots[slot] = names->n_ids;
    }
    return names->slots[slot] - 1;
}

void names_done(id_names *names)
{
    free(names->ids);
    free(names->slots);
    *names = (id_names){0};
}

/* ---- cursors --------------------------------------------------------------------------------- */

static const char cursor_start[] = "\"nextCursor\":\"";

ku_str names_next_cursor(ku_str text)
{
    const char *at = memmem(text.ptr, text.len, cursor_start, strlen(cursor_start));
    if (at == NULL)
        return KU_STR("");
    at += strlen(cursor_start);
    const char *end = memchr(at, '"', (size_t)(text.ptr + text.len - at));
    assert(end != NULL);
    return (ku_str){at, (size_t)(end - at)};
}

static void open_cursor(ku_str cursor, buffer *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int n_bits = 0;
    for (size_t i = 0; i < cursor.len; i++) {
        const char *digit = strchr(digits, cursor.ptr[i]);
        assert(digit != NULL);
        bits = bits << 6 | (uint32_t)(digit - digits);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buffer_add_char(b, (char)(bits >> n_bits & 255));
        }
    }
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool find_id(ku_str text, ku_id *ret_id)
{
    if (text.len < ID_LENGTH || !is_hex(text.ptr[0]) || text.ptr[8] != '-')
        return false;
    if (text.len > ID_LENGTH && is_hex(text.ptr[ID_LENGTH]))
        return false;
    return ku_id_parse((ku_str){text.ptr, ID_LENGTH}, ret_id);
}

static void hide_ids(id_names *names, ku_str text, buffer *b)
{
    for (size_t i = 0; i < text.len;) {
        ku_id id;
        if (find_id((ku_str){text.ptr + i, text.len - i}, &id)) {
            buffer_format(b, "@{%zu}", number_of(names, id));
            i += ID_LENGTH;
        } else {
            buffer_add_char(b, text.ptr[i]);
            i++;
        }
    }
}

void names_hide(id_names *names, ku_str text, buffer *b)
{
    const ku_str cursor = names_next_cursor(text);
    if (cursor.len == 0) {
        hide_ids(names, text, b);
        return;
    }
    buffer opened = {0};
    const size_t before = (size_t)(cursor.ptr - text.ptr);
    buffer_add(&opened, text.ptr, before);
    open_cursor(cursor, &opened);
    buffer_add(&opened, cursor.ptr + cursor.len, text.len - before - cursor.len);
    hide_ids(names, buffer_str(&opened), b);
    buffer_done(&opened);
}

void names_show(const id_names *names, ku_str text, buffer *b)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.len - i < 4 || memcmp(text.ptr + i, "@{", 2) != 0) {
            buffer_add_char(b, text.ptr[i]);
            continue;
        }
        char *end;
        const size_t number = strtoul(text.ptr + i + 2, &end, 10);
        assert(*end == '}' && number < names->n_ids);
        char id[37];
        ku_id_format(names->ids[number], id);
        buffer_add_text(b, id);
        i = (size_t)(end - text.ptr);
    }
}
