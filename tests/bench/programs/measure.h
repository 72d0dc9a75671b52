/*
 * measure.h: what the bench's C programs share: a clock, a connection with buffers for both ways, the work that a
 * worker
 * does for a job, and the one line of JSON that each of them ends with. Whatever goes wrong ends the program with
 * status 1
 * and a line that says so: a figure comes only from what was carried out in full.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

extern char **environ;

static void
die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
	exit(1);
}

UNUSED static void *
room(size_t n)
{
	void *got = calloc(1, n);

	if (got == NULL)
		die("calloc");
	return got;
}

UNUSED static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- what a program says at its end ------------------------------------------------------------------------- */

UNUSED static void
tell_rate(long count, double seconds)
{
	printf("{\"count\":%ld,\"seconds\":%.6f}\n", count, seconds);
}

static int
compare_seconds(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the array. */
UNUSED static void
tell_latencies(double *took_s, long count)
{
	qsort(took_s, (size_t)count, sizeof(*took_s), compare_seconds);
	printf("{\"count\":%ld,\"p50_us\":%.2f,\"p99_us\":%.2f,\"worst_us\":%.2f}\n", count, took_s[count / 2] * 1e6,
	    took_s[count * 99 / 100] * 1e6, took_s[count - 1] * 1e6);
}

/* ---- a connection ------------------------------------------------------------------------------------------- */

struct wire {
	int fd;
	size_t begin, end; /* what has been read and not taken yet */
	size_t n_out;
	char in[1 << 18];
	char out[1 << 18];
};

UNUSED static int
connect_port(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

UNUSED static struct wire *
wire_open(int port)
{
	struct wire *wire = room(sizeof(*wire));

	wire->fd = connect_port(port);
	return wire;
}

UNUSED static void
write_all(int fd, const void *data, size_t n)
{
	const char *at = data;
	ssize_t wrote;

	for (; n > 0; at += wrote, n -= (size_t)wrote)
		if ((wrote = write(fd, at, n)) <= 0)
			die("write");
}

UNUSED static void
wire_flush(struct wire *wire)
{
	write_all(wire->fd, wire->out, wire->n_out);
	wire->n_out = 0;
}

UNUSED static void
wire_put(struct wire *wire, const void *data, size_t n)
{
	if (wire->n_out + n > sizeof(wire->out))
		wire_flush(wire);
	memcpy(wire->out + wire->n_out, data, n);
	wire->n_out += n;
}

/* Sends what is to be sent and reads some more; false at the end of the file. */
static bool
wire_read(struct wire *wire)
{
	ssize_t n;

	if (wire->n_out > 0)
		wire_flush(wire);
	if (wire->begin > 0) {
		memmove(wire->in, wire->in + wire->begin, wire->end - wire->begin);
		wire->end -= wire->begin;
		wire->begin = 0;
	}
	n = read(wire->fd, wire->in + wire->end, sizeof(wire->in) - wire->end);
	if (n < 0 && errno != ECONNRESET)
		die("read");
	wire->end += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The next n bytes, until the next call; NULL at the end of the file. */
UNUSED static char *
wire_take(struct wire *wire, size_t n)
{
	while (wire->end - wire->begin < n)
		if (!wire_read(wire))
			return NULL;
	wire->begin += n;
	return wire->in + wire->begin - n;
}

/* The next line without its CR LF, until the next call; NULL at the end of the file. */
UNUSED static char *
wire_line(struct wire *wire)
{
	char *end, *line;

	while ((end = memmem(wire->in + wire->begin, wire->end - wire->begin, "\r\n", 2)) == NULL)
		if (!wire_read(wire))
			return NULL;
	*end = '\0';
	line = wire->in + wire->begin;
	wire->begin = (size_t)(end + 2 - wire->in);
	return line;
}

/* ---- jobs --------------------------------------------------------------------------------------------------- */

UNUSED static pid_t
spawn_true(void)
{
	char *argv[] = {"/bin/true", NULL};
	pid_t pid;

	if ((errno = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ)) != 0)
		die("posix_spawn");
	return pid;
}

static void
fetch(int port)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char reply[4096];
	int fd = connect_port(port);
	ssize_t n;
	size_t seen = 0;

	write_all(fd, request, sizeof(request) - 1);
	while ((n = read(fd, reply, sizeof(reply))) > 0)
		seen += (size_t)n;
	if (seen == 0)
		die("an empty reply to a fetch");
	close(fd);
}

/* One job of a worker: "noop", "true" (a command), or the port of the slow server to fetch from. */
UNUSED static void
do_job(const char *kind)
{
	int status;

	if (strcmp(kind, "noop") == 0)
		return;
	if (strcmp(kind, "true") != 0) {
		fetch(atoi(kind));
		return;
	}
	if (waitpid(spawn_true(), &status, 0) < 0 || status != 0)
		die("/bin/true");
}

#endif
