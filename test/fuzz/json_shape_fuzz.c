/*
 * Any bytes as JSON, into structs and back.
 *
 * Whatever is let through must be a fixed point: what is written of a tree is read as an equal
 * tree, and what is written of a struct is read as an equal struct.  Run by libFuzzer:
 *
 *     CC=clang CXX=clang++ cmake -B build-fuzz -DKUMIKO_FUZZ=ON -DKUMIKO_SANITIZE=address,undefined
 *     cmake --build build-fuzz --target json_shape_fuzz
 *     build-fuzz/test/fuzz/json_shape_fuzz -max_len=4096
 */
#include "base/limits.h"
#include "shape/shape_fixture.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shape(ku_scope *scope, const ku_shape *shape, const ku_json *json)
{
    void *one = ku_alloc(scope, shape->size), *two = ku_alloc(scope, shape->size);
    ku_clear_error(scope);
    if (shape_decode(scope, shape, json, (ku_str){0}, one) != KU_OK) {
        assert(scope->error.n_issues > 0);
        return;
    }
    assert(scope->error.status == KU_OK);
    assert(shape_check(scope, shape, one, (ku_str){0}) == KU_OK);

    buffer written = {.arena = &scope->arena};
    shape_encode(&written, shape, one, false);
    ku_json *again = NULL;
    assert(ku_json_parse(scope, buffer_str(&written), &again) == KU_OK);
    assert(shape_decode(scope, shape, again, (ku_str){0}, two) == KU_OK);
    /* The wire has milliseconds, so times may differ; the second writing must not. */
    buffer second = {.arena = &scope->arena};
    shape_encode(&second, shape, two, false);
    assert(ku_str_equal(buffer_str(&written), buffer_str(&second)));
    (void)shape_copy(&scope->arena, shape, two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ku_scope scope;
    scope_reset(&scope);
    ku_json *json = NULL, *again = NULL;
    if (ku_json_parse(&scope, (ku_str){(const char *)data, size}, &json) != KU_OK)
        return 0;
    assert(json_depth(json) <= LIMIT_JSON_DEPTH);
    ku_str written = ku_json_write(&scope, json);
    assert(ku_json_parse(&scope, written, &again) == KU_OK);
    assert(json_equal(json, again));
    assert(ku_str_equal(written, ku_json_write(&scope, again)));
    check_shape(&scope, &order_shape, json);
    check_shape(&scope, &options_shape, json);
    return 0;
}
