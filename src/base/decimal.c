/*
 * Exact decimals: 64 bits of units and a scale of at most 18 digits.
 *
 * Nothing here rounds.  A number that does not fit is refused, and two numbers of different scales
 * are compared in 128 bits, where every one of them can be brought to scale 18.
 */
#include "kumiko/value.h"

#include <assert.h>
#include <string.h>

enum { SCALE_MAX = 18, DIGITS_MAX = 18 };

static const int64_t powers_of_ten[SCALE_MAX + 1] = {
    INT64_C(1),
    INT64_C(10),
    INT64_C(100),
    INT64_C(1000),
    INT64_C(10000),
    INT64_C(100000),
    INT64_C(1000000),
    INT64_C(10000000),
    INT64_C(100000000),
    INT64_C(1000000000),
    INT64_C(10000000000),
    INT64_C(100000000000),
    INT64_C(1000000000000),
    INT64_C(10000000000000),
    INT64_C(100000000000000),
    INT64_C(1000000000000000),
    INT64_C(10000000000000000),
    INT64_C(100000000000000000),
    INT64_C(1000000000000000000),
};

bool ku_decimal_parse(ku_str text, ku_decimal *ret_decimal)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    size_t first = at, digits = 0;
    int64_t units = 0;
    int32_t scale = 0;
    bool pointed = false;
    for (; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '.' && !pointed && at > first && at + 1 < text.len) {
            pointed = true;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > DIGITS_MAX)
            return false;
        units = units * 10 + (c - '0');
        scale += pointed ? 1 : 0;
    }
    if (digits == 0)
        return false;
    *ret_decimal = (ku_decimal){first == 1 ? -units : units, scale};
    return true;
}

void ku_decimal_format(ku_decimal decimal, char ret_text[24])
{
    assert(decimal.scale >= 0 && decimal.scale <= SCALE_MAX);
    uint64_t units = decimal.units < 0 ? 0 - (uint64_t)decimal.units : (uint64_t)decimal.units;
    char reversed[24];
    int n = 0;
    /* At least one digit stands before the point. */
    while (units > 0 || n <= decimal.scale) {
        reversed[n++] = (char)('0' + units % 10);
        units /= 10;
    }
    char *out = ret_text;
    if (decimal.units < 0)
        *out++ = '-';
    while (n > 0) {
        *out++ = reversed[--n];
        if (n == decimal.scale && n > 0)
            *out++ = '.';
    }
    *out = '\0';
}

bool ku_decimal_rescale(ku_decimal decimal, int32_t scale, ku_decimal *ret_decimal)
{
    if (scale < 0 || scale > SCALE_MAX || decimal.scale < 0 || decimal.scale > SCALE_MAX)
        return false;
    int64_t units = decimal.units;
    if (scale >= decimal.scale) {
        if (__builtin_mul_overflow(units, powers_of_ten[scale - decimal.scale], &units))
            return false;
    } else {
        int64_t divisor = powers_of_ten[decimal.scale - scale];
        if (units % divisor != 0)
            return false;
        units /= divisor;
    }
    *ret_decimal = (ku_decimal){units, scale};
    return true;
}

int ku_decimal_compare(ku_decimal a, ku_decimal b)
{
    __extension__ typedef __int128 wide;
    assert(a.scale >= 0 && a.scale <= SCALE_MAX && b.scale >= 0 && b.scale <= SCALE_MAX);
    wide left = (wide)a.units * powers_of_ten[SCALE_MAX - a.scale];
    wide right = (wide)b.units * powers_of_ten[SCALE_MAX - b.scale];
    return left < right ? -1 : left > right ? 1 : 0;
}
