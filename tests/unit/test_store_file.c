/*
 * test_store_file: the file of the SQLite store: its mode, and what becomes of one that is foreign, newer, cut, damaged
 * or half made.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include <sys/resource.h>

#include "tests/unit/store_rig.h"

/* ---- the file --------------------------------------------------------------------------------------------- */

START_TEST(the_file_is_private)
{
	char name[80], link[80], target[128];
	struct stat st;

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%s", path, i == 0 ? "" : "-wal");
		ck_assert_int_eq(stat(name, &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
	}
	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && strncmp(target, folder, strlen(folder)) == 0)
			ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	}
	snprintf(name, sizeof(name), "%s.new", path);
	ck_assert_int_ne(stat(name, &st), 0);
}
END_TEST

static char *
slurp(size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	char *bytes;
	long len;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	len = ftell(file);
	ck_assert_int_ge(len, 0);
	rewind(file);
	bytes = mem_new((size_t)len + 1);
	ck_assert_uint_eq(fread(bytes, 1, (size_t)len, file), (size_t)len);
	fclose(file);
	*ret_len = (size_t)len;
	return bytes;
}

static void
spill(const char *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

/* It is refused as corrupt, with a reason, and afterwards it is as it was. */
static void
check_refused(const char *why)
{
	size_t before_len, after_len;
	char *before = slurp(&before_len), *after, *reason = NULL;

	ck_assert_int_eq(open_any(&reason), STORE_OPEN_CORRUPT);
	ck_assert_ptr_nonnull(reason);
	ck_assert_msg(strstr(reason, why) != NULL, "%s", reason);
	free(reason);
	store = NULL;
	after = slurp(&after_len);
	ck_assert_uint_eq(before_len, after_len);
	ck_assert_int_eq(memcmp(before, after, before_len), 0);
	free(before);
	free(after);
}

static void
put_some(void)
{
	struct spec specs[200];

	for (int i = 0; i < 200; i++) {
		specs[i] = template(i + 1);
		put(&specs[i], i % 2 == 0 ? STORE_READY : STORE_DONE)->end.state = JOB_FAILED;
	}
	commit();
	store_batch_clear(&batch);
}

START_TEST(a_newer_file_is_refused)
{
	close_store();
	ask_file("PRAGMA user_version = 3");
	check_refused("newer");
	ask_file("PRAGMA user_version = 2");
	open_store();
}
END_TEST

/* What the tables of version 1 were. */
static void
make_version_1(void)
{
	ask_file("CREATE TABLE old (line, rank, id, attempts NOT NULL, PRIMARY KEY (line, rank, id)) WITHOUT ROWID");
	ask_file("INSERT INTO old SELECT line, rank, value, attempts FROM ready, json_each('[' || "
		 "(SELECT group_concat(id) FROM job) || ']') WHERE value BETWEEN ready.id AND ready.id + count - 1");
	ask_file("DROP TABLE ready");
	ask_file("ALTER TABLE old RENAME TO ready");
	ask_file("DROP INDEX done_until");
	ask_file("CREATE INDEX done_until ON done (until)");
	ask_file("PRAGMA user_version = 1");
}

static void
check_some(void)
{
	for (int i = 0; i < 200; i++)
		check_place(i + 1, i % 2 == 0 ? STORE_READY : STORE_DONE, i % 2 == 0 ? JOB_PENDING : JOB_FAILED);
}

START_TEST(an_older_file_is_brought_up)
{
	put_some();
	close_store();
	make_version_1();
	open_store();
	check_some();
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.lines[0].ready, 100);
	reopen_store();
	check_some();
}
END_TEST

/* It fails in its midst, at any write: the file is of one version or the other, and the next start goes on. */
START_TEST(a_change_of_version_that_fails)
{
	struct rlimit limit, less;
	char *reason = NULL;
	int failed = 0;

	put_some();
	close_store();
	make_version_1();
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	for (rlim_t bytes = 0;; bytes += 4096) {
		less = (struct rlimit){bytes, limit.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &less), 0);
		if (open_any(&reason) == STORE_OPEN_OK)
			break;
		failed++;
		free(reason);
		reason = NULL;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_gt(failed, 0);
	printf("store_file: %d times the change of version failed\n", failed);
	check_some();
	reopen_store();
	check_some();
}
END_TEST

START_TEST(a_foreign_file_is_refused)
{
	close_store();
	ask_file("PRAGMA application_id = 17");
	check_refused("another program");
	ask_file("PRAGMA application_id = 0");
	check_refused("another program");
}
END_TEST

/* SQLite opens such a file and refuses each write. */
START_TEST(a_newer_format_is_refused)
{
	close_store();
	for (size_t at = 18; at <= 19; at++) {
		size_t len;
		char *bytes = slurp(&len), was = bytes[at];

		bytes[at] = 3;
		spill(bytes, len);
		check_refused("newer SQLite");
		bytes[at] = was;
		spill(bytes, len);
		free(bytes);
	}
	open_store();
}
END_TEST

START_TEST(a_file_without_its_tables_is_refused)
{
	close_store();
	ask_file("DROP TABLE delayed");
	check_refused("tables of its version");
}
END_TEST

START_TEST(no_database_is_refused)
{
	close_store();
	spill("", 0);
	check_refused("empty");
	spill("SQLite format 3", 16);
	check_refused("too short");
	for (int i = 0; i < 100; i++) {
		char garbage[5000];

		for (size_t k = 0; k < sizeof(garbage); k++)
			garbage[k] = (char)rand();
		spill(garbage, sizeof(garbage));
		check_refused("no SQLite database");
	}
}
END_TEST

START_TEST(a_truncated_file_is_refused)
{
	size_t len;
	char *bytes;

	put_some();
	close_store();
	bytes = slurp(&len);
	for (size_t cut = 200; cut < len; cut += 4096 + 333) {
		spill(bytes, cut);
		check_refused("");
	}
	spill(bytes, len);
	open_store();
	free(bytes);
}
END_TEST

/* A page of garbage anywhere: refused, or (a page that is not in use) opened; never a crash, and what is read is an
 * answer or an error. */
START_TEST(a_damaged_page_is_no_crash)
{
	int refused = 0;
	size_t len;
	char *bytes;

	put_some();
	close_store();
	bytes = slurp(&len);
	for (size_t page = 0; page < len / 4096; page++) {
		char *copy = mem_copy(bytes, len), *reason = NULL;

		for (size_t i = page == 0 ? 100 : 0; i < 4096; i++)
			copy[page * 4096 + i] = (char)rand();
		spill(copy, len);
		free(copy);
		if (open_any(&reason) == STORE_OPEN_OK) {
			bool done = false;

			answer = (struct store_read){.ranges = &everything,
			    .n_ranges = 1,
			    .max_rows = SIZE_MAX,
			    .max_bytes = SIZE_MAX,
			    .done = read_set_true,
			    .arg = &done};
			store_sqlite.read(store, &answer);
			PUMP(loop, done);
			store_read_done(&answer);
			close_store();
		} else {
			store = NULL;
			refused++;
		}
		free(reason);
	}
	ck_assert_int_gt(refused, 5);
	printf("store_file: %d of %zu damaged pages were refused\n", refused, len / 4096);
	spill(bytes, len);
	open_store();
	free(bytes);
}
END_TEST

/* SQLite does not notice it, and a daemon would look into what is not JSON. */
START_TEST(a_turned_bit_is_not_believed)
{
	static const char *const args[] = {"[\"believed\"]", "{\"no\":1}"};
	struct spec spec = template(1);
	char *bytes, *at;
	size_t len;

	for (int i = 0; i < 2; i++) {
		spec.id = i + 1;
		spec.args = (struct span){args[i], strlen(args[i])};
		put_now(&spec, STORE_READY, 0);
	}
	close_store();
	bytes = slurp(&len);
	for (int i = 0; i < 2; i++) {
		at = memmem(bytes, len, args[i], strlen(args[i]));
		ck_assert_ptr_nonnull(at);
		at[1] ^= 1;
		spill(bytes, len);
		check_refused("its args");
		at[1] ^= 1;
	}
	spill(bytes, len);
	open_store();
	check_place(2, STORE_READY, JOB_PENDING);
	free(bytes);
}
END_TEST

/* Who reads in the order of finishing would never see the second. */
START_TEST(two_ends_at_one_place_are_refused)
{
	struct spec specs[2] = {template(1), template(2)};

	put_now(&specs[0], STORE_DONE, 0);
	put_now(&specs[1], STORE_DONE, 0);
	close_store();
	ask_file("UPDATE done SET seq = (SELECT max(seq) FROM done)");
	check_refused("in the place of another");
}
END_TEST

START_TEST(a_log_alone_is_refused)
{
	char log[80], moved[80], *reason = NULL;

	put_some();
	snprintf(log, sizeof(log), "%s-wal", path);
	snprintf(moved, sizeof(moved), "%s-kept", path);
	ck_assert_int_eq(link(log, moved), 0);
	close_store();
	ck_assert_int_eq(rename(moved, log), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_CORRUPT);
	ck_assert_ptr_nonnull(strstr(reason, "-wal is, which belongs to it"));
	free(reason);
	store = NULL;
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(access(log, F_OK), 0);
}
END_TEST

START_TEST(what_cannot_be_opened_has_failed)
{
	char kept[64], *reason = NULL;

	close_store();
	strcpy(kept, path);
	snprintf(path, sizeof(path), "%s/none/db", folder);
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_FAILED);
	ck_assert_ptr_nonnull(strstr(reason, "No such file"));
	free(reason);
	strcpy(path, kept);
	store = NULL;
}
END_TEST

/* Something half made, of a start that was killed, is in nobody's way. */
START_TEST(a_half_made_file_is_made_anew)
{
	char half[80];
	FILE *file;

	close_store();
	ck_assert_int_eq(unlink(path), 0);
	snprintf(half, sizeof(half), "%s.new", path);
	file = fopen(half, "w");
	ck_assert_ptr_nonnull(file);
	fputs("half", file);
	fclose(file);
	open_store();
	ck_assert_int_eq(opened.next_id, 1);
	ck_assert_uint_eq(opened.incarnation, 1);
	ck_assert_int_ne(access(half, F_OK), 0);
}
END_TEST

START_TEST(synchronous_is_one_of_three)
{
	static const char *const words[] = {"off", "full", "normal"};
	char *reason = NULL;

	for (int i = 0; i < 3; i++) {
		struct spec spec = template(i + 1);

		synchronous = words[i];
		reopen_store();
		put_now(&spec, STORE_READY, 0);
	}
	close_store();
	synchronous = "extra";
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_FAILED);
	free(reason);
	store = NULL;
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_file");
	TCase *tests = tcase_create("store_file");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_file_is_private);
	tcase_add_test(tests, a_newer_file_is_refused);
	tcase_add_test(tests, an_older_file_is_brought_up);
	tcase_add_test(tests, a_change_of_version_that_fails);
	tcase_add_test(tests, a_foreign_file_is_refused);
	tcase_add_test(tests, a_newer_format_is_refused);
	tcase_add_test(tests, a_file_without_its_tables_is_refused);
	tcase_add_test(tests, no_database_is_refused);
	tcase_add_test(tests, a_truncated_file_is_refused);
	tcase_add_test(tests, a_damaged_page_is_no_crash);
	tcase_add_test(tests, a_turned_bit_is_not_believed);
	tcase_add_test(tests, two_ends_at_one_place_are_refused);
	tcase_add_test(tests, a_log_alone_is_refused);
	tcase_add_test(tests, what_cannot_be_opened_has_failed);
	tcase_add_test(tests, a_half_made_file_is_made_anew);
	tcase_add_test(tests, synchronous_is_one_of_three);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
