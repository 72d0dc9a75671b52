/*
 * test_task: binding args to parameters, and the tasks that run in workers, called as a worker calls them.
 */
#include "daemon/task.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/tasks/tasks.h"
#include "tests/unit/tree.h"

static struct outcome outcome;
static struct command command;

static void
setup(void)
{
	outcome = (struct outcome){0};
	command = (struct command){.umask = COMMAND_UMASK_NONE};
}

static void
teardown(void)
{
	outcome_done(&outcome);
	command_done(&command);
}

static struct span
span(const char *text)
{
	return (struct span){text, strlen(text)};
}

/* Whether the outcome is an error of that type with exactly that message. */
static void
check_error(enum job_error error, const char *message)
{
	struct span value;
	char text[256];

	ck_assert_int_eq(outcome.error, error);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "message", &value));
	ck_assert_int_eq(jsonspan_string_copy(value, text, sizeof(text)), 0);
	ck_assert_str_eq(text, message);
}

/* ---- binding --------------------------------------------------------------------------------- */

static const struct task_param params[] = {
    {"name", TYPE_STRING, true, ""},
    {"count", TYPE_INTEGER, false, ""},
    {"ratio", TYPE_NUMBER, false, ""},
    {"deep", TYPE_OBJECT, false, ""},
    {NULL, TYPE_ANY, false, NULL},
};
static const struct task probe = {.name = "probe", .kind = TASK_FUNCTION, .params = params};
static struct span values[TASK_PARAMS_MAX];

static void
check_value(size_t i, const char *wanted)
{
	if (wanted == NULL) {
		ck_assert_ptr_null(values[i].at);
		return;
	}
	ck_assert_uint_eq(values[i].len, strlen(wanted));
	ck_assert_int_eq(memcmp(values[i].at, wanted, values[i].len), 0);
}

START_TEST(test_by_position)
{
	ck_assert_int_eq(task_bind(&probe, span("[\"x\",7]"), values, &outcome), 0);
	check_value(0, "\"x\"");
	check_value(1, "7");
	check_value(2, NULL);
	check_value(3, NULL);
}
END_TEST

START_TEST(test_by_name)
{
	ck_assert_int_eq(
	    task_bind(&probe, span("{\"deep\":{\"name\":1},\"ratio\":0.5,\"name\":\"x\"}"), values, &outcome), 0);
	check_value(0, "\"x\"");
	check_value(1, NULL);
	check_value(2, "0.5");
	check_value(3, "{\"name\":1}");
}
END_TEST

START_TEST(test_null_leaves_out)
{
	ck_assert_int_eq(task_bind(&probe, span("[\"x\",null,1]"), values, &outcome), 0);
	check_value(1, NULL);
	check_value(2, "1");
}
END_TEST

START_TEST(test_bad_args)
{
	static const struct {
		const char *args, *message;
	} cases[] = {
	    {"[]", "probe: name is missing"},
	    {"{\"count\":1}", "probe: name is missing"},
	    {"[null]", "probe: name must be a string"},
	    {"[1]", "probe: name must be a string"},
	    {"[\"x\",1.5]", "probe: count must be an integer"},
	    {"[\"x\",1,\"2\"]", "probe: ratio must be a number"},
	    {"{\"name\":\"x\",\"deep\":[]}", "probe: deep must be an object"},
	    {"{\"name\":\"x\",\"nmae\":1}", "probe: unknown parameter \"nmae\""},
	    {"[\"x\",1,2,{},5]", "probe: too many arguments, it takes at most 4"},
	    {"7", "probe: args must be an array or an object"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(task_bind(&probe, span(cases[i].args), values, &outcome), -1);
		check_error(JOB_ERROR_BAD_ARGUMENTS, cases[i].message);
		outcome_done(&outcome);
	}
}
END_TEST

START_TEST(test_find)
{
	static const struct task *const table[] = {&task_noop, &probe, NULL};

	ck_assert_ptr_eq(task_find(table, span("\"probe\"")), &probe);
	ck_assert_ptr_eq(task_find_name(table, "noop"), &task_noop);
	ck_assert_ptr_null(task_find(table, span("\"prob\"")));
	ck_assert_ptr_null(task_find(table, span("\"probes\"")));
	ck_assert_int_eq(task_lane(&probe), LANE_CPU);
	ck_assert_int_eq(task_lane(&task_file_read), LANE_IO);
	ck_assert_str_eq(task_type_name(TYPE_INTEGER), "integer");
}
END_TEST

/* Every row is whole: what main hands down can be shown and called. */
START_TEST(test_table)
{
	for (const struct task *const *row = tasks_builtin; *row != NULL; row++) {
		const struct task *task = *row;

		ck_assert_ptr_eq(task_find_name(tasks_builtin, task->name), task);
		ck_assert_ptr_nonnull(task->doc);
		ck_assert(task->any_args || task->params != NULL);
		ck_assert(!task->pure || task->idempotent);
		ck_assert_int_eq((task->run != NULL), (task->kind == TASK_FUNCTION || task->kind == TASK_BLOCKING));
		ck_assert_int_eq((task->command != NULL), (task->kind == TASK_COMMAND));
		ck_assert_int_eq((task->begin != NULL), (task->kind == TASK_WAIT));
	}
}
END_TEST

/* ---- the tasks ------------------------------------------------------------------------------- */

static void
run(const struct task *task, const char *args)
{
	const struct task_call call = {.job = 1, .attempt = 1, .args = span(args)};

	outcome_done(&outcome);
	task->run(&call, &outcome);
	ck_assert_int_eq(jsonspan_validate((struct span){outcome.json, outcome.len}, NULL, NULL), 0);
}

static void
check_run(const struct task *task, const char *args, const char *result)
{
	run(task, args);
	ck_assert_int_eq(outcome.error, JOB_ERROR_NONE);
	ck_assert_uint_eq(outcome.len, strlen(result));
	ck_assert_int_eq(memcmp(outcome.json, result, outcome.len), 0);
}

START_TEST(test_factorize)
{
	check_run(&task_math_factorize, "[600851475143]", "[71,839,1471,6857]");
	check_run(&task_math_factorize, "{\"n\":2}", "[2]");
	check_run(&task_math_factorize, "[3]", "[3]");
	check_run(&task_math_factorize, "[4]", "[2,2]");
	check_run(&task_math_factorize, "[25]", "[5,5]");
	check_run(&task_math_factorize, "[49]", "[7,7]");
	check_run(&task_math_factorize, "[360]", "[2,2,2,3,3,5]");
	check_run(&task_math_factorize, "[1000003]", "[1000003]");
	check_run(&task_math_factorize, "[9223372036854775807]", "[7,7,73,127,337,92737,649657]");
	check_run(&task_math_factorize, "[1000006000009]", "[1000003,1000003]");
}
END_TEST

START_TEST(test_factorize_bad_args)
{
	static const char *const bad[] = {"[1]", "[0]", "[-7]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		run(&task_math_factorize, bad[i]);
		check_error(JOB_ERROR_BAD_ARGUMENTS, "math.factorize: n must be from 2 to 9223372036854775807");
	}
	run(&task_math_factorize, "[\"7\"]");
	check_error(JOB_ERROR_BAD_ARGUMENTS, "math.factorize: n must be an integer");
}
END_TEST

/* Against trial division, and on numbers that fool weaker tests. */
START_TEST(test_is_prime)
{
	static const char *const primes[] = {"[2147483647]", "[1000000007]", "[999999999989]", "[9223372036854775783]",
	    "[2305843009213693951]"};
	static const char *const others[] = {"[2047]", "[3215031751]", "[341550071728321]", "[3825123056546413051]",
	    "[9223372036854775807]", "[561]", "[4611686014132420609]"};
	char args[32];

	for (int n = 0; n < 2000; n++) {
		bool prime = n >= 2;

		for (int d = 2; d * d <= n && prime; d++)
			prime = n % d != 0;
		snprintf(args, sizeof(args), "[%d]", n);
		check_run(&task_math_is_prime, args, prime ? "true" : "false");
	}
	for (size_t i = 0; i < sizeof(primes) / sizeof(primes[0]); i++)
		check_run(&task_math_is_prime, primes[i], "true");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		check_run(&task_math_is_prime, others[i], "false");
	run(&task_math_is_prime, "[-1]");
	check_error(JOB_ERROR_BAD_ARGUMENTS, "math.is_prime: n must be from 0 to 9223372036854775807");
}
END_TEST

START_TEST(test_files)
{
	char folder[TREE_FOLDER], path[TREE_FOLDER + 8], args[TREE_FOLDER + 32];
	int fd;

	tree_make_folder(folder);
	snprintf(path, sizeof(path), "%s/abc", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "abc\xff", 4), 4);
	snprintf(args, sizeof(args), "[\"%s\",3]", path);
	run(&task_file_read, args);
	ck_assert_int_eq(outcome.error, JOB_ERROR_RESULT_TOO_LARGE);
	snprintf(args, sizeof(args), "[\"%s\",4]", path);
	check_run(&task_file_read, args, "{\"bytes\":4,\"body\":\"YWJj/w==\",\"encoding\":\"base64\"}");
	ck_assert_int_eq(ftruncate(fd, 3), 0);
	snprintf(args, sizeof(args), "[\"%s\"]", path);
	check_run(&task_file_read, args, "{\"bytes\":3,\"body\":\"abc\",\"encoding\":\"utf-8\"}");
	check_run(&task_file_sha256, args,
	    "{\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\"bytes\":3}");
	unlink(path);
	rmdir(folder);
	close(fd);
	run(&task_file_sha256, "[\"/nowhere/at/all\"]");
	check_error(JOB_ERROR_TASK_ERROR, "cannot open /nowhere/at/all: No such file or directory");
	run(&task_file_read, "[\"/tmp\"]");
	check_error(JOB_ERROR_TASK_ERROR, "cannot read /tmp: Is a directory");
}
END_TEST

/* ---- exec ------------------------------------------------------------------------------------ */

static int
make_command(const char *args)
{
	const struct task_call call = {.job = 1, .attempt = 1, .args = span(args)};

	return task_exec.command(&call, &command, &outcome);
}

START_TEST(test_exec_all_members)
{
	ck_assert_int_eq(make_command(
			     "{\"argv\":[\"cat\",\"-\\u00e9\"],\"cwd\":\"/tmp\",\"env\":{\"A\":\"1=2\",\"B\":\"\"},"
			     "\"stdin\":\"AGE=\",\"stdin_encoding\":\"base64\",\"umask\":\"0077\"}"),
	    0);
	ck_assert_str_eq(command.argv[0], "cat");
	ck_assert_str_eq(command.argv[1], "-\xc3\xa9");
	ck_assert_ptr_null(command.argv[2]);
	ck_assert_str_eq(command.cwd, "/tmp");
	ck_assert_str_eq(command.env[0], "A=1=2");
	ck_assert_str_eq(command.env[1], "B=");
	ck_assert_ptr_null(command.env[2]);
	ck_assert_uint_eq(command.stdin_len, 2);
	ck_assert_int_eq(memcmp(command.stdin_data, "\0a", 2), 0);
	ck_assert_uint_eq(command.umask, 077);
}
END_TEST

START_TEST(test_exec_least)
{
	ck_assert_int_eq(make_command("[[\"true\"]]"), 0);
	ck_assert_ptr_null(command.cwd);
	ck_assert_ptr_null(command.env);
	ck_assert_ptr_null(command.stdin_data);
	ck_assert_uint_eq(command.umask, COMMAND_UMASK_NONE);
	command_done(&command);
	ck_assert_int_eq(make_command("{\"argv\":[\"true\"],\"stdin\":\"\",\"umask\":63}"), 0);
	ck_assert_ptr_nonnull(command.stdin_data);
	ck_assert_uint_eq(command.stdin_len, 0);
	ck_assert_uint_eq(command.umask, 077);
}
END_TEST

START_TEST(test_exec_bad_args)
{
	static const struct {
		const char *args, *message;
	} cases[] = {
	    {"[]", "exec: argv is missing"},
	    {"[\"ls\"]", "exec: argv must be an array"},
	    {"[[]]", "exec: argv must begin with a program"},
	    {"[[\"\"]]", "exec: argv must begin with a program"},
	    {"[[\"ls\",1]]", "exec: argv must hold strings alone"},
	    {"[[\"ls\"],\"/\",{\"A\":1}]", "exec: env must hold strings alone"},
	    {"[[\"ls\"],\"/\",{\"\":\"1\"}]", "exec: env has a name that is empty, or with \"=\" in it"},
	    {"[[\"ls\"],\"/\",{\"A=B\":\"1\"}]", "exec: env has a name that is empty, or with \"=\" in it"},
	    {"[[\"ls\"],\"/\",{\"A\\u003dB\":\"1\"}]", "exec: env has a name that is empty, or with \"=\" in it"},
	    {"{\"argv\":[\"ls\"],\"stdin\":\"%\",\"stdin_encoding\":\"base64\"}", "exec: stdin is not base64"},
	    {"{\"argv\":[\"ls\"],\"stdin_encoding\":\"hex\"}", "exec: stdin_encoding must be \"utf-8\" or \"base64\""},
	    {"{\"argv\":[\"ls\"],\"umask\":512}",
		"exec: umask must be a number from 0 to 511, or a string of octal digits"},
	    {"{\"argv\":[\"ls\"],\"umask\":\"9\"}",
		"exec: umask must be a number from 0 to 511, or a string of octal digits"},
	    {"{\"argv\":[\"ls\"],\"umask\":[]}",
		"exec: umask must be a number from 0 to 511, or a string of octal digits"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(make_command(cases[i].args), -1);
		check_error(JOB_ERROR_BAD_ARGUMENTS, cases[i].message);
		outcome_done(&outcome);
		command_done(&command);
	}
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, test_by_position);
	tcase_add_test(tcase, test_by_name);
	tcase_add_test(tcase, test_null_leaves_out);
	tcase_add_test(tcase, test_bad_args);
	tcase_add_test(tcase, test_find);
	tcase_add_test(tcase, test_table);
	tcase_add_test(tcase, test_factorize);
	tcase_add_test(tcase, test_factorize_bad_args);
	tcase_add_test(tcase, test_is_prime);
	tcase_add_test(tcase, test_files);
	tcase_add_test(tcase, test_exec_all_members);
	tcase_add_test(tcase, test_exec_least);
	tcase_add_test(tcase, test_exec_bad_args);
}

int
main(void)
{
	Suite *suite = suite_create("task");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
