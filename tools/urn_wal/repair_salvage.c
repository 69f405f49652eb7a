/* repair_salvage.c: --salvage: the whole groups behind the place where a start stops, for a person to judge.
 *
 * Whether a group belongs to the log or was discarded by an earlier start is not decided here: each stands
 * there with its epoch, chain and the durable LSN that it carries. Never anything is written back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tools/urn_wal/repair.h"

struct salvage {
    struct repair *repair;
    struct output *output;
    struct names names;
    struct cat_print print;
    struct later_groups later;
    uint64_t durable_lsn; /* the highest that any of them carries */
    uint64_t draws;
};

static enum urn_code print_groups(struct salvage *salvage, struct urn_error *error)
{
    uint8_t *bytes = NULL;
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; i < salvage->later.count && code == URN_OK; i++) {
        struct wal_group_header header;
        bool whole = false;
        code = later_group_read(&salvage->repair->history, &salvage->later.groups[i], &header,
                                &bytes, &whole, error);
        if (code != URN_OK || !whole)
            continue;
        salvage->draws += header.draws;
        if (header.durable_lsn > salvage->durable_lsn)
            salvage->durable_lsn = header.durable_lsn;
        code = cat_print_group(&salvage->print, &header, bytes, error);
    }
    free(bytes);
    return code;
}

static enum urn_code print_all(struct salvage *salvage, uint64_t from_lsn, struct urn_error *error)
{
    static const struct selection all = {.kinds = ENTRY_KINDS | GROUP_KINDS,
                                         .to_lsn = UINT64_MAX,
                                         .until_us = UINT64_MAX,
                                         .ids.last = UINT64_MAX};
    const struct history *history = &salvage->repair->history;
    enum urn_code code = later_groups_find(history, from_lsn, &salvage->later, error);
    if (code != URN_OK)
        return code;
    code = names_begin(&salvage->names, &salvage->repair->history, error);
    if (code == URN_OK) {
        const struct printer printer = {
            .format = &lines_json, .output = salvage->output, .names = &salvage->names};
        cat_print_begin(&salvage->print, &all, &printer, salvage->repair->tool->notes, UINT64_MAX);
        code = print_groups(salvage, error);
        cat_print_end(&salvage->print);
        names_end(&salvage->names);
    }
    free(salvage->later.groups);
    return code;
}

enum urn_code repair_salvage(struct repair *repair, struct urn_error *error)
{
    struct salvage salvage = {.repair = repair, .output = malloc(sizeof *salvage.output)};
    /* Without a snapshot a start does not come to any place: all that is kept is behind it. */
    const uint64_t from_lsn =
        repair->report.start == RECOVERY_NO_SNAPSHOT ? 0 : repair->report.start_lsn;
    if (salvage.output == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print");
    output_begin(salvage.output, repair->tool->out);
    enum urn_code code = print_all(&salvage, from_lsn, error);
    if (!output_end(salvage.output) && code == URN_OK)
        code = error_set(error, URN_IO, errno, "cannot write the output");
    free(salvage.output);
    if (code != URN_OK)
        return code;
    (void)fprintf(repair->tool->notes,
                  "urn-wal: %" PRIu32 " whole group%s with %" PRIu64
                  " draw%s at or behind LSN %" PRIu64 "\n",
                  salvage.later.count, salvage.later.count == 1 ? "" : "s", salvage.draws,
                  salvage.draws == 1 ? "" : "s", from_lsn);
    if (salvage.durable_lsn > from_lsn)
        (void)fprintf(repair->tool->notes,
                      "urn-wal: of these, what lies below LSN %" PRIu64
                      " was durable; the rest may have been, or an earlier start discarded it\n",
                      salvage.durable_lsn);
    return URN_OK;
}
