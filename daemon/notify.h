/*
 * notify: tells systemd, or whoever set NOTIFY_SOCKET, how the daemon fares. Built without libsystemd, or started by nobody
 * who asks, all of it does nothing. Loop thread.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

/* Recovery is done and the sockets are open. */
void notify_ready(void);
/* The end has begun. */
void notify_stopping(void);
/* One line for `systemctl status`. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often notify_alive() is due, in milliseconds: half of what the watchdog bears; 0 when there is none. */
int64_t notify_watchdog_ms(void);
/* The loop turns. */
void notify_alive(void);

/* In a child: the variables of notification, watchdog and activation are the daemon's alone. */
void notify_forget(void);

#endif
