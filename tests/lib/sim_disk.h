/* sim_disk.h: the simulated disk and the cache in front of it: files, sectors, names, crashes.
 *
 * No faults are decided here and no process is known: os_sim.c does that and calls this. What a
 * crash, a sync and a failed sync do to bytes, sizes and names is the fault model's heart; os_sim.h
 * states it.
 *
 * A file is an array of pages. A page has its content on the disk (shared between clones of a disk,
 * copied when one of them changes it; absent while it is all zeroes) and, while it matters, an
 * overlay: for each sector the versions written since the sector was last synced, newest first. The
 * cache shows the newest version; a machine crash leaves any one of them, or the disk's.
 *
 *     overlay -> sector 3:  version 9 (cache) -> version 7 -> version 4 ... -> what the disk has
 *                sector 4:  (none: cache and disk are the same)
 */
#ifndef URN_TESTS_SIM_DISK_H
#define URN_TESTS_SIM_DISK_H

#include <stddef.h>

#include "engine/os.h"
#include "tests/lib/sim_random.h"

#define SIM_SECTORS_PER_PAGE (OS_PAGE_BYTES / OS_SECTOR_BYTES)
#define SIM_NAME_BYTES       128u /* a name, its end included */

struct sim_disk;
struct sim_node; /* a file or a directory, whatever names it has */

struct sim_disk *sim_disk_make(void);
void sim_disk_free(struct sim_disk *disk);

/* A disk of the same content, cache, versions and unsynced names; open handles and syncs under way
 * are not taken along. */
struct sim_disk *sim_disk_clone(struct sim_disk *disk);

/* The machine stops: every unsynced sector, size and name becomes one of the things it may be. */
void sim_disk_crash(struct sim_disk *disk, struct sim_random *random);

/* Frees nodes without names and handles. Called between processes. */
void sim_disk_collect_garbage(struct sim_disk *disk);

/* Sectors, sizes and names of files reachable now which a machine crash might change. */
uint64_t sim_disk_unsynced(struct sim_disk *disk);

/* Bytes that named or open files take, allocated ones included. */
uint64_t sim_disk_used_bytes(struct sim_disk *disk);

/* ---- names ----------------------------------------------------------------------------------- */

/* NULL: there is none. Paths begin at the root whether they begin with a slash or not. */
struct sim_node *sim_disk_find(struct sim_disk *disk, const char *path);

/* The directory that holds the path's last component, which is copied to name; NULL: there is none,
 * or the name is empty or too long. */
struct sim_node *sim_disk_find_parent(struct sim_disk *disk, const char *path,
                                      char name[SIM_NAME_BYTES]);

bool sim_node_is_directory(const struct sim_node *node);
struct sim_node *sim_dir_lookup(struct sim_node *dir, const char *name);

/* The caller has made sure that the name is free (link) or there (unlink, rename's from). */
struct sim_node *sim_dir_create(struct sim_disk *disk, struct sim_node *dir, const char *name,
                                bool directory);
void sim_dir_unlink(struct sim_node *dir, const char *name);
void sim_dir_rename(struct sim_node *dir, const char *from, const char *to);

void sim_dir_sync(struct sim_node *dir);

uint32_t sim_dir_count(const struct sim_node *dir);
const char *sim_dir_name(const struct sim_node *dir, uint32_t index);

/* ---- files ----------------------------------------------------------------------------------- */

void sim_node_open(struct sim_node *node);
void sim_node_close(struct sim_node *node);

/* Whoever holds the file's lock: an address, NULL for nobody. */
const void *sim_node_lock_holder(const struct sim_node *node);
void sim_node_set_lock_holder(struct sim_node *node, const void *holder);

/* What the cache says; the space that the file takes, too: there are no holes. */
uint64_t sim_file_size_bytes(const struct sim_node *file);

/* Reserves space by making the file longer (posix_fallocate), if it is shorter. */
void sim_file_lengthen(struct sim_node *file, uint64_t length_bytes);

/* Copies from the cache a range that lies within the file. Returns how many bytes it could copy:
 * fewer than asked where an unreadable sector comes. */
uint64_t sim_file_read(const struct sim_node *file, void *to, uint64_t length_bytes,
                       uint64_t offset);

/* Copies into the cache and lengthens the file when need be. half_way: some sectors also get a
 * version in which the copy is not complete (for mappings, which write-back may catch in the
 * middle); NULL for none. */
void sim_file_write(struct sim_node *file, const void *from, uint64_t length_bytes, uint64_t offset,
                    struct sim_random *half_way);

/* True when a page of the range cannot be brought in because a sector of it is unreadable.
 * whole_too: pages that the range covers whole count as well (a write needs not bring them in, a
 * store does). */
bool sim_file_page_is_unreadable(const struct sim_node *file, uint64_t offset,
                                 uint64_t length_bytes, bool whole_too);

/* A sync under way: what was dirty at its begin. */
struct sim_flight {
    uint64_t begun_at;
    uint32_t count, capacity;
    struct sim_flight_sector {
        uint64_t sector;
        uint64_t version; /* newest at the begin; 0: identical bytes only */
    } * sectors;
};

void sim_file_sync_begin(struct sim_node *file, uint64_t offset, uint64_t length_bytes,
                         struct sim_flight *flight);
void sim_file_sync_end(struct sim_node *file, struct sim_flight *flight, bool fails);
void sim_flight_free(struct sim_flight *flight);

/* Size and everything, begin and end in one. */
enum sim_sync_fate {
    SIM_SYNC_DONE,
    SIM_SYNC_FAILS,
    SIM_SYNC_LIES, /* the size is on the disk, of the bytes nobody knows which */
};
void sim_file_sync(struct sim_node *file, enum sim_sync_fate fate);

/* Forgets clean pages; sectors whose sync failed become what the disk made of them. */
void sim_file_drop_cache(struct sim_node *file, struct sim_random *random);

/* ---- damage ---------------------------------------------------------------------------------- */

/* Changes what the disk has, and the cache where it held the same. */
void sim_file_damage(struct sim_node *file, uint64_t offset, const void *bytes,
                     uint64_t length_bytes);
void sim_file_flip(struct sim_node *file, uint64_t offset, uint8_t mask);
void sim_file_set_unreadable(struct sim_node *file, uint64_t offset, bool unreadable);
void sim_file_truncate(struct sim_node *file, uint64_t length_bytes);
void sim_dir_lose(struct sim_node *dir, const char *name);

#endif
