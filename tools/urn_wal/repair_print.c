/* repair_print.c: what `urn-wal repair` tells a person. */
#include <inttypes.h>

#include "tools/urn_wal/repair.h"

/* Of each case of recovery's table: what repair can do about it, or why it cannot, and what shows more. %s is
 * the data directory, %<LSN> where a start stops; both are filled in by print_filled. */
static const char *const advice[RECOVERY_CASES_END] = {
    [RECOVERY_NO_SNAPSHOT] =
        "Repair cannot help: no snapshot loads, and nothing else says how stock and odds stood "
        "before the\nlog that is kept. Put a snapshot of this ring back from a copy. `urn-wal "
        "verify "
        "@` says why each\ndoes not load; `urn-wal repair @ --salvage` writes out what the log "
        "still says.\n",
    [RECOVERY_UNREADABLE] =
        "The disk does not give back what stands at LSN #. First copy the volume to a sound disk "
        "with a tool\nthat tries again and again, and look at the copy: the log may be whole "
        "there. "
        "`urn-wal verify @`\nshows where; `urn-wal repair @ --salvage` writes out what can be read "
        "behind it.\n",
    [RECOVERY_MEANING] =
        "What stands at LSN # has a right checksum and cannot be true: files of different copies "
        "may "
        "have been\nmixed, a newer urn may have written it, or urn has a bug. Repair cannot tell "
        "which side is wrong.\nKeep the directory and report it. `urn-wal cat @ --from # --hex` "
        "shows the group.\n",
    [RECOVERY_BLIND] =
        "The log seems to end at LSN #, but somewhere a sector cannot be read, and acknowledged "
        "draws "
        "may\nstand there: whether any do, nobody can say. First copy the volume to a sound disk "
        "with "
        "a tool that\ntries again and again, and look at the copy. `urn-wal verify @` shows which "
        "sector.\n",
    [RECOVERY_GROUP_BEYOND] =
        "Acknowledged draws are damaged at LSN #. If a mirror or a copy has the file whole, put it "
        "back: that\nloses nothing. `urn-wal verify @` shows what is damaged; `urn-wal repair @ "
        "--salvage` writes out\nwhat can be read behind it.\n",
    [RECOVERY_SNAPSHOT_BEYOND] = "A snapshot's name says that the log went on beyond LSN #, and "
                                 "nothing of that is there. Do "
                                 "all files\ncome from one copy? If a copy has the segments, or "
                                 "that snapshot whole, put them "
                                 "back. `urn-wal ls @`\nshows what there is.\n",
    [RECOVERY_CLEAN_END] = "There is nothing to repair.\n",
    [RECOVERY_TORN_TAIL] = "There is nothing to repair: what follows was never durable.\n",
    [RECOVERY_STALE_TAIL] = "There is nothing to repair: what follows are stale bytes.\n",
};

static void print_filled(const struct repair *repair, const char *text)
{
    FILE *out = repair->tool->out;
    for (; *text != 0; text++) {
        if (*text == '@')
            (void)fputs(repair->path, out);
        else if (*text == '#')
            (void)fprintf(out, "%" PRIu64, repair->report.start_lsn);
        else
            (void)fputc(*text, out);
    }
}

void repair_print_diagnosis(const struct repair *repair)
{
    char place[PLACE_TEXT_BYTES];
    const struct verify_report *report = &repair->report;
    if (report->start == RECOVERY_NO_SNAPSHOT)
        (void)fprintf(repair->tool->out, "%s: a start would %s\n", repair->path,
                      verify_start_text(report->start));
    else
        (void)fprintf(repair->tool->out, "%s: at LSN %" PRIu64 " (%s) a start would %s\n",
                      repair->path, report->start_lsn,
                      history_place(&repair->history, report->start_lsn, place),
                      verify_start_text(report->start));
}

static void print_count(const struct repair_plan *plan, FILE *out)
{
    (void)fprintf(out, "%" PRIu64 " acknowledged draw%s", repair_loss(plan),
                  repair_loss(plan) == 1 ? "" : "s");
    if (plan->lost_changes > 0)
        (void)fprintf(out, " and %" PRIu64 " change%s of items or pools", plan->lost_changes,
                      plan->lost_changes == 1 ? "" : "s");
    (void)fputs(".\n", out);
    if (plan->loss_is_open)
        (void)fputs("And more, perhaps: what stood where nothing can be read, and nothing behind "
                    "it tells, is not\ncounted, for nobody can know it.\n",
                    out);
}

/* What the cut at the place where a start stops would cost. */
static void print_offer(struct repair *repair)
{
    struct repair_plan plan;
    struct urn_error error;
    FILE *out = repair->tool->out;
    if (repair_plan_make(repair, REPAIR_AT, repair->report.start_lsn, false, &plan, &error) !=
        URN_OK) {
        (void)fprintf(out, "The log cannot be cut there: %s.\n", error.text);
        return;
    }
    (void)fprintf(out, "If all that fails, the log can be made to end there. Lost would be ");
    print_count(&plan, out);
    (void)fprintf(out,
                  "To see what that means, draw by draw:\n    urn-wal repair %s --truncate-at "
                  "%" PRIu64 "\n",
                  repair->path, repair->report.start_lsn);
    repair_plan_free(&plan);
}

void repair_print_advice(struct repair *repair)
{
    const enum recovery_case which = repair->report.start;
    print_filled(repair, advice[which]);
    if (recovery_case_starts(which)) {
        if (repair->report.finding_count[FINDING_TORN] > 0)
            print_filled(repair, "The next start discards it; `urn-wal repair @ --truncate-tail` "
                                 "does so without one.\n");
        return;
    }
    if (which != RECOVERY_NO_SNAPSHOT)
        print_offer(repair);
}

/* ---- the plan ---------------------------------------------------------------------------------- */

static void print_changes(const struct repair *repair, const struct repair_plan *plan)
{
    FILE *out = repair->tool->out;
    char name[DATA_DIR_NAME_MAX];
    (void)fprintf(out, "to be changed, each file being copied to %s/lost+found-<time>/ first:\n",
                  repair->path);
    for (uint32_t i = 0; i < plan->intent.cut_count; i++) {
        const struct repair_cut *cut = &plan->intent.cuts[i];
        data_dir_segment_name(name, cut->slot);
        (void)fprintf(out, "  %s  zeros from offset %" PRIu64 " to %" PRIu64 "\n", name, cut->from,
                      cut->to);
    }
    for (uint32_t i = 0; i < plan->moved_count; i++) {
        data_dir_snapshot_name(name, plan->moved[i].lsn, plan->moved[i].serial);
        (void)fprintf(out, "  %s  moved aside: it is above LSN %" PRIu64 "\n", name,
                      plan->intent.lsn);
    }
    for (uint32_t i = 0; i < plan->bad_sector_count; i++)
        (void)fprintf(out,
                      "  segment-%04" PRIu32 ", offset %" PRIu64
                      ": cannot be read; zeros stand in the copy\n",
                      plan->bad_sectors[i].slot, plan->bad_sectors[i].offset);
    if (plan->beyond_durable_groups > 0)
        (void)fprintf(out,
                      "  with them: %" PRIu64
                      " whole group%s never durable, or discarded by an earlier start\n",
                      plan->beyond_durable_groups, plan->beyond_durable_groups == 1 ? "" : "s");
}

static void print_cut_ids(const struct repair *repair, const struct repair_plan *plan)
{
    FILE *out = repair->tool->out;
    (void)fputs("lost: ", out);
    print_count(plan, out);
    if (plan->unread_draws > 0)
        (void)fprintf(
            out,
            "  of these %" PRIu64
            " cannot be read: only the request ids are known (lines UNREAD); where a start "
            "had\n  skipped ids, there were fewer\n",
            plan->unread_draws);
    if (repair_loss(plan) > 0 || plan->loss_is_open)
        (void)fputs("What they took goes back into stock and can be issued again: hold back, with "
                    "`urn update`, what was\ndelivered.\n",
                    out);
    (void)fprintf(out,
                  "new epoch %" PRIu32 ", whose request ids begin at %" PRIu64 ": above %" PRIu64
                  ", the highest found, by a\nmargin of %llu\n",
                  plan->intent.epoch, plan->intent.next_request_id, plan->highest_id,
                  REPAIR_ID_MARGIN);
}

void repair_print_plan(const struct repair *repair, const struct repair_plan *plan)
{
    char place[PLACE_TEXT_BYTES];
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, plan->base.lsn, plan->base.serial);
    (void)fprintf(repair->tool->out,
                  "the log is sound from %s to LSN %" PRIu64 " (%s), and is made to end there\n",
                  name, plan->intent.lsn, history_place(&repair->history, plan->intent.lsn, place));
    if (plan->intent.what == REPAIR_TAIL)
        (void)fputs("lost: nothing. What follows was never durable.\n", repair->tool->out);
    else
        print_cut_ids(repair, plan);
    print_changes(repair, plan);
}

void repair_print_begun(const struct repair *repair, const struct repair_intent *intent)
{
    FILE *out = repair->tool->out;
    (void)fprintf(
        out,
        "%s: a repair has begun and has not ended; copies of what it changes are in %s/%s\n"
        "To finish it:\n    urn-wal repair %s ",
        repair->path, repair->path, intent->copies, repair->path);
    if (intent->what == REPAIR_TAIL)
        (void)fputs("--truncate-tail --write\n", out);
    else
        (void)fprintf(out, "--truncate-at %" PRIu64 " --accept-loss %" PRIu64 " --write\n",
                      intent->lsn, intent->loss);
}
