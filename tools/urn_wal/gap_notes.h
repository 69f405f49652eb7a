/* gap_notes.h: what a walk could not read, told to a person in its place among the lines that are printed,
 * and kept for the exit status.
 */
#ifndef URN_TOOLS_URN_WAL_GAP_NOTES_H
#define URN_TOOLS_URN_WAL_GAP_NOTES_H

#include "tools/urn_wal/output.h"
#include "tools/urn_wal/walk.h"

struct gap_notes {
    const struct history *history;
    struct output
        *output; /* flushed before a note, so that on a terminal the note stands in its place */
    FILE *notes;
    uint64_t next_id; /* behind the last group walked; 0: none yet */
    bool damaged;     /* parts of the log are damaged ... */
    bool missing;     /* ... or not there */
    /* private */
    bool gap_to_tell; /* a break, whose lost ids the next group tells */
    struct walk_break gap;
};

/* The walk has come to a break. */
void gap_notes_break(struct gap_notes *notes, const struct walk_break *gap);

/* The walk has come to a group: a break before it is told, with the request ids that lie in it. */
void gap_notes_group(struct gap_notes *notes, const struct wal_group_header *header);

/* The same, where no group follows, or none is looked at. */
void gap_notes_flush(struct gap_notes *notes);

/* The walk has ended: tells where, if that is not simply where nothing more was written. */
void gap_notes_end(struct gap_notes *notes, const struct walk *walk);

/* Of the breaks met: EXIT_DAMAGE, EXIT_MISSING or EXIT_SOUND. */
enum exit_status gap_notes_status(const struct gap_notes *notes);

#endif
