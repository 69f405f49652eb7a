/* progress_bar.c: see progress_bar.h. */
#include "tools/urn_wal/progress_bar.h"

#include <string.h>

#define PAUSE_NS  (100ull * 1000 * 1000) /* between two looks of it */
#define HIDDEN_NS (3 * PAUSE_NS)         /* who waits no longer than this sees nothing */

static void hide(struct progress_bar *bar)
{
    if (!bar->visible)
        return;
    (void)fprintf(bar->tool->notes, "\r\x1b[K");
    (void)fflush(bar->tool->notes);
    bar->visible = false;
}

static void print_bar(const struct progress_bar *bar, uint64_t done_bytes, uint64_t all_bytes)
{
    enum { CELLS = 30 };
    const double share = (double)done_bytes / (double)all_bytes;
    char cells[CELLS + 1];
    for (int cell = 0; cell < CELLS; cell++)
        cells[cell] = cell < (int)(share * CELLS) ? '=' : cell == (int)(share * CELLS) ? '>' : ' ';
    cells[CELLS] = 0;
    (void)fprintf(bar->tool->notes, "[%s] %3.0f%%  ", cells, 100 * share);
}

/* Of what is counted, how fast; of what has an end, how far it is. */
static void show(struct progress_bar *bar, uint64_t now_ns, uint64_t done_bytes, uint64_t all_bytes)
{
    FILE *notes = bar->tool->notes;
    const double seconds = (double)(now_ns - bar->what_began_ns) / 1e9;
    (void)fprintf(notes, "\r\x1b[K");
    if (all_bytes > 0)
        print_bar(bar, done_bytes < all_bytes ? done_bytes : all_bytes, all_bytes);
    if (done_bytes > 0)
        (void)fprintf(notes, "%.0f MB  ", (double)done_bytes / 1e6);
    if (done_bytes > 0 && seconds > 0)
        (void)fprintf(notes, "%.0f MB/s  ", (double)done_bytes / 1e6 / seconds);
    (void)fprintf(notes, "%s ", bar->what);
    (void)fflush(notes);
    bar->shown_ns = now_ns;
    bar->visible = true;
}

/* What begins is shown at once to who waits already. */
static void tell(void *context, const char *what, uint64_t done_bytes, uint64_t all_bytes)
{
    struct progress_bar *bar = context;
    if (what == NULL) {
        hide(bar);
        return;
    }
    const uint64_t now_ns = os_monotonic_ns(bar->tool->os);
    const bool begins = bar->what == NULL || strcmp(bar->what, what) != 0;
    if (begins) {
        bar->what = what;
        bar->what_began_ns = now_ns;
    }
    if (now_ns - bar->began_ns >= HIDDEN_NS && (begins || now_ns - bar->shown_ns >= PAUSE_NS))
        show(bar, now_ns, done_bytes, all_bytes);
}

struct tool progress_bar_begin(struct progress_bar *bar, const struct tool *tool, bool quiet)
{
    struct tool shows = *tool;
    *bar = (struct progress_bar){.progress = {.tell = tell, .context = bar},
                                 .tool = tool,
                                 .began_ns = os_monotonic_ns(tool->os)};
    if (tool->shows_progress && !quiet)
        shows.progress = &bar->progress;
    return shows;
}

void progress_bar_end(struct progress_bar *bar)
{
    hide(bar);
}
