/* test_chunks.c: every element has one place, and none ever moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/chunks.h"

static const struct chunk_shape shapes[] = {
    {4, 12, sizeof(uint32_t)},
    {8, 16, sizeof(uint32_t)},
    {0, 3, sizeof(uint32_t)},
    {5, 5, sizeof(uint32_t)}, /* all chunks alike */
};

#define SHAPES   (sizeof shapes / sizeof shapes[0])
#define ELEMENTS 300000u

static uint32_t *element_at(const struct chunks *chunks, uint32_t element, struct chunk_shape shape)
{
    struct chunk_place place = chunk_place(element, shape);
    assert_true(place.slot < place.size);
    return (uint32_t *)chunk_at(chunks, place.chunk) + place.slot;
}

static void elements_keep_their_places_while_the_array_grows(void **state)
{
    (void)state;
    static uint32_t *where[ELEMENTS];
    for (size_t s = 0; s < SHAPES; s++) {
        struct chunks chunks = {NULL};
        for (uint32_t i = 0; i < ELEMENTS; i++) {
            if (i == chunks.capacity)
                assert_true(chunks_grow(&chunks, shapes[s]));
            where[i] = element_at(&chunks, i, shapes[s]);
            *where[i] = i;
        }
        for (uint32_t i = 0; i < ELEMENTS; i++) {
            assert_ptr_equal(where[i], element_at(&chunks, i, shapes[s]));
            assert_int_equal(*where[i], i); /* no two share a place */
        }
        chunks_free(&chunks);
        assert_int_equal(chunks.capacity, 0);
    }
}

static void places_follow_each_other_without_a_gap(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        struct chunk_place last = chunk_place(0, shapes[s]);
        assert_int_equal(last.chunk, 0);
        assert_int_equal(last.slot, 0);
        for (uint32_t i = 1; i < ELEMENTS; i++) {
            struct chunk_place place = chunk_place(i, shapes[s]);
            if (last.slot + 1 < last.size) {
                assert_int_equal(place.chunk, last.chunk);
                assert_int_equal(place.slot, last.slot + 1);
                assert_int_equal(place.size, last.size);
            } else {
                assert_int_equal(place.chunk, last.chunk + 1);
                assert_int_equal(place.slot, 0);
            }
            last = place;
        }
    }
}

static void memory_stays_within_the_bound(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        struct chunks chunks = {NULL};
        for (uint32_t count = 1; count <= ELEMENTS; count++) {
            if (count > chunks.capacity)
                assert_true(chunks_grow(&chunks, shapes[s]));
            assert_true(chunks.memory_bytes <= chunks_memory_bound_bytes(count, shapes[s]));
            assert_true(chunks.memory_bytes >= count * sizeof(uint32_t));
        }
        chunks_free(&chunks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_keep_their_places_while_the_array_grows),
        cmocka_unit_test(places_follow_each_other_without_a_gap),
        cmocka_unit_test(memory_stays_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
