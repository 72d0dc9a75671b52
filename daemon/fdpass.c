/*
 * fdpass: see fdpass.h.
 */
#include "daemon/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fdpass_control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t
fdpass_send(int sock, const void *bytes, size_t len, int fd)
{
	union fdpass_control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t
fdpass_receive(int sock, void *bytes, size_t len, int *ret_fd)
{
	union fdpass_control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header;
	ssize_t n;

	do
		n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*ret_fd = -1;
	if (n < 0)
		return n;
	for (header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fd, CMSG_DATA(header), sizeof(*ret_fd));
	}
	return n;
}

/* The lowest of keep that is not below from, or -1. */
static int
fdpass_next_kept(const int *keep, size_t n, int from)
{
	int next = -1;

	for (size_t i = 0; i < n; i++) {
		if (keep[i] >= from && (next < 0 || keep[i] < next))
			next = keep[i];
	}
	return next;
}

/* For kernels without close_range(2). */
static void
fdpass_close_one_by_one(unsigned first, unsigned last)
{
	long max = sysconf(_SC_OPEN_MAX);

	for (unsigned fd = first; fd <= last && (long)fd < max; fd++)
		close((int)fd);
}

void
fdpass_close_all_but(const int *keep, size_t n)
{
	unsigned first = 3;

	for (;;) {
		int kept = fdpass_next_kept(keep, n, (int)first);
		unsigned last = kept < 0 ? UINT_MAX : (unsigned)kept - 1;

		if (first <= last && close_range(first, last, 0) < 0)
			fdpass_close_one_by_one(first, last);
		if (kept < 0)
			return;
		first = (unsigned)kept + 1;
	}
}

int
fdpass_move_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 11);

	if (high >= 0)
		close(fd);
	return high;
}
