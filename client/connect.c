/*
 * Finding a daemon, connecting to it and introducing oneself.
 *
 * The places are those of the protocol. A Unix socket that may not be opened is FUT_E_FORBIDDEN, every other place
 * where nobody listens FUT_E_UNREACHABLE. A client whose connecting failed is as one that never tried, but for its
 * place.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_PROTOCOL    1
#define CONNECT_TCP_MS	    10000 /* for each address */
#define CONNECT_TOKEN_MAX    4096
#define CONNECT_SYSTEM_PATH  "/run/futured/futured.sock"
#define CONNECT_SYSTEM_TOKEN "/var/lib/futured/token"

const char *fut_library_version(void)
{
	return PACKAGE_VERSION;
}

struct fut_client *fut_new(const char *name)
{
	struct fut_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->wire.fd = -1;
	poll_init(&client->poll);
	requests_init(&client->requests);
	ring_init(&client->all_watchings);
	ring_init(&client->watches);
	ring_init(&client->due);
	futures_init(&client->futures);
	if (name != NULL) {
		client->name = strdup(name);
		if (client->name == NULL) {
			free(client);
			return NULL;
		}
	}
	return client;
}

static void connect_forget(struct fut_client *client)
{
	if (client->wire.fd >= 0)
		wire_end(client, FUT_E_DISCONNECTED, "the client has left this connection");
	requests_forget(client, false);
	failure_clear(&client->ended);
	free(client->place);
	free(client->owner);
	free(client->role);
	free(client->server_version);
	client->place = client->owner = client->role = client->server_version = NULL;
}

void fut_free(struct fut_client *client)
{
	if (client == NULL)
		return;
	if (client->processing) {
		client->freed = true;
		return;
	}
	connect_forget(client);
	requests_forget(client, true);
	watches_detach(client);
	futures_detach(client);
	ids_done(&client->watchings);
	poll_done(&client->poll);
	failure_clear(&client->failure);
	free(client->name);
	free(client);
}

const char *fut_place(const struct fut_client *client)
{
	return client->place != NULL ? client->place : "";
}

bool fut_is_local(const struct fut_client *client)
{
	return client->local;
}

const char *fut_owner(const struct fut_client *client)
{
	return client->owner != NULL ? client->owner : "";
}

const char *fut_role(const struct fut_client *client)
{
	return client->role != NULL ? client->role : "";
}

const char *fut_server_version(const struct fut_client *client)
{
	return client->server_version != NULL ? client->server_version : "";
}

static int connect_start(struct fut_client *client, const char *place, bool local)
{
	connect_forget(client);
	client->local = local;
	client->place = strdup(place);
	return client->place != NULL ? 0 : client_fail(client, FUT_E_MEMORY, "out of memory");
}

/* A copy of a string member, or NULL. */
static char *connect_member(struct span object, const char *name)
{
	struct span value;
	char *text;

	if (!jsonspan_get(object, name, &value) || jsonspan_string(value, &text, NULL) < 0)
		return NULL;
	return text;
}

static int connect_read_hello(struct fut_client *client, const char *result)
{
	struct span hello = {result, strlen(result)}, member; /* NOLINT(clang-analyzer-core.NonNullParamChecker): it is there */
	int64_t protocol;

	if (jsonspan_type(hello) != JSONSPAN_OBJECT || !jsonspan_get(hello, "protocol", &member) ||
	    jsonspan_integer(member, &protocol) < 0)
		return client_fail(client, FUT_E_BAD_REPLY, "what answers at %s is no futured", client->place);
	if (protocol != CONNECT_PROTOCOL)
		return client_fail(client, FUT_E_BAD_REPLY,
				   "the daemon at %s speaks version %lld of the protocol, this library only %d",
				   client->place, (long long)protocol, CONNECT_PROTOCOL);
	client->owner = connect_member(hello, "owner");
	client->role = connect_member(hello, "role");
	client->server_version = connect_member(hello, "version");
	return 0;
}

/* Takes fd and secure. A refused introduction ends the connection. */
static int connect_finish(struct fut_client *client, int fd, struct secure *secure, const char *token)
{
	struct fut_params *params = fut_params_new();
	char *result = NULL;
	int r;

	wire_open(client, fd, secure);
	if (params == NULL)
		r = client_fail(client, FUT_E_MEMORY, "out of memory");
	else {
		if (client->name != NULL)
			fut_params_string(params, "client", client->name);
		if (token != NULL)
			fut_params_string(params, "token", token);
		r = fut_call(client, "hello", params, &result);
	}
	if (r == 0)
		r = connect_read_hello(client, result);
	if (r < 0)
		wire_close(client);
	free(result);
	fut_params_free(params);
	return r;
}

int fut_connect_unix(struct fut_client *client, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	r = connect_start(client, path, true);
	if (r < 0)
		return r;
	if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path))
		return client_fail(client, FUT_E_ARGUMENT, "the path of a socket has 1 to %zu bytes: '%s'",
				   sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return client_fail(client, FUT_E_UNREACHABLE, "cannot make a socket: %s", strerror(errno));
	do
		r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = errno;
		close(fd);
		if (r == EACCES || r == EPERM)
			return client_fail(client, FUT_E_FORBIDDEN, "this user may not open the socket %s: %s", path,
					   strerror(r));
		return client_fail(client, FUT_E_UNREACHABLE, "no daemon answers at %s: %s", path, strerror(r));
	}
	return connect_finish(client, fd, NULL, NULL);
}

/*
 * "$NAME/below", or "$HOME/home/below" where home is given and NAME is not set to a path; freed by the caller. NULL where
 * neither is known, or without memory.
 */
static char *connect_path(const char *name, const char *home, const char *below)
{
	const char *folder = getenv(name);
	char *path = NULL;
	int r = -1;

	if (folder != NULL && folder[0] == '/') {
		r = asprintf(&path, "%s/%s", folder, below);
	} else if (home != NULL) {
		folder = getenv("HOME");
		if (folder != NULL && folder[0] == '/')
			r = asprintf(&path, "%s/%s/%s", folder, home, below);
	}
	return r < 0 ? NULL : path;
}

/* Connects to path, which is freed, if a socket is there. Where there is none, and it may be stale, it counts as none. */
static int connect_if_there(struct fut_client *client, char *path, bool may_be_stale, bool *ret_there)
{
	struct stat status;
	int r = 0;

	*ret_there = path != NULL && stat(path, &status) == 0;
	if (*ret_there) {
		r = fut_connect_unix(client, path);
		if (r == FUT_E_UNREACHABLE && may_be_stale)
			*ret_there = false;
	}
	free(path);
	return r;
}

int fut_connect(struct fut_client *client)
{
	const char *path = getenv("FUTURED_SOCKET");
	bool there;
	int r;

	if (path != NULL && path[0] != '\0')
		return fut_connect_unix(client, path);
	r = connect_if_there(client, connect_path("XDG_RUNTIME_DIR", NULL, "futured.sock"), false, &there);
	if (there)
		return r;
	/* Where a user's daemon listens that was started without XDG_RUNTIME_DIR: from cron, over ssh, in a container. */
	r = connect_if_there(
	    client, connect_path("XDG_STATE_HOME", ".local/state", "futured/futured.sock"), true, &there);
	return there ? r : fut_connect_unix(client, CONNECT_SYSTEM_PATH);
}

/* Cuts "HOST:PORT" into two strings of the caller's own. */
static int connect_split(struct fut_client *client, const char *place, char **ret_host, char **ret_port)
{
	const char *colon = strrchr(place, ':');
	const char *host = place;
	size_t len = colon != NULL ? (size_t)(colon - place) : 0;

	if (colon == NULL || colon[1] == '\0' || (memchr(place, ':', len) != NULL && place[0] != '['))
		return client_fail(client, FUT_E_ARGUMENT, "'%s' is not HOST:PORT or [ADDRESS]:PORT", place);
	/* A service by its name is well; of a number getaddrinfo() takes the last 16 bits. */
	if (strspn(colon + 1, "0123456789") == strlen(colon + 1) && (strlen(colon + 1) > 5 || atoi(colon + 1) > 65535))
		return client_fail(client, FUT_E_ARGUMENT, "'%s': there is no port beyond 65535", place);
	if (len >= 2 && place[0] == '[' && place[len - 1] == ']') {
		host++;
		len -= 2;
	}
	*ret_host = len > 0 ? strndup(host, len) : strdup("localhost");
	*ret_port = strdup(colon + 1);
	if (*ret_host != NULL && *ret_port != NULL)
		return 0;
	free(*ret_host);
	free(*ret_port);
	return client_fail(client, FUT_E_MEMORY, "out of memory");
}

/* A connected socket, or -errno. */
static int connect_address(const struct addrinfo *address)
{
	struct pollfd pollfd = {.events = POLLOUT};
	socklen_t len = sizeof(int);
	int fd, r, error = 0, on = 1;

	fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		error = errno;
		if (error == EINPROGRESS) {
			pollfd.fd = fd;
			do
				r = poll(&pollfd, 1, CONNECT_TCP_MS);
			while (r < 0 && errno == EINTR);
			error = r == 0 ? ETIMEDOUT : errno;
			if (r > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
				error = errno;
		}
	}
	if (error == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		error = errno;
	if (error != 0) {
		close(fd);
		return -error;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return fd;
}

static int connect_tcp(struct fut_client *client, const char *host, const char *port, int *ret_fd)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses, *address;
	int fd = -1, r;

	r = getaddrinfo(host, port, &hints, &addresses);
	if (r != 0)
		return client_fail(client, FUT_E_UNREACHABLE, "no daemon answers at %s: %s", client->place,
				   gai_strerror(r));
	for (address = addresses; address != NULL && fd < 0; address = address->ai_next)
		fd = connect_address(address);
	freeaddrinfo(addresses);
	if (fd < 0)
		return client_fail(client, FUT_E_UNREACHABLE, "no daemon answers at %s: %s", client->place,
				   strerror(-fd));
	*ret_fd = fd;
	return 0;
}

/* The first line of the file at path, which is freed, into token (CONNECT_TOKEN_MAX bytes); false where there is none. */
static bool connect_read_token(char *path, char *token)
{
	FILE *file = path != NULL ? fopen(path, "re") : NULL;
	bool found = false;

	free(path);
	if (file == NULL)
		return false;
	if (fgets(token, CONNECT_TOKEN_MAX, file) != NULL) {
		token[strcspn(token, "\r\n")] = '\0';
		found = token[0] != '\0';
	}
	fclose(file);
	return found;
}

static bool connect_is_loopback(int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
	socklen_t len = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
		return false;
	if (address.ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address.ss_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == IN_LOOPBACKNET));
}

/*
 * The token where the caller names none, *ret_token NULL if there is none at all. That of this machine's daemon goes only
 * to this machine, or to whoever has proved by TLS to be who was named.
 */
static int connect_token(struct fut_client *client, int fd, bool secure, char *buffer, const char **ret_token)
{
	const char *token = getenv("FUTURED_TOKEN");

	*ret_token = token;
	if (token != NULL && token[0] != '\0')
		return 0;
	*ret_token = NULL;
	if (!connect_read_token(connect_path("XDG_STATE_HOME", ".local/state", "futured/token"), buffer) &&
	    !connect_read_token(strdup(CONNECT_SYSTEM_TOKEN), buffer))
		return 0;
	if (!secure && !connect_is_loopback(fd))
		return client_fail(client, FUT_E_UNAUTHENTICATED,
				   "the token of this machine's daemon is not sent in the clear to %s, which is not "
				   "loopback: use TLS, or name the token for it",
				   client->place);
	*ret_token = buffer;
	return 0;
}

/* tls NULL: in the clear. */
static int connect_remote(struct fut_client *client, const char *place, const char *token, const struct fut_tls *tls)
{
	char buffer[CONNECT_TOKEN_MAX];
	char *host = NULL, *port = NULL;
	struct secure *secure = NULL;
	int fd = -1, r;

	r = connect_start(client, place, false);
	if (r < 0)
		return r;
	r = connect_split(client, place, &host, &port);
	if (r < 0)
		return r;
	r = connect_tcp(client, host, port, &fd);
	if (r == 0 && tls != NULL) {
		r = secure_open(client, fd, host, tls, CONNECT_TCP_MS, &secure);
		if (r < 0)
			close(fd);
	}
	free(host);
	free(port);
	if (r < 0)
		return r;
	if (token == NULL)
		r = connect_token(client, fd, secure != NULL, buffer, &token);
	if (r == 0) {
		r = connect_finish(client, fd, secure, token);
	} else {
		secure_free(secure);
		close(fd);
	}
	explicit_bzero(buffer, sizeof(buffer));
	return r;
}

int fut_connect_tcp(struct fut_client *client, const char *place, const char *token)
{
	return connect_remote(client, place, token, NULL);
}

int fut_connect_tls(struct fut_client *client, const char *place, const char *token, const struct fut_tls *tls)
{
	if ((tls->certificate != NULL) != (tls->key != NULL))
		return client_fail(client, FUT_E_ARGUMENT, "a certificate goes with its key");
	return connect_remote(client, place, token, tls);
}
