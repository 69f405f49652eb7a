/* pages.h: whole pools, fetched a page at a time and put together.
 *
 * The pages are answers of different moments; what the first one says about the pool (versions,
 * ids, LSN) holds for all of them: each shows at least every change below that LSN.
 */
#ifndef URN_TOOLS_URN_PAGES_H
#define URN_TOOLS_URN_PAGES_H

#include "proto/client.h"

/* Names and items in compact form; zeroed by a fetch that fails. Freed with pages_free(). */
struct pages {
    uint32_t total; /* items in the pool */
    bool open;      /* state */
    uint64_t odds_version;
    uint64_t last_request_id;     /* state */
    uint64_t lsn;                 /* state */
    uint32_t count;               /* items or names fetched */
    uint32_t capacity;            /* internal, likewise below */
    struct urnclient_item *items; /* state */
    struct urnclient_text *names; /* catalog */
    char **arenas;                /* the bytes of names, one block a page */
    uint32_t arena_count;
};

/* Fetches at most limit items from offset on. A page that the server finds TOOBIG is asked for in
 * smaller pieces. Errors as those of urnclient_state(). */
enum urnclient_status pages_fetch_state(struct urnclient *client, const char *pool, uint32_t offset,
                                        uint32_t limit, struct pages *pages,
                                        struct urnclient_error *error);

enum urnclient_status pages_fetch_catalog(struct urnclient *client, const char *pool,
                                          uint32_t offset, uint32_t limit, struct pages *pages,
                                          struct urnclient_error *error);

void pages_free(struct pages *pages);

#endif
