/* repair_intent.h: REPAIR, the file that decides a repair.
 *
 * Before it is renamed into place nothing of the log has been touched; from then on until it is removed, which
 * comes last, no start passes (data_dir.h). It says all that cannot be found out again once the work has
 * begun, so that whoever comes later does the same again from its first step, whatever has been done of it.
 *
 *     urn repair
 *     format: 1
 *     what: truncate-at             or truncate-tail
 *     lsn: 4464
 *     loss: 20                      what --accept-loss said
 *     epoch: 2                      of the epoch group to be written; truncate-tail: 0, none is
 *     next_request_id: 1000000000121   likewise
 *     copies: lost+found-20261122T051429Z
 *     cut: 0 4464 65536             slot, and the bytes of its file that become zeros; any number of lines
 *     crc32c: 1234abcd              of all before this line
 */
#ifndef URN_TOOLS_URN_WAL_REPAIR_INTENT_H
#define URN_TOOLS_URN_WAL_REPAIR_INTENT_H

#include "engine/data_dir.h"

/* More scattered places than this are no log to be repaired, but a disk to be replaced. */
#define REPAIR_CUTS_MAX 4096u

enum repair_what { REPAIR_TAIL, REPAIR_AT };

/* Bytes [from, to) of a slot's file. */
struct repair_cut {
    uint32_t slot;
    uint64_t from;
    uint64_t to;
};

struct repair_intent {
    enum repair_what what;
    uint64_t lsn; /* where the log is made to end */
    uint64_t loss;
    uint32_t epoch;
    uint64_t next_request_id;
    char copies[DATA_DIR_NAME_MAX]; /* a folder inside the data directory */
    uint32_t cut_count;
    struct repair_cut *cuts; /* room for REPAIR_CUTS_MAX */
};

/* On URN_OK there is room for cuts, which repair_intent_free() frees. Errors: URN_NOMEMORY. */
enum urn_code repair_intent_make(struct repair_intent *intent, struct urn_error *error);
void repair_intent_free(struct repair_intent *intent); /* zeroes too */

/* *begun: REPAIR is there, and *intent (made) is what it says. Errors: URN_DAMAGED when it is not what urn
 * writes, URN_IO, URN_NOMEMORY. */
enum urn_code repair_intent_read(struct os_dir *dir, struct repair_intent *intent, bool *begun,
                                 struct urn_error *error);

/* Publishes it: written, synced, renamed, the directory synced. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code repair_intent_publish(struct os_dir *dir, const struct repair_intent *intent,
                                    struct urn_error *error);

#endif
