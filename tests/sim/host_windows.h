/* host_windows.h: which crash window (coverage.h) a host is in. */
#ifndef URN_TESTS_SIM_HOST_WINDOWS_H
#define URN_TESTS_SIM_HOST_WINDOWS_H

#include "tests/sim/host.h"

/* A call by which the running engine writes its log. */
bool window_is_log_call(enum sim_call call);

enum window window_of_snapshot(enum snapshot_step step);
enum window window_of_archive(enum archive_step step);

/* A start is about to make this call. */
void window_note_start_call(struct host *host, const struct sim_event *call);

/* Behind every step: counts a crash that struck in it, once. */
void window_note_crash(struct host *host);

/* Counts a crash that comes between two calls, just before it does. */
void window_note_crash_between(struct host *host, enum sim_crash kind);

#endif
