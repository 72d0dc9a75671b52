/*
 * damage: a store with jobs in all states, whose files are damaged in thousands of ways: bits flipped, pages zeroed, exchanged or filled with
 * anything, files cut, in the database and in its log. Each time it is opened with the daemon's own objects, and all that a daemon would do
 * with it is done (full_store.h).
 *
 *     damage [--count N] [--seed S] [FIRST [LAST]]
 *
 * What may come of it stands in full_store.h. It never dies by a signal, and nothing takes for ever. The damage of a number is the same for the same seed: `damage --seed S N N` plays one.
 *
 * Damages are played by children, a hundred each, so that one that dies costs no more than itself; the parent has no thread.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "tests/fault/full_store.h"

#define JOBS	   400
#define BATCH	   100
#define PAGE	   4096
#define PATIENCE_S 60 /* for one damage, or the store hangs */
#define CHILDREN   2

static char folder[] = "/tmp/fs-damage.XXXXXX";
static char path[96];
static struct store_image images[2]; /* one at rest, and one with much in its log */
static uint64_t seed = 1;
static uint64_t dice;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "damage: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(2);
}

/* splitmix64: the same everywhere for the same seed. */
static uint64_t
roll(uint64_t below)
{
	uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

/* ---- damage ----------------------------------------------------------------------------------------------------------------- */

static void
damage_bytes(char *bytes, size_t *len, bool page_alone)
{
	size_t at, n;

	if (*len == 0)
		return;
	at = roll(*len);
	if (page_alone) /* the schema, and the roots of the tables */
		at %= *len < 4 * PAGE ? *len : (size_t)4 * PAGE;
	switch (roll(8)) {
	default: /* most are a few bits */
		for (n = 1 + roll(8); n > 0; n--, at = roll(*len))
			bytes[at] = (char)(bytes[at] ^ 1 << roll(8));
		break;
	case 1:
		*len = at;
		break;
	case 2: /* a page, or the rest of it, is nothing or anything */
		n = *len - at < PAGE ? *len - at : PAGE - (roll(2) ? at % PAGE : 0);
		for (size_t i = 0; i < n && at + i < *len; i++)
			bytes[at + i] = (char)(dice % 2 ? roll(256) : 0);
		break;
	case 3: /* a page is another one */
		n = roll(*len / PAGE + 1) * PAGE;
		at -= at % PAGE;
		if (at + PAGE <= *len && n + PAGE <= *len)
			memcpy(bytes + at, bytes + n, PAGE);
		break;
	}
}

/* The files as damage number n of this seed leaves them. */
static void
damage(uint64_t n)
{
	const struct store_image *image;
	struct store_image damaged;

	dice = seed * UINT64_C(1000003) + n;
	image = &images[roll(2)];
	damaged = *image;
	damaged.db = mem_copy(image->db, image->db_len);
	damaged.wal = image->wal != NULL ? mem_copy(image->wal, image->wal_len) : NULL;
	if (damaged.wal_len == 0 || roll(3) > 0)
		damage_bytes(damaged.db, &damaged.db_len, roll(3) == 0);
	else
		damage_bytes(damaged.wal, &damaged.wal_len, false);
	full_store_write(path, &damaged);
	full_store_free_image(&damaged);
}

static enum full_store_came
play(uint64_t n)
{
	struct full_store_wrong wrong;
	enum full_store_came came;

	damage(n);
	came = full_store_try(path, JOBS, roll(2), &wrong);
	if (came == FULL_STORE_WRONG)
		fprintf(stderr, "damage: --seed %llu %llu: %s (job %lld)\n", (unsigned long long)seed, (unsigned long long)n, wrong.what,
		    (long long)wrong.job);
	return came;
}

/* ---- children --------------------------------------------------------------------------------------------------------------- */

struct child {
	pid_t pid;
	int fd;
	uint64_t next, last;
};

static void
child_live(struct child *child, int out)
{
	static const struct store_image none = {NULL, NULL, 0, 0};

	snprintf(path, sizeof(path), "%s/%d.db", folder, (int)getpid());
	for (uint64_t n = child->next; n <= child->last; n++) {
		char came;

		alarm(PATIENCE_S);
		came = (char)play(n);
		if (write(out, &came, 1) != 1)
			_exit(2);
	}
	full_store_write(path, &none);
	_exit(0);
}

static void
child_begin(struct child *child)
{
	int fds[2];

	if (pipe(fds) < 0 || (child->pid = fork()) < 0)
		die("a child cannot be made");
	if (child->pid == 0) {
		close(fds[0]);
		child_live(child, fds[1]);
	}
	close(fds[1]);
	child->fd = fds[0];
}

/* To its end; false when it died over a damage, which is counted and left behind. */
static bool
child_finish(struct child *child, unsigned long counts[FULL_STORE_WRONG + 1])
{
	char came;
	int status;

	while (read(child->fd, &came, 1) == 1) {
		counts[(int)came]++;
		child->next++;
	}
	close(child->fd);
	if (waitpid(child->pid, &status, 0) != child->pid)
		die("a child is lost");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	fprintf(stderr, "damage: --seed %llu %llu: %s\n", (unsigned long long)seed, (unsigned long long)child->next,
	    WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it hangs"
		: WIFSIGNALED(status)			       ? strsignal(WTERMSIG(status))
							       : "it ended");
	counts[FULL_STORE_WRONG]++;
	child->next++;
	return false;
}

static void
play_all(uint64_t first, uint64_t last, unsigned long counts[FULL_STORE_WRONG + 1])
{
	struct child children[CHILDREN];

	while (first <= last) {
		int n = 0;

		for (; n < CHILDREN && first <= last; n++, first += BATCH) {
			children[n] = (struct child){.next = first, .last = first + BATCH - 1 < last ? first + BATCH - 1 : last};
			child_begin(&children[n]);
		}
		for (int i = 0; i < n; i++) {
			while (!child_finish(&children[i], counts) && children[i].next <= children[i].last)
				child_begin(&children[i]);
		}
	}
}

static const char *
image_path(int i)
{
	static char name[sizeof(path)];

	snprintf(name, sizeof(name), "%s/%d", folder, i);
	return name;
}

/* The images are made in a child, for that makes threads. */
static void
set_up(void)
{
	int status;
	pid_t pid;

	if (mkdtemp(folder) == NULL)
		die("no folder");
	snprintf(path, sizeof(path), "%s/db", folder);
	pid = fork();
	if (pid == 0) {
		full_store_make(path, JOBS, images);
		for (int i = 0; i < 2; i++)
			full_store_write(image_path(i), &images[i]);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("the store could not be made");
	for (int i = 0; i < 2; i++)
		images[i] = full_store_read(image_path(i));
	if (images[1].wal_len < 10 * PAGE)
		die("there is little in the log: %zu bytes", images[1].wal_len);
}

int
main(int argc, char **argv)
{
	unsigned long counts[FULL_STORE_WRONG + 1] = {0};
	uint64_t count = 5000, first = 1, last;
	char command[64];
	int at = 1;

	for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
		if (strcmp(argv[at], "--seed") == 0)
			seed = strtoull(argv[at + 1], NULL, 10);
		else
			count = strtoull(argv[at + 1], NULL, 10);
	}
	first = at < argc ? strtoull(argv[at], NULL, 10) : 1;
	last = at + 1 < argc ? strtoull(argv[at + 1], NULL, 10) : first + count - 1;
	set_up();
	play_all(first, last, counts);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		die("%s cannot be removed", folder);
	printf("damage: seed %llu: %lu were refused, %lu opened\n", (unsigned long long)seed, counts[FULL_STORE_REFUSED], counts[FULL_STORE_OPENED]);
	printf("damage: %lu passed, %lu failed\n", counts[FULL_STORE_REFUSED] + counts[FULL_STORE_OPENED], counts[FULL_STORE_WRONG]);
	return counts[FULL_STORE_WRONG] > 0 || counts[FULL_STORE_REFUSED] + counts[FULL_STORE_OPENED] == 0;
}
