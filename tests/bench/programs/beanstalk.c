/*
 * beanstalk: worker and client of beanstalkd. It knows no results, so a worker puts one into the tube `results`,
 * where the
 * client takes it: what a user has to do who wants to know the end.
 *
 *     beanstalk worker PORT DEPTH KIND         takes up to DEPTH jobs a round trip; KIND is noop, true, or the slow
 *     server's port
 *     beanstalk flow PORT WINDOW COUNT         puts COUNT, WINDOW unanswered, while another process takes the results
 *     beanstalk trips PORT COUNT               one job at a time, until its result is there
 *     beanstalk store PORT WINDOW COUNT BYTES  puts jobs that nobody takes
 */
#define _GNU_SOURCE
#include "measure.h"

#define PUT_JOB "put 0 0 600 8\r\n12345678\r\n"
#define PUT_RESULT "put 0 0 600 2\r\nok\r\n"

static void
put(struct wire *wire, const char *text)
{
	wire_put(wire, text, strlen(text));
}

static void
expect(struct wire *wire, const char *word)
{
	char *line = wire_line(wire);

	if (line == NULL || strncmp(line, word, strlen(word)) != 0) {
		fprintf(stderr, "expected %s, got %s\n", word, line != NULL ? line : "the end");
		exit(1);
	}
}

static struct wire *
open_tubes(int port, const char *use, const char *watch)
{
	struct wire *wire = wire_open(port);
	char text[128];

	snprintf(text, sizeof(text), "use %s\r\nwatch %s\r\nignore default\r\n", use, watch);
	put(wire, text);
	expect(wire, "USING");
	expect(wire, "WATCHING");
	expect(wire, "WATCHING");
	return wire;
}

/* One reply to a reserve: true with its id, false when none was ready in time. */
static bool
take_reserved(struct wire *wire, long *ret_id)
{
	char *line = wire_line(wire);
	size_t bytes;

	if (line == NULL)
		exit(0); /* the daemon ended first: a worker's end */
	if (strcmp(line, "TIMED_OUT") == 0)
		return false;
	if (sscanf(line, "RESERVED %ld %zu", ret_id, &bytes) != 2 || wire_take(wire, bytes + 2) == NULL) {
		fprintf(stderr, "expected RESERVED, got %s\n", line);
		exit(1);
	}
	return true;
}

static void
take_owed(struct wire *wire, long *owed)
{
	for (; *owed > 0; (*owed)--) {
		char *line = wire_line(wire);

		if (line == NULL)
			exit(0);
		if (strncmp(line, "INSERTED", 8) != 0 && strcmp(line, "DELETED") != 0)
			die(line);
	}
}

/*
 * Waits for a job and takes up to `depth`, after the replies that are owed for what was sent before. A reserve that
 * waits would
 * hold up what is sent behind it: of many at once none waits.
 */
static long
take_jobs(struct wire *wire, long depth, long *owed, long *ids)
{
	long n = 0;

	for (long i = 0; i < depth && depth > 1; i++)
		put(wire, "reserve-with-timeout 0\r\n");
	if (depth == 1)
		put(wire, "reserve\r\n");
	take_owed(wire, owed);
	for (long i = 0; i < depth; i++)
		n += take_reserved(wire, &ids[n]);
	if (n == 0) {
		put(wire, "reserve\r\n");
		while (!take_reserved(wire, &ids[0]))
			;
		n = 1;
	}
	return n;
}

static void
put_delete(struct wire *wire, long id)
{
	char text[64];

	snprintf(text, sizeof(text), "delete %ld\r\n", id);
	put(wire, text);
}

static void
worker(int port, long depth, const char *kind)
{
	struct wire *wire = open_tubes(port, "results", "work");
	long *ids = room((size_t)depth * sizeof(*ids)), owed = 0, n;

	for (;;) {
		n = take_jobs(wire, depth, &owed, ids);
		for (long i = 0; i < n; i++) {
			do_job(kind);
			put(wire, PUT_RESULT);
			put_delete(wire, ids[i]);
			owed += 2;
		}
	}
}

static void
collect(int port, long depth, long count)
{
	struct wire *wire = open_tubes(port, "work", "results");
	long *ids = room((size_t)depth * sizeof(*ids)), owed = 0, done = 0, n;

	while (done < count) {
		n = take_jobs(wire, count - done < depth ? count - done : depth, &owed, ids);
		for (long i = 0; i < n; i++)
			put_delete(wire, ids[i]);
		owed += n;
		done += n;
	}
	take_owed(wire, &owed);
	exit(done == count ? 7 : 1);
}

/* Puts `text` so often, `window` of them not answered yet. */
static void
put_many(struct wire *wire, const char *text, long window, long count)
{
	long sent = 0, done = 0;

	while (done < count) {
		if (sent - done <= window / 2)
			for (; sent < count && sent - done < window; sent++)
				put(wire, text);
		expect(wire, "INSERTED");
		done++;
	}
}

static void
flow(int port, long window, long count)
{
	double from = now_s();
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0)
		collect(port, window, count);
	put_many(open_tubes(port, "work", "results"), PUT_JOB, window, count);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		die("results are missing");
	tell_rate(count, now_s() - from);
}

static void
trips(int port, long count)
{
	double *took_s = room((size_t)count * sizeof(*took_s)), from;
	struct wire *puts = open_tubes(port, "work", "results"), *takes = open_tubes(port, "work", "results");
	long id;

	for (long i = -count / 20; i < count; i++) {
		from = now_s();
		put(takes, "reserve\r\n");
		wire_flush(takes);
		put(puts, PUT_JOB);
		expect(puts, "INSERTED");
		if (!take_reserved(takes, &id))
			die("no result");
		if (i >= 0)
			took_s[i] = now_s() - from;
		put_delete(takes, id);
		expect(takes, "DELETED");
	}
	tell_latencies(took_s, count);
}

static void
store(int port, long window, long count, int bytes)
{
	char *text = room((size_t)bytes + 64);
	double from = now_s();
	int n = sprintf(text, "put 0 0 600 %d\r\n", bytes);

	memset(text + n, 'x', (size_t)bytes);
	memcpy(text + n + bytes, "\r\n", 3);
	put_many(open_tubes(port, "store", "results"), text, window, count);
	tell_rate(count, now_s() - from);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int port = argc > 2 ? atoi(argv[2]) : 0;

	if (strcmp(what, "worker") == 0 && argc == 5)
		worker(port, atol(argv[3]), argv[4]);
	else if (strcmp(what, "flow") == 0 && argc == 5)
		flow(port, atol(argv[3]), atol(argv[4]));
	else if (strcmp(what, "trips") == 0 && argc == 4)
		trips(port, atol(argv[3]));
	else if (strcmp(what, "store") == 0 && argc == 6)
		store(port, atol(argv[3]), atol(argv[4]), atoi(argv[5]));
	else
		return 2;
	return 0;
}
