/*
 * test_store_memory: the store while SQLite has no memory. One in a few of its allocations in turn (with FUTURED_MEMORY_ALL=1 each)
 * fails, once, or it and all behind it, in a session that opens a store, commits, reads, closes it and recovers what was running. The store then says so: it does not open, a
 * batch was not applied or nobody knows, a read failed. It never calls a sound store damaged and never gives a wrong answer; and what
 * it had confirmed is there when there is memory again.
 */
#include <stdatomic.h>

#include "tests/unit/store_rig.h"

#define HOOK  "http://127.0.0.1/x"
#define ITEMS 20
#define OPENING 37

/* ---- no power is cut here ---------------------------------------------------------------------------------- */

/* In place of the C library's, also for SQLite: a disk would take most of the time. */
int
fsync(int fd)
{
	(void)fd;
	return 0;
}

int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- memory that runs out ---------------------------------------------------------------------------------- */

static sqlite3_mem_methods real;
static atomic_long left;    /* allocations until the one that fails; 0: none does */
static atomic_bool lasting; /* and all behind it */
static atomic_long struck;
static atomic_long asked; /* since it was last set to fail */

static bool
fails(void)
{
	long now = atomic_load(&left);

	atomic_fetch_add(&asked, 1);
	if (now == 0)
		return false;
	if (now > 1) {
		atomic_store(&left, now - 1);
		return false;
	}
	if (!atomic_load(&lasting))
		atomic_store(&left, 0);
	atomic_fetch_add(&struck, 1);
	return true;
}

static void *
failing_malloc(int size)
{
	return fails() ? NULL : real.xMalloc(size);
}

static void *
failing_realloc(void *old, int size)
{
	return fails() ? NULL : real.xRealloc(old, size);
}

static void
memory_install(void)
{
	sqlite3_mem_methods failing;

	ck_assert_int_eq(sqlite3_shutdown(), SQLITE_OK);
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
	failing = real;
	failing.xMalloc = failing_malloc;
	failing.xRealloc = failing_realloc;
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
	/* What SQLite sets aside for small things would hide all of these. */
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0), SQLITE_OK);
	ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
}

static void
memory_fail(long at, bool go_on)
{
	atomic_store(&struck, 0);
	atomic_store(&asked, 0);
	atomic_store(&lasting, go_on);
	atomic_store(&left, at);
}

/* ---- the session ------------------------------------------------------------------------------------------- */

enum step { PUT, WORK, STEPS };

static enum store_verdict verdicts[STEPS]; /* STORE_UNAVAILABLE also for what was not asked */
static struct spec plain, running, waiting, keyed, again;
static char items[3 * ITEMS + 2];

static void
make_specs(void)
{
	plain = template(1);
	plain.label = "the label of the first";
	plain.webhook = HOOK;
	running = template(2);
	keyed = template(3);
	keyed.key = "a key";
	memset(keyed.digest, 7, sizeof(keyed.digest));
	again = template(4);
	again.idempotent = true;
	again.max_attempts = 3;
	again.queue = "a queue of its own";
	waiting = template(5);
	waiting.after = SPAN_LIT("[2]");
	waiting.args = SPAN_NONE;
	for (size_t i = 0; i < ITEMS; i++)
		memcpy(items + 1 + 3 * i, "17,", 3);
	items[0] = '[';
	items[3 * ITEMS] = ']';
}

static enum store_verdict
commit_step(enum step step)
{
	verdicts[step] = commit_any();
	ck_assert_int_ne(verdicts[step], STORE_FULL);
	if (verdicts[step] != STORE_COMMITTED)
		ck_assert_str_ne(batch.reason, "");
	for (size_t i = 0; i < batch.n_fill; i++) {
		for (size_t j = 0; j < batch.fill[i].n_rows; j++)
			ck_assert_str_eq(batch.fill[i].rows[j].spec->label, plain.label);
		free_rows(&batch.fill[i].rows, &batch.fill[i].n_rows);
	}
	free_rows(&batch.promote.rows, &batch.promote.n_rows);
	store_batch_clear(&batch);
	return verdicts[step];
}

static void
put_all(void)
{
	put(&plain, STORE_READY);
	put(&running, STORE_RUNNING)->token = 7;
	put(&keyed, STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED,
	    .attempt = 1,
	    .started_ms = now_ms,
	    .finished_ms = now_ms,
	    .until_ms = now_ms + HOUR_MS,
	    .json = SPAN_LIT("\"done\"")};
	put(&again, STORE_RUNNING)->token = 8;
	put(&waiting, STORE_WAITING)->items = (struct span){items, strlen(items)};
	batch.put[batch.n_put - 1].count = ITEMS;
	batch.high_water = 4 + ITEMS;
	fill("default", "uid:1", 10);
	commit_step(PUT);
}

/* The key is known by now, if anything is. */
static void
work_on(void)
{
	struct spec same = keyed;

	same.id = 30;
	finish(&running, 7);
	put(&same, STORE_READY);
	cancel(1, "uid:1");
	*MEMBER(setting) = (struct store_setting){.queue = "a new queue", .sets_limit = true, .limit = 3};
	verdicts[WORK] = commit_any();
	if (verdicts[WORK] == STORE_COMMITTED) {
		ck_assert_int_eq(batch.finish[0].answer, STORE_OK);
		ck_assert_int_eq(batch.put[0].answer, STORE_DUPLICATE);
		ck_assert_int_eq(batch.put[0].existing_id, 3);
		ck_assert_int_eq(batch.cancel[0].answer, STORE_CANCELLED);
	} else {
		ck_assert_str_ne(batch.reason, "");
	}
	free_rows(&batch.promote.rows, &batch.promote.n_rows);
	store_batch_clear(&batch);
}

/* An answer is the right one, or it says that it is none. */
static void
read_some(void)
{
	static const struct id_range first = {1, 1};
	char *labels[] = {(char *)plain.label};
	struct selection_filter filter = {.labels = labels, .n_labels = 1};
	bool done = false;

	answer = (struct store_read){.ranges = &first,
	    .n_ranges = 1,
	    .filter = &filter,
	    .max_rows = 10,
	    .max_bytes = 1 << 20,
	    .fields = STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT | STORE_FIELD_ERROR,
	    .done = read_set_true,
	    .arg = &done};
	store_sqlite.read(store, &answer);
	PUMP(loop, done);
	if (answer.error != 0) {
		ck_assert_str_ne(answer.reason, "");
		return;
	}
	ck_assert_uint_eq(answer.n_rows, 1);
	ck_assert_str_eq(answer.rows[0].spec.label, plain.label);
	ck_assert_str_eq(answer.rows[0].spec.webhook, HOOK);
	ck_assert(span_is(answer.rows[0].spec.args, "[1]"));
	store_read_done(&answer);
}

static void
survey_done(struct store_survey *survey, void *arg)
{
	(void)survey;
	*(bool *)arg = true;
}

static void
survey_some(void)
{
	struct store_oldest oldest = {.queue = "default"};
	bool done = false;
	struct store_survey survey = {.queues = &oldest, .n_queues = 1, .done = survey_done, .arg = &done};

	store_sqlite.survey(store, &survey);
	PUMP(loop, done);
	if (survey.error == 0)
		ck_assert_int_eq(oldest.submitted_ms, verdicts[PUT] == STORE_COMMITTED ? now_ms : SPEC_NONE);
}

static bool
open_or_say(void)
{
	char *reason = NULL;
	enum store_open_result result = open_any(&reason);

	if (result == STORE_OPEN_OK)
		return true;
	store = NULL;
	ck_assert_msg(result == STORE_OPEN_FAILED, "a sound store: %s", reason);
	ck_assert_str_ne(reason, "");
	free(reason);
	return false;
}

static long when_open, when_used; /* allocations that the last session needed until then */

static void
play(void)
{
	for (int i = 0; i < STEPS; i++)
		verdicts[i] = STORE_UNAVAILABLE;
	if (!open_or_say())
		return;
	when_open = atomic_load(&asked);
	put_all();
	if (verdicts[PUT] == STORE_COMMITTED) {
		read_some();
		work_on();
		survey_some();
	}
	when_used = atomic_load(&asked);
	close_store();
	if (open_or_say())
		close_store();
}

/* ---- what is there when there is memory again --------------------------------------------------------------- */

static bool
is_there(int64_t id)
{
	bool there = read_job(id) != NULL;

	store_read_done(&answer);
	return there;
}

static enum job_state
state_of(int64_t id)
{
	const struct store_row *row = read_job(id);
	enum job_state state;

	ck_assert_ptr_nonnull(row);
	state = row->state;
	store_read_done(&answer);
	return state;
}

/* All of a batch or nothing of it. */
static bool
is_applied(enum step step, bool applied)
{
	if (verdicts[step] == STORE_COMMITTED)
		ck_assert_msg(applied, "batch %d was confirmed and is not there", (int)step);
	if (verdicts[step] == STORE_UNAVAILABLE)
		ck_assert_msg(!applied, "batch %d was not applied and is there", (int)step);
	return applied;
}

static void
look_again(void)
{
	bool put_there, work_there;

	open_store();
	put_there = is_applied(PUT, is_there(1));
	for (int64_t id = 1; id < 5 + ITEMS; id++)
		ck_assert_int_eq(is_there(id), put_there);
	ck_assert(!is_there(30));
	ck_assert(put_there || verdicts[WORK] == STORE_UNAVAILABLE);
	if (put_there) {
		ck_assert_int_eq(state_of(3), JOB_SUCCEEDED);
		ck_assert_int_eq(state_of(4), JOB_PENDING); /* recovery has put it off for another attempt */
		work_there = is_applied(WORK, state_of(1) == JOB_CANCELLED);
		ck_assert_int_eq(state_of(2), work_there ? JOB_SUCCEEDED : JOB_FAILED);
		ck_assert_uint_eq(opened.n_queues, work_there ? 1 : 0);
	}
	close_store();
}

static void
remove_store(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".new", ".new-wal", ".new-journal", ".new-shm"};
	char name[96];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
}

/* One of so many, or all. */
static long
every(long some)
{
	const char *all = getenv("FUTURED_MEMORY_ALL");

	return all != NULL && strcmp(all, "1") == 0 ? 1 : some;
}

/*
 * From the first allocation to where none fails any more: one in step of those between open and close, and fewer of those that
 * make the statements anew at each opening. How many have failed.
 */
static int
fail_each(bool go_on, long step)
{
	long open_until, used_until;
	int n = 0;

	memory_fail(0, false);
	play();
	open_until = when_open;
	used_until = when_used;
	look_again();
	for (long at = 1;; at += at < open_until - step || at > used_until ? OPENING * step : step) {
		long failed;

		remove_store();
		memory_fail(at, go_on);
		play();
		failed = atomic_load(&struck);
		memory_fail(0, false);
		look_again();
		if (failed == 0)
			return n;
		n++;
	}
}

static void
setup_memory(void)
{
	memory_install();
	setup();
	close_store();
	make_specs();
}

START_TEST(it_fails_once)
{
	int n = fail_each(false, every(11));

	ck_assert_int_gt(n, 100);
	printf("store_memory: %d times one allocation failed\n", n);
}
END_TEST

START_TEST(it_and_all_behind_it)
{
	int n = fail_each(true, every(29));

	ck_assert_int_gt(n, 50);
	printf("store_memory: %d times one failed and all behind it\n", n);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_memory");
	TCase *tests = tcase_create("store_memory");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup_memory, teardown);
	tcase_add_test(tests, it_fails_once);
	tcase_add_test(tests, it_and_all_behind_it);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
