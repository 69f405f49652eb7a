/* log_how.h: the engine's log by other mechanisms than its own, for comparison.
 *
 * The engine commits with a copy into a mapping and an msync. Linked with log_how.c, which stands between
 * the engine and the system (the linker's --wrap, see CMakeLists.txt), a program can choose for each
 * engine that it opens:
 *
 *     mmap    as ever
 *     pwrite  pwrite and fdatasync into the same files
 *     none    neither copied nor synced: what the engine itself takes; nothing survives, and the
 *             directory is of no use afterwards
 */
#ifndef URN_BENCH_LOG_HOW_H
#define URN_BENCH_LOG_HOW_H

enum log_how { LOG_MMAP, LOG_PWRITE, LOG_NONE };

/* Call before the engine is opened. data_dir must live as long as the engine. */
void log_how_use(enum log_how how, const char *data_dir);

#endif
