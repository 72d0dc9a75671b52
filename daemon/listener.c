/*
 * listener: see listener.h.
 */
#include "daemon/listener.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/tls.h"

#define LISTENER_BACKLOG 4096
#define LISTENER_ACCEPTS 32 /* a turn */
#define LISTENER_REST_MS 100
#define LISTENER_TELL_MS 60000

struct listener {
	struct server *server;
	struct sessions *sessions;
	int fd;
	bool local;  /* a Unix socket: its peers have credentials */
	char *path;  /* of a socket file of our own */
	struct event *event;
	struct event *rest;
	bool short_of; /* descriptors, as has been said */
	unsigned n_refused;
	int64_t told_ms; /* of them, monotonic */
};

/* ---- accepting ------------------------------------------------------------------------------------------------------------- */

static void
listener_admit_local(struct listener *listener, int fd, enum role *ret_role, char *owner, size_t size)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	(void)listener;
	*ret_role = ROLE_NONE;
	owner[0] = '\0';
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	*ret_role = cred.uid == 0 || cred.uid == geteuid() ? ROLE_OPERATOR : ROLE_USER;
	snprintf(owner, size, "uid:%u", (unsigned)cred.uid);
}

/* Before anything was read: what it asks is answered, as far as one write goes, and it is closed. */
static void
listener_refuse(struct listener *listener, int fd, const char *what)
{
	char reply[SESSION_REFUSAL];
	size_t len = session_write_refusal(reply, RPC_BUSY, what, ",\"retry_after\":1");

	if (listener->local || listener->server->tls == NULL)
		(void)!send(fd, reply, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* Not each: whoever can connect could fill the log. */
static void
listener_tell_refused(struct listener *listener)
{
	int64_t now_ms = loop_mono_ms();

	listener->n_refused++;
	if (listener->n_refused > 1 && now_ms - listener->told_ms < LISTENER_TELL_MS)
		return;
	log_warning("[limits] connections is reached: a connection is refused, the %u. since the start", listener->n_refused);
	listener->told_ms = now_ms;
}

static void
listener_admit(struct listener *listener, int fd)
{
	struct bufferevent *bev;
	enum role role = ROLE_NONE;
	char owner[PEER_OWNER] = "";
	int one = 1;

	if (sessions_count(listener->sessions) >= (unsigned)listener->server->config->limit_connections &&
	    !sessions_drop_stranger(listener->sessions)) {
		listener_tell_refused(listener);
		listener_refuse(listener, fd, "[limits] connections is reached");
		return;
	}
	if (listener->local)
		listener_admit_local(listener, fd, &role, owner, sizeof(owner));
	if (role == ROLE_USER &&
	    !sessions_owner_has_room(listener->sessions, owner, (unsigned)listener->server->config->limit_connections)) {
		listener_refuse(listener, fd, "the share of one owner in [limits] connections is reached");
		return;
	}
	if (!listener->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!listener->local && listener->server->tls != NULL)
		bev = tls_accept(listener->server->tls, loop_base(listener->server->loop), fd);
	else
		bev = bufferevent_socket_new(loop_base(listener->server->loop), fd, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		close(fd);
		return;
	}
	sessions_add(listener->sessions, bev, role, owner);
}

static void
listener_rest(struct listener *listener)
{
	struct timeval tv = {.tv_usec = LISTENER_REST_MS * 1000};

	event_del(listener->event);
	event_add(listener->rest, &tv);
}

static void
listener_accept_cb(evutil_socket_t sock, short events, void *arg)
{
	struct listener *listener = arg;

	(void)sock;
	(void)events;
	for (int i = 0; i < LISTENER_ACCEPTS; i++) {
		/* cppcheck-suppress nullPointer ; accept4() may be given none */
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->short_of = false;
			listener_admit(listener, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			if (!listener->short_of)
				log_warning("no connection can be accepted for the moment: %s", strerror(errno));
			listener->short_of = true;
			listener_rest(listener);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static void
listener_rested_cb(evutil_socket_t sock, short events, void *arg)
{
	struct listener *listener = arg;

	(void)sock;
	(void)events;
	event_add(listener->event, NULL);
}

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

static struct listener *
listener_new(struct server *server, struct sessions *sessions, int fd, bool local)
{
	struct listener *listener = mem_new(sizeof(*listener));
	struct event_base *base = loop_base(server->loop);

	evutil_make_socket_nonblocking(fd);
	listener->server = server;
	listener->sessions = sessions;
	listener->fd = fd;
	listener->local = local;
	listener->event = event_new(base, fd, EV_READ | EV_PERSIST, listener_accept_cb, listener);
	listener->rest = event_new(base, -1, 0, listener_rested_cb, listener);
	if (listener->event == NULL || listener->rest == NULL || event_add(listener->event, NULL) < 0)
		abort();
	return listener;
}

/* A socket is there (never touch another file): is somebody listening? */
static bool
listener_is_stale(const struct sockaddr_un *address)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* The folder of the socket, where it is not there (its own parent must be). */
static void
listener_make_folder(const char *path)
{
	char *folder = mem_text(path);
	char *slash = strrchr(folder, '/');

	if (slash != NULL && slash != folder) {
		*slash = '\0';
		mkdir(folder, 0755); /* bind tells what is wrong */
	}
	free(folder);
}

static int
listener_bind_unix(const char *path, unsigned mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	listener_make_folder(path);
	mask = umask(~mode & 0777);
	error = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (error < 0 && errno == EADDRINUSE && listener_is_stale(&address) && unlink(path) == 0)
		error = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (error == 0)
		error = listen(fd, LISTENER_BACKLOG);
	if (error == 0)
		return fd;
	error = errno == EADDRINUSE && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode) ? EEXIST : errno;
	close(fd);
	errno = error;
	return -1;
}

struct listener *
listener_open_unix(struct server *server, struct sessions *sessions, int fd, const char *path, unsigned mode, char **ret_reason)
{
	bool own = fd < 0;
	struct listener *listener;

	if (own)
		fd = listener_bind_unix(path, mode);
	if (fd < 0) {
		*ret_reason = mem_format("cannot listen on %s: %s", path, strerror(errno));
		return NULL;
	}
	listener = listener_new(server, sessions, fd, true);
	if (own)
		listener->path = mem_text(path);
	return listener;
}

static int
listener_bind_tcp(const char *host, int port, const char **ret_what)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list;
	char service[16];
	int fd = -1, error, one = 1;

	snprintf(service, sizeof(service), "%d", port);
	error = getaddrinfo(host, service, &hints, &list);
	if (error != 0) {
		*ret_what = gai_strerror(error);
		return -1;
	}
	for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, LISTENER_BACKLOG) < 0) {
			*ret_what = strerror(errno);
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

struct listener *
listener_open_tcp(struct server *server, struct sessions *sessions, int fd, const char *host, int port, char **ret_reason)
{
	const char *what = "no address";

	if (fd < 0)
		fd = listener_bind_tcp(host, port, &what);
	if (fd < 0) {
		*ret_reason = mem_format("cannot listen on %s port %d: %s", host, port, what);
		return NULL;
	}
	return listener_new(server, sessions, fd, false);
}

void
listener_place(const struct listener *listener, char *ret_place, size_t size)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1], port[8];

	ret_place[0] = '\0';
	if (listener->local || getsockname(listener->fd, (struct sockaddr *)&address, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	snprintf(ret_place, size, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void
listener_close(struct listener *listener)
{
	if (listener == NULL)
		return;
	event_free(listener->event);
	event_free(listener->rest);
	close(listener->fd);
	if (listener->path != NULL)
		unlink(listener->path);
	free(listener->path);
	free(listener);
}
