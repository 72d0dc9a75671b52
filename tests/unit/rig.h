/*
 * rig: a spawner with workers as the daemon has them, without the daemon: its pair, its channels, and reading from both
 * with a deadline. Header only.
 */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fdpass.h"
#include "daemon/frame.h"
#include "daemon/leaders.h"
#include "daemon/spawner.h"
#include "tests/unit/tree.h"

#define RIG_SLOTS 4

struct rig {
	char folder[TREE_FOLDER];
	char mark[TREE_FOLDER + 16];
	struct spawner_config config;
	pid_t spawner;
	int link;
	int channels[RIG_SLOTS];
	pid_t workers[RIG_SLOTS];
	char *in; /* of the one channel that is being read */
	size_t in_start, in_end, in_capacity;
	struct frame_out out;
};

static inline void
rig_init(struct rig *rig, const struct task *const *tasks)
{
	*rig = (struct rig){.spawner = -1, .link = -1};
	tree_make_folder(rig->folder);
	snprintf(rig->mark, sizeof(rig->mark), "FUTURED_TREE=%s", rig->folder);
	for (int i = 0; i < RIG_SLOTS; i++)
		rig->channels[i] = -1;
	rig->config = (struct spawner_config){
	    .slots = RIG_SLOTS,
	    .shared = slots_new(RIG_SLOTS),
	    .tasks = tasks,
	    .output_dir = open(rig->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    .tree_lock = -1,
	    .cgroup = -1,
	    .mark = rig->mark,
	    .max_output = 1 << 20,
	    .max_result = 1 << 20,
	    .grace_ms = tree_patience_ms(20000),
	};
	rig->config.leaders_fd = leaders_open(rig->config.output_dir, "leaders");
	ck_assert_int_ge(rig->config.leaders_fd, 0);
	ck_assert_int_eq(leaders_reset(rig->config.leaders_fd, RIG_SLOTS), 0);
}

static inline void
rig_start(struct rig *rig)
{
	ck_assert_int_eq(spawner_fork(&rig->config, &rig->spawner, &rig->link), 0);
}

static inline void
rig_await(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	ck_assert_msg(poll(&pollfd, 1, tree_patience_ms(30000)) == 1, "nothing came");
}

/* The next note; false at the end of the link. */
static inline bool
rig_note(struct rig *rig, struct spawner_note *ret_note)
{
	int passed;

	rig_await(rig->link);
	return fdpass_receive(rig->link, ret_note, sizeof(*ret_note), &passed) == sizeof(*ret_note);
}

static inline void
rig_order(struct rig *rig, enum spawner_verb verb, unsigned slot, int fd)
{
	const struct spawner_order order = {.verb = verb, .slot = slot};

	ck_assert_int_eq(fdpass_send(rig->link, &order, sizeof(order), fd), sizeof(order));
}

static inline void
rig_spawn(struct rig *rig, unsigned slot)
{
	struct spawner_note note;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	slots_reset(rig->config.shared, slot);
	rig_order(rig, SPAWNER_SPAWN, slot, fds[1]);
	close(fds[1]);
	ck_assert(rig_note(rig, &note));
	ck_assert_uint_eq(note.news, SPAWNER_SPAWNED);
	ck_assert_uint_eq(note.slot, slot);
	rig->channels[slot] = fds[0];
	rig->workers[slot] = note.pid;
}

/*
 * The next frame of a channel; false at its end. The payload lives until the next call; channels are read in turn only
 * when nothing is left over.
 */
static inline bool
rig_frame(struct rig *rig, unsigned slot, struct frame_header *ret_header, struct span *ret_payload)
{
	for (;;) {
		int whole = frame_cut(rig->in + rig->in_start, rig->in_end - rig->in_start, ret_header, ret_payload);
		ssize_t n;

		ck_assert_int_ge(whole, 0);
		if (whole == 1) {
			rig->in_start += sizeof(*ret_header) + ret_header->length;
			return true;
		}
		if (rig->in_start > 0)
			memmove(rig->in, rig->in + rig->in_start, rig->in_end - rig->in_start);
		rig->in_end -= rig->in_start;
		rig->in_start = 0;
		if (rig->in_capacity - rig->in_end < 65536) {
			rig->in_capacity = rig->in_end + 131072;
			rig->in = realloc(rig->in, rig->in_capacity);
			ck_assert_ptr_nonnull(rig->in);
		}
		rig_await(rig->channels[slot]);
		n = recv(rig->channels[slot], rig->in + rig->in_end, rig->in_capacity - rig->in_end, 0);
		if (n <= 0)
			return false;
		rig->in_end += (size_t)n;
	}
}

static inline struct span
rig_expect(struct rig *rig, unsigned slot, enum frame_type type, uint64_t job)
{
	struct frame_header header;
	struct span payload;

	ck_assert(rig_frame(rig, slot, &header, &payload));
	ck_assert_uint_eq(header.type, type);
	ck_assert_uint_eq(header.job, job);
	ck_assert_uint_eq(header.token, job == 0 ? 0 : job + 1000);
	return payload;
}

static inline void
rig_hello(struct rig *rig, unsigned slot)
{
	rig_spawn(rig, slot);
	rig_expect(rig, slot, FRAME_HELLO, 0);
}

static inline void
rig_put_job(struct rig *rig, uint64_t job, const char *task, const char *args)
{
	frame_put_job(&rig->out, job, job + 1000, task, 1, &(struct spec_limits){0}, FRAME_AS_OURSELVES, (struct span){args, strlen(args)});
}

static inline void
rig_flush(struct rig *rig, unsigned slot)
{
	size_t at = 0;

	while (at < rig->out.len) {
		ssize_t n = send(rig->channels[slot], rig->out.bytes + at, rig->out.len - at, MSG_NOSIGNAL);

		ck_assert_int_gt(n, 0);
		at += (size_t)n;
	}
	rig->out.len = 0;
}

static inline void
rig_send_job(struct rig *rig, unsigned slot, uint64_t job, const char *task, const char *args)
{
	rig_put_job(rig, job, task, args);
	rig_flush(rig, slot);
}

/* The result of a job, frames about its output and start left out. Ended with outcome_done(). */
static inline struct outcome
rig_result(struct rig *rig, unsigned slot, uint64_t job)
{
	struct outcome outcome;
	struct frame_header header;
	struct span payload;

	do
		ck_assert(rig_frame(rig, slot, &header, &payload));
	while (header.type == FRAME_OUTPUT || header.type == FRAME_STARTED);
	ck_assert_uint_eq(header.type, FRAME_RESULT);
	ck_assert_uint_eq(header.job, job);
	ck_assert_int_eq(frame_read_result(payload, &outcome), 0);
	return outcome;
}

static inline void
rig_check_result(struct rig *rig, unsigned slot, uint64_t job, const char *json)
{
	struct outcome outcome = rig_result(rig, slot, job);

	ck_assert_int_eq(outcome.error, JOB_ERROR_NONE);
	ck_assert_uint_eq(outcome.len, strlen(json));
	ck_assert_int_eq(memcmp(outcome.json, json, outcome.len), 0);
	outcome_done(&outcome);
}

static inline void
rig_check_error(struct rig *rig, unsigned slot, uint64_t job, enum job_error error)
{
	struct outcome outcome = rig_result(rig, slot, job);

	ck_assert_int_eq(outcome.error, error);
	outcome_done(&outcome);
}

static inline void
rig_expect_note(struct rig *rig, enum spawner_news news, unsigned slot)
{
	struct spawner_note note;

	ck_assert(rig_note(rig, &note));
	ck_assert_uint_eq(note.news, news);
	ck_assert_uint_eq(note.slot, slot);
}

/* Closes the link, and takes the folder away. */
static inline void
rig_done(struct rig *rig)
{
	char remove[TREE_FOLDER + 16];

	close(rig->link);
	for (int i = 0; i < RIG_SLOTS; i++) {
		if (rig->channels[i] >= 0)
			close(rig->channels[i]);
	}
	frame_out_done(&rig->out);
	free(rig->in);
	close(rig->config.output_dir);
	close(rig->config.leaders_fd);
	slots_free(rig->config.shared);
	snprintf(remove, sizeof(remove), "rm -rf %s", rig->folder);
	ck_assert_int_eq(system(remove), 0);
}

#endif
