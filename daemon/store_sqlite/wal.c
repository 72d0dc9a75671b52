/*
 * wal: what can be told of the write-ahead log before SQLite reads it. SQLite takes a log up to the first frame that is not sound, for a
 * power cut may have torn its end. Damage in its midst looks the same, and so does a log that somebody took away: without a word
 * what was acknowledged would be lost, and its ids given to others. Here both are told from an end that is torn.
 *
 * A commit is synced before the next is written, so a power cut tears one: the last. In what is not sound no commit may therefore have frames
 * of the same log behind it. That a log has to be there, a file beside it says, from when it has something in it until it is
 * put away in order. What is not seen: damage of the last commit, and a log that was cut.
 *
 * The format: https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log".
 */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/mem.h"

#define WAL_HEADER 32
#define WAL_FRAME  24 /* in front of each page */
#define WAL_MAGIC  0x377f0682 /* the last bit: the words that are summed are big-endian */

struct wal {
	FILE *file;
	bool big_endian;
	uint32_t salt[2]; /* of the frames that were written since the log was last begun */
	uint32_t sum[2];  /* of all up to here */
	bool sound;	  /* all up to here */
	int64_t sound_until;
	bool commit; /* the last frame of it ends a commit */
	bool damaged;
};

static uint32_t
wal_word(const unsigned char *bytes, bool big_endian)
{
	return big_endian ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
			  : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void
wal_add(struct wal *wal, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		wal->sum[0] += wal_word(bytes + i, wal->big_endian) + wal->sum[1];
		wal->sum[1] += wal_word(bytes + i + 4, wal->big_endian) + wal->sum[0];
	}
}

static bool
wal_agrees(const struct wal *wal, const unsigned char *sum)
{
	return wal_word(sum, true) == wal->sum[0] && wal_word(sum + 4, true) == wal->sum[1];
}

static void
wal_take_header(struct wal *wal, const unsigned char *header)
{
	uint32_t magic = wal_word(header, true);

	wal->big_endian = (magic & 1) != 0;
	wal_add(wal, header, WAL_HEADER - 8);
	wal->sound = (magic & ~UINT32_C(1)) == WAL_MAGIC && wal_word(header + 8, true) == SCHEMA_PAGE_SIZE && wal_agrees(wal, header + 24);
	if (wal->sound) {
		wal->salt[0] = wal_word(header + 16, true);
		wal->salt[1] = wal_word(header + 20, true);
		wal->sound_until = WAL_HEADER;
	}
}

static void
wal_take_frame(struct wal *wal, const unsigned char *frame, bool first)
{
	if (first && !wal->sound) { /* its header is not to be believed */
		wal->salt[0] = wal_word(frame + 8, true);
		wal->salt[1] = wal_word(frame + 12, true);
	}
	if (wal_word(frame + 8, true) != wal->salt[0] || wal_word(frame + 12, true) != wal->salt[1]) {
		wal->sound = false; /* or of an older log: that is where this one ends */
		return;
	}
	if (wal->sound) {
		wal_add(wal, frame, 8);
		wal_add(wal, frame + WAL_FRAME, SCHEMA_PAGE_SIZE);
		wal->sound = wal_agrees(wal, frame + 16);
		if (wal->sound) {
			wal->sound_until += WAL_FRAME + SCHEMA_PAGE_SIZE;
			return;
		}
	}
	wal->damaged = wal->damaged || wal->commit;
	wal->commit = wal_word(frame + 4, true) != 0;
}

static enum store_open_result
wal_read(struct wal *wal)
{
	unsigned char bytes[WAL_FRAME + SCHEMA_PAGE_SIZE];

	if (fread(bytes, WAL_HEADER, 1, wal->file) == 1) {
		wal_take_header(wal, bytes);
		for (bool first = true; !wal->damaged && fread(bytes, sizeof(bytes), 1, wal->file) == 1; first = false)
			wal_take_frame(wal, bytes, first);
	}
	return ferror(wal->file) ? STORE_OPEN_FAILED : wal->damaged ? STORE_OPEN_CORRUPT : STORE_OPEN_OK;
}

/* errno says that there is no log. */
static enum store_open_result
wal_miss(const char *path, const char *log, char **ret_reason)
{
	enum store_open_result result = STORE_OPEN_OK;
	char *guard = mem_format("%s-open", path);

	if (access(guard, F_OK) == 0) {
		*ret_reason = mem_format("its log, %s, is gone, and with it what was acknowledged last (to do without: rm %s)", log, guard);
		result = STORE_OPEN_CORRUPT;
	}
	free(guard);
	return result;
}

enum store_open_result
sq_wal_look(const char *path, bool synced, char **ret_reason)
{
	enum store_open_result result = STORE_OPEN_OK;
	char *log = mem_format("%s-wal", path);
	struct wal wal = {.file = fopen(log, "re")};

	if (wal.file == NULL && errno == ENOENT)
		result = wal_miss(path, log, ret_reason);
	else if (wal.file == NULL || (synced && (result = wal_read(&wal)) == STORE_OPEN_FAILED))
		*ret_reason = mem_format("its log cannot be read: %s: %s", log, strerror(errno)), result = STORE_OPEN_FAILED;
	else if (result == STORE_OPEN_CORRUPT)
		*ret_reason = mem_format(
		    "its log is damaged from byte %lld on, and more was acknowledged behind that (to do without all of it: truncate -s %lld %s)",
		    (long long)wal.sound_until, (long long)wal.sound_until, log);
	if (wal.file != NULL)
		fclose(wal.file);
	free(log);
	return result;
}

/* ---- that it has to be there ------------------------------------------------------------------------------ */

bool
sq_wal_guard(const char *path)
{
	char *guard = mem_format("%s-open", path), *log = mem_format("%s-wal", path);
	bool there = access(log, F_OK) == 0;
	int fd = there ? open(guard, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;

	if (there && (fd < 0 || sq_sync_folder(path) < 0))
		log_warning("%s cannot be made: %s; should the log be taken away, nobody will know", guard, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(log);
	free(guard);
	return fd >= 0;
}

int
sq_wal_unguard(const char *path)
{
	char *guard = mem_format("%s-open", path);
	int result = unlink(guard) < 0 && errno != ENOENT ? -1 : sq_sync_folder(path);

	free(guard);
	return result;
}
