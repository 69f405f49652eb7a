/* slab.c: see slab.h. */
#include "server/slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/os.h"

#define SLAB_MAGIC 0x736c6162u

enum urn_code slab_begin(struct slab *slab, uint64_t buffer_bytes, uint32_t count,
                         struct urn_error *error)
{
    CHECK(buffer_bytes > 0 && count > 0);
    *slab = (struct slab){.magic = SLAB_MAGIC,
                          .count = count,
                          .buffer_bytes = round_up_u64(buffer_bytes, OS_PAGE_BYTES)};
    slab->memory = mmap(NULL, slab->buffer_bytes * count, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab->memory != MAP_FAILED)
        return URN_OK;
    slab->memory = NULL;
    return error_set(error, URN_NOMEMORY, ENOMEM, "cannot set %u buffers of %llu bytes aside",
                     count, (unsigned long long)slab->buffer_bytes);
}

void slab_end(struct slab *slab)
{
    if (slab->memory == NULL)
        return;
    CHECK(slab->magic == SLAB_MAGIC);
    CHECK(slab->lent == 0);
    munmap(slab->memory, slab->buffer_bytes * slab->count);
    *slab = (struct slab){0};
}

void *slab_borrow(struct slab *slab)
{
    CHECK(slab->magic == SLAB_MAGIC);
    void *buffer = slab->returned;
    if (buffer != NULL)
        memcpy(&slab->returned, buffer, sizeof slab->returned);
    else if (slab->never_lent < slab->count)
        buffer = slab->memory + slab->buffer_bytes * slab->never_lent++;
    else
        return NULL;
    slab->lent++;
    return buffer;
}

void slab_return(struct slab *slab, void *buffer)
{
    CHECK(slab->magic == SLAB_MAGIC);
    CHECK(slab->lent > 0);
    CHECK((uint64_t)((uint8_t *)buffer - slab->memory) % slab->buffer_bytes == 0);
    memcpy(buffer, &slab->returned, sizeof slab->returned);
    slab->returned = buffer;
    slab->lent--;
}

uint64_t slab_memory_bytes(uint64_t buffer_bytes, uint32_t count)
{
    return round_up_u64(buffer_bytes, OS_PAGE_BYTES) * count;
}
