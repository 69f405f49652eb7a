/* history_archive.h: the archive's part of a history: called by history.c. */
#ifndef URN_TOOLS_URN_WAL_HISTORY_ARCHIVE_H
#define URN_TOOLS_URN_WAL_HISTORY_ARCHIVE_H

#include "tools/urn_wal/history.h"

/* The directory is an archive, and no data directory. */
bool history_archive_is_one(struct os_dir *dir);

/* Which archive belongs to the data directory: that of --archive, or what the directory says. One that cannot
 * be opened is an error with --archive; otherwise a person is told, and only the ring is looked at. Errors:
 * those of archive_dir_open; URN_BADARG (the archive of another ring). */
enum urn_code history_archive_choose(struct history *history, struct urn_error *error);

/* Adds what the archive holds to the ring's files. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code history_archive_add(struct history *history, struct urn_error *error);

/* An archive by itself. Errors: those of archive_dir_open. */
enum urn_code history_archive_look(struct history *history, struct urn_error *error);

/* A server has overwritten the ring's segment that holds lsn since it was listed: from now on the archive's file
 * stands in its place in the list, so that all others keep theirs. False: the archive does not have it. */
bool history_archive_stands_in(struct history *history, uint64_t lsn);

/* The segments are in order, the ring's before the archive's: of two that hold one stretch, the second is kept
 * as the spare of the first. */
void history_archive_keep_spares(struct history *history);

#endif
