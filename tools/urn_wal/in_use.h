/* in_use.h: whether a server has a data directory open. */
#ifndef URN_TOOLS_URN_WAL_IN_USE_H
#define URN_TOOLS_URN_WAL_IN_USE_H

#include <stdbool.h>

/* path: the data directory's; context is of no use. False too when it cannot be found out. */
bool data_dir_in_use(void *context, const char *path);

#endif
