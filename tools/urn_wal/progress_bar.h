/* progress_bar.h: a bar on the terminal, for a command that may take a while.
 *
 *     [==========>                   ]  36%  180 MB  812 MB/s  copying the log
 *
 * Nothing is shown to who needs not wait, nor where notes do not go to a terminal.
 */
#ifndef URN_TOOLS_URN_WAL_PROGRESS_BAR_H
#define URN_TOOLS_URN_WAL_PROGRESS_BAR_H

#include "tools/urn_wal/tool.h"

struct progress_bar {
    struct progress progress;
    const struct tool *tool;
    const char *what;       /* is under way; NULL: nothing has been told yet */
    uint64_t began_ns;      /* the command */
    uint64_t what_began_ns; /* what is under way */
    uint64_t shown_ns;
    bool visible;
};

/* A tool that shows on bar what its work tells, unless quiet. bar stays where it is until progress_bar_end. */
struct tool progress_bar_begin(struct progress_bar *bar, const struct tool *tool, bool quiet);

/* Takes the bar away: its line is free again. */
void progress_bar_end(struct progress_bar *bar);

#endif
