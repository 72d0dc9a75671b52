/*
 * tree: process trees for tests, made so that they are hard to end, and a pipe that all of them hold: its end of file
 * says that the last of them is gone. Header only; each test is a process of its own (CK_FORK).
 */
#ifndef TESTS_UNIT_TREE_H
#define TESTS_UNIT_TREE_H

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/clock.h"

/* Milliseconds of patience, longer where the machine is said to be slow. */
static inline int
tree_patience_ms(int ms)
{
	const char *scale = getenv("FUTURED_TEST_SCALE");

	return scale != NULL && atoi(scale) > 0 ? ms * atoi(scale) : ms;
}

static inline int64_t
tree_deadline_ms(void)
{
	return clock_mono_ms() + tree_patience_ms(30000);
}

/* A new folder where the one who runs the tests wants it. */
#define TREE_FOLDER 96
static inline void
tree_make_folder(char folder[TREE_FOLDER])
{
	const char *parent = getenv("TMPDIR");

	snprintf(folder, TREE_FOLDER, "%s/tree.XXXXXX", parent != NULL ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

struct tree {
	int read_fd;  /* a byte from each process that is ready, then the end of file */
	int write_fd; /* inherited by the tree; closed here by tree_seal() */
};

static inline struct tree
tree_new(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	return (struct tree){.read_fd = fds[0], .write_fd = fds[1]};
}

static inline void
tree_seal(struct tree *tree)
{
	close(tree->write_fd);
	tree->write_fd = -1;
}

/* In a process of the tree: says that it is there, and stays until it is killed. */
static inline void
tree_stay(const struct tree *tree)
{
	if (write(tree->write_fd, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* In a process of the tree: a daemon as the books have it: fork, setsid, fork again, the middle one ends. */
static inline void
tree_escape(const struct tree *tree, void (*then)(const struct tree *tree))
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			then(tree);
		_exit(0);
	}
}

/*
 * A leader in a session of its own, with a child in its group, one in a group of its own, and two escaped ones, of
 * which one has a child.
 */
#define TREE_SIZE 6
static inline void
tree_escape_with_child(const struct tree *tree)
{
	if (fork() == 0)
		tree_stay(tree);
	tree_stay(tree);
}

static inline pid_t
tree_start(const struct tree *tree)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	setsid();
	if (fork() == 0)
		tree_stay(tree);
	tree_escape(tree, tree_stay);
	tree_escape(tree, tree_escape_with_child);
	if (fork() == 0) {
		setpgid(0, 0);
		tree_stay(tree);
	}
	tree_stay(tree);
	_exit(0);
}

/* Waits until n processes are there. */
static inline void
tree_await(const struct tree *tree, int n)
{
	struct pollfd pollfd = {.fd = tree->read_fd, .events = POLLIN};
	char byte;

	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(poll(&pollfd, 1, tree_patience_ms(30000)), 1);
		ck_assert_int_eq(read(tree->read_fd, &byte, 1), 1);
	}
}

/* Whether all are gone within so many milliseconds; bytes that some wrote meanwhile are read over. */
static inline bool
tree_gone(const struct tree *tree, int ms)
{
	struct pollfd pollfd = {.fd = tree->read_fd, .events = POLLIN};
	char bytes[256];
	ssize_t n;

	do {
		if (poll(&pollfd, 1, ms) != 1)
			return false;
		n = read(tree->read_fd, bytes, sizeof(bytes));
	} while (n > 0);
	return n == 0;
}

#endif
