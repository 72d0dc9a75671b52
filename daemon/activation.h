/*
 * activation: the listening sockets that the daemon was started with (LISTEN_FDS). Before the first child and thread: they
 * come at descriptors from 3 up, where a worker wants its channel, and without CLOEXEC.
 */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

#include <stdbool.h>

#define ACTIVATION_MAX 16

struct activated {
	int fd;      /* above 10, CLOEXEC, the caller's */
	bool is_tcp; /* else Unix */
	bool is_loopback; /* only this machine reaches it */
};

/*
 * How many there are, in ret_sockets (0: not started that way), or -1 with *ret_why a static phrase, and none is left open: one
 * is no listening stream socket. The environment is cleared of them.
 */
int activation_take(struct activated ret_sockets[ACTIVATION_MAX], const char **ret_why)
    __attribute__((warn_unused_result));

#endif
