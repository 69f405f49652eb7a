/* tool.c: see tool.h. */
#include "tools/urn_wal/tool.h"

#include <errno.h>

#include "engine/data_dir.h"

enum exit_status tool_fail(const struct tool *tool, const struct urn_error *error)
{
    (void)fprintf(tool->notes, "urn-wal: %s\n", error->text);
    switch (error->code) {
    case URN_NODATA:
        return EXIT_CANNOT_OPEN;
    case URN_BADARG:
        return EXIT_USAGE;
    case URN_INUSE:
        return EXIT_IN_USE;
    case URN_DAMAGED:
    case URN_FORMAT:
        return EXIT_DAMAGE;
    case URN_CANTCREATE:
    case URN_EXISTS:
        return EXIT_CANNOT_CREATE;
    case URN_BUSY:
        return EXIT_IN_USE;
    default:
        return error->system_errno == ENOENT || error->system_errno == EACCES ||
                       error->system_errno == ENOTDIR
                   ? EXIT_CANNOT_OPEN
                   : EXIT_READ_ERROR;
    }
}

/* A directory without IDENTITY that holds segments or snapshots is a data directory of which a file is
 * missing. */
struct remains {
    bool identity;
    bool files;
};

static int visit_name(void *context, const char *name)
{
    struct remains *remains = context;
    const enum data_dir_name_kind kind = data_dir_name_kind(name);
    remains->identity = remains->identity || kind == DATA_DIR_NAME_IDENTITY;
    remains->files =
        remains->files || kind == DATA_DIR_NAME_SEGMENT || kind == DATA_DIR_NAME_SNAPSHOT;
    return 0;
}

enum exit_status tool_fail_to_open(const struct tool *tool, const char *path,
                                   const struct urn_error *error)
{
    struct os_dir *dir = NULL;
    struct remains remains = {.files = false};
    if (error->code == URN_NODATA && os_dir_open(tool->os, path, &dir) == 0) {
        (void)os_dir_list(dir, visit_name, &remains);
        os_dir_close(dir);
    }
    const enum exit_status status = tool_fail(tool, error);
    return remains.files && !remains.identity ? EXIT_MISSING : status;
}
