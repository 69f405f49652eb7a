/* data_dir.c: names, opening and checks; see data_dir.h. */
#include "engine/data_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"
#include "engine/identity.h"

#define SEGMENT_PREFIX  "segment-"
#define SEGMENT_DIGITS  4u /* decimal */
#define SNAPSHOT_PREFIX "snapshot-"
#define LSN_DIGITS      16u /* hexadecimal */
#define SERIAL_DIGITS   4u  /* hexadecimal */

_Static_assert(SEGMENTS_MAX <= 9999, "a slot has four decimal digits");

/* ---- names ----------------------------------------------------------------------------------- */

void data_dir_segment_name(char name[DATA_DIR_NAME_MAX], uint32_t slot)
{
    CHECK(slot < SEGMENTS_MAX);
    snprintf(name, DATA_DIR_NAME_MAX, SEGMENT_PREFIX "%04" PRIu32, slot);
}

void data_dir_snapshot_name(char name[DATA_DIR_NAME_MAX], uint64_t lsn, uint32_t serial)
{
    CHECK(serial <= DATA_DIR_SERIAL_MAX);
    snprintf(name, DATA_DIR_NAME_MAX, SNAPSHOT_PREFIX "%016" PRIx64 "-%04" PRIx32, lsn, serial);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Exactly so many digits (lower case) from *at on, which moves behind them. */
static bool parse_digits(const char **at, uint32_t digits, uint32_t base, uint64_t *value)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < digits; i++, (*at)++) {
        char c = **at;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                : UINT32_MAX;
        if (digit >= base)
            return false; /* the terminating zero too */
        sum = sum * base + digit;
    }
    *value = sum;
    return true;
}

/* Parses a segment's name; *rest is what follows it. */
static bool parse_segment_prefix(const char *name, uint32_t *slot, const char **rest)
{
    if (!starts_with(name, SEGMENT_PREFIX))
        return false;
    const char *at = name + strlen(SEGMENT_PREFIX);
    uint64_t value = 0;
    if (!parse_digits(&at, SEGMENT_DIGITS, 10, &value) || value >= SEGMENTS_MAX)
        return false;
    *slot = (uint32_t)value;
    *rest = at;
    return true;
}

bool data_dir_parse_segment_name(const char *name, uint32_t *slot)
{
    uint32_t slot_found = 0;
    const char *rest = NULL;
    if (!parse_segment_prefix(name, &slot_found, &rest) || *rest != '\0')
        return false;
    *slot = slot_found;
    return true;
}

/* Parses a snapshot's name; *rest is what follows it. */
static bool parse_snapshot_prefix(const char *name, uint64_t *lsn, uint32_t *serial,
                                  const char **rest)
{
    if (!starts_with(name, SNAPSHOT_PREFIX))
        return false;
    const char *at = name + strlen(SNAPSHOT_PREFIX);
    uint64_t lsn_value = 0;
    uint64_t serial_value = 0;
    if (!parse_digits(&at, LSN_DIGITS, 16, &lsn_value) || *at++ != '-' ||
        !parse_digits(&at, SERIAL_DIGITS, 16, &serial_value))
        return false;
    *lsn = lsn_value;
    *serial = (uint32_t)serial_value;
    *rest = at;
    return true;
}

bool data_dir_parse_snapshot_name(const char *name, uint64_t *lsn, uint32_t *serial)
{
    uint64_t lsn_found = 0;
    uint32_t serial_found = 0;
    const char *rest = NULL;
    if (!parse_snapshot_prefix(name, &lsn_found, &serial_found, &rest) || *rest != '\0')
        return false;
    *lsn = lsn_found;
    *serial = serial_found;
    return true;
}

enum data_dir_name_kind data_dir_name_kind(const char *name)
{
    uint32_t slot_or_serial = 0;
    uint64_t lsn = 0;
    const char *rest = NULL;
    if (strcmp(name, DATA_DIR_LOCK) == 0)
        return DATA_DIR_NAME_LOCK;
    if (strcmp(name, DATA_DIR_IDENTITY) == 0)
        return DATA_DIR_NAME_IDENTITY;
    if (strcmp(name, DATA_DIR_REPAIR) == 0)
        return DATA_DIR_NAME_REPAIR;
    if (strcmp(name, DATA_DIR_UNFINISHED) == 0)
        return DATA_DIR_NAME_UNFINISHED;
    if (strcmp(name, DATA_DIR_BACKUP) == 0)
        return DATA_DIR_NAME_BACKUP;
    if (strcmp(name, DATA_DIR_IDENTITY DATA_DIR_TEMPORARY) == 0 ||
        strcmp(name, DATA_DIR_REPAIR DATA_DIR_TEMPORARY) == 0 ||
        strcmp(name, DATA_DIR_UNFINISHED DATA_DIR_TEMPORARY) == 0 ||
        strcmp(name, DATA_DIR_BACKUP DATA_DIR_TEMPORARY) == 0)
        return DATA_DIR_NAME_TEMPORARY;
    if (data_dir_parse_segment_name(name, &slot_or_serial))
        return DATA_DIR_NAME_SEGMENT;
    if (parse_segment_prefix(name, &slot_or_serial, &rest))
        return strcmp(rest, DATA_DIR_TEMPORARY) == 0 ? DATA_DIR_NAME_TEMPORARY
                                                     : DATA_DIR_NAME_FOREIGN;
    if (!parse_snapshot_prefix(name, &lsn, &slot_or_serial, &rest))
        return DATA_DIR_NAME_FOREIGN;
    if (*rest == '\0')
        return DATA_DIR_NAME_SNAPSHOT;
    return strcmp(rest, DATA_DIR_TEMPORARY) == 0 ? DATA_DIR_NAME_TEMPORARY : DATA_DIR_NAME_FOREIGN;
}

/* ---- IDENTITY -------------------------------------------------------------------------------- */

enum urn_code data_dir_read_identity(const struct data_dir *data_dir, char text[IDENTITY_BYTES_MAX],
                                     size_t *length, bool *found, struct urn_error *error)
{
    *found = false;
    struct os_file *file = NULL;
    int failed = os_file_open(data_dir->dir, DATA_DIR_IDENTITY, OS_READ, &file);
    if (failed == ENOENT)
        return URN_OK;
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot open %.200s/IDENTITY", data_dir->path);
    *found = true;
    uint64_t size_bytes = 0;
    enum urn_code code = URN_OK;
    failed = os_file_size(file, &size_bytes);
    if (failed != 0)
        code = error_set(error, URN_IO, failed, "cannot find its size");
    else if (size_bytes > IDENTITY_BYTES_MAX)
        code = error_set(error, URN_DAMAGED, 0, "it is longer than urn writes it");
    else
        code = file_read_exact(file, DATA_DIR_IDENTITY, text, (size_t)size_bytes, 0, error);
    os_file_close(file);
    *length = (size_t)size_bytes;
    return code == URN_OK ? code : error_prefix(error, "%.200s/IDENTITY: ", data_dir->path);
}

/* Whoever does not finish a resize has nothing to do with what stands there in its midst. */
static enum urn_code refuse_resizing(const struct data_dir *data_dir,
                                     const struct identity_resizing *resizing,
                                     struct urn_error *error)
{
    char size[DATA_DIR_SIZE_TEXT_BYTES];
    return error_set(
        error, URN_DAMAGED, 0,
        "a resize of %.200s to %" PRIu32
        " segments of %s has begun and has not ended; `urn-wal resize %.200s` finishes it",
        data_dir->path, resizing->to.segments,
        data_dir_size_text(resizing->to.segment_size_bytes, size), data_dir->path);
}

/* Reads IDENTITY into data_dir->geometry. *found: there is one. */
static enum urn_code read_identity(struct data_dir *data_dir, bool *found, struct urn_error *error)
{
    char text[IDENTITY_BYTES_MAX];
    size_t length = 0;
    struct identity_resizing resizing;
    struct urn_error not_resizing;
    enum urn_code code = data_dir_read_identity(data_dir, text, &length, found, error);
    if (code != URN_OK || !*found)
        return code;
    code = identity_parse(text, length, &data_dir->geometry, error);
    if (code == URN_OK)
        return code;
    if (code == URN_FORMAT &&
        identity_parse_resizing(text, length, &resizing, &not_resizing) == URN_OK)
        return refuse_resizing(data_dir, &resizing, error);
    return error_prefix(error, "%.200s/IDENTITY: ", data_dir->path);
}

const char *data_dir_size_text(uint64_t bytes, char text[DATA_DIR_SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    uint32_t unit = 0;
    for (; unit < 3 && bytes != 0 && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    snprintf(text, DATA_DIR_SIZE_TEXT_BYTES, "%" PRIu64 "%s", bytes, units[unit]);
    return text;
}

/* The ring keeps its geometry until somebody resizes it. */
static enum urn_code compare_geometry(const struct data_dir *data_dir,
                                      const struct urn_engine_config *config,
                                      struct urn_error *error)
{
    const struct wal_geometry *made = &data_dir->geometry;
    if (made->segment_size_bytes == config->segment_size_bytes &&
        made->segments == config->segments)
        return URN_OK;
    char made_size[DATA_DIR_SIZE_TEXT_BYTES];
    char configured_size[DATA_DIR_SIZE_TEXT_BYTES];
    data_dir_size_text(made->segment_size_bytes, made_size);
    data_dir_size_text(config->segment_size_bytes, configured_size);
    return error_set(error, URN_CONFIG, 0,
                     "wal.segment_size: %s and wal.segments: %" PRIu32
                     " are configured, but %.200s was created with wal.segment_size: %s and "
                     "wal.segments: %" PRIu32
                     ": configure these, or give the ring other sizes with `urn-wal resize %.200s`",
                     configured_size, config->segments, data_dir->path, made_size, made->segments,
                     data_dir->path);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* What is wrong with files, as one text: the first ones by name, then how many more. */
struct file_faults {
    char text[256];
    size_t used;
    uint32_t not_named;
};

static void file_faults_add(struct file_faults *faults, const char *fault)
{
    int length = snprintf(faults->text + faults->used, sizeof faults->text - faults->used, "%s%s",
                          faults->used > 0 ? ", " : "", fault);
    if (faults->not_named == 0 && length > 0 &&
        (size_t)length < sizeof faults->text - faults->used) {
        faults->used += (size_t)length;
        return;
    }
    faults->text[faults->used] = '\0';
    faults->not_named++;
}

static enum urn_code check_segment(const struct data_dir *data_dir, uint32_t slot,
                                   struct file_faults *faults, struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    char fault[2 * DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, slot);
    struct os_file *file = NULL;
    uint64_t size_bytes = 0;
    int failed = os_file_open(data_dir->dir, name, OS_READ, &file);
    if (failed == ENOENT) {
        snprintf(fault, sizeof fault, "%s is missing", name);
        file_faults_add(faults, fault);
        return URN_OK;
    }
    if (failed == 0) {
        failed = os_file_size(file, &size_bytes);
        os_file_close(file);
    }
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot look at %.200s/%s", data_dir->path, name);
    if (size_bytes != data_dir->geometry.segment_size_bytes) {
        snprintf(fault, sizeof fault, "%s has %" PRIu64 " bytes instead of %" PRIu64, name,
                 size_bytes, data_dir->geometry.segment_size_bytes);
        file_faults_add(faults, fault);
    }
    return URN_OK;
}

static int find_snapshot(void *context, const char *name)
{
    bool *found = context;
    *found = *found || data_dir_name_kind(name) == DATA_DIR_NAME_SNAPSHOT;
    return 0;
}

enum urn_code data_dir_check_files(const struct data_dir *data_dir, struct urn_error *error)
{
    struct file_faults faults = {0};
    for (uint32_t slot = 0; slot < data_dir->geometry.segments; slot++) {
        enum urn_code code = check_segment(data_dir, slot, &faults, error);
        if (code != URN_OK)
            return code;
    }
    bool snapshot_found = false;
    int failed = os_dir_list(data_dir->dir, find_snapshot, &snapshot_found);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot list %.200s", data_dir->path);
    if (!snapshot_found)
        file_faults_add(&faults, "there is no snapshot");
    if (faults.used == 0)
        return URN_OK;
    char more[32] = "";
    if (faults.not_named > 0)
        snprintf(more, sizeof more, " and %" PRIu32 " more", faults.not_named);
    return error_set(error, URN_DAMAGED, 0,
                     "%.80s is damaged: %s%s; `urn-wal verify %.80s` shows more", data_dir->path,
                     faults.text, more, data_dir->path);
}

struct file_syncs {
    const struct data_dir *data_dir;
    struct urn_error *error;
};

static int sync_file(void *context, const char *name)
{
    const struct file_syncs *syncs = context;
    enum data_dir_name_kind kind = data_dir_name_kind(name);
    if (kind != DATA_DIR_NAME_IDENTITY && kind != DATA_DIR_NAME_SEGMENT &&
        kind != DATA_DIR_NAME_SNAPSHOT)
        return 0;
    struct os_file *file = NULL;
    int failed = os_file_open(syncs->data_dir->dir, name, OS_READ, &file);
    if (failed == 0) {
        failed = os_file_sync(file);
        os_file_close(file);
    }
    if (failed != 0)
        error_set(syncs->error, URN_IO, failed,
                  "cannot sync %.200s/%.60s; what it holds may not be on the disk",
                  syncs->data_dir->path, name);
    return failed;
}

/* What marks and names say is durable was so where it was written. Here it may be a copy. */
static enum urn_code sync_files(const struct data_dir *data_dir, struct urn_error *error)
{
    struct file_syncs syncs = {data_dir, error};
    *error = (struct urn_error){.code = URN_OK};
    int failed = os_dir_list(data_dir->dir, sync_file, &syncs);
    if (failed != 0 && error->code == URN_OK)
        error_set(error, URN_IO, failed, "cannot list %.200s", data_dir->path);
    return error->code;
}

/* ---- opening --------------------------------------------------------------------------------- */

enum urn_code data_dir_set_path(struct data_dir *data_dir, const char *path,
                                struct urn_error *error)
{
    *data_dir = (struct data_dir){0};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof data_dir->path)
        return error_set(error, URN_CONFIG, 0, "data_dir: a path has 1 to %zu bytes",
                         sizeof data_dir->path - 1);
    memcpy(data_dir->path, path, length + 1);
    return URN_OK;
}

/* The refusal that keeps an unmounted volume from beginning anew with all stock. */
static enum urn_code refuse_no_data(const struct data_dir *data_dir, const char *what,
                                    struct urn_error *error)
{
    return error_set(error, URN_NODATA, 0,
                     "%s %.200s: start once with --create to make a new one; if there should be "
                     "one, its volume may not be mounted",
                     what, data_dir->path);
}

static enum urn_code open_directory(struct urn_os *os, struct data_dir *data_dir,
                                    struct urn_error *error)
{
    int failed = os_dir_open(os, data_dir->path, &data_dir->dir);
    if (failed == 0)
        return URN_OK;
    data_dir->dir = NULL;
    if (failed == ENOENT)
        return refuse_no_data(data_dir, "there is no data directory", error);
    return error_set(error, URN_IO, failed, "cannot open the data directory %.200s",
                     data_dir->path);
}

/* Names the process that wrote its id into LOCK, where that can be read. */
static enum urn_code refuse_in_use(const struct data_dir *data_dir, struct urn_error *error)
{
    char digits[16] = "";
    size_t length = 0;
    struct os_file *file = NULL;
    if (os_file_open(data_dir->dir, DATA_DIR_LOCK, OS_READ, &file) == 0) {
        if (os_file_read(file, digits, sizeof digits - 1, 0, &length) != 0)
            length = 0;
        os_file_close(file);
    }
    digits[length] = '\0';
    digits[strspn(digits, "0123456789")] = '\0';
    return error_set(error, URN_INUSE, 0, "another process%s%s%s has %.200s open",
                     digits[0] != '\0' ? " (" : "", digits, digits[0] != '\0' ? ")" : "",
                     data_dir->path);
}

static enum urn_code take_lock(struct data_dir *data_dir, bool create, struct urn_error *error)
{
    bool identity_found = false;
    int failed = os_dir_lock(data_dir->dir, DATA_DIR_LOCK, create, &data_dir->lock);
    if (failed == ENOENT && !create) {
        enum urn_code code = read_identity(data_dir, &identity_found, error);
        if (code != URN_OK)
            return code;
        if (!identity_found)
            return refuse_no_data(data_dir, "there is no data directory in", error);
        failed = os_dir_lock(data_dir->dir, DATA_DIR_LOCK, true, &data_dir->lock);
    }
    if (failed == 0)
        return URN_OK;
    data_dir->lock = NULL;
    if (failed == EWOULDBLOCK)
        return refuse_in_use(data_dir, error);
    error_set(error, URN_IO, failed, "cannot lock %.200s/" DATA_DIR_LOCK, data_dir->path);
    struct urn_error unread;
    if (create && read_identity(data_dir, &identity_found, &unread) == URN_OK && !identity_found)
        return data_dir_cannot_create(data_dir, error);
    return error->code;
}

enum urn_code data_dir_repair_begun(struct os_dir *dir, bool *begun, struct urn_error *error)
{
    struct os_file *file = NULL;
    int failed = os_file_open(dir, DATA_DIR_REPAIR, OS_READ, &file);
    *begun = failed == 0;
    if (failed == 0)
        os_file_close(file);
    if (failed == 0 || failed == ENOENT)
        return URN_OK;
    return error_set(error, URN_IO, failed, "cannot look for " DATA_DIR_REPAIR);
}

/* What a repair leaves behind in its midst may look sound and not be. */
static enum urn_code refuse_begun_repair(const struct data_dir *data_dir, struct urn_error *error)
{
    bool begun = false;
    if (data_dir_repair_begun(data_dir->dir, &begun, error) != URN_OK)
        return error_prefix(error, "%.200s: ", data_dir->path);
    if (!begun)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "a repair of %.200s has begun and has not ended; nothing was changed; "
                     "`urn-wal repair %.200s` shows how to finish it",
                     data_dir->path, data_dir->path);
}

/* Step (2) of a start, under the lock. */
static enum urn_code open_locked(struct urn_os *os, const struct urn_engine_config *config,
                                 struct data_dir *data_dir, struct urn_error *error)
{
    int failed = os_dir_sync(data_dir->dir);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot sync the directory %.200s", data_dir->path);
    bool complete = false;
    enum urn_code code = read_identity(data_dir, &complete, error);
    if (code != URN_OK)
        return code;
    if (!complete) {
        code = data_dir_refuse_worth(data_dir, error);
        if (code != URN_OK)
            return code;
        if (!config->create)
            return refuse_no_data(data_dir, "the creation was not finished in", error);
        code = data_dir_create(os, config, data_dir, error);
        data_dir->created = code == URN_OK;
        return code == URN_OK ? data_dir_check_files(data_dir, error) : code;
    }
    code = compare_geometry(data_dir, config, error);
    if (code == URN_OK)
        code = refuse_begun_repair(data_dir, error);
    if (code == URN_OK)
        code = data_dir_clear(data_dir, error);
    if (code == URN_OK)
        code = data_dir_check_files(data_dir, error);
    return code == URN_OK ? sync_files(data_dir, error) : code;
}

enum urn_code data_dir_open(struct urn_os *os, const struct urn_engine_config *config,
                            struct data_dir *data_dir, struct urn_error *error)
{
    enum urn_code code = data_dir_set_path(data_dir, config->data_dir, error);
    if (code != URN_OK)
        return code;
    code =
        config->create ? data_dir_make(os, data_dir, error) : open_directory(os, data_dir, error);
    if (code == URN_OK)
        code = take_lock(data_dir, config->create, error);
    if (code == URN_OK)
        code = open_locked(os, config, data_dir, error);
    if (code != URN_OK)
        data_dir_close(data_dir);
    return code;
}

enum urn_code data_dir_open_readonly(struct urn_os *os, const char *path, struct data_dir *data_dir,
                                     struct urn_error *error)
{
    enum urn_code code = data_dir_set_path(data_dir, path, error);
    if (code != URN_OK)
        return code;
    int failed = os_dir_open(os, path, &data_dir->dir);
    if (failed != 0) {
        data_dir->dir = NULL;
        return error_set(error, failed == ENOENT ? URN_NODATA : URN_IO, failed,
                         "cannot open the data directory %.200s", path);
    }
    bool complete = false;
    code = read_identity(data_dir, &complete, error);
    if (code == URN_OK && !complete)
        code = error_set(error, URN_NODATA, 0, "%.200s is no data directory: it has no IDENTITY",
                         path);
    if (code != URN_OK)
        data_dir_close(data_dir);
    return code;
}

enum urn_code data_dir_open_to_repair(struct urn_os *os, const char *path,
                                      struct data_dir *data_dir, struct urn_error *error)
{
    enum urn_code code = data_dir_open_readonly(os, path, data_dir, error);
    if (code != URN_OK)
        return code;
    code = take_lock(data_dir, true, error); /* with IDENTITY, LOCK is only a lock */
    int failed = code == URN_OK ? os_dir_sync(data_dir->dir) : 0;
    if (failed != 0)
        code = error_set(error, URN_IO, failed, "cannot sync the directory %.200s", path);
    if (code == URN_OK)
        code = sync_files(data_dir, error);
    if (code != URN_OK)
        data_dir_close(data_dir);
    return code;
}

/* What IDENTITY says of the resize that is under way. */
static enum urn_code read_resizing(const struct data_dir *data_dir,
                                   struct identity_resizing *resizing, struct urn_error *error)
{
    char text[IDENTITY_BYTES_MAX];
    size_t length = 0;
    bool found = false;
    enum urn_code code = data_dir_read_identity(data_dir, text, &length, &found, error);
    if (code == URN_OK && !found)
        return refuse_no_data(data_dir, "there is no data directory in", error);
    return code == URN_OK ? identity_parse_resizing(text, length, resizing, error) : code;
}

enum urn_code data_dir_open_resizing(struct urn_os *os, const char *path, struct data_dir *data_dir,
                                     struct identity_resizing *resizing, struct urn_error *error)
{
    enum urn_code code = data_dir_set_path(data_dir, path, error);
    if (code == URN_OK)
        code = open_directory(os, data_dir, error);
    if (code == URN_OK) /* before LOCK may be made: the path may be a mistake */
        code = read_resizing(data_dir, resizing, error);
    if (code == URN_OK)
        code = take_lock(data_dir, true, error); /* with IDENTITY, LOCK is only a lock */
    int failed = code == URN_OK ? os_dir_sync(data_dir->dir) : 0;
    if (failed != 0)
        code = error_set(error, URN_IO, failed, "cannot sync the directory %.200s", path);
    if (code == URN_OK) /* whoever had the lock may have finished it */
        code = read_resizing(data_dir, resizing, error);
    if (code == URN_OK)
        data_dir->geometry = resizing->from;
    else
        data_dir_close(data_dir);
    return code;
}

void data_dir_close(struct data_dir *data_dir)
{
    if (data_dir->lock != NULL)
        os_file_close(data_dir->lock);
    if (data_dir->dir != NULL)
        os_dir_close(data_dir->dir);
    *data_dir = (struct data_dir){0};
}
