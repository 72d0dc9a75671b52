/*
 * activation: see activation.h.
 */
#include "daemon/activation.h"

#ifdef HAVE_SYSTEMD

#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/fdpass.h"
#include "daemon/netaddr.h"

static bool
activation_is_loopback(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	    netaddr_is_loopback((struct sockaddr *)&address);
}

/* NULL, or why the socket is not taken. */
static const char *
activation_classify(struct activated *socket)
{
	int fd = socket->fd;

	socket->is_tcp = false;
	socket->is_loopback = true;
	if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0)
		return NULL;
	if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, 1, 0) <= 0)
		return "a passed descriptor is no listening stream socket";
	socket->is_tcp = true;
	socket->is_loopback = activation_is_loopback(fd);
	return NULL;
}

int
activation_take(struct activated ret_sockets[ACTIVATION_MAX], const char **ret_why)
{
	int n = sd_listen_fds(1);
	const char *why = NULL;
	int taken = 0;

	if (n > ACTIVATION_MAX)
		why = "more sockets were passed than the daemon takes";
	else if (n < 0)
		why = "LISTEN_PID and LISTEN_FDS do not tell open descriptors";
	for (int fd = SD_LISTEN_FDS_START; why == NULL && taken < n; fd++, taken++) {
		ret_sockets[taken].fd = fdpass_move_high(fd);
		if (ret_sockets[taken].fd < 0) {
			why = "a passed descriptor is not open";
			break;
		}
		why = activation_classify(&ret_sockets[taken]);
	}
	if (why == NULL)
		return n;
	while (taken > 0)
		close(ret_sockets[--taken].fd);
	*ret_why = why;
	return -1;
}

#else

int
activation_take(struct activated ret_sockets[ACTIVATION_MAX], const char **ret_why)
{
	(void)ret_sockets;
	(void)ret_why;
	return 0;
}

#endif
