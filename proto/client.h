/* client.h: the C client (liburnclient).
 *
 * One struct urnclient is one connection to a server. The plain calls send a request and wait for
 * its answer:
 *
 *     struct urnclient *client;
 *     struct urnclient_error error;
 *     struct urnclient_draw draw;
 *     if (urnclient_connect(&(struct urnclient_options){.address = "127.0.0.1:7707"}, &client,
 *                           &error) != URNCLIENT_OK)
 *         return complain(error.text);
 *     if (urnclient_draw(client, "main", 10, URNCLIENT_NAMES, false, &draw, &error) ==
 *         URNCLIENT_OK) {
 *         for (uint32_t i = 0; i < draw.count; i++)
 *             award(draw.first_request_id + i, draw.names[i]);
 *         urnclient_draw_free(&draw);
 *     }
 *     urnclient_close(client);
 *
 * The pipeline below them sends many requests before it waits for the first answer; that is how one
 * connection makes hundreds of thousands of draws a second.
 *
 * Every function that can fail returns a status and fills *error, which says whether the request
 * may have taken effect and whether to send it again.
 *
 * Threads: a connection belongs to one thread at a time; different connections are independent.
 * Memory: a result owns what it points to until it is freed with its own function; it outlives the
 * connection. Nothing here prints, exits, installs signal handlers or raises SIGPIPE.
 *
 * This header stands alone: no other header of urn is needed.
 */
#ifndef URN_CLIENT_H
#define URN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define URNCLIENT_API __attribute__((visibility("default")))
#else
#define URNCLIENT_API
#endif

#define URNCLIENT_DEFAULT_ADDRESS "127.0.0.1:7707"
#define URNCLIENT_UNLIMITED       ((int64_t)-1) /* a quantity that never runs out */
#define URNCLIENT_FAILED_DRAW     UINT32_MAX    /* an index: nothing was in stock */

/* ---- errors ------------------------------------------------------------------------------ */

enum urnclient_status {
    URNCLIENT_OK = 0,
    URNCLIENT_REFUSED,  /* the server answered with an error: see code */
    URNCLIENT_CONNECT,  /* no connection came about */
    URNCLIENT_TIMEOUT,  /* no answer in time; the connection lives on */
    URNCLIENT_LOST,     /* the connection broke or the server closed it; it is of no more use */
    URNCLIENT_PROTOCOL, /* what came is not what a server of urn sends; of no more use either */
    URNCLIENT_ARGUMENT, /* the caller asked for what cannot be; nothing was sent */
    URNCLIENT_NOMEMORY,
};

enum urnclient_retry {
    URNCLIENT_RETRY_NO,
    URNCLIENT_RETRY_YES,          /* the same request, later */
    URNCLIENT_RETRY_AFTER_A_LOOK, /* look at the state first: it may have taken effect */
};

struct urnclient_error {
    enum urnclient_status status;
    char code[16];              /* REFUSED: the server's word ("NOPOOL"); otherwise empty */
    bool may_have_taken_effect; /* the request that failed */
    enum urnclient_retry retry;
    int system_errno; /* 0 where no system call was involved */
    char text[512];   /* one line for a person; the server's own text after REFUSED */
};

/* ---- connections ------------------------------------------------------------------------- */

struct urnclient;

/* Zero means the default for every number. */
struct urnclient_options {
    const char *address; /* host:port, [IPv6]:port or unix:PATH; NULL: the default address */
    uint32_t connect_timeout_ms; /* default 5000; name resolution not counted */
    uint32_t call_timeout_ms;    /* default 30000; how long a receive waits */
    uint32_t
        max_reply_bytes; /* default 64 MiB; a longer reply is URNCLIENT_PROTOCOL, and so is one of
                                 more values than were asked for: each takes some 60 bytes */
    uint32_t max_in_flight; /* default 1024, rounded up to a power of two, at most 65536 */
};

/* Connects. On success *client is the caller's, to be closed. Errors: ARGUMENT (an address that
 * cannot be read), CONNECT, NOMEMORY. Blocks up to the timeout, for each address of a name. */
URNCLIENT_API enum urnclient_status urnclient_connect(const struct urnclient_options *options,
                                                      struct urnclient **client,
                                                      struct urnclient_error *error);

/* Closes without waiting for answers and frees. client may be NULL. */
URNCLIENT_API void urnclient_close(struct urnclient *client);

/* Readable when answers wait; for an event loop of the caller's. Owned by the client. */
URNCLIENT_API int urnclient_descriptor(const struct urnclient *client);

/* ---- results ----------------------------------------------------------------------------- */

/* UTF-8, terminated by a zero that length does not count; bytes is NULL for a failed draw. */
struct urnclient_text {
    const char *bytes;
    uint32_t length;
};

enum urnclient_as { URNCLIENT_NAMES, URNCLIENT_INDEXES, URNCLIENT_TALLY };

struct urnclient_tally {
    struct urnclient_text item_id;
    uint64_t drawn;
};

struct urnclient_draw {
    uint64_t first_request_id; /* the draws have first_request_id, first_request_id + 1, ... */
    uint32_t count;            /* of names or indexes: the draws asked for; of tally: its items */
    uint32_t failed;           /* how many draws failed for want of stock */
    uint64_t odds_version;
    bool replayed;
    enum urnclient_as as;                /* which of the three below is set */
    const struct urnclient_text *names;  /* bytes NULL: a failed draw */
    const uint32_t *indexes;             /* URNCLIENT_FAILED_DRAW: a failed draw */
    const struct urnclient_tally *tally; /* in catalog order */
    void *owned;                         /* internal */
};

struct urnclient_item {
    struct urnclient_text item_id;
    uint32_t index;
    int64_t quantity; /* left; URNCLIENT_UNLIMITED */
    uint64_t probability;
    uint64_t drawn;
};

struct urnclient_state {
    struct urnclient_text pool;
    bool open;
    uint64_t odds_version;
    uint64_t last_request_id; /* 0: none was ever given */
    uint64_t lsn;             /* the answer holds every change below it */
    uint32_t total;           /* items in all */
    uint32_t count;           /* items in this answer */
    const struct urnclient_item *items;
    void *owned;
};

/* Of catalog (item ids) and pools (names). */
struct urnclient_names {
    uint64_t odds_version; /* catalog */
    uint32_t total;        /* names in all */
    uint32_t count;        /* names in this answer */
    const struct urnclient_text *names;
    void *owned;
};

/* Any MessagePack value, decoded; what `info` answers. */
enum urnclient_type {
    URNCLIENT_NIL,
    URNCLIENT_BOOL,
    URNCLIENT_UINT,     /* 0 or more */
    URNCLIENT_NEGATIVE, /* below 0 */
    URNCLIENT_DOUBLE,
    URNCLIENT_TEXT,
    URNCLIENT_ARRAY,
    URNCLIENT_MAP,
};

struct urnclient_pair;

struct urnclient_value {
    enum urnclient_type type;
    uint32_t count; /* ARRAY: elements; MAP: pairs */
    union {
        bool truth;
        uint64_t number;
        int64_t negative;
        double real;
        struct urnclient_text text; /* also of bin; an extension value is NIL */
        const struct urnclient_value *elements;
        const struct urnclient_pair *pairs;
    };
};

struct urnclient_pair {
    struct urnclient_value key;
    struct urnclient_value value;
};

/* An item of a catalog to create. */
struct urnclient_item_spec {
    const char *item_id; /* terminated */
    int64_t quantity;    /* URNCLIENT_UNLIMITED */
    uint64_t probability;
};

/* What to set of an item; has_... says which. */
struct urnclient_update {
    bool has_quantity;
    bool has_probability;
    bool has_if_quantity;
    int64_t quantity;     /* left from now on; URNCLIENT_UNLIMITED */
    uint64_t probability; /* the weight */
    int64_t if_quantity;  /* REFUSED with CONFLICT unless so many are left */
};

/* What came of a draw. */
struct urnclient_lookup {
    uint64_t request_id;
    struct urnclient_text pool;
    struct urnclient_text item_id; /* bytes NULL: the draw failed */
    uint32_t index;                /* the item's; URNCLIENT_FAILED_DRAW */
    uint64_t odds_version;
    uint64_t time_us; /* when it was made, since 1970, UTC */
    uint64_t lsn;     /* where the server's log has it */
    void *owned;
};

struct urnclient_info {
    struct urnclient_value value;
    void *owned;
};

/* The value of a text key in a map; NULL when it is none or there is none. */
URNCLIENT_API const struct urnclient_value *urnclient_find(const struct urnclient_value *map,
                                                           const char *key);

/* Each frees what its result owns and zeroes it; a zeroed result may be freed again. */
URNCLIENT_API void urnclient_draw_free(struct urnclient_draw *draw);
URNCLIENT_API void urnclient_state_free(struct urnclient_state *state);
URNCLIENT_API void urnclient_names_free(struct urnclient_names *names);
URNCLIENT_API void urnclient_lookup_free(struct urnclient_lookup *lookup);
URNCLIENT_API void urnclient_info_free(struct urnclient_info *info);

/* ---- plain calls ------------------------------------------------------------------------- */

/* Each sends one request and waits for its answer. On success the result is filled and the caller
 * frees it; on an error it is zeroed. Errors: all but CONNECT. After TIMEOUT the answer, should it
 * still come, is dropped. pool is terminated. Other requests may be in flight meanwhile. */

URNCLIENT_API enum urnclient_status urnclient_ping(struct urnclient *client,
                                                   struct urnclient_error *error);

/* all: either every draw succeeds or nothing happens (REFUSED with NOSTOCK). */
URNCLIENT_API enum urnclient_status urnclient_draw(struct urnclient *client, const char *pool,
                                                   uint32_t count, enum urnclient_as as, bool all,
                                                   struct urnclient_draw *draw,
                                                   struct urnclient_error *error);

/* A page of the stock: at most limit items from offset on. */
URNCLIENT_API enum urnclient_status urnclient_state(struct urnclient *client, const char *pool,
                                                    uint32_t offset, uint32_t limit,
                                                    struct urnclient_state *state,
                                                    struct urnclient_error *error);

URNCLIENT_API enum urnclient_status urnclient_catalog(struct urnclient *client, const char *pool,
                                                      uint32_t offset, uint32_t limit,
                                                      struct urnclient_names *names,
                                                      struct urnclient_error *error);

URNCLIENT_API enum urnclient_status urnclient_pools(struct urnclient *client,
                                                    struct urnclient_names *names,
                                                    struct urnclient_error *error);

/* What came of the draw of this id (1 to 2^53 - 1): every draw that was answered, as long as the server
 * keeps its log; otherwise REFUSED with NOTFOUND. */
URNCLIENT_API enum urnclient_status urnclient_lookup(struct urnclient *client, uint64_t request_id,
                                                     struct urnclient_lookup *lookup,
                                                     struct urnclient_error *error);

/* Has the server write a snapshot; *lsn is what it covers, once it counts: some seconds for a large
 * catalog. */
URNCLIENT_API enum urnclient_status urnclient_snapshot(struct urnclient *client, uint64_t *lsn,
                                                       struct urnclient_error *error);

URNCLIENT_API enum urnclient_status urnclient_info(struct urnclient *client,
                                                   struct urnclient_info *info,
                                                   struct urnclient_error *error);

/* Changes of items and pools. Each answers the odds version of the pool behind it (odds_version may
 * be NULL). */

URNCLIENT_API enum urnclient_status urnclient_update(struct urnclient *client, const char *pool,
                                                     const char *item_id,
                                                     const struct urnclient_update *update,
                                                     uint64_t *odds_version,
                                                     struct urnclient_error *error);

URNCLIENT_API enum urnclient_status urnclient_add(struct urnclient *client, const char *pool,
                                                  const struct urnclient_item_spec *item,
                                                  uint64_t *odds_version,
                                                  struct urnclient_error *error);

/* Creates a pool and opens it once it has all its items. */
URNCLIENT_API enum urnclient_status urnclient_create(struct urnclient *client, const char *pool,
                                                     const struct urnclient_item_spec *items,
                                                     uint32_t item_count, uint64_t *odds_version,
                                                     struct urnclient_error *error);

/* close_pool: draws are refused with CLOSED from here on. */
URNCLIENT_API enum urnclient_status urnclient_close_pool(struct urnclient *client, const char *pool,
                                                         uint64_t *odds_version,
                                                         struct urnclient_error *error);
URNCLIENT_API enum urnclient_status urnclient_open_pool(struct urnclient *client, const char *pool,
                                                        uint64_t *odds_version,
                                                        struct urnclient_error *error);

/* Lets the server apply what its configuration file changed of the pools; docs/protocol.md has the
 * map that comes back. */
URNCLIENT_API enum urnclient_status urnclient_reload(struct urnclient *client, bool dry_run,
                                                     bool force, struct urnclient_info *report,
                                                     struct urnclient_error *error);

/* ---- the pipeline ------------------------------------------------------------------------ */

enum urnclient_method {
    URNCLIENT_PING,
    URNCLIENT_DRAW,
    URNCLIENT_STATE,
    URNCLIENT_CATALOG,
    URNCLIENT_POOLS,
    URNCLIENT_SNAPSHOT,
    URNCLIENT_INFO,
    URNCLIENT_UPDATE,
    URNCLIENT_ADD,
    URNCLIENT_CREATE,
    URNCLIENT_CLOSE,
    URNCLIENT_OPEN,
    URNCLIENT_RELOAD,
    URNCLIENT_LOOKUP,
};

/* What a request asks; fields that its method does not take are not looked at. */
struct urnclient_call {
    enum urnclient_method method;
    const char *pool; /* terminated; copied */
    uint32_t count;
    enum urnclient_as as;
    bool all;
    uint32_t offset;
    uint32_t limit;
    const char *item_id;                     /* update */
    struct urnclient_update update;          /* update */
    const struct urnclient_item_spec *items; /* create; add: one */
    uint32_t item_count;
    bool dry_run, force; /* reload */
    uint64_t request_id; /* lookup */
};

/* An answer: the member named after method is set; ping has none. */
struct urnclient_reply {
    enum urnclient_method method;
    union {
        struct urnclient_draw draw;
        struct urnclient_state state;
        struct urnclient_names names; /* catalog, pools */
        struct urnclient_info info;   /* info, reload */
        struct urnclient_lookup lookup;
        uint64_t odds_version; /* update, add, create, close, open */
        uint64_t lsn;          /* snapshot */
    };
};

/* Queues a request; *msgid names its answer. Queued bytes leave when there are many, with
 * urnclient_flush() and before any wait; when the server takes no more for now, answers are read
 * and kept meanwhile, so that neither side ever waits for the other. Errors: ARGUMENT
 * (max_in_flight requests have no received answer yet; a name of more than 64 bytes),
 * TIMEOUT, LOST, PROTOCOL, NOMEMORY. */
URNCLIENT_API enum urnclient_status urnclient_send(struct urnclient *client,
                                                   const struct urnclient_call *call,
                                                   uint32_t *msgid, struct urnclient_error *error);

/* Hands everything that is queued to the system. Errors: TIMEOUT, LOST, PROTOCOL, NOMEMORY. */
URNCLIENT_API enum urnclient_status urnclient_flush(struct urnclient *client,
                                                    struct urnclient_error *error);

/* Waits for the answer to one request; answers to others that come first are kept. The caller frees
 * the reply. REFUSED is that request's own failure and the pipeline goes on. After TIMEOUT it may
 * be called again. */
URNCLIENT_API enum urnclient_status urnclient_receive(struct urnclient *client, uint32_t msgid,
                                                      struct urnclient_reply *reply,
                                                      struct urnclient_error *error);

/* Likewise for whichever answer is there first; *msgid says whose it is, also after REFUSED. With
 * nothing in flight: ARGUMENT. */
URNCLIENT_API enum urnclient_status urnclient_receive_any(struct urnclient *client, uint32_t *msgid,
                                                          struct urnclient_reply *reply,
                                                          struct urnclient_error *error);

/* Requests sent or queued whose answer has not been received. */
URNCLIENT_API uint32_t urnclient_in_flight(const struct urnclient *client);

URNCLIENT_API void urnclient_reply_free(struct urnclient_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
