/*
 * capture: see capture.h. A disk that is full, or a folder that is gone, costs output and never a job: the command's
 * pipe is read on.
 */
#include "daemon/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mem.h"

#define NAME_MAX_LEN 32

static void
capture_name(char name[NAME_MAX_LEN], uint64_t job, enum stream stream)
{
	snprintf(name, NAME_MAX_LEN, "%llu.%s", (unsigned long long)job, stream == STREAM_STDOUT ? "out" : "err");
}

void
capture_init(struct capture *capture, int dir, uint64_t job, enum stream stream, int64_t max)
{
	char name[NAME_MAX_LEN];

	*capture = (struct capture){.dir = dir, .fd = -1, .job = job, .stream = stream, .max = max};
	capture_name(name, job, stream);
	unlinkat(dir, name, 0);
}

static void
capture_open(struct capture *capture)
{
	char name[NAME_MAX_LEN];

	capture_name(name, capture->job, capture->stream);
	capture->fd =
	    openat(capture->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	capture->error = capture->fd < 0 ? errno : 0;
}

static void
capture_write(struct capture *capture, const char *bytes, size_t len)
{
	if ((int64_t)len > capture->max - capture->kept)
		len = (size_t)(capture->max - capture->kept);
	if (len > 0 && capture->fd < 0 && capture->error == 0)
		capture_open(capture);
	while (len > 0 && capture->error == 0) {
		ssize_t n = write(capture->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			capture->error = n < 0 ? errno : EIO;
			return;
		}
		bytes += n;
		len -= (size_t)n;
		capture->kept += n;
	}
}

static void
capture_keep_head(struct capture *capture, const char *bytes, size_t len)
{
	size_t room = CAPTURE_HEAD - capture->head_len;

	if (len > room)
		len = room;
	if (len == 0)
		return;
	capture->head = mem_grow(capture->head, capture->head_len + len, 1);
	memcpy(capture->head + capture->head_len, bytes, len);
	capture->head_len += len;
}

static void
capture_keep_tail(struct capture *capture, const char *bytes, size_t len)
{
	size_t first;

	if (capture->tail == NULL)
		capture->tail = mem_grow(NULL, CAPTURE_TAIL, 1);
	if (len > CAPTURE_TAIL) {
		bytes += len - CAPTURE_TAIL;
		len = CAPTURE_TAIL;
	}
	first = CAPTURE_TAIL - capture->tail_at;
	first = len < first ? len : first;
	memcpy(capture->tail + capture->tail_at, bytes, first);
	memcpy(capture->tail, bytes + first, len - first);
	capture->tail_at = (capture->tail_at + len) % CAPTURE_TAIL;
	capture->tail_len = capture->tail_len + len < CAPTURE_TAIL ? capture->tail_len + len : CAPTURE_TAIL;
}

void
capture_add(struct capture *capture, const char *bytes, size_t len)
{
	if (len == 0)
		return;
	capture->total += (int64_t)len;
	capture_keep_head(capture, bytes, len);
	capture_keep_tail(capture, bytes, len);
	capture_write(capture, bytes, len);
}

static bool
capture_continues(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t
capture_head(const struct capture *capture)
{
	size_t start = capture->head_len, missing;
	unsigned char lead;

	if (capture->total <= (int64_t)capture->head_len)
		return capture->head_len;
	for (missing = 1; missing <= 3 && start > 0 && capture_continues(capture->head[start - 1]); missing++)
		start--;
	if (start == 0)
		return capture->head_len;
	lead = (unsigned char)capture->head[start - 1];
	if ((missing < 4 && lead >= 0xf0) || (missing < 3 && lead >= 0xe0) || (missing < 2 && lead >= 0xc0))
		return start - 1;
	return capture->head_len;
}

char *
capture_tail(const struct capture *capture, size_t *ret_len)
{
	size_t len = capture->tail_len, at = len < CAPTURE_TAIL ? 0 : capture->tail_at, skip = 0;
	char *tail = mem_grow(NULL, len + 1, 1);

	if (len > 0) {
		memcpy(tail, capture->tail + at, len - at);
		memcpy(tail + len - at, capture->tail, at);
	}
	if (capture->total > (int64_t)len) {
		while (skip < 3 && skip < len && capture_continues(tail[skip]))
			skip++;
		memmove(tail, tail + skip, len - skip);
	}
	tail[len - skip] = '\0';
	*ret_len = len - skip;
	return tail;
}

void
capture_done(struct capture *capture)
{
	if (capture->fd >= 0)
		close(capture->fd);
	free(capture->head);
	free(capture->tail);
	*capture = (struct capture){.dir = -1, .fd = -1};
}

ssize_t
capture_read(int dir, uint64_t job, enum stream stream, int64_t offset, char *buf, size_t size)
{
	char name[NAME_MAX_LEN];
	ssize_t n;
	int fd;

	capture_name(name, job, stream);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	do
		n = pread(fd, buf, size, offset);
	while (n < 0 && errno == EINTR);
	close(fd);
	return n;
}

void
capture_delete(int dir, uint64_t job)
{
	char name[NAME_MAX_LEN];

	capture_name(name, job, STREAM_STDOUT);
	unlinkat(dir, name, 0);
	capture_name(name, job, STREAM_STDERR);
	unlinkat(dir, name, 0);
}
