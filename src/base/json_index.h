/*
 * The one seam to simdjson: where the tokens of a text begin.
 */
#ifndef KU_BASE_JSON_INDEX_H
#define KU_BASE_JSON_INDEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Readable bytes that must follow the text. */
enum { JSON_PADDING = 64 };

typedef enum json_index_result {
    JSON_INDEX_OK,
    JSON_INDEX_EMPTY,   /* no token at all */
    JSON_INDEX_UTF8,    /* not UTF-8 */
    JSON_INDEX_STRING,  /* a string that does not end, or holds a control character */
    JSON_INDEX_FAILURE, /* longer than 4 GiB, or no memory */
} json_index_result;

/*
 * Offsets of every token's first byte: `{ } [ ] : ,`, an opening quote, or whatever else stands
 * outside of strings and white space.  The text is then known to be UTF-8, its strings to be closed
 * and free of control characters.  One more offset, `len`, follows the last.  Valid until the
 * thread's next call.
 */
json_index_result json_index(
    const char *text, size_t len, const uint32_t **ret_offsets, size_t *ret_count);

/* A JSON number's nearest double, whatever the locale; infinite if it is too large. */
double json_number_double(const char *text, size_t len);
/*
 * The shortest decimal digits that read back as this finite, positive number: value = 0.d1d2d3… ×
 * 10^*ret_exponent.  Returns how many there are, at most 17.
 */
int json_double_digits(double value, char ret_digits[17], int *ret_exponent);

#ifdef __cplusplus
}
#endif

#endif
