/*
 * gearman: worker and client of gearmand, by libgearman as people write them, and by its protocol with many requests
 * under
 * way, which is the most that gearmand gives.
 *
 *     gearman worker PORT FUNCTION           libgearman; FUNCTION is noop, true, or the slow server's port
 *     gearman raw-worker PORT                no-ops; the answer and the next request in one write
 *     gearman tasks PORT FUNCTION BATCH COUNT  libgearman, BATCH foreground tasks at once
 *     gearman trips PORT COUNT               libgearman, gearman_client_do() of noop, one at a time
 *     gearman raw PORT WINDOW COUNT          foreground no-ops, WINDOW under way
 *     gearman store PORT WINDOW COUNT BYTES  background jobs that nobody works on, WINDOW not acknowledged yet
 */
#define _GNU_SOURCE
#include "measure.h"

#include <libgearman/gearman.h>

enum packet {
	CAN_DO = 1,
	PRE_SLEEP = 4,
	WAKE = 6,
	SUBMIT_JOB = 7,
	JOB_CREATED = 8,
	GRAB_JOB = 9,
	NO_JOB = 10,
	JOB_ASSIGN = 11,
	WORK_COMPLETE = 13,
	SUBMIT_JOB_BG = 18
};

static void
put_packet(struct wire *wire, enum packet type, const void *data, size_t n)
{
	unsigned char head[12] = {0, 'R', 'E', 'Q', 0, 0, 0, (unsigned char)type, (unsigned char)(n >> 24),
	    (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n};

	wire_put(wire, head, sizeof(head));
	wire_put(wire, data, n);
}

/* The type of the next packet, 0 at the end of the file; the data lasts until the next call. */
static int
take_packet(struct wire *wire, char **ret_data, size_t *ret_n)
{
	unsigned char *head = (unsigned char *)wire_take(wire, 12);
	int type;

	if (head == NULL)
		return 0;
	type = head[7];
	*ret_n = (size_t)head[8] << 24 | (size_t)head[9] << 16 | (size_t)head[10] << 8 | head[11];
	*ret_data = wire_take(wire, *ret_n);
	return *ret_data == NULL ? 0 : type;
}

/* ---- workers ------------------------------------------------------------------------------------------------ */

static void *
job(gearman_job_st *job, void *kind, size_t *ret_n, gearman_return_t *ret)
{
	(void)job;
	do_job(kind);
	*ret_n = 2;
	*ret = GEARMAN_SUCCESS;
	return strdup("ok");
}

static void
worker(int port, char *function)
{
	gearman_worker_st *worker = gearman_worker_create(NULL);

	if (gearman_worker_add_server(worker, "127.0.0.1", (in_port_t)port) != GEARMAN_SUCCESS ||
	    gearman_worker_add_function(worker, function, 0, job, function) != GEARMAN_SUCCESS)
		die("libgearman");
	while (gearman_worker_work(worker) == GEARMAN_SUCCESS)
		;
}

static void
raw_worker(int port)
{
	struct wire *wire = wire_open(port);
	char *data, answer[256];
	size_t n, handle;
	int type;

	put_packet(wire, CAN_DO, "noop", 4);
	put_packet(wire, GRAB_JOB, "", 0);
	while ((type = take_packet(wire, &data, &n)) != 0) {
		if (type == NO_JOB) {
			put_packet(wire, PRE_SLEEP, "", 0);
		} else if (type == WAKE) {
			put_packet(wire, GRAB_JOB, "", 0);
		} else if (type == JOB_ASSIGN) {
			handle = strnlen(data, n);
			if (handle + 3 > sizeof(answer))
				die("a long handle");
			memcpy(answer, data, handle);
			memcpy(answer + handle, "\0ok", 3);
			put_packet(wire, WORK_COMPLETE, answer, handle + 3);
			put_packet(wire, GRAB_JOB, "", 0);
		}
	}
}

/* ---- clients ------------------------------------------------------------------------------------------------ */

static gearman_client_st *
client_new(int port)
{
	gearman_client_st *client = gearman_client_create(NULL);

	if (gearman_client_add_server(client, "127.0.0.1", (in_port_t)port) != GEARMAN_SUCCESS)
		die("libgearman");
	return client;
}

static long completed;

static gearman_return_t
count_completed(gearman_task_st *task)
{
	(void)task;
	completed++;
	return GEARMAN_SUCCESS;
}

static void
tasks(int port, const char *function, long batch, long count)
{
	gearman_client_st *client = client_new(port);
	gearman_return_t ret;
	double from = now_s();

	gearman_client_set_complete_fn(client, count_completed);
	for (long i = 0; i < count; i += batch) {
		for (long j = i; j < count && j < i + batch; j++)
			gearman_client_add_task(client, NULL, NULL, function, NULL, "12345678", 8, &ret);
		if (gearman_client_run_tasks(client) != GEARMAN_SUCCESS)
			die(gearman_client_error(client));
		gearman_client_task_free_all(client);
	}
	if (completed != count)
		die("tasks are missing");
	tell_rate(count, now_s() - from);
}

static void
trips(int port, long count)
{
	double *took_s = room((size_t)count * sizeof(*took_s)), from;
	gearman_client_st *client = client_new(port);
	gearman_return_t ret;
	size_t n;

	for (long i = -count / 20; i < count; i++) {
		from = now_s();
		free(gearman_client_do(client, "noop", NULL, "12345678", 8, &n, &ret));
		if (ret != GEARMAN_SUCCESS || n != 2)
			die("gearman_client_do");
		if (i >= 0)
			took_s[i] = now_s() - from;
	}
	tell_latencies(took_s, count);
}

/* Each job has a unique name of its own, else gearmand takes it for one it has. */
static void
put_submission(struct wire *wire, enum packet type, long number, size_t bytes)
{
	char data[256 + 4096];
	const char *function = type == SUBMIT_JOB ? "noop" : "store";
	size_t n = (size_t)sprintf(data, "%s", function) + 1;

	n += (size_t)sprintf(data + n, "%d-%ld", (int)getpid(), number) + 1;
	memset(data + n, 'x', bytes);
	put_packet(wire, type, data, n + bytes);
}

/* Half the window goes in one write, as soon as that much is free. */
static void
pipeline(int port, enum packet type, enum packet until, long window, long count, size_t bytes)
{
	struct wire *wire = wire_open(port);
	long sent = 0, done = 0;
	char *data;
	size_t n;
	double from = now_s();
	int got;

	if (bytes > 4096)
		die("too many bytes");
	while (done < count) {
		if (sent - done <= window / 2)
			for (; sent < count && sent - done < window; sent++)
				put_submission(wire, type, sent, bytes);
		got = take_packet(wire, &data, &n);
		if (got != (int)until && got != JOB_CREATED)
			die("a packet that was not expected");
		done += got == (int)until;
	}
	tell_rate(count, now_s() - from);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int port = argc > 2 ? atoi(argv[2]) : 0;

	if (strcmp(what, "worker") == 0 && argc == 4)
		worker(port, argv[3]);
	else if (strcmp(what, "raw-worker") == 0)
		raw_worker(port);
	else if (strcmp(what, "tasks") == 0 && argc == 6)
		tasks(port, argv[3], atol(argv[4]), atol(argv[5]));
	else if (strcmp(what, "trips") == 0 && argc == 4)
		trips(port, atol(argv[3]));
	else if (strcmp(what, "raw") == 0 && argc == 5)
		pipeline(port, SUBMIT_JOB, WORK_COMPLETE, atol(argv[3]), atol(argv[4]), 8);
	else if (strcmp(what, "store") == 0 && argc == 6)
		pipeline(port, SUBMIT_JOB_BG, JOB_CREATED, atol(argv[3]), atol(argv[4]), (size_t)atol(argv[5]));
	else
		return 2;
	return 0;
}
