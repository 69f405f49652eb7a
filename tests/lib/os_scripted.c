/* os_scripted.c: os_random() as a test wrote it. See os_scripted.h. */
#include "tests/lib/os_scripted.h"

#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"

/* G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
uint64_t scripted_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct urn_os os_scripted(const uint64_t *words, uint32_t count)
{
    return (struct urn_os){.script = words, .script_words = count};
}

struct urn_os os_seeded(uint64_t seed)
{
    return (struct urn_os){.endless = true, .seed = seed};
}

void os_random(struct urn_os *os, void *to, size_t length_bytes)
{
    CHECK(length_bytes % sizeof(uint64_t) == 0);
    CHECK(os->endless || os->given_words < os->script_words);
    os->calls++;
    memset(to, 0, length_bytes);
    for (uint8_t *at = to; length_bytes > 0; at += 8, length_bytes -= 8) {
        if (os->given_words < os->script_words)
            put_u64(at, os->script[os->given_words++]);
        else if (os->endless)
            put_u64(at, scripted_next(&os->seed));
    }
}
