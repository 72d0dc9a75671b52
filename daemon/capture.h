/*
 * capture: the files that keep what a command wrote, and reading them back.
 *
 * One file a stream, "ID.out" and "ID.err" in the output folder, made at the first byte, of the latest attempt alone,
 * cut at [exec] max_output. Written by the supervising worker, read by an I/O thread of the daemon, deleted by
 * retention. No libevent, no threads of its own.
 */
#ifndef DAEMON_CAPTURE_H
#define DAEMON_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum stream { STREAM_STDOUT, STREAM_STDERR };

/*
 * Writer. Embedded; keeps the head (first 64 KiB, for the result) and the tail (last 4 KiB, for the error) in memory as
 * well.
 */
#define CAPTURE_HEAD (64 * 1024)
#define CAPTURE_TAIL (4 * 1024)
struct capture {
	int dir;
	int fd; /* -1 until the first byte */
	uint64_t job;
	enum stream stream;
	int64_t max;
	int64_t total; /* bytes the command wrote */
	int64_t kept;  /* bytes in the file */
	char *head;
	size_t head_len;
	char *tail; /* ring */
	size_t tail_len, tail_at;
	int error; /* errno, when the file could not be written: the rest is dropped, not the job */
};

/* Deletes what an earlier attempt left. */
void capture_init(struct capture *capture, int dir, uint64_t job, enum stream stream, int64_t max);
void capture_add(struct capture *capture, const char *bytes, size_t len);
/* How much of head to show: all, or less by a UTF-8 character that was cut at its end. */
size_t capture_head(const struct capture *capture);
/* The last at most CAPTURE_TAIL bytes, cut to a whole UTF-8 character at the start; malloc'ed. */
char *capture_tail(const struct capture *capture, size_t *ret_len);
void capture_done(struct capture *capture); /* closes; the file stays */

/* Reader: up to size bytes from offset. Bytes read (0: at the end, or no file), or -1 with errno. */
ssize_t capture_read(int dir, uint64_t job, enum stream stream, int64_t offset, char *buf, size_t size);
/* Deletes both files; that there are none is no error. */
void capture_delete(int dir, uint64_t job);

#endif
