/* Names: kebab-case and what a name may look like (behaviour §3). */
#include "app/registry.h"

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

ku_str name_kebab(arena *a, ku_str name)
{
    buffer b = {.arena = a};

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        char before = i > 0 ? name.ptr[i - 1] : '\0';
        char after = i + 1 < name.len ? name.ptr[i + 1] : '\0';
        bool word_starts = is_upper(c) && (is_lower_or_digit(before) ||
                                              (is_upper(before) && after >= 'a' && after <= 'z'));
        if (word_starts)
            buffer_add_char(&b, '-');
        if (c == '.')
            c = '-';
        buffer_add_char(&b, is_upper(c) ? (char)(c - 'A' + 'a') : c);
    }
    return buffer_str(&b);
}

bool name_valid(ku_str name)
{
    bool at_start = true;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == ':') {
            if (at_start)
                return false;
            at_start = true;
            continue;
        }
        if (at_start ? !(c >= 'a' && c <= 'z') : !(is_lower_or_digit(c) || c == '-'))
            return false;
        at_start = false;
    }
    return !at_start;
}
