/*
 * limit: what the machine itself allows, without any service in between.
 *
 *     limit spawn SLOTS COUNT            posix_spawn of /bin/true, SLOTS at once
 *     limit pool WINDOW BATCH COUNT      jobs of 64 bytes to forked workers over socketpairs, a worker a core, WINDOW
 *     writes
 *                                        under way to each, BATCH jobs a write
 *     limit trip COUNT                   64 bytes to another process and back over a socketpair, one at a time
 *     limit factor WORKERS NUMBER…       trial division of the numbers in WORKERS forked processes
 *     limit sync FILE COUNT              4 KiB appended and fdatasync()ed, one at a time
 */
#define _GNU_SOURCE
#include "measure.h"

#include <fcntl.h>
#include <poll.h>

#define JOB_BYTES 64
#define WORKERS_MAX 64

static void
read_all(int fd, void *data, size_t n)
{
	char *at = data;
	ssize_t got;

	for (; n > 0; at += got, n -= (size_t)got)
		if ((got = read(fd, at, n)) <= 0)
			die("read");
}

static void
wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("a child has failed");
}

static void
limit_spawn(int slots, long count)
{
	double from = now_s();
	long begun = 0, ended = 0;
	int status;

	while (ended < count) {
		while (begun < count && begun - ended < slots) {
			spawn_true();
			begun++;
		}
		if (wait(&status) < 0 || status != 0)
			die("/bin/true");
		ended++;
	}
	tell_rate(count, now_s() - from);
}

/* A worker that sends back what it was sent, until there is no more. Returns our end. */
static int
fork_echo(size_t bytes, pid_t *ret_pid, const int *others, int n_others)
{
	char *data = room(bytes);
	int fds[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || (*ret_pid = fork()) < 0)
		die("a worker");
	if (*ret_pid != 0) {
		close(fds[1]);
		free(data);
		return fds[0];
	}
	for (int i = 0; i < n_others; i++)
		close(others[i]);
	close(fds[0]);
	while ((n = read(fds[1], data, bytes)) > 0) {
		if ((size_t)n < bytes)
			read_all(fds[1], data + n, bytes - (size_t)n);
		write_all(fds[1], data, bytes);
	}
	_exit(0);
}

static void
limit_pool(long window, long batch, long count)
{
	int n_workers = (int)sysconf(_SC_NPROCESSORS_ONLN), fds[WORKERS_MAX];
	size_t bytes = (size_t)batch * JOB_BYTES;
	struct pollfd polls[WORKERS_MAX];
	long sent = 0, done = 0, under_way[WORKERS_MAX] = {0};
	pid_t pids[WORKERS_MAX];
	char *data = room(bytes);
	double from;

	if (n_workers > WORKERS_MAX)
		n_workers = WORKERS_MAX;
	for (int i = 0; i < n_workers; i++) {
		fds[i] = fork_echo(bytes, &pids[i], fds, i);
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	}
	from = now_s();
	while (done < count) {
		for (int i = 0; i < n_workers; i++)
			for (; under_way[i] < window && sent < count; under_way[i]++, sent += batch)
				write_all(fds[i], data, bytes);
		if (poll(polls, (nfds_t)n_workers, -1) < 0)
			die("poll");
		for (int i = 0; i < n_workers; i++)
			if (polls[i].revents != 0) {
				read_all(fds[i], data, bytes);
				under_way[i]--;
				done += batch;
			}
	}
	tell_rate(done, now_s() - from);
	for (int i = 0; i < n_workers; i++) {
		close(fds[i]);
		wait_child(pids[i]);
	}
	free(data);
}

static void
limit_trip(long count)
{
	double *took_s = room((size_t)count * sizeof(*took_s)), from;
	char data[JOB_BYTES] = {0};
	pid_t pid;
	int fd = fork_echo(JOB_BYTES, &pid, NULL, 0);

	for (long i = -count / 20; i < count; i++) {
		from = now_s();
		write_all(fd, data, JOB_BYTES);
		read_all(fd, data, JOB_BYTES);
		if (i >= 0)
			took_s[i] = now_s() - from;
	}
	close(fd);
	wait_child(pid);
	tell_latencies(took_s, count);
	free(took_s);
}

/* How many prime factors it has. */
static int
factors(uint64_t n)
{
	int found = 0;

	for (uint64_t p = 2; p * p <= n; p += p == 2 ? 1 : 2)
		for (; n % p == 0; n /= p)
			found++;
	return found + (n > 1);
}

static void
limit_factor(int workers, char **numbers, int count)
{
	double from = now_s();
	pid_t pids[WORKERS_MAX];

	for (int i = 0; i < workers; i++) {
		if ((pids[i] = fork()) < 0)
			die("fork");
		if (pids[i] != 0)
			continue;
		for (int n = i; n < count; n += workers)
			if (factors(strtoull(numbers[n], NULL, 10)) != 1)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < workers; i++)
		wait_child(pids[i]);
	tell_rate(count, now_s() - from);
}

static void
limit_sync(const char *path, long count)
{
	double *took_s = room((size_t)count * sizeof(*took_s)), from;
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	char block[4096];

	memset(block, 'x', sizeof(block));
	if (fd < 0)
		die(path);
	for (long i = 0; i < count; i++) {
		from = now_s();
		write_all(fd, block, sizeof(block));
		if (fdatasync(fd) != 0)
			die("fdatasync");
		took_s[i] = now_s() - from;
	}
	close(fd);
	unlink(path);
	tell_latencies(took_s, count);
	free(took_s);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "spawn") == 0 && argc == 4)
		limit_spawn(atoi(argv[2]), atol(argv[3]));
	else if (strcmp(what, "pool") == 0 && argc == 5)
		limit_pool(atol(argv[2]), atol(argv[3]), atol(argv[4]));
	else if (strcmp(what, "trip") == 0 && argc == 3)
		limit_trip(atol(argv[2]));
	else if (strcmp(what, "factor") == 0 && argc > 3 && atoi(argv[2]) <= WORKERS_MAX)
		limit_factor(atoi(argv[2]), argv + 3, argc - 3);
	else if (strcmp(what, "sync") == 0 && argc == 4)
		limit_sync(argv[2], atol(argv[3]));
	else
		return 2;
	return 0;
}
