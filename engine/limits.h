/* limits.h: the bounds of the engine, and how they relate.
 *
 * What a configuration may set has its bounds here; what follows from the formats has its reason.
 */
#ifndef URN_ENGINE_LIMITS_H
#define URN_ENGINE_LIMITS_H

#include "engine/os.h"
#include "engine/urn.h"

#define SEGMENT_SIZE_BYTES_MIN (64u * 1024)
#define SEGMENT_SIZE_BYTES_MAX (1ull << 34)
#define SEGMENTS_MIN           3u
#define SEGMENTS_MAX           4096u

#define MAX_BATCH_MAX 1000000u
/* No group of any configuration is larger: the largest request (4 bytes a draw), or the pad that fills
 * what such a group did not fit into. A length beyond it is no group's, whatever stands on the disk. */
#define GROUP_BYTES_MAX (4u * MAX_BATCH_MAX + 4u * OS_PAGE_BYTES)

#define MAX_POOLS_MAX 65536u
#define MAX_ITEMS_MAX 16000000u

/* An open group takes no further request beyond this many bytes (or beyond a segment, or beyond the
 * largest single request, if that is larger). */
#define GROUP_BYTES_SOFT (1024u * 1024)

/* 1/8 of a segment of room is never given to requests: start-up groups and marks live on it. */
#define RESERVE_SHARE 8u

/* Bounds of wal.interval, the time between two syncs in mode interval. */
#define WAL_INTERVAL_NS_MIN (1ull * 1000 * 1000)
#define WAL_INTERVAL_NS_MAX (60ull * 1000 * 1000 * 1000)

/* In modes interval and os ids are given below a synced reservation only. One is made for so many at a
 * time, when fewer than half of them are left; so many ids are skipped by a start at most. */
#define RESERVED_IDS (1u << 22)

/* The last group gets its mark after so much silence. */
#define MARK_AFTER_NS (100ull * 1000 * 1000)

/* A request that finds no room in the log waits so long for a snapshot to make some; then it gets BUSY, and
 * so do all that find none, at once, until there is room again. */
#define ROOM_WAIT_NS (2ull * 1000 * 1000 * 1000)

/* A snapshot that failed (a full disk, say) is tried again after so long. */
#define SNAPSHOT_RETRY_NS (500ull * 1000 * 1000)

/* A stop waits so long for an archive that does not return from a call. */
#define STOP_PATIENCE_NS (10ull * 1000 * 1000 * 1000)

/* A step of the writer encodes slices of one block of a snapshot for so long, and then only ends the one it is at.
 * While groups close at every step it does so all the same once so much time has passed since the last one. */
#define SNAPSHOT_STEP_NS  (50ull * 1000)
#define SNAPSHOT_DEFER_NS (500ull * 1000)

#define SNAPSHOT_EVERY_BYTES_MIN 4096u

/* At a start, engine time follows the wall clock by at most so much. */
#define ENGINE_TIME_JUMP_US (24ull * 3600 * 1000 * 1000)

_Static_assert(OS_PAGE_BYTES % OS_SECTOR_BYTES == 0, "a page is whole sectors");
_Static_assert(SEGMENT_SIZE_BYTES_MIN % OS_PAGE_BYTES == 0, "a segment is whole pages");
_Static_assert(SEGMENT_SIZE_BYTES_MIN / RESERVE_SHARE >= 2 * OS_PAGE_BYTES,
               "the reserve of the smallest segment holds a start-up group and its padding");
_Static_assert(GROUP_BYTES_SOFT <= GROUP_BYTES_MAX,
               "a group that closes at its size is none too large");
_Static_assert(
    RESERVED_IDS / 2 >= MAX_BATCH_MAX,
    "whoever does not find ids enough for a request finds a reservation due or under way");
_Static_assert(MAX_ITEMS_MAX < URN_FAILED_DRAW, "a failed draw is no item's index");

#endif
