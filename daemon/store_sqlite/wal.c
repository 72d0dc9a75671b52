/*
 * wal: what can be told of the write-ahead log before SQLite reads it. SQLite takes a log up to the first frame that is not sound, for a
 * power cut may have torn its end. Damage in its midst looks the same, and so does a log that somebody took away: without a word
 * what was acknowledged would be lost, and its ids given to others. Here both are told from an end that is torn.
 *
 * The frames of a log are a chain: the sum of each goes on from that of the frame before it. A commit is synced before the next is
 * begun, so behind the first frame that is not sound no frame can go on from one that ends a commit: where one does, that commit was
 * acknowledged. What else lies there, of transactions that were torn or taken back, goes on from something that was written over since.
 * (All this is so for logs whose commits were synced, and of an SQLite with POWERSAFE_OVERWRITE, as they are built: without it
 * a commit's last frame is repeated.) A file beside the log, the guard, says that the log has to be there, whether its commits are
 * synced, and to which database it belongs; it is made when there is something in the log, and removed when all of that is in the database.
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
#define WAL_LEAST  (WAL_HEADER + WAL_FRAME + SCHEMA_PAGE_SIZE) /* that has something in it */
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

/* One of the words that are summed; all else in the log is big-endian. */
static uint32_t
wal_word(const struct wal *wal, const unsigned char *bytes)
{
	return wal->big_endian ? sq_big_endian(bytes)
			       : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void
wal_add(const struct wal *wal, uint32_t sum[2], const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += wal_word(wal, bytes + i) + sum[1];
		sum[1] += wal_word(wal, bytes + i + 4) + sum[0];
	}
}

static void
wal_take_header(struct wal *wal, const unsigned char *header)
{
	uint32_t magic = sq_big_endian(header);

	wal->big_endian = (magic & 1) != 0;
	wal_add(wal, wal->sum, header, WAL_HEADER - 8);
	wal->believed = (magic & ~UINT32_C(1)) == WAL_MAGIC && sq_big_endian(header + 8) == SCHEMA_PAGE_SIZE &&
	    sq_big_endian(header + 24) == wal->sum[0] && sq_big_endian(header + 28) == wal->sum[1];
	wal->sound = wal->believed;
	if (!wal->believed)
		wal->big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__; /* as this machine writes */
	if (wal->sound) {
		wal->salt[0] = sq_big_endian(header + 16);
		wal->salt[1] = sq_big_endian(header + 20);
		wal->sound_until = WAL_HEADER;
	}
}

/* Whether the frame goes on from that sum; which is its own then. */
static bool
wal_goes_on(const struct wal *wal, uint32_t sum[2], const unsigned char *frame)
{
	wal_add(wal, sum, frame, 8);
	wal_add(wal, sum, frame + WAL_FRAME, SCHEMA_PAGE_SIZE);
	return sq_big_endian(frame + 16) == sum[0] && sq_big_endian(frame + 20) == sum[1];
}

static void
wal_take_frame(struct wal *wal, const unsigned char *frame)
{
	uint32_t salt[2] = {sq_big_endian(frame + 8), sq_big_endian(frame + 12)};
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
	wal->commit = sq_big_endian(frame + 4) != 0;
	wal->told[0] = sq_big_endian(frame + 16);
	wal->told[1] = sq_big_endian(frame + 20);
}

/* 0, or -1 with errno. */
static int
wal_read(struct wal *wal)
{
	unsigned char bytes[WAL_FRAME + SCHEMA_PAGE_SIZE];

	if (fread(bytes, WAL_HEADER, 1, wal->file) == 1) {
		wal_take_header(wal, bytes);
		while (!wal->damaged && fread(bytes, sizeof(bytes), 1, wal->file) == 1)
			wal_take_frame(wal, bytes);
	}
	return ferror(wal->file) ? -1 : 0;
}

/* ---- the guard -------------------------------------------------------------------------------------------- */

/* What it holds: "full 12", as commits were synced, and the incarnation that stood in the database itself when the log was begun; 0: it is not known. */
struct guard {
	bool there;
	bool synced;
	int64_t incarnation;
};

static char *
guard_path(const char *path)
{
	return mem_format("%s-open", path);
}

static struct guard
guard_read(const char *path)
{
	char *name = guard_path(path), text[64] = "", *end;
	struct guard guard = {0};
	int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	guard.there = fd >= 0 || errno != ENOENT;
	if (fd >= 0) {
		if (pread(fd, text, sizeof(text) - 1, 0) < 0)
			text[0] = '\0';
		close(fd);
	}
	end = strchr(text, ' ');
	if (end != NULL) {
		*end = '\0';
		guard.synced = strcmp(text, "full") == 0;
		guard.incarnation = strtoll(end + 1, NULL, 10);
	}
	free(name);
	return guard;
}

static int
guard_write(const char *path, const char *synchronous, int64_t incarnation)
{
	char *name = guard_path(path), *text = mem_format("%s %lld\n", synchronous, (long long)incarnation);
	int fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), result = -1;
	size_t len = strlen(text);

	if (fd >= 0 && pwrite(fd, text, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0 && fsync(fd) == 0)
		result = sq_sync_folder(path);
	if (fd >= 0)
		close(fd);
	free(text);
	free(name);
	return result;
}

void
sq_wal_guard(const char *path, const char *synchronous, int64_t incarnation)
{
	struct guard guard = guard_read(path);
	char *log = mem_format("%s-wal", path);
	struct stat st;

	/* What an earlier daemon has left of commits that were not synced is in the log still. */
	if (guard.there && !guard.synced)
		synchronous = "normal";
	if (stat(log, &st) == 0 && st.st_size >= WAL_LEAST && guard_write(path, synchronous, incarnation) < 0)
		log_warning("%s-open is not for certain on the disk (%s): should the log be taken away, nobody may know", path, strerror(errno));
	free(log);
}

int
sq_wal_unguard(const char *path)
{
	char *name = guard_path(path);
	int result = unlink(name) == 0 ? sq_sync_folder(path) : errno == ENOENT ? 0 : -1;

	free(name);
	return result;
}

/* ---- looking ---------------------------------------------------------------------------------------------- */

/* A path as SQLite's URIs have it. */
static char *
look_uri(const char *path)
{
	char *uri = mem_new(sizeof("file:?immutable=1") + 3 * strlen(path)), *at = uri + sprintf(uri, "file:");

	for (; *path != '\0'; path++)
		at += sprintf(at, strchr("?#%", *path) != NULL ? "%%%02x" : "%c", (unsigned char)*path);
	strcpy(at, "?immutable=1");
	return uri;
}

/* Of the database without its log; -1 when it cannot be told. Nothing else may have the file open: closing it lets go of its locks. */
static int64_t
look_incarnation(const char *path)
{
	char *uri = look_uri(path);
	sqlite3_stmt *statement = NULL;
	sqlite3 *sqlite = NULL;
	int64_t incarnation = -1;

	if (sqlite3_open_v2(uri, &sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(sqlite, "SELECT incarnation FROM meta", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		incarnation = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(sqlite);
	free(uri);
	return incarnation;
}

static char *
look_damaged(const char *path, const char *log, int64_t at)
{
	char *without = at < WAL_LEAST ? mem_format("rm %s %s-open", log, path) : mem_format("truncate -s %lld %s", (long long)at, log);
	char *wrong = mem_format("its log is damaged from byte %lld on, and more was acknowledged behind that (to do without all of it: %s)",
	    (long long)at, without);

	free(without);
	return wrong;
}

/* What is wrong with the log, malloc'ed, or NULL; *ret_failed: it could not be read. */
static char *
look_at_log(const char *path, const char *log, const struct guard *guard, bool synced, bool *ret_failed)
{
	struct wal wal = {.file = fopen(log, "re")};
	struct stat st = {0};
	char *wrong = NULL;
	int64_t incarnation;

	*ret_failed = wal.file == NULL ? errno != ENOENT : fstat(fileno(wal.file), &st) < 0;
	if (!*ret_failed && guard->there && st.st_size < WAL_LEAST) {
		wrong = mem_format("its log, %s, is gone: unless another program has put it into the database, what was acknowledged last is lost "
				   "(to do without: rm %s-open)",
		    log, path);
	} else if (!*ret_failed && guard->incarnation > 0 && (incarnation = look_incarnation(path)) >= 0 && incarnation < guard->incarnation) {
		wrong = mem_format("it is an older copy, and %s belongs to what was there before (to go on with the copy: rm %s %s-open)", log, log, path);
	} else if (!*ret_failed && wal.file != NULL && synced) {
		*ret_failed = wal_read(&wal) < 0;
		if (wal.damaged)
			wrong = look_damaged(path, log, wal.sound_until);
	}
	if (*ret_failed)
		wrong = mem_format("its log cannot be read: %s: %s", log, strerror(errno));
	if (wal.file != NULL)
		fclose(wal.file);
	return wrong;
}

enum store_open_result
sq_wal_look(const char *path, const char *synchronous, char **ret_reason)
{
	struct guard guard = guard_read(path);
	char *log = mem_format("%s-wal", path);
	bool failed;

	*ret_reason = look_at_log(path, log, &guard, guard.there ? guard.synced : strcmp(synchronous, "full") == 0, &failed);
	free(log);
	return *ret_reason == NULL ? STORE_OPEN_OK : failed ? STORE_OPEN_FAILED : STORE_OPEN_CORRUPT;
}

/* A log without its database would be replayed into a new one. */
enum store_open_result
sq_wal_look_alone(const char *path, char **ret_reason)
{
	static const char *const left[] = {"-wal", "-open"};
	enum store_open_result result = STORE_OPEN_OK;
	struct stat st;

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]) && result == STORE_OPEN_OK; i++) {
		char *name = mem_format("%s%s", path, left[i]);

		if (lstat(name, &st) == 0 && st.st_size > 0) {
			*ret_reason = mem_format("it is not there, but %s is, which belongs to it (to begin with an empty store: rm %s-*)", name, path);
			result = STORE_OPEN_CORRUPT;
		}
		free(name);
	}
	return result;
}
