/* main.c: urn-wal: reads the log of a data directory. options.c has the help text. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "tools/urn_wal/cat.h"
#include "tools/urn_wal/in_use.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/verify.h"

/* True when a directory without IDENTITY holds segments or snapshots: then it is a data directory
 * of which a file is missing. */
static int visit_name(void *context, const char *name)
{
    const enum data_dir_name_kind kind = data_dir_name_kind(name);
    if (kind == DATA_DIR_NAME_SEGMENT || kind == DATA_DIR_NAME_SNAPSHOT)
        *(bool *)context = true;
    return 0;
}

static bool holds_remains(const char *path)
{
    bool remains = false;
    struct os_dir *dir = NULL;
    if (os_dir_open(os_default(), path, &dir) != 0)
        return false;
    (void)os_dir_list(dir, visit_name, &remains);
    os_dir_close(dir);
    return remains;
}

/* Says on stderr why the looking failed; returns what to exit with. */
static enum exit_status fail(const char *path, const struct urn_error *error)
{
    (void)fprintf(stderr, "urn-wal: %s\n", error->text);
    switch (error->code) {
    case URN_NODATA:
        return holds_remains(path) ? EXIT_MISSING : EXIT_CANNOT_OPEN;
    case URN_DAMAGED:
    case URN_FORMAT:
        return EXIT_DAMAGE;
    default:
        return error->system_errno == ENOENT || error->system_errno == EACCES ||
                       error->system_errno == ENOTDIR
                   ? EXIT_CANNOT_OPEN
                   : EXIT_READ_ERROR;
    }
}

static enum exit_status run_verify(const struct options *options)
{
    struct verify_report report;
    struct urn_error error;
    if (verify_directory(os_default(), options->directory, data_dir_in_use,
                         (void *)(uintptr_t)options->directory, &report, &error) != URN_OK)
        return fail(options->directory, &error);
    if (options->json)
        verify_print_json(&report, stdout);
    else
        verify_print_text(&report, options->quiet, stdout);
    const enum exit_status status = verify_exit_status(&report);
    verify_report_free(&report);
    return status;
}

static enum exit_status run_cat(const struct options *options)
{
    const struct cat_request request = {
        .from_lsn = options->from_lsn, .to_lsn = options->to_lsn, .groups = options->groups};
    enum cat_end end = CAT_END;
    struct urn_error error;
    if (cat_directory(os_default(), options->directory, data_dir_in_use,
                      (void *)(uintptr_t)options->directory, &request, stdout, stderr, &end,
                      &error) != URN_OK)
        return fail(options->directory, &error);
    return end == CAT_DAMAGE ? EXIT_DAMAGE : end == CAT_MEANING ? EXIT_MEANING : EXIT_SOUND;
}

static enum exit_status run(const struct options *options)
{
    switch (options->command) {
    case COMMAND_VERIFY:
        return run_verify(options);
    case COMMAND_CAT:
        return run_cat(options);
    case COMMAND_VERSION:
        (void)printf("urn-wal " URN_VERSION "\n");
        return EXIT_SOUND;
    case COMMAND_HELP:
    default:
        options_print_help(stdout);
        return EXIT_SOUND;
    }
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0) { /* picks the fastest hash that the processor has */
        (void)fprintf(stderr, "urn-wal: libsodium cannot be used here\n");
        return EXIT_READ_ERROR;
    }
    struct options options;
    if (!options_parse(argc, argv, &options))
        return EXIT_USAGE;
    const enum exit_status status = run(&options);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "urn-wal: cannot write the output\n");
        return EXIT_READ_ERROR;
    }
    return (int)status;
}
