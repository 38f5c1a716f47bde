/*
 * Exact values of numbers.
 *
 * A JSON number is read as digits × 10^exponent without trailing zeros, so that 100, 1e2 and 100.00
 * are one and the same, and whether it is whole is the sign of the exponent.
 */
#include "base/json.h"

typedef struct exact {
    uint64_t digits;  /* without trailing zeros */
    int64_t exponent; /* 0 if the digits are */
    bool negative;
    bool overflow; /* the digits do not fit; the exponent is right nevertheless */
} exact;

enum { EXPONENT_BOUND = 100000000 }; /* far beyond what any text here can mean */

static int64_t read_exponent(const char *at, const char *end)
{
    bool negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    int64_t exponent = 0;
    for (; at < end; at++)
        if (exponent < EXPONENT_BOUND)
            exponent = exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

/* Adds a digit behind `zeros` zeros that were held back. */
static void add_digit(exact *e, int64_t zeros, unsigned digit)
{
    if (e->digits == 0)
        zeros = 0;
    for (int64_t i = 0; i <= zeros && !e->overflow; i++)
        e->overflow = __builtin_mul_overflow(e->digits, UINT64_C(10), &e->digits);
    if (!e->overflow)
        e->overflow = __builtin_add_overflow(e->digits, (uint64_t)digit, &e->digits);
}

static exact read_exact(ku_str number)
{
    exact e = {0};
    const char *at = number.ptr, *end = number.ptr + number.len;
    int64_t zeros = 0, written = 0;
    bool behind_point = false, any = false;
    if (at < end && *at == '-') {
        e.negative = true;
        at++;
    }
    for (; at < end; at++) {
        if (*at == '.') {
            behind_point = true;
            continue;
        }
        if (*at == 'e' || *at == 'E') {
            written = read_exponent(at + 1, end);
            break;
        }
        if (behind_point)
            e.exponent--;
        if (*at == '0') {
            zeros++;
            continue;
        }
        add_digit(&e, zeros, (unsigned)(*at - '0'));
        zeros = 0;
        any = true;
    }
    e.exponent = any ? e.exponent + zeros + written : 0;
    return e;
}

/* Up to 18 plain digits, which is what nearly every number is. */
static bool read_plain(ku_str number, int64_t *ret_value)
{
    size_t first = number.len > 0 && number.ptr[0] == '-' ? 1 : 0;
    if (number.len == first || number.len - first > 18)
        return false;
    int64_t value = 0;
    for (size_t i = first; i < number.len; i++) {
        unsigned digit = (unsigned)(uint8_t)number.ptr[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + (int64_t)digit;
    }
    *ret_value = first == 1 ? -value : value;
    return true;
}

json_whole json_number_int(ku_str number, int64_t *ret_value)
{
    if (read_plain(number, ret_value))
        return JSON_WHOLE;
    exact e = read_exact(number);
    if (e.exponent < 0)
        return JSON_FRACTION;
    bool overflow = e.overflow || e.exponent > 19;
    uint64_t value = e.digits;
    for (int64_t i = 0; i < e.exponent && !overflow; i++)
        overflow = __builtin_mul_overflow(value, UINT64_C(10), &value);
    if (overflow || value > (uint64_t)INT64_MAX + (e.negative ? 1 : 0))
        return e.negative ? JSON_TOO_SMALL : JSON_TOO_BIG;
    if (value == (uint64_t)INT64_MAX + 1)
        *ret_value = INT64_MIN;
    else
        *ret_value = e.negative ? -(int64_t)value : (int64_t)value;
    return JSON_WHOLE;
}

bool json_number_decimal(ku_str number, ku_decimal *ret_value)
{
    /* As written first: 12.10 has two digits behind its point. */
    if (ku_decimal_parse(number, ret_value))
        return true;
    exact e = read_exact(number);
    const uint64_t limit = UINT64_C(1000000000000000000);
    if (e.overflow || e.digits >= limit || e.exponent < -18 || e.exponent > 18)
        return false;
    uint64_t units = e.digits;
    for (int64_t i = 0; i < e.exponent; i++) {
        units *= 10;
        if (units >= limit)
            return false;
    }
    ret_value->units = e.negative ? -(int64_t)units : (int64_t)units;
    ret_value->scale = e.exponent < 0 ? (int32_t)-e.exponent : 0;
    return true;
}

/* By value: 1.0 is 1e0.  Numbers too long to compare so are compared as they are written. */
bool json_number_equal(ku_str a, ku_str b)
{
    if (ku_str_equal(a, b))
        return true;
    exact left = read_exact(a), right = read_exact(b);
    if (left.overflow || right.overflow || left.digits != right.digits)
        return false;
    return left.digits == 0 || (left.exponent == right.exponent && left.negative == right.negative);
}
