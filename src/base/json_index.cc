/*
 * The seam to simdjson, and to the two number conversions that C++ has and C does not.
 *
 * simdjson's first stage finds the tokens of a text, 64 bytes at a time with whatever the processor
 * has, and checks UTF-8 on the way.  Its second stage is not used: what is needed here is stricter
 * (no duplicate keys, no lone surrogates) and keeps the text of numbers.
 *
 * Each thread keeps an index that fits ordinary requests.  A large text gets one of its own, so
 * that one large body does not stay in the memory of every thread.
 */
#include "base/json_index.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <memory>
#include <simdjson.h>

namespace
{

using indexer = std::unique_ptr<simdjson::internal::dom_parser_implementation>;

constexpr size_t kept_capacity = 64 * 1024;

struct thread_indexers {
    indexer kept;
    indexer large; /* of the last text, if that was large */
};

bool make(size_t capacity, indexer &ret_made)
{
    return simdjson::get_active_implementation()->create_dom_parser_implementation(
               capacity, 1, ret_made) == simdjson::SUCCESS;
}

} // namespace

json_index_result json_index(
    const char *text, size_t len, const uint32_t **ret_offsets, size_t *ret_count)
{
    thread_local thread_indexers indexers;
    indexers.large.reset();
    bool is_large = len > kept_capacity;
    indexer &used = is_large ? indexers.large : indexers.kept;
    if (used == nullptr && !make(is_large ? len : kept_capacity, used))
        return JSON_INDEX_FAILURE;

    simdjson::error_code error =
        used->stage1(reinterpret_cast<const uint8_t *>(text), len, simdjson::stage1_mode::regular);
    switch (error) {
    case simdjson::SUCCESS:
        *ret_offsets = used->structural_indexes.get();
        *ret_count = used->n_structural_indexes;
        return JSON_INDEX_OK;
    case simdjson::EMPTY:
        return JSON_INDEX_EMPTY;
    case simdjson::UTF8_ERROR:
        return JSON_INDEX_UTF8;
    case simdjson::UNCLOSED_STRING:
    case simdjson::UNESCAPED_CHARS:
        return JSON_INDEX_STRING;
    default:
        return JSON_INDEX_FAILURE;
    }
}

/* Of a number beyond the range of doubles: too large, rather than too close to zero? */
static bool is_large(const char *text, size_t len)
{
    long long magnitude = 0; /* of the first digit that is not zero; at the point it is 0 */
    bool counting = false, behind_point = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == 'e' || text[i] == 'E') {
            bool plus = text[i + 1] == '+';
            long long exponent = 0;
            std::from_chars_result result =
                std::from_chars(text + i + 1 + (plus ? 1 : 0), text + len, exponent);
            if (result.ec == std::errc::result_out_of_range)
                return text[i + 1] != '-';
            return magnitude > -exponent;
        }
        if (text[i] == '.')
            behind_point = true;
        if (text[i] >= '1' && text[i] <= '9')
            counting = true;
        if (text[i] >= '0' && text[i] <= '9' && counting != behind_point)
            magnitude += counting ? 1 : -1;
    }
    return magnitude > 0;
}

double json_number_double(const char *text, size_t len)
{
    double value = 0;
    std::from_chars_result result = std::from_chars(text, text + len, value);
    if (result.ec != std::errc::result_out_of_range)
        return value;
    double limit = is_large(text, len) ? std::numeric_limits<double>::infinity() : 0.0;
    return text[0] == '-' ? -limit : limit;
}

int json_double_digits(double value, char ret_digits[17], int *ret_exponent)
{
    char text[32];
    std::to_chars_result result =
        std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific);
    int n = 0;
    char *at = text;
    for (; at < result.ptr && *at != 'e'; at++)
        if (*at != '.')
            ret_digits[n++] = *at;
    *result.ptr = '\0';
    *ret_exponent = std::atoi(at + 1) + 1;
    return n;
}
