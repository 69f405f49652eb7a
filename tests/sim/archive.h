/* archive.h: a log that is archived, with a crash in every call of its archiving. */
#ifndef URN_TESTS_SIM_ARCHIVE_H
#define URN_TESTS_SIM_ARCHIVE_H

#include "tests/sim/coverage.h"

/* Under either policy; under policy gap the log has gone on without the archive before. */
void archive_run(uint64_t seed, struct coverage *coverage);

#endif
