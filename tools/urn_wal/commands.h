/* commands.h: the commands, each in a file of its own; main.c has their table. */
#ifndef URN_TOOLS_URN_WAL_COMMANDS_H
#define URN_TOOLS_URN_WAL_COMMANDS_H

#include "tools/urn_wal/tool.h"

extern const struct command command_ls;
extern const struct command command_cat;
extern const struct command command_find;
extern const struct command command_verify;
extern const struct command command_stats;
extern const struct command command_export;
extern const struct command command_replay;
extern const struct command command_diff;
extern const struct command command_repair;
extern const struct command command_prune;
extern const struct command command_backup;
extern const struct command command_restore;
extern const struct command command_resize;

#endif
