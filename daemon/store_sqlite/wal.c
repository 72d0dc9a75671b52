/*
 * wal: what can be told of the write-ahead log before SQLite reads it. SQLite takes a log up to the first frame that is not sound, for a
 * power cut may have torn its end. Damage in its midst looks the same, and so does a log that somebody took away: without a word
 * what was acknowledged would be lost, and its ids given to others. Here both are told from an end that is torn.
 *
 * The frames of a log are a chain: the sum of each goes on from that of the frame before it. A commit is synced before the next is
 * begun, so behind the first frame that is not sound no frame can go on from one that ends a commit: where one does, that commit was
 * acknowledged. What else lies there, of transactions that were torn or taken back, goes on from something that was written over since.
 * (All this is so for logs whose commits were synced, and of an SQLite with POWERSAFE_OVERWRITE, as they are built: without it
 * a commit's last frame is repeated.) A file beside the log, the guard, says that the log has to be there, and whether its commits are
 * synced; it is made when there is something in the log, and removed when all of that is in the database.
 *
 * What is not seen: damage of the last commit, or of what tells that a frame ends the commit before it; and a log that was cut.
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
	bool believed;	  /* its header is sound */
	uint32_t salt[2]; /* of the frames that were written since the log was last begun */
	uint32_t sum[2];  /* of all that is sound, and of the frame behind that */
	uint32_t told[2]; /* what the last frame says is its sum */
	bool sound;	  /* all up to here */
	int64_t sound_until;
	bool commit; /* the last frame, which is not sound or behind one that is not, ends a commit */
	bool damaged;
};

static uint32_t
wal_word(const unsigned char *bytes, bool big_endian)
{
	return big_endian ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
			  : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void
wal_add(const struct wal *wal, uint32_t sum[2], const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += wal_word(bytes + i, wal->big_endian) + sum[1];
		sum[1] += wal_word(bytes + i + 4, wal->big_endian) + sum[0];
	}
}

static void
wal_take_header(struct wal *wal, const unsigned char *header)
{
	uint32_t magic = wal_word(header, true);

	wal->big_endian = (magic & 1) != 0;
	wal_add(wal, wal->sum, header, WAL_HEADER - 8);
	wal->believed = (magic & ~UINT32_C(1)) == WAL_MAGIC && wal_word(header + 8, true) == SCHEMA_PAGE_SIZE &&
	    wal_word(header + 24, true) == wal->sum[0] && wal_word(header + 28, true) == wal->sum[1];
	wal->sound = wal->believed;
	if (!wal->believed)
		wal->big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__; /* as this machine writes */
	if (wal->sound) {
		wal->salt[0] = wal_word(header + 16, true);
		wal->salt[1] = wal_word(header + 20, true);
		wal->sound_until = WAL_HEADER;
	}
}

/* Whether the frame goes on from that sum; which is its own then. */
static bool
wal_goes_on(const struct wal *wal, uint32_t sum[2], const unsigned char *frame)
{
	wal_add(wal, sum, frame, 8);
	wal_add(wal, sum, frame + WAL_FRAME, SCHEMA_PAGE_SIZE);
	return wal_word(frame + 16, true) == sum[0] && wal_word(frame + 20, true) == sum[1];
}

static void
wal_take_frame(struct wal *wal, const unsigned char *frame)
{
	uint32_t salt[2] = {wal_word(frame + 8, true), wal_word(frame + 12, true)};
	bool goes_on;

	if (salt[0] != wal->salt[0] || salt[1] != wal->salt[1]) {
		wal->sound = wal->commit = false; /* of an older log: that is where this one ends */
		if (!wal->believed) {
			wal->salt[0] = salt[0];
			wal->salt[1] = salt[1];
		} else {
			return;
		}
	}
	if (wal->sound && wal_goes_on(wal, wal->sum, frame)) {
		wal->sound_until += WAL_FRAME + SCHEMA_PAGE_SIZE;
		return;
	}
	/* From what the frame before says is its sum; or, if that is what is damaged, from what it ought to be. */
	goes_on = !wal->sound && (wal_goes_on(wal, wal->told, frame) || wal_goes_on(wal, wal->sum, frame));
	wal->damaged = wal->damaged || (goes_on && wal->commit);
	wal->sound = false;
	wal->commit = wal_word(frame + 4, true) != 0;
	wal->told[0] = wal_word(frame + 16, true);
	wal->told[1] = wal_word(frame + 20, true);
}

static enum store_open_result
wal_read(struct wal *wal)
{
	unsigned char bytes[WAL_FRAME + SCHEMA_PAGE_SIZE];

	if (fread(bytes, WAL_HEADER, 1, wal->file) == 1) {
		wal_take_header(wal, bytes);
		while (!wal->damaged && fread(bytes, sizeof(bytes), 1, wal->file) == 1)
			wal_take_frame(wal, bytes);
	}
	return ferror(wal->file) ? STORE_OPEN_FAILED : wal->damaged ? STORE_OPEN_CORRUPT : STORE_OPEN_OK;
}

/* ---- the guard -------------------------------------------------------------------------------------------- */

static const char guard_full[] = "full"; /* the beginning of what it holds when all commits in the log were synced */

static char *
guard_path(const char *path)
{
	return mem_format("%s-open", path);
}

/* Whether it is there; and whether it says that the commits were synced. */
static bool
guard_read(const char *guard, bool *ret_synced)
{
	char word[sizeof(guard_full) - 1];
	int fd = open(guard, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	*ret_synced = false;
	if (fd < 0)
		return errno != ENOENT;
	n = pread(fd, word, sizeof(word), 0);
	*ret_synced = n == (ssize_t)sizeof(word) && memcmp(word, guard_full, sizeof(word)) == 0;
	close(fd);
	return true;
}

static int
guard_write(const char *guard, const char *synchronous)
{
	int fd = open(guard, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t len = strlen(synchronous);
	int result;

	if (fd < 0)
		return -1;
	result = pwrite(fd, synchronous, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0 ? fsync(fd) : -1;
	close(fd);
	return result;
}

void
sq_wal_guard(const char *path, const char *synchronous)
{
	char *guard = guard_path(path), *log = mem_format("%s-wal", path);
	bool synced, there = guard_read(guard, &synced);

	/* What an earlier daemon has left of commits that were not synced is in the log still. */
	if (access(log, F_OK) == 0 && !(there && !synced) && (guard_write(guard, synchronous) < 0 || sq_sync_folder(path) < 0))
		log_warning("%s is not for certain on the disk (%s): should %s be taken away, nobody may know", guard, strerror(errno), log);
	free(log);
	free(guard);
}

int
sq_wal_unguard(const char *path)
{
	char *guard = guard_path(path);
	int result = unlink(guard) == 0 ? sq_sync_folder(path) : errno == ENOENT ? 0 : -1;

	free(guard);
	return result;
}

/* ---- looking ---------------------------------------------------------------------------------------------- */

enum store_open_result
sq_wal_look(const char *path, char **ret_reason)
{
	char *guard = guard_path(path), *log = mem_format("%s-wal", path);
	bool synced, guarded = guard_read(guard, &synced);
	struct wal wal = {.file = fopen(log, "re")};
	enum store_open_result result = STORE_OPEN_OK;

	if (wal.file == NULL)
		result = errno != ENOENT ? STORE_OPEN_FAILED : guarded ? STORE_OPEN_CORRUPT : STORE_OPEN_OK;
	else if (synced)
		result = wal_read(&wal);
	if (result == STORE_OPEN_FAILED)
		*ret_reason = mem_format("its log cannot be read: %s: %s", log, strerror(errno));
	else if (result == STORE_OPEN_CORRUPT && wal.file == NULL)
		*ret_reason = mem_format("its log, %s, is gone: unless another program has put it into the database, what was acknowledged last is "
					 "lost (to do without: rm %s)",
		    log, guard);
	else if (result == STORE_OPEN_CORRUPT)
		*ret_reason = mem_format(
		    "its log is damaged from byte %lld on, and more was acknowledged behind that (to do without all of it: truncate -s %lld %s)",
		    (long long)wal.sound_until, (long long)wal.sound_until, log);
	if (wal.file != NULL)
		fclose(wal.file);
	free(log);
	free(guard);
	return result;
}
