/* log.c: see log.h. */
#include "server/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 1536u

static bool to_journal;

/* systemd says in JOURNAL_STREAM which file the journal reads; standard error may have been
 * redirected since. */
static void find_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char ours[64];
    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return;
    snprintf(ours, sizeof ours, "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    to_journal = strcmp(stream, ours) == 0;
}

static size_t begin_line(char *line, enum log_priority priority)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_journal);
    if (to_journal)
        return (size_t)snprintf(line, LINE_BYTES_MAX, "<%d>", (int)priority);
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    return strftime(line, LINE_BYTES_MAX, "%Y-%m-%dT%H:%M:%SZ urnd: ", &utc);
}

__attribute__((format(printf, 2, 0))) static void log_arguments(enum log_priority priority,
                                                                const char *format,
                                                                va_list arguments)
{
    char line[LINE_BYTES_MAX];
    size_t begin = begin_line(line, priority);
    size_t room = sizeof line - begin;
    int length = vsnprintf(line + begin, room, format, arguments);
    size_t text = length < 0 ? 0 : (size_t)length < room - 1 ? (size_t)length : room - 1;
    for (size_t i = begin; i < begin + text; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[begin + text] = '\n';
    /* Where standard error is gone there is nobody to tell. */
    ssize_t ignored = write(STDERR_FILENO, line, begin + text + 1);
    (void)ignored;
}

void log_line(enum log_priority priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_arguments(priority, format, arguments);
    va_end(arguments);
}

void log_line_limited(struct log_limit *limit, uint64_t now_ns, enum log_priority priority,
                      const char *format, ...)
{
    if (now_ns - limit->period_begin_ns >= LOG_LIMIT_PERIOD_NS) {
        limit->period_begin_ns = now_ns;
        limit->lines = 0;
    }
    if (limit->lines >= LOG_LIMIT_LINES) {
        limit->left_out++;
        return;
    }
    limit->lines++;
    if (limit->left_out > 0)
        log_line(priority, "%" PRIu64 " lines like the next were left out", limit->left_out);
    limit->left_out = 0;
    va_list arguments;
    va_start(arguments, format);
    log_arguments(priority, format, arguments);
    va_end(arguments);
}
