/* gap_notes.c: see gap_notes.h. */
#include "tools/urn_wal/gap_notes.h"

#include <inttypes.h>

#include "tools/urn_wal/break_text.h"

/* first_id: of the group behind the break; 0: there is none. */
static void tell_gap(struct gap_notes *notes, uint64_t first_id)
{
    char what[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    if (!notes->gap_to_tell)
        return;
    notes->gap_to_tell = false;
    break_text(notes->history, &notes->gap, notes->next_id, first_id, what);
    output_flush(notes->output);
    (void)fprintf(notes->notes, "urn-wal: LSN %" PRIu64 " (%s): %s\n", notes->gap.from_lsn,
                  history_place(notes->history, notes->gap.from_lsn, place), what);
}

void gap_notes_break(struct gap_notes *notes, const struct walk_break *gap)
{
    tell_gap(notes, 0);
    notes->gap = *gap;
    notes->gap_to_tell = true;
    if (break_is_known_gap(gap))
        return;
    if (gap->kind == WALK_OVERWRITTEN || break_is_missing_file(notes->history, gap))
        notes->missing = true;
    else
        notes->damaged = true;
}

void gap_notes_group(struct gap_notes *notes, const struct wal_group_header *header)
{
    tell_gap(notes, header->first_request_id);
    notes->next_id = header->first_request_id + header->draws;
}

void gap_notes_flush(struct gap_notes *notes)
{
    tell_gap(notes, 0);
}

void gap_notes_end(struct gap_notes *notes, const struct walk *walk)
{
    tell_gap(notes, 0);
    output_flush(notes->output);
    if (walk->end_unreadable) {
        notes->damaged = true;
        (void)fprintf(notes->notes,
                      "urn-wal: stopped at LSN %" PRIu64 ": a sector cannot be read (LSN %" PRIu64
                      ")\n",
                      walk->tail.lsn, walk->end_unreadable_lsn);
    } else if (walk->end_why != WAL_READ_OK && walk->end_why != WAL_READ_ZERO) {
        (void)fprintf(notes->notes,
                      "urn-wal: the log ends at LSN %" PRIu64
                      ": %s; `urn-wal verify` says whether that is in order\n",
                      walk->tail.lsn, wal_read_result_text(walk->end_why));
    }
}

enum exit_status gap_notes_status(const struct gap_notes *notes)
{
    return notes->damaged ? EXIT_DAMAGE : notes->missing ? EXIT_MISSING : EXIT_SOUND;
}
