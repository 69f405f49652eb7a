/* data_dir_build.c: see data_dir_build.h. */
#include "engine/data_dir_build.h"

#include <errno.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"

#define UNFINISHED_BYTES_MAX 256u

/* ---- B1: the directory ----------------------------------------------------------------------- */

/* The names that are there already. */
struct present {
    bool identity, unfinished;
    char other[DATA_DIR_NAME_MAX];   /* of ours, but LOCK and temporary ones; "": none */
    char foreign[DATA_DIR_NAME_MAX]; /* not of ours */
};

static int present_visit(void *context, const char *name)
{
    struct present *present = context;
    switch (data_dir_name_kind(name)) {
    case DATA_DIR_NAME_IDENTITY:
        present->identity = true;
        break;
    case DATA_DIR_NAME_UNFINISHED:
        present->unfinished = true;
        break;
    case DATA_DIR_NAME_LOCK:
    case DATA_DIR_NAME_TEMPORARY:
        break;
    case DATA_DIR_NAME_BACKUP:
    case DATA_DIR_NAME_REPAIR:
    case DATA_DIR_NAME_SEGMENT:
    case DATA_DIR_NAME_SNAPSHOT:
        snprintf(present->other, sizeof present->other, "%s", name);
        break;
    case DATA_DIR_NAME_FOREIGN:
        snprintf(present->foreign, sizeof present->foreign, "%s", name);
        break;
    }
    return 0;
}

/* Someone else's directory, or a whole one, gets not even a LOCK. */
static enum urn_code refuse_present(const struct data_dir *data_dir, struct urn_error *error)
{
    struct present present = {0};
    int failed = os_dir_list(data_dir->dir, present_visit, &present);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot list %.200s", data_dir->path);
    if (present.identity)
        return error_set(error, URN_EXISTS, 0,
                         "%.200s is a data directory or a backup already: nothing was changed; "
                         "name a directory that does not exist",
                         data_dir->path);
    const char *there = present.foreign[0] != '\0' ? present.foreign
                        : present.unfinished       ? ""
                                                   : present.other;
    if (there[0] == '\0')
        return URN_OK;
    return error_set(error, URN_EXISTS, 0,
                     "%.200s is not empty (there is %s): nothing was changed; name a directory "
                     "that does not exist",
                     data_dir->path, there);
}

static enum urn_code cannot_make(const struct data_dir *data_dir, int failed, const char *what,
                                 struct urn_error *error)
{
    return error_set(error, URN_CANTCREATE, failed, "cannot %s %.200s", what, data_dir->path);
}

static enum urn_code open_or_make(struct urn_os *os, struct data_dir *data_dir,
                                  struct urn_error *error)
{
    int failed = os_dir_open(os, data_dir->path, &data_dir->dir);
    if (failed == ENOENT) {
        failed = os_dir_make(os, data_dir->path);
        if (failed != 0 && failed != EEXIST) /* EEXIST: another process was faster */
            return cannot_make(data_dir, failed, "make the directory", error);
        failed = os_dir_open(os, data_dir->path, &data_dir->dir);
    }
    if (failed == 0)
        return URN_OK;
    data_dir->dir = NULL;
    return cannot_make(data_dir, failed, "open", error);
}

static enum urn_code take_lock(struct data_dir *data_dir, struct urn_error *error)
{
    int failed = os_dir_lock(data_dir->dir, DATA_DIR_LOCK, true, &data_dir->lock);
    if (failed == 0)
        return URN_OK;
    data_dir->lock = NULL;
    if (failed == EWOULDBLOCK)
        return error_set(error, URN_INUSE, 0, "another process is making %.200s, or has it open",
                         data_dir->path);
    return cannot_make(data_dir, failed, "lock", error);
}

/* ---- B2 and B3 ------------------------------------------------------------------------------- */

static enum urn_code mark_unfinished(const struct data_dir *data_dir, const char *maker,
                                     struct urn_error *error)
{
    char text[UNFINISHED_BYTES_MAX];
    int length = snprintf(text, sizeof text,
                          "%s is making this directory, or was stopped while it did.\n"
                          "Nothing of it can be used. Repeat the command, or remove it.\n",
                          maker);
    CHECK(length > 0 && (size_t)length < sizeof text);
    return file_publish(data_dir->dir, DATA_DIR_UNFINISHED, text, (size_t)length, error);
}

/* So many names are remembered at once: a directory is not changed while it is listed. */
#define NAMES_A_PASS 64u

struct names {
    char names[NAMES_A_PASS][DATA_DIR_NAME_MAX];
    uint32_t count;
};

static int made_visit(void *context, const char *name)
{
    struct names *made = context;
    enum data_dir_name_kind kind = data_dir_name_kind(name);
    if (made->count < NAMES_A_PASS && kind != DATA_DIR_NAME_LOCK &&
        kind != DATA_DIR_NAME_UNFINISHED && kind != DATA_DIR_NAME_FOREIGN)
        snprintf(made->names[made->count++], DATA_DIR_NAME_MAX, "%s", name);
    return 0;
}

/* Removes every file of ours but LOCK and UNFINISHED. */
static enum urn_code remove_made(struct os_dir *dir, struct urn_error *error)
{
    struct names made;
    do {
        made.count = 0;
        int failed = os_dir_list(dir, made_visit, &made);
        if (failed != 0)
            return error_set(error, URN_IO, failed, "cannot list it");
        for (uint32_t i = 0; i < made.count; i++)
            if (data_dir_remove_name(dir, made.names[i], error) != URN_OK)
                return error->code;
    } while (made.count == NAMES_A_PASS);
    int failed = os_dir_sync(dir);
    return failed == 0 ? URN_OK : error_set(error, URN_IO, failed, "cannot sync it");
}

/* ---- all together ---------------------------------------------------------------------------- */

static enum urn_code begin(struct urn_os *os, const char *maker, struct data_dir *data_dir,
                           struct urn_error *error)
{
    enum urn_code code = open_or_make(os, data_dir, error);
    if (code == URN_OK)
        code = refuse_present(data_dir, error);
    if (code == URN_OK)
        code = take_lock(data_dir, error);
    if (code == URN_OK) /* nothing has come into it before the lock was ours */
        code = refuse_present(data_dir, error);
    if (code != URN_OK)
        return code;
    code = data_dir_sync_parent(os, data_dir, error);
    if (code == URN_OK)
        code = mark_unfinished(data_dir, maker, error);
    if (code == URN_OK)
        code = remove_made(data_dir->dir, error);
    return code == URN_OK ? code : error_prefix(error, "cannot make %.200s: ", data_dir->path);
}

enum urn_code data_dir_build_begin(struct urn_os *os, const char *path, const char *maker,
                                   struct data_dir *data_dir, struct urn_error *error)
{
    enum urn_code code = data_dir_set_path(data_dir, path, error);
    if (code == URN_OK)
        code = begin(os, maker, data_dir, error);
    if (code != URN_OK)
        data_dir_close(data_dir);
    return code;
}

enum urn_code data_dir_build_end(const struct data_dir *data_dir, struct urn_error *error)
{
    struct os_dir *dir = data_dir->dir;
    if (data_dir_publish_identity(dir, &data_dir->geometry, error) != URN_OK ||
        data_dir_remove_name(dir, DATA_DIR_UNFINISHED, error) != URN_OK)
        return error_prefix(error, "cannot finish %.200s: ", data_dir->path);
    int failed = os_dir_sync(dir);
    return failed == 0 ? URN_OK
                       : error_set(error, URN_IO, failed, "cannot sync %.200s", data_dir->path);
}

void data_dir_build_give_up(const struct data_dir *data_dir)
{
    struct urn_error error; /* why it was given up is told already */
    struct present present = {0};
    if (os_dir_list(data_dir->dir, present_visit, &present) == 0 && !present.identity)
        (void)remove_made(data_dir->dir, &error);
}
