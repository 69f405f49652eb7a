/* fake_engine.h: an engine for tests of the server: urn.h in the caller's thread, without any disk.
 *
 * Pools: "main" (items "apple", "pear", "nut"; draws give them in turn, by request id), "dry"
 * (every draw fails), "shut" (closed). Lookups find every id that was given, as a draw from "main" whose item is
 * that of the id; ids that 5 divides have failed. Item stock is not kept. Requests are finished when they are
 * submitted, or, while the engine holds, when they are let go. Any thread may submit and collect.
 *
 * Link it before liburn: it takes the place of engine.c.
 */
#ifndef URN_TESTS_FAKE_ENGINE_H
#define URN_TESTS_FAKE_ENGINE_H

#include "engine/urn.h"

/* While held, what is submitted stays under way. */
void fake_engine_hold(struct urn_engine *engine);

/* Finishes the oldest of what is held: so many requests; UINT32_MAX: all, and holds no more. */
void fake_engine_let_go(struct urn_engine *engine, uint32_t count);

/* How often urn_work_here has worked: it finishes what urn_submit_quietly got, says true, and notifies nobody. */
uint32_t fake_engine_worked_here(const struct urn_engine *engine);

/* The next urn_work_here stays in the engine, as behind a disk that hangs, until it is let out: before it has
 * finished anything, or behind that, which then is notified. */
void fake_engine_hang(struct urn_engine *engine, bool behind);
/* Waits until it is there. Any thread. */
void fake_engine_await_hanging(struct urn_engine *engine);
/* Any thread. */
void fake_engine_let_out(struct urn_engine *engine);

/* How many draws have come with their pool instead of a name. */
uint64_t fake_engine_known_pools(const struct urn_engine *engine);

/* How many requests are held. */
uint32_t fake_engine_held(const struct urn_engine *engine);

/* Every later request finishes with this code (URN_OK: as ever). */
void fake_engine_answer_with(struct urn_engine *engine, enum urn_code code);

/* The log fails: what is held is in doubt, everything later finds the engine read-only. */
void fake_engine_fail(struct urn_engine *engine, const char *why);

/* What keeps snapshots from being written; NULL: nothing. Whoever asks for one gets it too. */
void fake_engine_snapshots_fail(struct urn_engine *engine, int system_errno, const char *why);

/* So many requests have got BUSY for want of room in the log, which has so much now. */
void fake_engine_log_room(struct urn_engine *engine, uint64_t busy_log, uint64_t room_bytes);

#endif
