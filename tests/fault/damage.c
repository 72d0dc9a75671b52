/*
 * damage: a store with jobs in all states, whose files are damaged in thousands of ways: bits flipped, pages zeroed, exchanged or filled with
 * anything, files cut, in the database and in its log. Each time it is opened with the daemon's own objects, and all that a daemon would do
 * with it is done.
 *
 *     damage [--count N] [--seed S] [FIRST [LAST]]
 *
 * The store either opens and serves, or is refused with a reason; a read may fail, a commit may be refused. What it shows are jobs: ids that
 * were handed out, each once, in a state that there is, with texts that are UTF-8 and values that are JSON. It never dies by a signal, and
 * nothing takes for ever. The damage of a number is the same for the same seed: `damage --seed S N N` plays one.
 *
 * Damages are played by children, a hundred each, so that one that dies costs no more than itself; the parent has no thread.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/store.h"

#define JOBS	   400
#define BATCH	   100
#define PAGE	   4096
#define PATIENCE_S 60 /* for one damage, or the store hangs */
#define HOUR_MS	   3600000
#define CHILDREN   2

struct image {
	char *db, *wal;
	size_t db_len, wal_len;
};

/* What a child tells of each. */
enum came { CAME_REFUSED, CAME_OPENED, CAME_WRONG, CAMES };

static char folder[] = "/tmp/fs-damage.XXXXXX";
static char path[96];
static struct image images[2]; /* one at rest, and one with much in its log */
static struct loop *loop;
static struct store *store;
static struct store_opened opened;
static struct spec specs[JOBS + 2];
static uint64_t seed = 1;
static uint64_t dice;
static const char *wrong; /* what was shown that may not be */
static int64_t wrong_id;

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

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static const char *
log_path(void)
{
	static char name[sizeof(path) + 8];

	snprintf(name, sizeof(name), "%s-wal", path);
	return name;
}

static char *
slurp(const char *name, size_t *ret_len)
{
	FILE *file = fopen(name, "re");
	struct stat st;
	char *bytes;

	*ret_len = 0;
	if (file == NULL)
		return NULL;
	if (fstat(fileno(file), &st) < 0)
		die("%s cannot be read", name);
	bytes = mem_new((size_t)st.st_size + 1);
	*ret_len = fread(bytes, 1, (size_t)st.st_size, file);
	fclose(file);
	return bytes;
}

static void
spill(const char *name, const char *bytes, size_t len)
{
	FILE *file;

	unlink(name);
	if (bytes == NULL)
		return;
	file = fopen(name, "we");
	if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0)
		die("%s cannot be written", name);
}

static struct image
take_image(void)
{
	struct image image;

	image.db = slurp(path, &image.db_len);
	image.wal = slurp(log_path(), &image.wal_len);
	return image;
}

/* ---- the store -------------------------------------------------------------------------------------------------------------- */

static int64_t
backoff(int64_t first_ms, int attempt)
{
	return first_ms * attempt;
}

static char *
dependency_error(int64_t parent, enum job_state state)
{
	return mem_format("{\"parent\":%lld,\"state\":%d}", (long long)parent, (int)state);
}

static enum store_open_result
open_store(char **ret_reason)
{
	const struct store_open_config config = {.path = path,
	    .synchronous = "off",
	    .now_ms = loop_wall_ms(),
	    .retention_ms = HOUR_MS,
	    .lost_error = "{\"type\":\"Lost\",\"attempt\":%d}",
	    .cancelled_error = "{\"type\":\"Cancelled\"}",
	    .expired_error = "{\"type\":\"Expired\"}",
	    .dependency_error = dependency_error,
	    .backoff_ms = backoff};

	return store_sqlite.open(loop, &config, &store, &opened, ret_reason);
}

static void
close_store(void)
{
	store_sqlite.close(store);
	loop_deliver(loop);
	store_opened_done(&opened);
	store = NULL;
}

static void
turn_until(const bool *done)
{
	while (!*done)
		event_base_loop(loop_base(loop), EVLOOP_ONCE);
}

static void
batch_done(struct store_batch *batch, void *arg)
{
	(void)batch;
	*(bool *)arg = true;
}

static void
commit(struct store_batch *batch)
{
	bool done = false;

	batch->done = batch_done;
	batch->arg = &done;
	store_sqlite.commit(store, batch);
	turn_until(&done);
}

#define MEMBER(batch, name)                                                                                                     \
	((batch)->name = mem_room((batch)->name, (batch)->n_##name, &(batch)->name##_capacity, sizeof(*(batch)->name)), \
	    &(batch)->name[(batch)->n_##name++])

/* ---- a store with all there is ---------------------------------------------------------------------------------------------- */

static const struct span parents = SPAN_LIT("[4,9]");

static void
make_spec(struct spec *spec, int64_t id, int64_t now_ms)
{
	static char *args[4];
	static const char *const queues[] = {"default", "reports", "m\303\274ll"};
	static const size_t lengths[] = {4, 40, 900, 9000};
	size_t len = lengths[id % 17 == 0 ? 3 : id % 5 == 0 ? 2 : id % 2];
	char **text = &args[id % 17 == 0 ? 3 : id % 5 == 0 ? 2 : id % 2];

	if (*text == NULL) {
		*text = mem_new(len + 1);
		memset(*text, 'a', len);
		memcpy(*text, "[\"", 2);
		memcpy(*text + len - 2, "\"]", 2);
	}
	*spec = (struct spec){.id = id, .pool = (uint8_t)(id % POOL_COUNT), .max_attempts = 3, .submitted_ms = now_ms, .backoff_ms = 1000};
	spec->not_before_ms = spec->timeout_ms = spec->retain_ms = spec->expires_ms = SPEC_NONE;
	spec->idempotent = id % 3 == 0;
	spec->priority = (int16_t)(id % 7 - 3);
	spec->task = id % 4 == 0 ? "exec" : "noop";
	spec->queue = queues[id % 3];
	spec->owner = id % 2 == 0 ? "uid:1" : "token:ci";
	spec->args = (struct span){*text, len};
	if (id % 6 == 0)
		spec->label = "nightly \303\251t\303\251";
	if (id % 11 == 0)
		spec->webhook = "http://127.0.0.1/hook";
	if (id % 13 == 0)
		spec->expires_ms = now_ms + HOUR_MS;
}

static void
make_end(struct store_end *end, int64_t id, int64_t now_ms)
{
	*end = (struct store_end){.state = (enum job_state)(JOB_SUCCEEDED + id % 3), .attempt = 1, .worker = 99, .output = id % 4 == 0};
	end->started_ms = now_ms;
	end->finished_ms = now_ms + 5;
	end->until_ms = now_ms + (id % 8 == 0 ? -HOUR_MS : HOUR_MS);
	end->json = end->state == JOB_SUCCEEDED ? SPAN_LIT("[1,{\"a\":null}]") : SPAN_LIT("{\"type\":\"TaskError\",\"message\":\"no\"}");
}

static void
put(struct store_batch *batch, int64_t id, int64_t now_ms)
{
	static const enum store_place places[] = {STORE_DONE, STORE_READY, STORE_DONE, STORE_DELAYED, STORE_RUNNING, STORE_READY, STORE_WAITING};
	struct store_put *member = MEMBER(batch, put);
	struct spec *spec = &specs[id];

	make_spec(spec, id, now_ms);
	*member = (struct store_put){.spec = spec, .count = 1, .place = places[id % 7], .token = (uint64_t)id};
	if (member->place == STORE_DELAYED)
		spec->not_before_ms = now_ms + (id % 9 == 0 ? -1 : HOUR_MS);
	if (member->place == STORE_WAITING)
		spec->after = parents;
	if (id % 10 == 0) {
		spec->key = mem_format("key-%d", (int)id);
		member->key_until_ms = now_ms + HOUR_MS;
	}
	make_end(&member->end, id, now_ms);
	batch->high_water = id;
}

/* Both images; in a child, for it makes threads. */
static void
make_images(void)
{
	int64_t now_ms = loop_wall_ms();
	struct store_batch batch = {0};
	char name[128], *reason = NULL;

	if (open_store(&reason) != STORE_OPEN_OK)
		die("the store cannot be made: %s", reason);
	for (int64_t id = 1; id <= JOBS; id++) {
		put(&batch, id, now_ms);
		if (id % (id < JOBS / 2 ? JOBS / 2 - 1 : 20) != 0)
			continue;
		if (id == JOBS - 20)
			*MEMBER(&batch, setting) = (struct store_setting){.queue = "reports", .sets_paused = true, .paused = true};
		commit(&batch);
		if (batch.verdict != STORE_COMMITTED)
			die("the store cannot be filled: %s", batch.reason);
		store_batch_clear(&batch);
		if (id < JOBS / 2) { /* this much is in the database itself */
			close_store();
			if (open_store(&reason) != STORE_OPEN_OK)
				die("the store cannot be opened: %s", reason);
		}
	}
	for (int i = 0; i < 2; i++) {
		struct image image = take_image();

		snprintf(name, sizeof(name), "%s/%d", folder, 1 - i);
		spill(name, image.db, image.db_len);
		snprintf(name, sizeof(name), "%s/%d-wal", folder, 1 - i);
		spill(name, image.wal, image.wal_len);
		if (i == 0)
			close_store();
	}
}

/* ---- what may be shown ------------------------------------------------------------------------------------------------------ */

static void
complain(const char *what, int64_t id)
{
	if (wrong == NULL) {
		wrong = what;
		wrong_id = id;
	}
}

static bool
is_json(struct span value)
{
	return value.at != NULL && jsonspan_validate_reply(value, NULL, NULL) == 0;
}

static bool
is_text(const char *text)
{
	return text == NULL || jsonspan_is_text(text, strlen(text));
}

static void
check_spec(const struct spec *spec, int64_t last_id)
{
	if (spec->id < 1 || spec->id > last_id)
		complain("a job that nobody has submitted", spec->id);
	if (spec->task == NULL || spec->queue == NULL || spec->owner == NULL || spec->pool >= POOL_COUNT)
		complain("a job without a task, queue, owner or pool", spec->id);
	else if (!is_text(spec->task) || !is_text(spec->queue) || !is_text(spec->owner) || !is_text(spec->label) || !is_text(spec->key) ||
	    !is_text(spec->webhook))
		complain("a text that is none", spec->id);
	if (!is_json(spec->args))
		complain("args that are not JSON", spec->id);
	if (spec->after.at != NULL && !is_json(spec->after))
		complain("parents that are not JSON", spec->id);
}

static void
check_row(const struct store_row *row, int64_t last_id)
{
	if (row->spec.id != row->id)
		complain("a row of two ids", row->id);
	check_spec(&row->spec, last_id);
	if (row->state < 0 || row->state >= JOB_STATE_COUNT || (row->place == STORE_DONE) != (row->state >= JOB_SUCCEEDED))
		complain("a state that there is not", row->id);
	if (row->place == STORE_DONE && row->json.at != NULL && !is_json(row->json))
		complain("a result that is not JSON", row->id);
}

static void
read_done(struct store_read *read, void *arg)
{
	(void)read;
	*(bool *)arg = true;
}

static void
read_all(bool by_end, bool desc)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct store_read read = {.ranges = &all, .n_ranges = 1, .by_end = by_end, .desc = desc, .max_rows = 50, .max_bytes = 1 << 20};
	int64_t before = 0;
	bool done;

	read.fields = STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT | STORE_FIELD_ERROR;
	do {
		done = false;
		read.done = read_done;
		read.arg = &done;
		store_sqlite.read(store, &read);
		turn_until(&done);
		if (read.error != 0) {
			if (read.reason[0] == '\0')
				complain("a read that fails without a reason", 0);
			return;
		}
		for (size_t i = 0; i < read.n_rows; i++) {
			int64_t place = by_end ? read.rows[i].seq : read.rows[i].id;

			check_row(&read.rows[i], JOBS + 2);
			if (before != 0 && (desc ? place >= before : place <= before))
				complain("rows out of order, or one twice", read.rows[i].id);
			before = place;
		}
		read.cursor = read.next;
		store_read_done(&read);
	} while (read.more);
}

/* ---- what a daemon does ----------------------------------------------------------------------------------------------------- */

static void
survey_done(struct store_survey *survey, void *arg)
{
	(void)survey;
	*(bool *)arg = true;
}

static void
expired_done(struct store_expired *expired, void *arg)
{
	(void)expired;
	*(bool *)arg = true;
}

static void
webhooks_done(struct store_webhooks *webhooks, void *arg)
{
	(void)webhooks;
	*(bool *)arg = true;
}

static void
ask_the_rest(struct store_batch *batch, int64_t now_ms)
{
	struct store_oldest queue = {.queue = "reports"};
	bool surveyed = false, expired = false, asked = false;
	struct store_survey survey = {.queues = &queue, .n_queues = 1, .done = survey_done, .arg = &surveyed};
	struct store_expired over = {.now_ms = now_ms, .max = 100, .done = expired_done, .arg = &expired};
	struct store_webhooks due = {.now_ms = now_ms, .max = 100, .done = webhooks_done, .arg = &asked};

	store_sqlite.survey(store, &survey);
	store_sqlite.expired(store, &over);
	store_sqlite.webhooks(store, &due);
	turn_until(&surveyed);
	turn_until(&expired);
	turn_until(&asked);
	for (size_t i = 0; over.error == 0 && i < over.n; i++)
		*MEMBER(batch, forget) = over.ids[i];
	for (size_t i = 0; due.error == 0 && i < due.n; i++)
		*MEMBER(batch, webhook) = (struct store_webhook){.id = due.due[i].id, .run_at_ms = SPEC_NONE, .tries = 1};
	if (over.error == 0) {
		free(over.ids);
		free(over.has_output);
		free(over.spared);
	}
	if (due.error == 0)
		free(due.due);
}

static void
check_ready(struct store_ready *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check_spec(rows[i].spec, JOBS + 2);
		spec_unref(rows[i].spec);
	}
	free(rows);
}

/* A commit of a bit of all, once more when what came of it is certain. */
static void
work(int64_t now_ms)
{
	struct store_batch batch = {0};

	ask_the_rest(&batch, now_ms);
	put(&batch, JOBS + 1, now_ms);
	batch.put[0].place = STORE_READY;
	for (int64_t id = 2; id < JOBS; id += 7) {
		*MEMBER(&batch, start) = (struct store_start){.spec = &specs[id + 1], .token = 7777, .attempt = 1, .now_ms = now_ms};
		*MEMBER(&batch, cancel) = (struct store_cancel){.id = id + 3, .error = SPAN_LIT("{\"by\":\"me\"}"), .now_ms = now_ms, .until_ms = now_ms};
	}
	for (size_t i = 0; i < opened.n_lines; i++)
		*MEMBER(&batch, fill) = (struct store_fill){.pool = opened.lines[i].pool,
		    .queue = opened.lines[i].queue,
		    .owner = opened.lines[i].owner,
		    .from_start = true,
		    .n = 40,
		    .max_bytes = 1 << 20};
	batch.promote = (struct store_promote){.wanted = true, .now_ms = now_ms, .n = 100};
	commit(&batch);
	if (batch.verdict != STORE_COMMITTED && batch.reason[0] == '\0')
		complain("a commit that fails without a reason", 0);
	if (batch.verdict == STORE_COMMITTED) {
		for (size_t i = 0; i < batch.n_fill; i++)
			check_ready(batch.fill[i].rows, batch.fill[i].n_rows);
		check_ready(batch.promote.rows, batch.promote.n_rows);
	}
	for (size_t i = 0; i < batch.n_put; i++)
		free(batch.put[i].unknown);
	store_batch_done(&batch);
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
	const struct image *image;
	size_t db_len, wal_len;
	char *db, *wal;

	dice = seed * UINT64_C(1000003) + n;
	image = &images[roll(2)];
	db_len = image->db_len;
	wal_len = image->wal_len;
	db = mem_copy(image->db, db_len);
	wal = image->wal != NULL ? mem_copy(image->wal, wal_len) : NULL;
	if (wal_len == 0 || roll(3) > 0)
		damage_bytes(db, &db_len, roll(3) == 0);
	else
		damage_bytes(wal, &wal_len, false);
	spill(path, db, db_len);
	spill(log_path(), wal, wal_len);
	free(db);
	free(wal);
}

static enum came
play(uint64_t n)
{
	enum store_open_result result;
	char *reason = NULL;

	wrong = NULL;
	damage(n);
	result = open_store(&reason);
	if (result != STORE_OPEN_OK) {
		store = NULL;
		if (reason == NULL || reason[0] == '\0')
			complain("it was refused without a reason", 0);
		else if (result != STORE_OPEN_CORRUPT)
			complain(reason, 0);
	} else {
		read_all(false, roll(2));
		read_all(true, false);
		work(loop_wall_ms());
		read_all(false, false);
		close_store();
	}
	if (wrong != NULL)
		fprintf(stderr, "damage: --seed %llu %llu: %s (job %lld)\n", (unsigned long long)seed, (unsigned long long)n, wrong, (long long)wrong_id);
	free(wrong != NULL ? NULL : reason);
	return wrong != NULL ? CAME_WRONG : result == STORE_OPEN_OK ? CAME_OPENED : CAME_REFUSED;
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
	snprintf(path, sizeof(path), "%s/%d.db", folder, (int)getpid());
	loop = loop_new();
	for (int64_t id = 1; id <= JOBS + 1; id++)
		make_spec(&specs[id], id, loop_wall_ms());
	for (uint64_t n = child->next; n <= child->last; n++) {
		char came;

		alarm(PATIENCE_S);
		came = (char)play(n);
		if (write(out, &came, 1) != 1)
			_exit(2);
	}
	unlink(path);
	unlink(log_path());
	loop_free(loop);
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
child_finish(struct child *child, unsigned long counts[CAMES])
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
	counts[CAME_WRONG]++;
	child->next++;
	return false;
}

static void
play_all(uint64_t first, uint64_t last, unsigned long counts[CAMES])
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

static void
set_up(void)
{
	char name[128];
	int status;
	pid_t pid;

	if (mkdtemp(folder) == NULL)
		die("no folder");
	snprintf(path, sizeof(path), "%s/db", folder);
	pid = fork();
	if (pid == 0) {
		loop = loop_new();
		make_images();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("the store could not be made");
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%d", folder, i);
		images[i].db = slurp(name, &images[i].db_len);
		snprintf(name, sizeof(name), "%s/%d-wal", folder, i);
		images[i].wal = slurp(name, &images[i].wal_len);
	}
	if (images[1].wal_len < 10 * PAGE)
		die("there is little in the log: %zu bytes", images[1].wal_len);
}

int
main(int argc, char **argv)
{
	unsigned long counts[CAMES] = {0};
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
	printf("damage: seed %llu: %lu were refused, %lu opened\n", (unsigned long long)seed, counts[CAME_REFUSED], counts[CAME_OPENED]);
	printf("damage: %lu passed, %lu failed\n", counts[CAME_REFUSED] + counts[CAME_OPENED], counts[CAME_WRONG]);
	return counts[CAME_WRONG] > 0 || counts[CAME_REFUSED] + counts[CAME_OPENED] == 0;
}
