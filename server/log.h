/* log.h: what an operator reads: one line an event, on standard error.
 *
 * Under systemd (JOURNAL_STREAM names our standard error) a line begins with its syslog priority,
 * "<3>text", and the journal adds the time; otherwise with the time: "2026-01-31T12:00:00Z urnd:
 * text". A line is written by one call, so that lines of several threads do not mix. What clients
 * send is never logged without having been quoted (rpc_quote), and lines that clients can cause at
 * will go through a log_limit, so that nobody fills the disk from outside.
 */
#ifndef URN_SERVER_LOG_H
#define URN_SERVER_LOG_H

#include <stdint.h>

/* syslog's numbers. */
enum log_priority {
    LOG_PRIORITY_CRITICAL = 2, /* the server serves no longer as it should */
    LOG_PRIORITY_ERROR = 3,
    LOG_PRIORITY_WARNING = 4,
    LOG_PRIORITY_NOTICE = 5, /* life cycle */
    LOG_PRIORITY_INFO = 6,   /* one connection's affairs */
};

/* Any thread. A text that is too long is cut; line feeds in it become blanks. */
void log_line(enum log_priority priority, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define LOG_LIMIT_LINES     20u
#define LOG_LIMIT_PERIOD_NS (10ull * 1000 * 1000 * 1000)

/* At most LOG_LIMIT_LINES lines in LOG_LIMIT_PERIOD_NS. Zeroed: nothing logged yet. */
struct log_limit {
    uint64_t period_begin_ns;
    uint32_t lines;
    uint64_t left_out;
};

/* Like log_line, within the limit; says how many lines were left out when it speaks again. now_ns
 * is monotonic. One thread at a time for each limit. */
void log_line_limited(struct log_limit *limit, uint64_t now_ns, enum log_priority priority,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
