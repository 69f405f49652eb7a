/* pages.c: see pages.h. */
#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/os.h"

static void *map_pages(uint64_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static void *heap_array(uint64_t bytes)
{
    void *array = aligned_alloc(PAGES_ALIGN_BYTES, round_up_u64(bytes, PAGES_ALIGN_BYTES));
    if (array != NULL)
        memset(array, 0, bytes);
    return array;
}

void *pages_grow(void *old, uint64_t old_bytes, uint64_t bytes)
{
    CHECK(bytes > old_bytes && (old == NULL) == (old_bytes == 0));
    if (old_bytes >= PAGES_LARGE_BYTES) {
        void *moved = mremap(old, round_up_u64(old_bytes, OS_PAGE_BYTES),
                             round_up_u64(bytes, OS_PAGE_BYTES), MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    }
    void *array = bytes < PAGES_LARGE_BYTES ? heap_array(bytes)
                                            : map_pages(round_up_u64(bytes, OS_PAGE_BYTES));
    if (array != NULL && old != NULL) {
        memcpy(array, old, old_bytes);
        free(old);
    }
    return array;
}

void pages_free(void *array, uint64_t bytes)
{
    if (bytes < PAGES_LARGE_BYTES)
        free(array);
    else
        CHECK(munmap(array, round_up_u64(bytes, OS_PAGE_BYTES)) == 0);
}
