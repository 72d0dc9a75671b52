/*
 * wait: waiting for the daemon, for input and for Ctrl-C at once.
 */
#ifndef CLIENT_WAIT_H
#define CLIENT_WAIT_H

#include <stdbool.h>

/*
 * From here on SIGINT and SIGTERM are caught: the first is told by wait_signal(), the second ends the process as if it
 * had not been caught. One that was ignored at the start stays so. SIGPIPE is ignored: writing tells.
 */
void wait_catch_signals(void);
/* The signal that was caught, or 0. */
int wait_signal(void);

/*
 * Waits until the daemon has sent something (or can be sent to), fd (-1: none) has input, a signal was caught, or
 * timeout_ms (-1: no limit) is over. Returns whether fd has input. A signal that was told once does not end a later
 * wait.
 */
bool wait_turn(int fd, int timeout_ms);

#endif
