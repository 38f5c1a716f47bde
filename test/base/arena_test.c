/*
 * Arenas and buffers: zeroed, aligned, rewound, grown in place.
 */
#include "base/arena.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <string.h>

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    arena a = {0};
    for (size_t size = 0; size < 5000; size += 37) {
        unsigned char *memory = arena_alloc(&a, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    arena_done(&a);
}

static void memory_is_zeroed_again_after_a_rewind(void **state)
{
    (void)state;
    arena a = {0};
    (void)arena_alloc(&a, 100);
    ku_mark mark = arena_mark(&a);
    memset(arena_alloc(&a, 1000), 0xff, 1000);
    arena_rewind(&a, mark);
    const unsigned char *memory = arena_alloc(&a, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(memory[i], 0);
    arena_done(&a);
}

static void a_rewind_frees_chunks_and_keeps_what_was_before(void **state)
{
    (void)state;
    arena a = {0};
    ku_str before = arena_copy(&a, KU_STR("before"));
    ku_mark mark = arena_mark(&a);
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 20; i++)
            (void)arena_alloc(&a, 4096);
        arena_rewind(&a, mark);
    }
    assert_string_equal(before.ptr, "before");
    /* A thousand rounds held no more than one. */
    assert_true(a.high_water < 20 * 4096 * 4);
    arena_done(&a);
}

static void a_mark_of_an_empty_arena_rewinds_to_empty(void **state)
{
    (void)state;
    arena a = {0};
    ku_mark mark = arena_mark(&a);
    void *first = arena_alloc(&a, 64);
    (void)arena_alloc(&a, 100000);
    arena_rewind(&a, mark);
    assert_ptr_equal(arena_alloc(&a, 64), first);
    arena_done(&a);
}

static void a_reset_keeps_the_first_chunk(void **state)
{
    (void)state;
    arena a = {0};
    void *first = arena_alloc(&a, 64);
    for (int i = 0; i < 100; i++)
        (void)arena_alloc(&a, 1000);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 64), first);
    arena_done(&a);
    arena_reset(&a);
    arena_done(&a);
}

static void a_reset_does_not_keep_a_huge_chunk(void **state)
{
    (void)state;
    arena a = {0};
    (void)arena_text(&a, 8 << 20);
    arena_reset(&a);
    assert_null(a.newest);
    arena_done(&a);
}

static void a_piece_larger_than_any_chunk_is_made(void **state)
{
    (void)state;
    arena a = {0};
    char *memory = arena_alloc(&a, 5 << 20);
    memory[(5 << 20) - 1] = 1;
    assert_true(a.high_water >= 5 << 20);
    arena_done(&a);
}

static void only_the_last_piece_is_extended(void **state)
{
    (void)state;
    arena a = {0};
    char *first = arena_text(&a, 10);
    assert_true(arena_extend(&a, first + 10, 20));
    memset(first, 'x', 30);
    char *second = arena_text(&a, 10);
    assert_true(second >= first + 30);
    assert_false(arena_extend(&a, first + 30, 1));
    assert_false(arena_extend(&a, second + 10, 1 << 20));
    arena_done(&a);
}

static void formatted_text_of_any_length_is_whole(void **state)
{
    (void)state;
    arena a = {0};
    for (int len = 0; len < 1000; len += 51) {
        ku_str text = arena_format(&a, "%*d|", len, 7);
        assert_int_equal(text.len, len < 2 ? 2 : len + 1);
        assert_int_equal(text.ptr[text.len - 1], '|');
        assert_int_equal(text.ptr[text.len], '\0');
    }
    arena_done(&a);
}

static void an_empty_view_is_copied(void **state)
{
    (void)state;
    arena a = {0};
    ku_str copy = arena_copy(&a, (ku_str){0});
    assert_int_equal(copy.len, 0);
    assert_string_equal(copy.ptr, "");
    arena_done(&a);
}

static void buffers_grow_on_the_heap_and_in_arenas(void **state)
{
    (void)state;
    arena a = {0};
    buffer heap = {0}, inside = {.arena = &a};
    for (int i = 0; i < 20000; i++) {
        buffer_format(&heap, "%d,", i);
        buffer_format(&inside, "%d,", i);
        if (i % 1000 == 0)
            (void)arena_alloc(&a, 10); /* something in the way */
    }
    buffer_add_str(&heap, (ku_str){0});
    buffer_add_text(&heap, "end");
    buffer_add_text(&inside, "end");
    assert_true(ku_str_equal(buffer_str(&heap), buffer_str(&inside)));
    assert_int_equal(strlen(buffer_str(&heap).ptr), heap.len);
    buffer_done(&heap);
    assert_null(heap.ptr);
    buffer_done(&inside);
    arena_done(&a);
}

static void a_long_format_is_written_whole(void **state)
{
    (void)state;
    buffer b = {0};
    buffer_format(&b, "%5000d", 1);
    assert_int_equal(b.len, 5000);
    assert_int_equal(b.ptr[4999], '1');
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(memory_is_zeroed_again_after_a_rewind),
        cmocka_unit_test(a_rewind_frees_chunks_and_keeps_what_was_before),
        cmocka_unit_test(a_mark_of_an_empty_arena_rewinds_to_empty),
        cmocka_unit_test(a_reset_keeps_the_first_chunk),
        cmocka_unit_test(a_reset_does_not_keep_a_huge_chunk),
        cmocka_unit_test(a_piece_larger_than_any_chunk_is_made),
        cmocka_unit_test(only_the_last_piece_is_extended),
        cmocka_unit_test(formatted_text_of_any_length_is_whole),
        cmocka_unit_test(an_empty_view_is_copied),
        cmocka_unit_test(buffers_grow_on_the_heap_and_in_arenas),
        cmocka_unit_test(a_long_format_is_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
