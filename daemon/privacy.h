/*
 * privacy: what of the daemon no job may reach: its memory.
 *
 * Commands run as the daemon's own user, and for that user the kernel would open /proc/PID/mem, environ and fd of each of
 * our processes, and let it trace them. No libevent.
 */
#ifndef DAEMON_PRIVACY_H
#define DAEMON_PRIVACY_H

/*
 * Closes the memory of this process, and of what it forks, to other processes of the same user, and it leaves no core. A
 * program that is executed is open again. In builds with sanitizers nothing is done: they look at their process as a
 * tracer.
 */
void privacy_close_memory(void);

#endif
