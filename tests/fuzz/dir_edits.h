/* dir_edits.h: what a fuzzer's bytes do to a data directory.
 *
 * Bytes are a list of edits, 16 bytes each (what is over is dropped):
 *      0   1  what: one of the kinds below, modulo their number
 *      1   1  of which file: its place in dir_base's list, modulo their number
 *      2   2  length
 *      4   4  offset in the file, modulo its size; or which group, modulo their number
 *      8   8  value
 * All numbers are little-endian.
 *
 * The later kinds put right seals on what stands there: so that what is checked behind checksums and chain is
 * reached, too, as somebody might who means harm. What a directory means after that is not what its engine
 * acknowledged. */
#ifndef URN_TESTS_FUZZ_DIR_EDITS_H
#define URN_TESTS_FUZZ_DIR_EDITS_H

#include "tests/fuzz/dir_base.h"

#define DIR_EDIT_BYTES 16u

enum dir_edit_kind {
    DIR_FLIP,     /* the byte at offset, by the value's lowest byte */
    DIR_ZERO,     /* length bytes from offset on become zeros */
    DIR_WRITE,    /* the value's first length % 9 bytes, to offset */
    DIR_TRUNCATE, /* the file ends at offset */
    DIR_REMOVE,   /* the file is lost */
    DIR_COPY, /* length bytes from offset on go to a file and an offset that the value says: lowest
                         byte, and the rest */
    DIR_SNAPSHOT, /* the file stands under a snapshot's name as well: the value's LSN, length's serial */
    DIR_UNREADABLE,  /* the sector at offset */
    DIR_GROUP_WRITE, /* the value's first file % 9 bytes, to the place `length` of a group */
    DIR_GROUP_FROM,  /* a group's bytes are those of another one, which the value says */
    DIR_SEAL_GROUP,  /* a group gets the checksum that it should have */
    DIR_SEAL_LOG,    /* from a group on all get the LSN, chain and checksum that they should have */
    DIR_SEAL_HEADER, /* the page at the begin of the file, a segment, gets its checksum */
    DIR_SEAL_BLOCKS, /* the file, a snapshot, gets its checksums */
    DIR_SEAL_TEXT,   /* the file, a text of facts, gets its checksum */
    DIR_EDIT_KINDS
};

/* Carries them out in a clone of the base's world. Returns whether a seal was put on anything. */
bool dir_edits_apply(const struct dir_base *base, struct sim_world *world, const uint8_t *bytes,
                     size_t length_bytes);

#endif
