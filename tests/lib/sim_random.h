/* sim_random.h: the simulator's numbers: small, fast, and the same for the same seed everywhere.
 *
 * SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Not for
 * cryptography: the simulated system hands its output out as such so that a seed repeats a run.
 */
#ifndef URN_TESTS_SIM_RANDOM_H
#define URN_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A stream of its own for each use, so that one use's appetite does not change another's luck. */
static inline struct sim_random sim_random_stream(uint64_t seed, uint64_t stream)
{
    struct sim_random random = {seed ^ (stream + 1) * 0xd1342543de82ef95u};
    random.state = sim_random_next(&random);
    return random;
}

/* In [0, bound), bound > 0. Biased by less than bound / 2^64, which no test can see. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t bound)
{
    return sim_random_next(random) % bound;
}

/* True once in so many times. */
static inline bool sim_random_one_in(struct sim_random *random, uint64_t times)
{
    return sim_random_below(random, times) == 0;
}

#endif
