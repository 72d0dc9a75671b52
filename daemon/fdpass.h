/*
 * fdpass: descriptors over Unix sockets, and closing what a child must not have. No libevent, no threads.
 */
#ifndef DAEMON_FDPASS_H
#define DAEMON_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/* Sends len bytes as one message, with fd if it is not -1 (MSG_NOSIGNAL). As sendmsg(2). */
ssize_t fdpass_send(int sock, const void *bytes, size_t len, int fd);
/* Receives one message, *ret_fd the descriptor that came (CLOEXEC) or -1. As recvmsg(2). */
ssize_t fdpass_receive(int sock, void *bytes, size_t len, int *ret_fd);
/* Closes every descriptor from 3 up that is not among the n in keep (sorted or not). */
void fdpass_close_all_but(const int *keep, size_t n);
/* Moves fd above 10 with CLOEXEC; the new descriptor or -1 with errno (fd is then still open). */
int fdpass_move_high(int fd);

#endif
