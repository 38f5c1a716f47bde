/*
 * Values: the plain data every other header is made of.
 *
 * Everything here is a value: copy it, compare it, write it as a literal.  Zero is valid for each
 * of them.  Nothing here owns memory; a `ku_str` borrows the bytes it points at, and whoever hands
 * one out says how long they live (usually: as long as the scope).
 */
#ifndef KUMIKO_VALUE_H
#define KUMIKO_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks the functions of the stable ABI; everything else is hidden. */
#define KU_API __attribute__((visibility("default")))

/* The ABI a feature was compiled against; a program refuses a feature with another one by name. */
#define KU_ABI_VERSION 1

/* A borrowed view of UTF-8 text: `len` bytes, not NUL-terminated, never freed. */
typedef struct ku_str {
    const char *ptr;
    size_t len;
} ku_str;

/* A UUID in network order.  Ids made by the library are UUIDv7 (RFC 9562), so they sort by time. */
typedef struct ku_id {
    uint8_t bytes[16];
} ku_id;

/* An instant: microseconds since 1970-01-01T00:00:00Z.  The wire shows milliseconds. */
typedef struct ku_time {
    int64_t unix_us;
} ku_time;

/* An exact decimal number: units / 10^scale, with scale 0 to 18.  Money. */
typedef struct ku_decimal {
    int64_t units;
    int32_t scale;
} ku_decimal;

/* JSON text that is passed through as it came, already known to be valid. */
typedef struct ku_raw {
    ku_str json;
} ku_raw;

/* `count` items of the field's element type, one after the other. */
typedef struct ku_list {
    const void *items;
    size_t count;
} ku_list;

/* Optional values say so by their type; there are no sentinels. */
typedef struct ku_optional_bool {
    bool set;
    bool value;
} ku_optional_bool;
typedef struct ku_optional_int64 {
    bool set;
    int64_t value;
} ku_optional_int64;
typedef struct ku_optional_double {
    bool set;
    double value;
} ku_optional_double;
typedef struct ku_optional_str {
    bool set;
    ku_str value;
} ku_optional_str;
typedef struct ku_optional_id {
    bool set;
    ku_id value;
} ku_optional_id;
typedef struct ku_optional_time {
    bool set;
    ku_time value;
} ku_optional_time;
typedef struct ku_optional_decimal {
    bool set;
    ku_decimal value;
} ku_optional_decimal;
typedef struct ku_optional_raw {
    bool set;
    ku_raw value;
} ku_optional_raw;
/* An optional C enum: `value` is the enumerator. */
typedef struct ku_optional_enum {
    bool set;
    int value;
} ku_optional_enum;
typedef struct ku_optional_list {
    bool set;
    ku_list value;
} ku_optional_list;

/* A view of a string literal. */
#define KU_STR(literal) ((ku_str){"" literal, sizeof(literal) - 1})
/* The same where only a constant initialiser will do (a static table). */
/* clang-format off */
#define KU_STR_INIT(literal) {"" literal, sizeof(literal) - 1}
/* clang-format on */

/* For printf: `printf("%" KU_PRI, KU_FMT(name))`. */
#define KU_PRI ".*s"
#define KU_FMT(str) (int)(str).len, (str).ptr != NULL ? (str).ptr : ""

#define KU_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An options literal that knows its size, so that old programs work with new libraries. */
#define KU_OPTIONS(type, ...) (&(type){.size = sizeof(type), __VA_ARGS__})

/* A NULL-terminated list of pointers to constants. */
#define KU_LIST(type, ...) ((const type *const[]){__VA_ARGS__, NULL})
/* The last row of a table: all zero. */
#define KU_END                                                                                     \
    {                                                                                              \
        0                                                                                          \
    }
/* A NULL-terminated list of names: roles, columns, enumerators. */
#define KU_NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/*
 * Views of NUL-terminated text; borrowed.  NULL gives the empty view.  Thread-safe, as all below.
 */
KU_API ku_str ku_str_from(const char *text);
KU_API bool ku_str_equal(ku_str a, ku_str b);
KU_API bool ku_str_is(ku_str a, const char *text);

KU_API bool ku_id_equal(ku_id a, ku_id b);
/* True for the nil UUID, which no stream has. */
KU_API bool ku_id_is_nil(ku_id id);
/*
 * Reads the 36-character text form (either case).  False, and *ret_id untouched, if it is not one.
 */
KU_API bool ku_id_parse(ku_str text, ku_id *ret_id);
/* Writes the lower-case text form and a NUL. */
KU_API void ku_id_format(ku_id id, char ret_text[37]);

/* Reads ISO 8601 with `T`, optional fraction, and `Z` or an offset (RFC 3339). */
KU_API bool ku_time_parse(ku_str text, ku_time *ret_time);
/*
 * Writes `2026-11-23T17:30:06.627Z` and a NUL: UTC, milliseconds, as on the wire (behaviour §1.9).
 */
KU_API void ku_time_format(ku_time time, char ret_text[25]);

/* Reads `[-]digits[.digits]`, at most 18 digits in all. */
KU_API bool ku_decimal_parse(ku_str text, ku_decimal *ret_decimal);
/* Writes all of its scale's digits and a NUL: {1250, 2} is `12.50`. */
KU_API void ku_decimal_format(ku_decimal decimal, char ret_text[24]);
/* The same number with another scale.  False if digits would be lost or it does not fit. */
KU_API bool ku_decimal_rescale(ku_decimal decimal, int32_t scale, ku_decimal *ret_decimal);
/* <0, 0, >0 by value, whatever the scales. */
KU_API int ku_decimal_compare(ku_decimal a, ku_decimal b);

#ifdef __cplusplus
}
#endif
#endif
