/* scripts.h: short fixed scenarios, the same whenever they are run: what systematic.h strikes at every
 * call. */
#ifndef URN_TESTS_SIM_SCRIPTS_H
#define URN_TESTS_SIM_SCRIPTS_H

#include "tests/sim/host.h"

enum script {
    SCRIPT_LIFE,    /* creation, draws of all kinds, marks, a clean stop, a start, draws */
    SCRIPT_SEGMENT, /* the same with a segment change */
    SCRIPT_CHANGES, /* changes of items and pools, a reload, draws in between */
    SCRIPT_CATALOG, /* a catalog over many groups, draws in between */
};

const char *script_text(enum script script);

/* Runs it, in host->mode, and in the next mode behind its stop, until its end, a crash, or a failure. For
 * SCENARIO_FIXED. */
void script_run(struct host *host, enum script script);

/* What must go well behind any crash: start, draw, mark, power loss, start, stop; and a catalog that was
 * begun is finished. */
void script_aftermath(struct host *host, enum script script);

#endif
