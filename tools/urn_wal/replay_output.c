/* replay_output.c: see replay_output.h. */
#include "tools/urn_wal/replay_output.h"

#include <errno.h>
#include <string.h>

#include "engine/data_dir.h"
#include "engine/snapshot_file.h"

/* Opens the folder of a path; *name is what remains of it. */
static enum urn_code open_folder(struct urn_os *os, const char *path, struct os_dir **dir,
                                 const char **name, struct urn_error *error)
{
    char folder[DATA_DIR_PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    *name = slash == NULL ? path : slash + 1;
    if (length >= sizeof folder || strlen(*name) >= HISTORY_NAME_BYTES || **name == 0)
        return error_set(error, URN_CANTCREATE, 0, "%.200s cannot be the name of a file", path);
    memcpy(folder, path, length);
    folder[length] = 0;
    if (slash == NULL)
        memcpy(folder, ".", 2);
    else if (length == 0)
        memcpy(folder, "/", 2);
    const int failure = os_dir_open(os, folder, dir);
    if (failure != 0)
        return error_set(error, URN_CANTCREATE, failure, "cannot create %.200s", path);
    return URN_OK;
}

static int visit_name(void *context, const char *name)
{
    const enum data_dir_name_kind kind = data_dir_name_kind(name);
    if (kind == DATA_DIR_NAME_LOCK || kind == DATA_DIR_NAME_IDENTITY)
        *(bool *)context = true;
    return 0;
}

static enum urn_code check_folder(struct os_dir *dir, const char *path, const char *name,
                                  struct urn_error *error)
{
    bool is_data_dir = false;
    struct os_file *file = NULL;
    int failure = os_dir_list(dir, visit_name, &is_data_dir);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot list the directory of %.200s", path);
    if (is_data_dir)
        return error_set(
            error, URN_CANTCREATE, 0,
            "%.200s would lie in a data directory, which is the server's alone: choose "
            "another place",
            path);
    failure = os_file_open(dir, name, OS_READ, &file);
    if (failure == ENOENT)
        return URN_OK;
    if (failure == 0)
        os_file_close(file);
    return error_set(error, URN_CANTCREATE, failure,
                     "there is a %.200s already, and nothing is written over it", path);
}

/* *dir and *name are set on URN_OK. */
static enum urn_code open_checked(struct urn_os *os, const char *path, struct os_dir **dir,
                                  const char **name, struct urn_error *error)
{
    enum urn_code code = open_folder(os, path, dir, name, error);
    if (code != URN_OK)
        return code;
    code = check_folder(*dir, path, *name, error);
    if (code != URN_OK)
        os_dir_close(*dir);
    return code;
}

enum urn_code replay_output_check(struct urn_os *os, const char *path, struct urn_error *error)
{
    struct os_dir *dir = NULL;
    const char *name = NULL;
    const enum urn_code code = open_checked(os, path, &dir, &name, error);
    if (code == URN_OK)
        os_dir_close(dir);
    return code;
}

enum urn_code replay_output_write(struct urn_os *os, const char *path, const struct state *state,
                                  const struct wal_geometry *geometry, struct urn_error *error)
{
    struct os_dir *dir = NULL;
    const char *name = NULL;
    enum urn_code code = open_checked(os, path, &dir, &name, error);
    if (code != URN_OK)
        return code;
    code = snapshot_file_write_new(dir, name, state, geometry, error);
    os_dir_close(dir);
    return code;
}
