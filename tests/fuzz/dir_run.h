/* dir_run.h: one input of the fuzzer: a sound data directory, damaged as the input says, looked at by one command
 * of urn-wal, verified, and started. Stops the process (CHECK) where one of them does what it must not.
 *
 *      0   1  which directory: dir_base.h's kinds, modulo their number
 *      1   1  which command line, modulo their number
 *      2   1  lowest bit: a server is said to have it open
 *      3   1  nothing
 *      4  ..  edits (dir_edits.h)
 *
 * Whatever stands there,
 *   - a command that only reads ends with one of its exit statuses (64 only of segment files by themselves, of which
 *     forged seals say that they are of different rings), prints whole lines, leaves no handle open and
 *     makes no call that could write;
 *   - what `verify` says a start would do, the start does: the same row of the table, the same place;
 *   - where `verify` says sound, or nothing worse than a torn tail, the start succeeds, has the state that the tool
 *     replays, and the engine goes on from it with higher ids.
 * And where no seal was forged, so that only what an engine wrote is valid,
 *   - a start that succeeds comes to a state that the log once came to, and not to one below what a group that is
 *     still whole, or a snapshot that is still there, says to have been durable: no acknowledged draw below that is
 *     lost unnoticed, whatever `verify` says. */
#ifndef URN_TESTS_FUZZ_DIR_RUN_H
#define URN_TESTS_FUZZ_DIR_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "tools/urn_wal/exit_status.h"

/* Returns what `urn-wal verify` exits with. */
enum exit_status dir_run(const uint8_t *data, size_t size);

#endif
