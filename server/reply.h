/* reply.h: from finished requests to replies. */
#ifndef URN_SERVER_REPLY_H
#define URN_SERVER_REPLY_H

#include "server/server.h"

/* Makes the replies of a list from urn_collect and queues them on their connections; returns the
 * loans of those whose connection has closed. */
void reply_finished(struct server *server, struct urn_request *list);

/* After a fail stop, the first time: one line that says what failed and what to do. */
void reply_look_for_failure(struct server *server);

/* A line in the log when snapshots begin to fail, when they fail for another reason, and when they are well
 * again. */
void reply_look_at_snapshots(struct server *server);

/* The same of the archive, and a line when it has got a gap. */
void reply_look_at_archive(struct server *server);

/* A line in the log when the first request gets BUSY because the log is full, with the reason, and when there is
 * room again. */
void reply_look_at_room(struct server *server);

#endif
