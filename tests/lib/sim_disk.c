/* sim_disk.c: the simulated disk and its cache. See sim_disk.h; the numbers in brackets are those
 * of the fault model in os_sim.h. */
#include "tests/lib/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"

#define NODE_MAGIC 0x4e4f4445u
#define DISK_MAGIC 0x4449534bu

/* A page as the disk has it, shared between clones. */
struct page {
    uint32_t shares;
    uint8_t bytes[OS_PAGE_BYTES];
};

struct version {
    struct version *older;
    uint64_t id;
    uint8_t bytes[OS_SECTOR_BYTES];
};

/* What the cache holds of a page beyond the disk's content. There is one only while a sector of the
 * page is dirty or has versions. */
struct overlay {
    uint8_t
        dirty; /* a bit a sector: the next sync writes it. Versions without it: a sync failed [6] */
    uint64_t written_at[SIM_SECTORS_PER_PAGE];
    struct version *newest[SIM_SECTORS_PER_PAGE];
};

struct slot {
    struct page *page; /* NULL: zeroes */
    struct overlay *overlay;
    uint8_t unreadable; /* a bit a sector */
};

struct name {
    char text[SIM_NAME_BYTES];
    struct sim_node *node;
};

struct names {
    struct name *at;
    uint32_t count, capacity;
};

/* An unsynced operation: create has only to, remove only from, rename both. */
struct change {
    char from[SIM_NAME_BYTES];
    char to[SIM_NAME_BYTES];
    struct sim_node *node;
};

struct sim_node {
    uint32_t magic;
    bool directory;
    bool reached; /* scratch of the walks */
    uint32_t handles;
    const void *lock_holder;
    struct sim_disk *disk;
    struct sim_node *next; /* all nodes of the disk */
    struct sim_node *twin; /* scratch of cloning */

    /* files */
    uint64_t size_bytes;      /* the cache's */
    uint64_t disk_size_bytes; /* synced */
    uint64_t *sizes;          /* all sizes since then, the present one last; [7] */
    uint32_t size_count, size_capacity;
    bool size_dirty;
    struct slot *slots; /* one a page of size_bytes */
    uint64_t slot_count;

    /* directories */
    struct names now, synced;
    struct change *changes; /* from synced to now, in order */
    uint32_t change_count, change_capacity;
};

struct sim_disk {
    uint32_t magic;
    uint64_t ticks; /* numbers writes and versions */
    struct sim_node *nodes;
    struct sim_node *root;
};

static void *must_have(void *memory)
{
    CHECK(memory != NULL);
    return memory;
}

/* Makes room for one more element. */
static void *grown(void *array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    return must_have(realloc(array, *capacity * element_bytes));
}

static void node_check(const struct sim_node *node)
{
    CHECK(node != NULL && node->magic == NODE_MAGIC);
    CHECK(node->directory ||
          node->slot_count == round_up_u64(node->size_bytes, OS_PAGE_BYTES) / OS_PAGE_BYTES);
}

/* ---- pages and overlays ---------------------------------------------------------------------- */

static void page_release(struct page *page)
{
    if (page != NULL && --page->shares == 0)
        free(page);
}

/* The slot's page, for changing. */
static uint8_t *page_own(struct slot *slot)
{
    if (slot->page == NULL) {
        slot->page = must_have(calloc(1, sizeof *slot->page));
        slot->page->shares = 1;
    } else if (slot->page->shares > 1) {
        struct page *copy = must_have(malloc(sizeof *copy));
        memcpy(copy->bytes, slot->page->bytes, sizeof copy->bytes);
        copy->shares = 1;
        page_release(slot->page);
        slot->page = copy;
    }
    return slot->page->bytes;
}

static void versions_free(struct version *newest)
{
    while (newest != NULL) {
        struct version *older = newest->older;
        free(newest);
        newest = older;
    }
}

static void overlay_free(struct slot *slot)
{
    if (slot->overlay == NULL)
        return;
    for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
        versions_free(slot->overlay->newest[sector]);
    free(slot->overlay);
    slot->overlay = NULL;
}

static void overlay_free_if_idle(struct slot *slot)
{
    if (slot->overlay == NULL || slot->overlay->dirty != 0)
        return;
    for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
        if (slot->overlay->newest[sector] != NULL)
            return;
    overlay_free(slot);
}

static void slot_free(struct slot *slot)
{
    overlay_free(slot);
    page_release(slot->page);
    *slot = (struct slot){0};
}

static const uint8_t *sector_on_disk(const struct slot *slot, unsigned sector)
{
    static const uint8_t zeroes[OS_SECTOR_BYTES];
    return slot->page == NULL ? zeroes : slot->page->bytes + (size_t)sector * OS_SECTOR_BYTES;
}

static const uint8_t *sector_in_cache(const struct slot *slot, unsigned sector)
{
    if (slot->overlay != NULL && slot->overlay->newest[sector] != NULL)
        return slot->overlay->newest[sector]->bytes;
    return sector_on_disk(slot, sector);
}

static bool sector_is_unreadable(const struct slot *slot, unsigned sector)
{
    if ((slot->unreadable >> sector & 1) == 0)
        return false;
    const struct overlay *overlay = slot->overlay;
    return overlay == NULL ||
           ((overlay->dirty >> sector & 1) == 0 && overlay->newest[sector] == NULL);
}

static void sector_store(struct slot *slot, unsigned sector, const uint8_t *bytes)
{
    if (memcmp(sector_on_disk(slot, sector), bytes, OS_SECTOR_BYTES) != 0)
        memcpy(page_own(slot) + (size_t)sector * OS_SECTOR_BYTES, bytes, OS_SECTOR_BYTES);
    slot->unreadable &= (uint8_t) ~(1u << sector);
}

static void sector_add_version(struct sim_node *file, struct slot *slot, unsigned sector,
                               const uint8_t *bytes)
{
    if (memcmp(sector_in_cache(slot, sector), bytes, OS_SECTOR_BYTES) == 0)
        return; /* [4] */
    struct version *version = must_have(malloc(sizeof *version));
    version->id = ++file->disk->ticks;
    version->older = slot->overlay->newest[sector];
    memcpy(version->bytes, bytes, OS_SECTOR_BYTES);
    slot->overlay->newest[sector] = version;
}

/* Puts length bytes at a place within the sector into the cache. */
static void sector_write(struct sim_node *file, struct slot *slot, unsigned sector, unsigned at,
                         const uint8_t *bytes, unsigned length, struct sim_random *half_way)
{
    uint8_t content[OS_SECTOR_BYTES];
    memcpy(content, sector_in_cache(slot, sector), sizeof content);
    if (slot->overlay == NULL)
        slot->overlay = must_have(calloc(1, sizeof *slot->overlay));
    if (half_way != NULL && sim_random_one_in(half_way, 8)) { /* [5] */
        memcpy(content + at, bytes, sim_random_below(half_way, length + 1));
        sector_add_version(file, slot, sector, content);
    }
    memcpy(content + at, bytes, length);
    sector_add_version(file, slot, sector, content);
    slot->overlay->dirty |= (uint8_t)(1u << sector);
    slot->overlay->written_at[sector] = ++file->disk->ticks;
}

/* Settles the sector on its disk content or one of its versions: oldest 0, newest = their number.
 */
static void sector_settle(struct slot *slot, unsigned sector, uint64_t choice)
{
    struct overlay *overlay = slot->overlay;
    uint64_t count = 0;
    for (struct version *version = overlay->newest[sector]; version != NULL;
         version = version->older)
        count++;
    CHECK(choice <= count);
    if (choice > 0) {
        const struct version *version = overlay->newest[sector];
        for (uint64_t i = count; i > choice; i--)
            version = version->older;
        sector_store(slot, sector, version->bytes);
    }
    versions_free(overlay->newest[sector]);
    overlay->newest[sector] = NULL;
    overlay->dirty &= (uint8_t) ~(1u << sector);
}

static uint64_t sector_versions(const struct slot *slot, unsigned sector)
{
    uint64_t count = 0;
    if (slot->overlay != NULL)
        for (struct version *v = slot->overlay->newest[sector]; v != NULL; v = v->older)
            count++;
    return count;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void file_resize_slots(struct sim_node *file, uint64_t size_bytes)
{
    uint64_t wanted = round_up_u64(size_bytes, OS_PAGE_BYTES) / OS_PAGE_BYTES;
    for (uint64_t i = wanted; i < file->slot_count; i++)
        slot_free(&file->slots[i]);
    if (wanted > file->slot_count) {
        file->slots = must_have(realloc(file->slots, wanted * sizeof *file->slots));
        memset(file->slots + file->slot_count, 0,
               (wanted - file->slot_count) * sizeof *file->slots);
    }
    file->slot_count = wanted;
    file->size_bytes = size_bytes;
}

/* Cuts the file; what lay beyond is zeroes if it ever grows again. */
static void file_cut(struct sim_node *file, uint64_t size_bytes)
{
    file_resize_slots(file, size_bytes);
    uint64_t page_at = size_bytes % OS_PAGE_BYTES;
    if (page_at == 0)
        return;
    struct slot *slot = &file->slots[file->slot_count - 1];
    if (slot->page != NULL)
        memset(page_own(slot) + page_at, 0, OS_PAGE_BYTES - page_at);
    if (slot->overlay == NULL)
        return;
    for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++) {
        uint64_t begin = (uint64_t)sector * OS_SECTOR_BYTES;
        uint64_t keep = page_at <= begin ? 0 : page_at - begin;
        for (struct version *v = slot->overlay->newest[sector]; v != NULL; v = v->older)
            if (keep < OS_SECTOR_BYTES)
                memset(v->bytes + keep, 0, OS_SECTOR_BYTES - keep);
    }
}

static void file_note_size(struct sim_node *file)
{
    file->sizes = grown(file->sizes, file->size_count, &file->size_capacity, sizeof *file->sizes);
    file->sizes[file->size_count++] = file->size_bytes;
    file->size_dirty = true;
}

uint64_t sim_file_size_bytes(const struct sim_node *file)
{
    node_check(file);
    return file->size_bytes;
}

void sim_file_lengthen(struct sim_node *file, uint64_t length_bytes)
{
    node_check(file);
    CHECK(!file->directory);
    if (length_bytes <= file->size_bytes)
        return;
    file_resize_slots(file, length_bytes);
    file_note_size(file);
}

uint64_t sim_file_read(const struct sim_node *file, void *to, uint64_t length_bytes,
                       uint64_t offset)
{
    node_check(file);
    CHECK(offset <= file->size_bytes && length_bytes <= file->size_bytes - offset);
    uint8_t *target = to;
    uint64_t done = 0;
    while (done < length_bytes) {
        uint64_t at = offset + done;
        const struct slot *slot = &file->slots[at / OS_PAGE_BYTES];
        unsigned sector = (unsigned)(at % OS_PAGE_BYTES / OS_SECTOR_BYTES);
        if (sector_is_unreadable(slot, sector))
            break;
        const uint8_t *from = sector_in_cache(slot, sector) + at % OS_SECTOR_BYTES;
        uint64_t length = OS_SECTOR_BYTES - at % OS_SECTOR_BYTES;
        if (slot->page != NULL && slot->overlay == NULL && slot->unreadable == 0)
            length = OS_PAGE_BYTES - at % OS_PAGE_BYTES; /* all as the disk has it: at once */
        if (length > length_bytes - done)
            length = length_bytes - done;
        memcpy(target + done, from, length);
        done += length;
    }
    return done;
}

void sim_file_write(struct sim_node *file, const void *from, uint64_t length_bytes, uint64_t offset,
                    struct sim_random *half_way)
{
    node_check(file);
    CHECK(!file->directory);
    sim_file_lengthen(file, offset + length_bytes);
    const uint8_t *source = from;
    for (uint64_t done = 0; done < length_bytes;) {
        uint64_t at = offset + done;
        uint64_t within = at % OS_SECTOR_BYTES;
        uint64_t length = OS_SECTOR_BYTES - within;
        if (length > length_bytes - done)
            length = length_bytes - done;
        sector_write(file, &file->slots[at / OS_PAGE_BYTES],
                     (unsigned)(at % OS_PAGE_BYTES / OS_SECTOR_BYTES), (unsigned)within,
                     source + done, (unsigned)length, half_way);
        done += length;
    }
}

bool sim_file_page_is_unreadable(const struct sim_node *file, uint64_t offset,
                                 uint64_t length_bytes, bool whole_too)
{
    node_check(file);
    uint64_t end = offset + length_bytes;
    for (uint64_t i = offset / OS_PAGE_BYTES; i * OS_PAGE_BYTES < end && i < file->slot_count;
         i++) {
        bool whole = offset <= i * OS_PAGE_BYTES && (i + 1) * OS_PAGE_BYTES <= end;
        if (whole && !whole_too)
            continue;
        for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
            if (sector_is_unreadable(&file->slots[i], sector))
                return true;
    }
    return false;
}

/* ---- syncs ----------------------------------------------------------------------------------- */

void sim_file_sync_begin(struct sim_node *file, uint64_t offset, uint64_t length_bytes,
                         struct sim_flight *flight)
{
    node_check(file);
    flight->count = 0;
    flight->begun_at = ++file->disk->ticks;
    uint64_t end = offset + length_bytes;
    for (uint64_t i = offset / OS_PAGE_BYTES; i * OS_PAGE_BYTES < end && i < file->slot_count;
         i++) {
        const struct overlay *overlay = file->slots[i].overlay;
        for (unsigned sector = 0; overlay != NULL && sector < SIM_SECTORS_PER_PAGE; sector++) {
            if ((overlay->dirty >> sector & 1) == 0)
                continue;
            flight->sectors =
                grown(flight->sectors, flight->count, &flight->capacity, sizeof *flight->sectors);
            flight->sectors[flight->count++] = (struct sim_flight_sector){
                .sector = i * SIM_SECTORS_PER_PAGE + sector,
                .version = overlay->newest[sector] == NULL ? 0 : overlay->newest[sector]->id,
            };
        }
    }
}

/* The version that flew and all older ones: the disk has the former. */
static void sector_landed(struct slot *slot, unsigned sector, uint64_t version_id)
{
    struct version **link = &slot->overlay->newest[sector];
    while (*link != NULL && (*link)->id > version_id)
        link = &(*link)->older;
    if (*link != NULL && (*link)->id == version_id)
        sector_store(slot, sector, (*link)->bytes);
    slot->unreadable &= (uint8_t) ~(1u << sector);
    versions_free(*link);
    *link = NULL;
}

void sim_file_sync_end(struct sim_node *file, struct sim_flight *flight, bool fails)
{
    node_check(file);
    for (uint32_t i = 0; i < flight->count; i++) {
        uint64_t page = flight->sectors[i].sector / SIM_SECTORS_PER_PAGE;
        unsigned sector = (unsigned)(flight->sectors[i].sector % SIM_SECTORS_PER_PAGE);
        if (page >= file->slot_count || file->slots[page].overlay == NULL)
            continue; /* the file was cut, or another sync has been faster */
        struct slot *slot = &file->slots[page];
        if (slot->overlay->written_at[sector] < flight->begun_at)
            slot->overlay->dirty &= (uint8_t) ~(1u << sector);
        if (!fails)
            sector_landed(slot, sector, flight->sectors[i].version);
        overlay_free_if_idle(slot);
    }
    flight->count = 0;
}

void sim_flight_free(struct sim_flight *flight)
{
    free(flight->sectors);
    *flight = (struct sim_flight){0};
}

void sim_file_sync(struct sim_node *file, enum sim_sync_fate fate)
{
    struct sim_flight flight = {0};
    sim_file_sync_begin(file, 0, file->size_bytes, &flight);
    sim_file_sync_end(file, &flight, fate != SIM_SYNC_DONE);
    sim_flight_free(&flight);
    if (file->size_dirty && fate != SIM_SYNC_FAILS) {
        file->disk_size_bytes = file->size_bytes;
        file->size_count = 0;
    }
    file->size_dirty = false;
}

void sim_file_drop_cache(struct sim_node *file, struct sim_random *random)
{
    node_check(file);
    for (uint64_t i = 0; i < file->slot_count; i++) {
        struct slot *slot = &file->slots[i];
        if (slot->overlay == NULL || slot->overlay->dirty != 0)
            continue;
        for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
            sector_settle(slot, sector,
                          sim_random_below(random, sector_versions(slot, sector) + 1));
        overlay_free(slot);
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static struct sim_node *node_make(struct sim_disk *disk, bool directory)
{
    struct sim_node *node = must_have(calloc(1, sizeof *node));
    node->magic = NODE_MAGIC;
    node->directory = directory;
    node->disk = disk;
    node->next = disk->nodes;
    disk->nodes = node;
    return node;
}

static void node_free(struct sim_node *node)
{
    node_check(node);
    CHECK(node->handles == 0);
    for (uint64_t i = 0; i < node->slot_count; i++)
        slot_free(&node->slots[i]);
    free(node->slots);
    free(node->sizes);
    free(node->now.at);
    free(node->synced.at);
    free(node->changes);
    node->magic = 0;
    free(node);
}

void sim_node_open(struct sim_node *node)
{
    node_check(node);
    node->handles++;
}

void sim_node_close(struct sim_node *node)
{
    node_check(node);
    CHECK(node->handles > 0);
    node->handles--;
}

const void *sim_node_lock_holder(const struct sim_node *node)
{
    node_check(node);
    return node->lock_holder;
}

void sim_node_set_lock_holder(struct sim_node *node, const void *holder)
{
    node_check(node);
    node->lock_holder = holder;
}

bool sim_node_is_directory(const struct sim_node *node)
{
    node_check(node);
    return node->directory;
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct name *names_find(const struct names *names, const char *text)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].text, text) == 0)
            return &names->at[i];
    return NULL;
}

static void names_set(struct names *names, const char *text, struct sim_node *node)
{
    struct name *name = names_find(names, text);
    if (name == NULL) {
        names->at = grown(names->at, names->count, &names->capacity, sizeof *names->at);
        name = &names->at[names->count++];
        memcpy(name->text, text, strlen(text) + 1);
    }
    name->node = node;
}

static void names_unset(struct names *names, const char *text)
{
    struct name *name = names_find(names, text);
    if (name != NULL)
        *name = names->at[--names->count];
}

static void names_copy(struct names *to, const struct names *from)
{
    *to = (struct names){.count = from->count, .capacity = from->count};
    if (from->count == 0)
        return;
    to->at = must_have(malloc(from->count * sizeof *to->at));
    memcpy(to->at, from->at, from->count * sizeof *to->at);
}

static void names_apply(struct names *names, const struct change *change)
{
    if (change->from[0] != '\0')
        names_unset(names, change->from);
    if (change->to[0] != '\0')
        names_set(names, change->to, change->node);
}

static void dir_change(struct sim_node *dir, const char *from, const char *to,
                       struct sim_node *node)
{
    node_check(dir);
    CHECK(dir->directory);
    CHECK(strlen(from) < SIM_NAME_BYTES && strlen(to) < SIM_NAME_BYTES);
    dir->changes =
        grown(dir->changes, dir->change_count, &dir->change_capacity, sizeof *dir->changes);
    struct change *change = &dir->changes[dir->change_count++];
    *change = (struct change){.node = node};
    memcpy(change->from, from, strlen(from) + 1);
    memcpy(change->to, to, strlen(to) + 1);
    names_apply(&dir->now, change);
}

struct sim_node *sim_dir_lookup(struct sim_node *dir, const char *name)
{
    node_check(dir);
    struct name *found = names_find(&dir->now, name);
    return found == NULL ? NULL : found->node;
}

struct sim_node *sim_dir_create(struct sim_disk *disk, struct sim_node *dir, const char *name,
                                bool directory)
{
    CHECK(sim_dir_lookup(dir, name) == NULL);
    struct sim_node *node = node_make(disk, directory);
    dir_change(dir, "", name, node);
    return node;
}

void sim_dir_unlink(struct sim_node *dir, const char *name)
{
    CHECK(sim_dir_lookup(dir, name) != NULL);
    dir_change(dir, name, "", sim_dir_lookup(dir, name));
}

void sim_dir_rename(struct sim_node *dir, const char *from, const char *to)
{
    CHECK(sim_dir_lookup(dir, from) != NULL);
    if (strcmp(from, to) != 0)
        dir_change(dir, from, to, sim_dir_lookup(dir, from));
}

static bool change_names(const struct change *change, const char *name)
{
    return name[0] != '\0' && (strcmp(change->from, name) == 0 || strcmp(change->to, name) == 0);
}

/* Does one of the first count changes touch a name that this one touches? */
static bool change_is_behind(const struct change *changes, uint32_t count,
                             const struct change *change)
{
    for (uint32_t i = 0; i < count; i++)
        if (change_names(&changes[i], change->from) || change_names(&changes[i], change->to))
            return true;
    return false;
}

void sim_dir_sync(struct sim_node *dir)
{
    node_check(dir);
    CHECK(dir->directory);
    for (uint32_t i = 0; i < dir->change_count; i++)
        names_apply(&dir->synced, &dir->changes[i]);
    dir->change_count = 0;
}

uint32_t sim_dir_count(const struct sim_node *dir)
{
    node_check(dir);
    return dir->now.count;
}

const char *sim_dir_name(const struct sim_node *dir, uint32_t index)
{
    node_check(dir);
    CHECK(index < dir->now.count);
    return dir->now.at[index].text;
}

struct sim_node *sim_disk_find_parent(struct sim_disk *disk, const char *path,
                                      char name[SIM_NAME_BYTES])
{
    struct sim_node *node = disk->root;
    name[0] = '\0';
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (length >= SIM_NAME_BYTES)
            return NULL;
        if (length > 0 && !(length == 1 && at[0] == '.')) {
            if (name[0] != '\0')
                node = sim_dir_lookup(node, name);
            if (node == NULL || !node->directory)
                return NULL;
            memcpy(name, at, length);
            name[length] = '\0';
        }
        at += length;
        at += strspn(at, "/");
    }
    return name[0] == '\0' ? NULL : node;
}

struct sim_node *sim_disk_find(struct sim_disk *disk, const char *path)
{
    CHECK(disk->magic == DISK_MAGIC);
    if (path[strspn(path, "./")] == '\0')
        return disk->root;
    char name[SIM_NAME_BYTES];
    struct sim_node *parent = sim_disk_find_parent(disk, path, name);
    return parent == NULL ? NULL : sim_dir_lookup(parent, name);
}

/* ---- the whole disk -------------------------------------------------------------------------- */

struct sim_disk *sim_disk_make(void)
{
    struct sim_disk *disk = must_have(calloc(1, sizeof *disk));
    disk->magic = DISK_MAGIC;
    disk->root = node_make(disk, true);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    CHECK(disk->magic == DISK_MAGIC);
    while (disk->nodes != NULL) {
        struct sim_node *next = disk->nodes->next;
        node_free(disk->nodes);
        disk->nodes = next;
    }
    disk->magic = 0;
    free(disk);
}

static void mark_reached(struct sim_node *node, bool now_only)
{
    if (node->reached)
        return;
    node->reached = true;
    for (uint32_t i = 0; i < node->now.count; i++)
        mark_reached(node->now.at[i].node, now_only);
    if (now_only)
        return;
    for (uint32_t i = 0; i < node->synced.count; i++)
        mark_reached(node->synced.at[i].node, now_only);
    for (uint32_t i = 0; i < node->change_count; i++)
        mark_reached(node->changes[i].node, now_only);
}

static void mark_all_reached(struct sim_disk *disk, bool now_only)
{
    CHECK(disk->magic == DISK_MAGIC);
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next)
        node->reached = false;
    mark_reached(disk->root, now_only);
}

void sim_disk_collect_garbage(struct sim_disk *disk)
{
    mark_all_reached(disk, false);
    for (struct sim_node **link = &disk->nodes; *link != NULL;) {
        struct sim_node *node = *link;
        if (node->reached || node->handles > 0) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        node_free(node);
    }
}

uint64_t sim_disk_used_bytes(struct sim_disk *disk)
{
    mark_all_reached(disk, true);
    uint64_t used = 0;
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next)
        if (node->reached || node->handles > 0)
            used += node->slot_count * OS_PAGE_BYTES;
    return used;
}

uint64_t sim_disk_unsynced(struct sim_disk *disk)
{
    mark_all_reached(disk, true);
    uint64_t unsynced = 0;
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        if (!node->reached)
            continue;
        unsynced += node->change_count;
        unsynced += node->size_count > 0;
        for (uint64_t i = 0; i < node->slot_count; i++)
            for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
                unsynced += sector_versions(&node->slots[i], sector) > 0;
    }
    return unsynced;
}

/* How a crash treats what it may choose about: one file or directory at a time, so that it comes
 * out old in one place and new in the next as well as mixed. */
enum mood { MOOD_OLD, MOOD_NEW, MOOD_MIXED };

static enum mood choose_mood(struct sim_random *random)
{
    uint64_t roll = sim_random_below(random, 8);
    return roll < 2 ? MOOD_OLD : roll < 4 ? MOOD_NEW : MOOD_MIXED;
}

static uint64_t choose(struct sim_random *random, enum mood mood, uint64_t newest)
{
    return mood == MOOD_OLD ? 0 : mood == MOOD_NEW ? newest : sim_random_below(random, newest + 1);
}

static void file_crash(struct sim_node *file, struct sim_random *random)
{
    enum mood mood = choose_mood(random);
    for (uint64_t i = 0; i < file->slot_count; i++) {
        struct slot *slot = &file->slots[i];
        if (slot->overlay == NULL)
            continue;
        for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
            sector_settle(slot, sector, choose(random, mood, sector_versions(slot, sector)));
        overlay_free(slot);
    }
    uint64_t size_choice = choose(random, choose_mood(random), file->size_count);
    file_cut(file, size_choice == 0 ? file->disk_size_bytes : file->sizes[size_choice - 1]);
    file->disk_size_bytes = file->size_bytes;
    file->size_count = 0;
    file->size_dirty = false;
}

static void dir_crash(struct sim_node *dir, struct sim_random *random)
{
    enum mood mood = choose_mood(random);
    uint32_t lost = 0; /* these, moved to the front, take later ones on their names with them */
    for (uint32_t i = 0; i < dir->change_count; i++) {
        struct change change = dir->changes[i];
        if (change_is_behind(dir->changes, lost, &change) || choose(random, mood, 1) == 0) {
            dir->changes[lost++] = change;
            continue;
        }
        bool rename = change.from[0] != '\0' && change.to[0] != '\0';
        if (rename && mood == MOOD_MIXED && sim_random_one_in(random, 4)) {
            struct change removal = change; /* only the new name has come; the removal is lost */
            removal.to[0] = '\0';
            dir->changes[lost++] = removal;
            change.from[0] = '\0';
        }
        names_apply(&dir->synced, &change);
    }
    dir->change_count = 0;
    free(dir->now.at);
    names_copy(&dir->now, &dir->synced);
}

void sim_disk_crash(struct sim_disk *disk, struct sim_random *random)
{
    CHECK(disk->magic == DISK_MAGIC);
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        node_check(node);
        if (node->directory)
            dir_crash(node, random);
        else
            file_crash(node, random);
    }
}

/* ---- clones ---------------------------------------------------------------------------------- */

static struct overlay *overlay_clone(const struct overlay *overlay)
{
    if (overlay == NULL)
        return NULL;
    struct overlay *copy = must_have(malloc(sizeof *copy));
    *copy = *overlay;
    for (unsigned sector = 0; sector < SIM_SECTORS_PER_PAGE; sector++)
        for (struct version **link = &copy->newest[sector]; *link != NULL; link = &(*link)->older) {
            struct version *version = must_have(malloc(sizeof *version));
            *version = **link;
            *link = version;
        }
    return copy;
}

static void file_clone(const struct sim_node *file, struct sim_node *twin)
{
    twin->size_bytes = file->size_bytes;
    twin->disk_size_bytes = file->disk_size_bytes;
    twin->size_dirty = file->size_dirty;
    for (uint32_t i = 0; i < file->size_count; i++) {
        twin->sizes =
            grown(twin->sizes, twin->size_count, &twin->size_capacity, sizeof *twin->sizes);
        twin->sizes[twin->size_count++] = file->sizes[i];
    }
    twin->slot_count = file->slot_count;
    if (file->slot_count > 0)
        twin->slots = must_have(malloc(file->slot_count * sizeof *twin->slots));
    for (uint64_t i = 0; i < file->slot_count; i++) {
        twin->slots[i] = file->slots[i];
        twin->slots[i].overlay = overlay_clone(file->slots[i].overlay);
        if (twin->slots[i].page != NULL)
            twin->slots[i].page->shares++;
    }
}

static void dir_clone(const struct sim_node *dir, struct sim_node *twin)
{
    names_copy(&twin->now, &dir->now);
    names_copy(&twin->synced, &dir->synced);
    for (uint32_t i = 0; i < twin->now.count; i++)
        twin->now.at[i].node = twin->now.at[i].node->twin;
    for (uint32_t i = 0; i < twin->synced.count; i++)
        twin->synced.at[i].node = twin->synced.at[i].node->twin;
    for (uint32_t i = 0; i < dir->change_count; i++) {
        twin->changes =
            grown(twin->changes, twin->change_count, &twin->change_capacity, sizeof *twin->changes);
        twin->changes[twin->change_count] = dir->changes[i];
        twin->changes[twin->change_count++].node = dir->changes[i].node->twin;
    }
}

struct sim_disk *sim_disk_clone(struct sim_disk *disk)
{
    mark_all_reached(disk, false);
    struct sim_disk *copy = must_have(calloc(1, sizeof *copy));
    copy->magic = DISK_MAGIC;
    copy->ticks = disk->ticks;
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next)
        node->twin = node->reached ? node_make(copy, node->directory) : NULL;
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        if (node->twin == NULL)
            continue;
        if (node->directory)
            dir_clone(node, node->twin);
        else
            file_clone(node, node->twin);
    }
    copy->root = disk->root->twin;
    return copy;
}

/* ---- damage ---------------------------------------------------------------------------------- */

void sim_file_damage(struct sim_node *file, uint64_t offset, const void *bytes,
                     uint64_t length_bytes)
{
    node_check(file);
    CHECK(offset <= file->size_bytes && length_bytes <= file->size_bytes - offset);
    const uint8_t *source = bytes;
    for (uint64_t i = 0; i < length_bytes; i++) {
        struct slot *slot = &file->slots[(offset + i) / OS_PAGE_BYTES];
        page_own(slot)[(offset + i) % OS_PAGE_BYTES] = source[i];
    }
}

void sim_file_flip(struct sim_node *file, uint64_t offset, uint8_t mask)
{
    node_check(file);
    CHECK(offset < file->size_bytes);
    page_own(&file->slots[offset / OS_PAGE_BYTES])[offset % OS_PAGE_BYTES] ^= mask;
}

void sim_file_set_unreadable(struct sim_node *file, uint64_t offset, bool unreadable)
{
    node_check(file);
    CHECK(offset < file->size_bytes);
    struct slot *slot = &file->slots[offset / OS_PAGE_BYTES];
    uint8_t bit = (uint8_t)(1u << (offset % OS_PAGE_BYTES / OS_SECTOR_BYTES));
    slot->unreadable = (uint8_t)(unreadable ? slot->unreadable | bit : slot->unreadable & ~bit);
}

void sim_file_truncate(struct sim_node *file, uint64_t length_bytes)
{
    node_check(file);
    CHECK(length_bytes <= file->size_bytes);
    file_cut(file, length_bytes);
    file->disk_size_bytes = length_bytes;
    file->size_count = 0;
    file->size_dirty = false;
}

void sim_dir_lose(struct sim_node *dir, const char *name)
{
    node_check(dir);
    names_unset(&dir->now, name);
    names_unset(&dir->synced, name);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < dir->change_count; i++)
        if (!change_names(&dir->changes[i], name))
            dir->changes[kept++] = dir->changes[i];
    dir->change_count = kept;
}
