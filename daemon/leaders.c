/*
 * leaders: see leaders.h. A head, then a record a slot; each is written by one pwrite(2) of less than a page, so a
 * reader after the writer's death sees the old or the new one.
 */
#include "daemon/leaders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mem.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LEN  36

struct leaders_head {
	char magic[8];
	char boot_id[BOOT_ID_LEN];
	uint32_t slots;
};

struct leaders_record {
	int64_t pid; /* 0: none */
	uint64_t start_time;
};

static const char leaders_magic[8] = "FUTLEAD1";

static int
leaders_boot_id(char *ret_id)
{
	int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, ret_id, BOOT_ID_LEN);
	close(fd);
	if (n == BOOT_ID_LEN)
		return 0;
	errno = EIO;
	return -1;
}

int
leaders_open(int dir, const char *name)
{
	return openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

ssize_t
leaders_read(int fd, struct proctree_leader **ret_leaders)
{
	struct leaders_head head;
	struct leaders_record record;
	struct proctree_leader *leaders = NULL;
	size_t n = 0, capacity = 0;
	char boot_id[BOOT_ID_LEN];
	off_t at = sizeof(head);
	ssize_t got;

	if (leaders_boot_id(boot_id) < 0 || (got = pread(fd, &head, sizeof(head), 0)) < 0)
		return -1;
	if (got != (ssize_t)sizeof(head) || memcmp(head.magic, leaders_magic, sizeof(head.magic)) != 0 ||
	    memcmp(head.boot_id, boot_id, BOOT_ID_LEN) != 0)
		head.slots = 0;
	for (uint32_t i = 0; i < head.slots; i++, at += (off_t)sizeof(record)) {
		if (pread(fd, &record, sizeof(record), at) != (ssize_t)sizeof(record))
			break;
		if (record.pid <= 1 || record.start_time == 0)
			continue;
		leaders = mem_room(leaders, n, &capacity, sizeof(*leaders));
		leaders[n++] = (struct proctree_leader){.pid = (pid_t)record.pid, .start_time = record.start_time};
	}
	*ret_leaders = leaders;
	return (ssize_t)n;
}

/* In place, so that a full disk is full enough for it, and whole, so that no note needs room later. */
int
leaders_reset(int fd, unsigned slots)
{
	struct leaders_head head = {.slots = slots};
	size_t size = sizeof(head) + slots * sizeof(struct leaders_record);
	char *table = mem_new(size);
	ssize_t written = -1;
	int result = -1;

	memcpy(head.magic, leaders_magic, sizeof(head.magic));
	if (leaders_boot_id(head.boot_id) == 0) {
		memcpy(table, &head, sizeof(head));
		written = pwrite(fd, table, size, 0);
	}
	if (written == (ssize_t)size)
		result = ftruncate(fd, (off_t)size);
	else if (written >= 0)
		errno = ENOSPC;
	free(table);
	return result;
}

void
leaders_note(int fd, unsigned slot, pid_t pid)
{
	struct leaders_record record = {.pid = pid, .start_time = pid > 0 ? proctree_start_time(pid) : 0};
	off_t at = (off_t)(sizeof(struct leaders_head) + slot * sizeof(record));

	if (pwrite(fd, &record, sizeof(record), at) != (ssize_t)sizeof(record))
		return;
}
