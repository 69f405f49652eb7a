/* fuzz_dir.c: libFuzzer over whole data directories, through urn-wal's own commands and an engine's start. What an
 * input is, and what must hold: dir_run.h. Inputs are changed edit by edit, so that most of them stay what they
 * were but for one thing. */
#include <string.h>

#include "tests/fuzz/dir_edits.h"
#include "tests/fuzz/dir_run.h"
#include "tests/lib/sim_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's */

enum { HEAD_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)dir_run(data, size);
    return 0;
}

/* A kind, a file, and numbers that are small as often as they are anything. */
static void make_edit(struct sim_random *random, uint8_t edit[DIR_EDIT_BYTES])
{
    for (size_t i = 0; i < DIR_EDIT_BYTES; i++)
        edit[i] = (uint8_t)sim_random_below(random, 256);
    edit[0] = (uint8_t)sim_random_below(random, DIR_EDIT_KINDS);
    if (sim_random_below(random, 2) == 0)
        memset(edit + 9, 0, 7);
    if (sim_random_below(random, 2) == 0)
        edit[3] = 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    struct sim_random random = sim_random_stream(seed, 0);
    if (size < HEAD_BYTES || max_size < HEAD_BYTES + DIR_EDIT_BYTES)
        return LLVMFuzzerMutate(data, size, max_size);
    const size_t edits = (size - HEAD_BYTES) / DIR_EDIT_BYTES;
    const size_t length = HEAD_BYTES + edits * DIR_EDIT_BYTES;
    uint8_t *chosen = data + HEAD_BYTES + sim_random_below(&random, edits + 1) * DIR_EDIT_BYTES;
    const bool at_end = chosen == data + length;
    switch (sim_random_below(&random, 6)) {
    case 0:
        data[sim_random_below(&random, HEAD_BYTES)] = (uint8_t)sim_random_below(&random, 256);
        return length;
    case 1:
        if (at_end)
            return length;
        memmove(chosen, chosen + DIR_EDIT_BYTES, (size_t)(data + length - chosen) - DIR_EDIT_BYTES);
        return length - DIR_EDIT_BYTES;
    case 2:
        if (!at_end)
            (void)LLVMFuzzerMutate(chosen, DIR_EDIT_BYTES, DIR_EDIT_BYTES);
        return length;
    default:
        if (length + DIR_EDIT_BYTES > max_size)
            return length;
        memmove(chosen + DIR_EDIT_BYTES, chosen, (size_t)(data + length - chosen));
        make_edit(&random, chosen);
        return length + DIR_EDIT_BYTES;
    }
}
