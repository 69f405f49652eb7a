/* chunks.c: growing by chunks and by directories. See chunks.h. */
#include "engine/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"

#define DIRECTORY_ROOM_FIRST 4u

static uint64_t directory_bytes(uint64_t room)
{
    return sizeof(struct chunk_directory) + room * sizeof(void *);
}

static uint64_t chunk_size(uint64_t chunk, struct chunk_shape shape)
{
    uint64_t log2 = chunk == 0 ? shape.first_log2 : shape.first_log2 + chunk - 1;
    return 1ull << (log2 < shape.full_log2 ? log2 : shape.full_log2);
}

/* A directory with room for one more chunk: the present one, or one that takes its place. */
static struct chunk_directory *directory_with_room(struct chunks *chunks)
{
    struct chunk_directory *present =
        atomic_load_explicit(&chunks->directory, memory_order_relaxed);
    if (present != NULL && chunks->count < present->room)
        return present;
    uint32_t room = present == NULL ? DIRECTORY_ROOM_FIRST : 2 * present->room;
    struct chunk_directory *larger = calloc(1, directory_bytes(room));
    if (larger == NULL)
        return NULL;
    larger->older = present;
    larger->room = room;
    if (present != NULL)
        memcpy(larger->chunks, present->chunks, chunks->count * sizeof(void *));
    atomic_store_explicit(&chunks->directory, larger, memory_order_release);
    chunks->memory_bytes += directory_bytes(room);
    return larger;
}

bool chunks_grow(struct chunks *chunks, struct chunk_shape shape)
{
    CHECK(shape.first_log2 <= shape.full_log2 && shape.full_log2 < 32);
    uint64_t elements = chunk_size(chunks->count, shape);
    struct chunk_directory *directory = directory_with_room(chunks);
    uint64_t bytes = round_up_u64(elements * shape.element_bytes, CHUNK_ALIGN_BYTES);
    void *chunk = directory == NULL ? NULL : aligned_alloc(CHUNK_ALIGN_BYTES, bytes);
    if (chunk == NULL)
        return false;
    directory->chunks[chunks->count++] = chunk;
    chunks->capacity += elements;
    chunks->memory_bytes += bytes;
    return true;
}

void chunks_free(struct chunks *chunks)
{
    struct chunk_directory *directory =
        atomic_load_explicit(&chunks->directory, memory_order_relaxed);
    for (uint32_t i = 0; i < chunks->count; i++)
        free(directory->chunks[i]);
    while (directory != NULL) {
        struct chunk_directory *older = directory->older;
        free(directory);
        directory = older;
    }
    atomic_store_explicit(&chunks->directory, NULL, memory_order_relaxed);
    chunks->count = 0;
    chunks->capacity = chunks->memory_bytes = 0;
}

uint64_t chunks_memory_bound_bytes(uint64_t elements, struct chunk_shape shape)
{
    /* A chunk that is begun is at most as large as all before it, or the first, or a full one. */
    uint64_t first = 1ull << shape.first_log2, full = 1ull << shape.full_log2;
    uint64_t spare = first + (elements < full ? elements : full);
    uint64_t chunk_count = elements / full + shape.full_log2 - shape.first_log2 + 2u;
    /* Directories double, and all of them stay: below 4 times what the chunks need, and the first.
     */
    uint64_t rooms = DIRECTORY_ROOM_FIRST + 4 * chunk_count;
    uint64_t directory_count = 34;
    return (elements + spare) * shape.element_bytes + chunk_count * CHUNK_ALIGN_BYTES +
           rooms * sizeof(void *) + directory_count * sizeof(struct chunk_directory);
}
