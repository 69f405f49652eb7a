/* chunks.h: an array that grows and whose elements never move.
 *
 * Elements are numbered from 0 and lie in chunks. The first chunk has 2^first_log2 elements, the
 * second as many, then each twice as many as the one before, up to 2^full_log2; from there on all
 * are equal. So a small array takes little, and a large one has at most one chunk to spare:
 *
 *     first 4, full 6:  [0,16) [16,32) [32,64) | [64,128) [128,192) ...
 *
 * A directory holds the chunks' addresses. When it is full, one of twice the room takes its place,
 * and the old one stays until the end: a reader that still holds it finds in it all that it may ask
 * for. So one thread may add while others read elements that it has published to them.
 */
#ifndef URN_ENGINE_CHUNKS_H
#define URN_ENGINE_CHUNKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CHUNK_ALIGN_BYTES 64u /* chunks begin with a cache line */

struct chunk_directory {
    struct chunk_directory *older; /* the one it replaced */
    uint32_t room;
    void *chunks[];
};

struct chunk_shape {
    uint8_t first_log2;
    uint8_t full_log2;
    uint8_t element_bytes;
};

/* The adding thread owns everything but *directory, which readers follow. Zeroes are an empty
 * array. */
struct chunks {
    _Atomic(struct chunk_directory *) directory;
    uint32_t count;
    uint64_t capacity;     /* elements in all chunks */
    uint64_t memory_bytes; /* of chunks and directories */
};

struct chunk_place {
    uint32_t chunk; /* which one */
    uint32_t slot;  /* which element in it */
    uint32_t size;  /* elements in it */
};

/* Where an element lies. Pure arithmetic; meant to be inlined with a constant shape. */
static inline struct chunk_place chunk_place(uint32_t element, struct chunk_shape shape)
{
    if (element < 1u << shape.first_log2)
        return (struct chunk_place){0, element, 1u << shape.first_log2};
    if (element < 1u << shape.full_log2) {
        uint32_t log2 = 31u - (uint32_t)__builtin_clz(element);
        return (struct chunk_place){log2 - shape.first_log2 + 1u, element - (1u << log2),
                                    1u << log2};
    }
    return (struct chunk_place){(element >> shape.full_log2) + shape.full_log2 - shape.first_log2,
                                element & ((1u << shape.full_log2) - 1), 1u << shape.full_log2};
}

/* The memory of a chunk that holds an element which the caller has been shown. Any thread. */
static inline void *chunk_at(const struct chunks *chunks, uint32_t chunk)
{
    return atomic_load_explicit(&chunks->directory, memory_order_acquire)->chunks[chunk];
}

/* Adds one chunk, its bytes undefined. False, and nothing is changed, for lack of memory. */
bool chunks_grow(struct chunks *chunks, struct chunk_shape shape);

void chunks_free(struct chunks *chunks);

/* The most that an array of so many elements takes. */
uint64_t chunks_memory_bound_bytes(uint64_t elements, struct chunk_shape shape);

#endif
