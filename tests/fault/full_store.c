/*
 * full_store: see full_store.h.
 */
#include "tests/fault/full_store.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/store.h"

#define HOUR_MS 3600000
#define PATH_MAX_LEN 256

static char path[PATH_MAX_LEN];
static int64_t jobs; /* that the store was made with */
static struct loop *loop;
static struct store *store;
static struct store_opened opened;
static struct spec *specs;
static const char *wrong; /* what was shown that may not be */
static int64_t wrong_id;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "full_store: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(2);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static const char *
log_path(const char *of)
{
	static char name[PATH_MAX_LEN + 8];

	snprintf(name, sizeof(name), "%s-wal", of);
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

struct store_image
full_store_read(const char *from)
{
	struct store_image image;

	image.db = slurp(from, &image.db_len);
	image.wal = slurp(log_path(from), &image.wal_len);
	return image;
}

void
full_store_write(const char *to, const struct store_image *image)
{
	spill(to, image->db, image->db_len);
	spill(log_path(to), image->wal, image->wal_len);
}

void
full_store_free_image(struct store_image *image)
{
	free(image->db);
	free(image->wal);
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

/* The jobs as they are put; the args of a kind are one text for all. */
static void
make_specs(int64_t now_ms)
{
	specs = mem_new_array((size_t)jobs + 2, sizeof(*specs));
	for (int64_t id = 1; id <= jobs + 1; id++)
		make_spec(&specs[id], id, now_ms);
}

static void
begin(const char *at, int64_t n)
{
	int len = snprintf(path, sizeof(path), "%s", at);

	if (len < 0 || (size_t)len >= sizeof(path))
		die("the path is too long: %s", at);
	jobs = n;
	if (specs == NULL)
		make_specs(loop_wall_ms());
}

static void
free_unknown(struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_put; i++)
		free(batch->put[i].unknown);
}

static void
fill_store(int64_t now_ms)
{
	struct store_batch batch = {0};
	char *reason = NULL;

	for (int64_t id = 1; id <= jobs; id++) {
		put(&batch, id, now_ms);
		if (id % (id < jobs / 2 ? jobs / 2 - 1 : 20) != 0)
			continue;
		if (id == jobs - 20)
			*MEMBER(&batch, setting) = (struct store_setting){.queue = "reports", .sets_paused = true, .paused = true};
		commit(&batch);
		if (batch.verdict != STORE_COMMITTED)
			die("the store cannot be filled: %s", batch.reason);
		free_unknown(&batch);
		store_batch_clear(&batch);
		if (id < jobs / 2) { /* this much is in the database itself */
			close_store();
			if (open_store(&reason) != STORE_OPEN_OK)
				die("the store cannot be opened: %s", reason);
		}
	}
	store_batch_done(&batch);
}

void
full_store_make(const char *at, int64_t n, struct store_image images[2])
{
	char *reason = NULL;

	begin(at, n);
	loop = loop_new();
	if (open_store(&reason) != STORE_OPEN_OK)
		die("the store cannot be made: %s", reason);
	fill_store(loop_wall_ms());
	images[1] = full_store_read(path);
	close_store();
	images[0] = full_store_read(path);
	loop_free(loop);
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

			check_row(&read.rows[i], jobs + 2);
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
		check_spec(rows[i].spec, jobs + 2);
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
	put(&batch, jobs + 1, now_ms);
	batch.put[0].place = STORE_READY;
	for (int64_t id = 2; id < jobs; id += 7) {
		*MEMBER(&batch, start) = (struct store_start){.spec = &specs[id + 1], .token = 7777, .attempt = 1, .now_ms = now_ms};
		*MEMBER(&batch, cancel) = (struct store_cancel){.id = id + 3, .error = SPAN_LIT("{\"by\":\"me\"}"), .now_ms = now_ms};
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
	free_unknown(&batch);
	store_batch_done(&batch);
}

/* ---- all of it --------------------------------------------------------------------------------------------------------------- */

enum full_store_came
full_store_try(const char *at, int64_t n, bool desc, struct full_store_wrong *ret_wrong)
{
	enum store_open_result result;
	char *reason = NULL;

	begin(at, n);
	wrong = NULL;
	loop = loop_new();
	result = open_store(&reason);
	if (result != STORE_OPEN_OK) {
		store = NULL;
		if (reason == NULL || reason[0] == '\0')
			complain("it was refused without a reason", 0);
		else if (result != STORE_OPEN_CORRUPT)
			complain(reason, 0);
	} else {
		read_all(false, desc);
		read_all(true, false);
		work(loop_wall_ms());
		read_all(false, false);
		close_store();
	}
	loop_free(loop);
	if (wrong != NULL) {
		snprintf(ret_wrong->what, sizeof(ret_wrong->what), "%s", wrong);
		ret_wrong->job = wrong_id;
	}
	free(reason);
	return wrong != NULL ? FULL_STORE_WRONG : result == STORE_OPEN_OK ? FULL_STORE_OPENED : FULL_STORE_REFUSED;
}
