/* config.h: the configuration file of urnd.
 *
 * YAML, read once at the start. config_keys.def lists the keys with plain values,
 * docs/operations.md explains all of them. A configuration that was loaded is complete and
 * possible: defaults are filled in, every value is inside its bounds, and the sizes fit each other.
 */
#ifndef URN_SERVER_CONFIG_H
#define URN_SERVER_CONFIG_H

#include <sys/socket.h>

#include "engine/error.h"
#include "proto/messages.h"

/* One address to listen on: TCP on a loopback address, or a Unix socket. */
struct config_listen {
    char *text;                      /* as it stands in the file, for messages */
    struct sockaddr_storage address; /* AF_INET, AF_INET6 or AF_UNIX */
    socklen_t address_bytes;
    char *unix_path; /* AF_UNIX: the socket's file, resolved; NULL otherwise */
};

struct config_arena; /* config.c: memory of texts */

#define CONFIG_IDLE_MAX 2

struct config {
    char *file;     /* the path that was loaded, for messages */
    char *data_dir; /* resolved: absolute, or relative to the working directory */
    struct config_listen *listen;
    uint32_t listen_count; /* at least 1 */
    struct urn_pool_spec *pools;
    uint32_t pool_count;         /* may be 0 */
    struct urn_item_spec *items; /* of all pools */
    uint64_t pools_bytes;        /* what is set aside for them */
    uint64_t items_bytes;
    struct {
        uint64_t segment_size_bytes;
        uint32_t segments;
        uint32_t flush_after_n_draw;
        enum urn_wal_mode mode; /* when a reply leaves the server */
        uint64_t interval_ns;   /* looked at in mode interval only */
        char *archive;          /* absolute; empty: none */
        enum urn_archive_policy archive_policy;
    } wal;
    struct {
        uint64_t every_bytes; /* 0: as many as the ring allows */
    } snapshot;
    struct {
        uint64_t max_request_bytes;
        uint64_t max_reply_bytes;
        uint64_t request_buffers_bytes; /* at least max_request_bytes */
        uint64_t reply_buffers_bytes;   /* at least max_reply_bytes */
        uint32_t max_connections;
        uint32_t max_batch;
        uint32_t max_inflight;
        uint32_t queue_draws; /* at least max_batch */
        uint32_t max_pools;
        uint32_t max_items;
    } limits;
    const char *idle[CONFIG_IDLE_MAX]; /* of keys that stand in the file and have no effect: why */
    uint32_t idle_count;
    struct config_arena *texts; /* all that is not a name */
    struct config_arena *names; /* of pools and items */
};

/* Reads and checks the file. On URN_OK *config is filled and belongs to the caller, who ends it
 * with config_free(); otherwise *config is empty and safe to free. Errors: URN_CONFIG, with a text
 * "FILE:LINE:COLUMN: what is wrong, and what was expected" (without line where the file itself
 * cannot be read), and URN_NOMEMORY. Takes time linear in the file's length. Any thread. */
enum urn_code config_load(const char *path, struct config *config, struct urn_error *error);

/* Reads a server's file again, while it runs with *running: no more pools or items than its limits, so
 * that a file of whatever length takes no more than config_memory_bytes(). Errors: as config_load;
 * URN_TOOBIG (those limits). */
enum urn_code config_load_again(const struct config *running, struct config *config,
                                struct urn_error *error);

/* The most memory that reading a file and keeping what it says takes, of so many pools and items. */
uint64_t config_memory_bytes(uint64_t max_pools, uint64_t max_items);

/* Releases what config_load filled in and empties it; a zeroed config may be freed too. */
void config_free(struct config *config);

/* Gives the pools' memory back to the system: pools serve to make a new data directory, and once
 * the engine is open nobody looks at them again. */
void config_forget_pools(struct config *config);

/* The engine's share of the configuration; pointers in *engine lead into config, which must outlive
 * its use. create, notify and os are left empty, for the caller to set. */
void config_fill_engine(const struct config *config, struct urn_engine_config *engine);

/* The keys whose values differ between two configurations, pools apart: names into names, which has
 * room for CONFIG_DIFFERENCES_MAX; returns how many. */
#define CONFIG_DIFFERENCES_MAX MESSAGE_RESTART_KEYS_MAX
uint32_t config_differences(const struct config *one, const struct config *other,
                            const char *names[CONFIG_DIFFERENCES_MAX]);

/* The word in the file: "commit", "interval" or "os". */
const char *config_wal_mode_text(enum urn_wal_mode mode);

#endif
