/* damage.h: decay between two lives: bits flipped, sectors unreadable, files lost, cut or forged,
 * each in a copy of the world, and what a start must make of it (P5). */
#ifndef URN_TESTS_SIM_DAMAGE_H
#define URN_TESTS_SIM_DAMAGE_H

#include "tests/sim/host.h"

enum damage_kind {
    DAMAGE_FLIP_DURABLE, /* a bit below what a surviving group says is durable: refused */
    DAMAGE_FLIP_HEADER,  /* in the header of the segment that holds the end of that: refused */
    DAMAGE_FLIP_GROUP, /* in the header of the last group with draws: refused if that is durable */
    DAMAGE_FLIP_TAIL,  /* above: refused, or the log ends before it */
    DAMAGE_FLIP_FREE,  /* behind the end: starts, and nothing is missing */
    DAMAGE_UNREADABLE_LOG, /* a sector of the log as it is read at a start: refused */
    DAMAGE_UNREADABLE,     /* a sector of any segment: refused, wherever it is */
    DAMAGE_LOSE_SEGMENT,   /* refused, like the next three */
    DAMAGE_CUT_SEGMENT,
    DAMAGE_LOSE_IDENTITY,
    DAMAGE_FLIP_IDENTITY,
    DAMAGE_SNAPSHOT,       /* the newest: the one before does it */
    DAMAGE_STALE_SNAPSHOT, /* the newest has the content of the one before: likewise */
    DAMAGE_SECOND,         /* the one before the newest: starts, and nothing is missing */
    DAMAGE_BOTH, /* the two newest: refused, unless an older one was left with all its log */
    DAMAGE_ALL_SNAPSHOTS,  /* refused */
    DAMAGE_FORGE_MEANING,  /* a whole group that cannot be true: refused */
    DAMAGE_FORGE_EPOCH,    /* a whole group of an earlier epoch: does not count */
    DAMAGE_FORGE_SNAPSHOT, /* a snapshot's name beyond the end: refused */
    DAMAGE_KINDS
};

/* Between two lives: injects one damage into a copy of the world, if it can be had there, and
 * starts. */
void damage_try(struct host *host);
void damage_try_kind(struct host *host, enum damage_kind kind);

/* Under a running engine, in the world itself: damages one of the two snapshots that count, which the
 * engine has verified and does not look at again. The history must go on: one at a time, and not before two
 * others count. */
void damage_under_engine(struct host *host);

#endif
