/* deliveries.h: what was really handed out, as somebody else has written it down.
 *
 * A CSV file (csv_reader.h) of two columns: request id, item id. If its first line names the columns
 * ("request_id", "item_id"), they may stand anywhere among others. An empty item id says that the draw
 * got nothing. The file is not ours: whatever is not a request id that can be, or an item id that can be, is
 * refused with its line.
 *
 * Memory: 16 bytes a delivery, twice that for a moment where they are not in the order of their ids, and
 * each item id once.
 */
#ifndef URN_TOOLS_URN_WAL_DELIVERIES_H
#define URN_TOOLS_URN_WAL_DELIVERIES_H

#include "tools/urn_wal/options.h"

struct delivery {
    uint64_t request_id;
    uint32_t item; /* deliveries_item tells its id */
    uint32_t line;
};

/* A delivered item id that has been met, in one piece of memory with all others. */
struct delivered_item {
    uint32_t offset;
    uint32_t length;
};

struct deliveries {
    struct delivery *rows; /* by request id, then by line */
    uint64_t count;
    uint64_t outside; /* rows of the file whose ids were not wanted */
    /* private */
    uint64_t room;
    char *names;
    uint32_t names_bytes, names_room;
    struct delivered_item *items;
    uint32_t item_count, item_room;
    uint32_t *slots; /* a hash table of indexes of items + 1; slot_count is a power of two */
    uint32_t slot_count;
    uint8_t key[16]; /* of its hash: a stranger chooses the names */
};

/* Reads the whole stream, called name in messages; keeps what has an id in this range (first 0: any). On
 * URN_OK the caller has to deliveries_free(). Errors: URN_FORMAT (refused: the text says where and why),
 * URN_IO, URN_NOMEMORY. */
enum urn_code deliveries_read(struct deliveries *deliveries, FILE *stream, const char *name,
                              const struct id_range *ids, struct urn_error *error);
void deliveries_free(struct deliveries *deliveries);

/* The item's id; of no bytes: nothing was delivered. Valid until deliveries_free. */
struct urn_text deliveries_item(const struct deliveries *deliveries,
                                const struct delivery *delivery);

#endif
