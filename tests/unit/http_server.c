/*
 * http_server: see http_server.h. libevent in one thread; the test reads two counters and ends it through a pipe.
 */
#include "http_server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct connection {
	LIST_ENTRY(connection) entry;
	struct http_server *server;
	struct bufferevent *bev;
	struct event *timer; /* of an answer that comes later */
};

struct http_server {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *stop;
	int stop_pipe[2];
	int port;
	pthread_t thread;
	LIST_HEAD(, connection) connections;
	atomic_uint accepted, open;
};

static void
connection_free(struct connection *connection)
{
	LIST_REMOVE(connection, entry);
	if (connection->timer != NULL)
		event_free(connection->timer);
	bufferevent_free(connection->bev);
	atomic_fetch_sub(&connection->server->open, 1);
	free(connection);
}

static void
answer(struct connection *connection, const char *status, const char *headers, const char *body, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(connection->bev);

	evbuffer_add_printf(out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, len);
	evbuffer_add(out, body, len);
}

static void
answer_late(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	answer(arg, "200 OK", "", "late", 4);
}

static void
answer_bytes(struct connection *connection, size_t n)
{
	char *body = malloc(n + 1);

	memset(body, 'x', n + 1);
	answer(connection, "200 OK", "", body, n);
	free(body);
}

static void
answer_headers(struct connection *connection, int n)
{
	struct evbuffer *out = bufferevent_get_output(connection->bev);

	evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
	for (int i = 0; i < n; i++)
		evbuffer_add_printf(out, "X-Line-%d: %d\r\n", i, i);
	evbuffer_add_printf(out, "\r\n");
}

static void
answer_redirect(struct connection *connection, const char *status_and_url)
{
	const char *url = strchr(status_and_url, '/');
	char status[32], headers[512];

	snprintf(status, sizeof(status), "%.3s Elsewhere", status_and_url);
	snprintf(headers, sizeof(headers), "Location: %s\r\n", url + 1);
	answer(connection, status, headers, "moved", 5);
}

static void
answer_path(struct connection *connection, const char *path, const char *request, size_t len)
{
	struct timeval in = {0};
	char status[32];
	long n;

	if (strcmp(path, "/hello") == 0) {
		answer(connection, "200 OK", "Content-Type: text/plain\r\n", "hello", 5);
	} else if (sscanf(path, "/bytes/%ld", &n) == 1) {
		answer_bytes(connection, (size_t)n);
	} else if (strcmp(path, "/binary") == 0) {
		answer(connection, "200 OK", "", "\0\xff\x80", 3);
	} else if (sscanf(path, "/status/%ld", &n) == 1) {
		snprintf(status, sizeof(status), "%ld Word", n);
		answer(connection, status, "", "", 0);
	} else if (strncmp(path, "/to/", 4) == 0) {
		answer_redirect(connection, path + 4);
	} else if (strcmp(path, "/echo") == 0) {
		answer(connection, "200 OK", "", request, len);
	} else if (strcmp(path, "/headers") == 0) {
		answer(connection, "200 OK",
		    "X-ONE: 1\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Latin: caf\xe9\r\nX-Empty:\r\n", "", 0);
	} else if (sscanf(path, "/many/%ld", &n) == 1) {
		answer_headers(connection, (int)n);
	} else if (sscanf(path, "/after/%ld", &n) == 1) {
		in.tv_sec = n / 1000;
		in.tv_usec = n % 1000 * 1000;
		connection->timer = connection->timer != NULL
		    ? connection->timer
		    : evtimer_new(connection->server->base, answer_late, connection);
		evtimer_add(connection->timer, &in);
	} else if (strcmp(path, "/garbage") == 0) {
		evbuffer_add(bufferevent_get_output(connection->bev), "what?\r\n\r\n", 9);
	} else if (strcmp(path, "/never") != 0) {
		answer(connection, "404 Not Found", "", "", 0);
	}
}

/* How long the request at the start of head is, its body included; 0 when it is not whole. */
static size_t
request_length(const char *text, size_t len)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4);
	const char *at;
	size_t head, body = 0;

	if (end == NULL)
		return 0;
	head = (size_t)(end - text) + 4;
	for (at = text; at < end; at = (const char *)memchr(at, '\n', (size_t)(end + 2 - at)) + 1) {
		if (strncasecmp(at, "Content-Length:", 15) == 0)
			body = strtoul(at + 15, NULL, 10);
	}
	return head + body <= len ? head + body : 0;
}

static void
take_request(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	char method[32], path[1024];
	char *text, *copy;
	size_t len;

	for (;;) {
		text = (char *)evbuffer_pullup(in, -1);
		len = text != NULL ? request_length(text, evbuffer_get_length(in)) : 0;
		if (len == 0)
			return;
		copy = malloc(len + 1);
		memcpy(copy, text, len);
		copy[len] = '\0';
		if (sscanf(copy, "%31s %1023s", method, path) == 2)
			answer_path(arg, path, copy, len);
		free(copy);
		evbuffer_drain(in, len);
	}
}

static void
connection_event(struct bufferevent *bev, short events, void *arg)
{
	(void)bev;
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		connection_free(arg);
}

static void
accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
	struct http_server *server = arg;
	struct connection *connection = calloc(1, sizeof(*connection));

	(void)listener;
	(void)address;
	(void)len;
	connection->server = server;
	connection->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(connection->bev, take_request, NULL, connection_event, connection);
	bufferevent_enable(connection->bev, EV_READ | EV_WRITE);
	LIST_INSERT_HEAD(&server->connections, connection, entry);
	atomic_fetch_add(&server->accepted, 1);
	atomic_fetch_add(&server->open, 1);
}

static void
stop(evutil_socket_t fd, short events, void *arg)
{
	struct http_server *server = arg;

	(void)fd;
	(void)events;
	event_base_loopbreak(server->base);
}

static void *
serve(void *arg)
{
	struct http_server *server = arg;

	event_base_dispatch(server->base);
	return NULL;
}

static int
server_listen(struct http_server *server, const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
	struct sockaddr_storage storage;
	socklen_t name_len = sizeof(storage);

	if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return -1;
	server->listener =
	    evconnlistener_new_bind(server->base, accepted, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
		is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, is_v4 ? sizeof(v4) : sizeof(v6));
	if (server->listener == NULL)
		return -1;
	getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&storage, &name_len);
	if (storage.ss_family == AF_INET)
		server->port = ntohs(((struct sockaddr_in *)&storage)->sin_port);
	else
		server->port = ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
	return 0;
}

struct http_server *
http_server_new(const char *address)
{
	struct http_server *server = calloc(1, sizeof(*server));

	signal(SIGPIPE, SIG_IGN); /* some of its clients leave amid an answer; the daemon ignores it too */
	server->base = event_base_new();
	if (server_listen(server, address) < 0 || pipe(server->stop_pipe) < 0) {
		event_base_free(server->base);
		free(server);
		return NULL;
	}
	server->stop = event_new(server->base, server->stop_pipe[0], EV_READ, stop, server);
	event_add(server->stop, NULL);
	pthread_create(&server->thread, NULL, serve, server);
	return server;
}

void
http_server_free(struct http_server *server)
{
	struct connection *connection;

	close(server->stop_pipe[1]);
	pthread_join(server->thread, NULL);
	while ((connection = LIST_FIRST(&server->connections)) != NULL)
		connection_free(connection);
	evconnlistener_free(server->listener);
	event_free(server->stop);
	event_base_free(server->base);
	close(server->stop_pipe[0]);
	free(server);
}

int
http_server_port(const struct http_server *server)
{
	return server->port;
}

unsigned
http_server_accepted(struct http_server *server)
{
	return atomic_load(&server->accepted);
}

unsigned
http_server_open(struct http_server *server)
{
	return atomic_load(&server->open);
}
