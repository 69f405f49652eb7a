/* notify.h: telling systemd how the server is (sd_notify's protocol, without libsystemd). */
#ifndef URN_SERVER_NOTIFY_H
#define URN_SERVER_NOTIFY_H

/* Sends assignments, one a line ("READY=1\nSTATUS=..."), to the socket that NOTIFY_SOCKET names, in
 * one datagram. Does nothing where nobody asked for it; failures are ignored, as there is nobody to
 * tell. Any thread. */
void notify_manager(const char *assignments);

#endif
