/* info.h: the answer to `info`. */
#ifndef URN_SERVER_INFO_H
#define URN_SERVER_INFO_H

#include "server/server.h"

/* Writes the whole reply; at most MESSAGE_INFO_REPLY_BYTES_MAX. docs/protocol.md has the keys. */
void info_write_reply(struct rpc_writer *writer, uint32_t msgid, const struct server *server);

#endif
