/*
 * test_config: defaults, file and command line, and the sentence that each mistake gets.
 */
#include "daemon/config.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config_value.h"

static struct config config;
static char folder[] = "/tmp/test_config.XXXXXX";
static char file[64];

static void
setup(void)
{
	strcpy(folder, "/tmp/test_config.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/futured.conf", folder);
	setenv("HOME", "/home/nobody", 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	config_init(&config);
}

static void
teardown(void)
{
	config_done(&config);
	unlink(file);
	rmdir(folder);
}

static int
options(char *first, ...)
{
	enum config_action action;
	char *argv[16] = {"futured"};
	int argc = 1;
	va_list args;

	va_start(args, first);
	for (char *arg = first; arg != NULL; arg = va_arg(args, char *))
		argv[argc++] = arg;
	va_end(args);
	return config_options(&config, argc, argv, &action);
}

/* Writes the bytes as the file and loads it. */
static int
load_bytes(const char *bytes, size_t len)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	fclose(out);
	if (options("--config", file, NULL) < 0)
		return -1;
	return config_load_file(&config);
}

static int
load(const char *text)
{
	return load_bytes(text, strlen(text));
}

/* The file is refused with this sentence behind its name. */
static void
refused(const char *text, const char *sentence)
{
	config_done(&config);
	config_init(&config);
	ck_assert_int_eq(load(text), -1);
	ck_assert_int_eq(strncmp(config.error, file, strlen(file)), 0);
	ck_assert_str_eq(config.error + strlen(file), sentence);
}

START_TEST(defaults_are_the_documented)
{
	ck_assert_int_eq(config_check(&config), 0);
	ck_assert_int_eq(config.drain_ms, 30000);
	ck_assert_int_eq(config.grace_ms, 5000);
	ck_assert_int_eq(config.synchronous, CONFIG_SYNCHRONOUS_FULL);
	ck_assert_int_eq(config.window, 8192);
	ck_assert_int_ge(config.cpu_workers, 1);
	ck_assert_int_eq(config.io_waits, 20000);
	ck_assert_int_eq(config.io_processes, 64);
	ck_assert_int_eq(config.max_output, 16 << 20);
	ck_assert_int_eq(config.limit_message, 16 << 20);
	ck_assert_int_eq(config.limit_result, 16 << 20);
	ck_assert_int_eq(config.limit_connections, 16384);
	ck_assert_int_eq(config.limit_hello_ms, 60000);
	ck_assert_int_eq(config.limit_pending, 10000000);
	ck_assert_int_eq(config.limit_pending_per_owner, 10000000);
	ck_assert_int_eq(config.limit_queues, 1000);
	ck_assert_int_eq(config.limit_waits_per_connection, 10000);
	ck_assert_int_eq(config.limit_ranges_per_connection, 1000000);
	ck_assert_int_eq(config.limit_selection, 10000000);
	ck_assert_int_eq(config.retention_ms, INT64_C(7) * 86400 * 1000);
	ck_assert_int_eq(config.log_level, LOG_LEVEL_INFO);
	ck_assert(!config.http_local);
	ck_assert_ptr_null(config.tcp_host);
}
END_TEST

START_TEST(places_follow_the_user)
{
	bool root = geteuid() == 0;

	if (root) {
		ck_assert_str_eq(config.state_dir, "/var/lib/futured");
		ck_assert_str_eq(config.unix_path, "/run/futured/futured.sock");
		ck_assert_int_eq(seteuid(65534), 0);
	}
	config_done(&config);
	config_init(&config);
	ck_assert_int_eq(config_check(&config), 0);
	ck_assert_str_eq(config.state_dir, "/home/nobody/.local/state/futured");
	ck_assert_str_eq(config.unix_path, "/home/nobody/.local/state/futured/futured.sock");
	config_done(&config);
	setenv("XDG_STATE_HOME", "/s", 1);
	setenv("XDG_RUNTIME_DIR", "/r", 1);
	config_init(&config);
	ck_assert_int_eq(config_check(&config), 0);
	ck_assert_str_eq(config.state_dir, "/s/futured");
	ck_assert_str_eq(config.unix_path, "/r/futured.sock");
	config_done(&config);
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	config_init(&config);
	ck_assert_int_eq(config_check(&config), -1);
	ck_assert_ptr_nonnull(strstr(config.error, "--state-dir"));
	if (root)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(every_key_is_taken)
{
	ck_assert_int_eq(
	    load("# all of them\n"
		 "[daemon]\ndrain = 2m\ngrace=0.25\n"
		 "[listen]\nunix = /tmp/x.sock ; where\nunix_mode = 0666\ntcp = [::1]:7433\n"
		 "[store]\nsynchronous = normal\nwindow = 64\n"
		 "[cpu]\nworkers = 3\nmax_tasks_per_worker = 100\n"
		 "[io]\nthreads = 5\nwaits = 50\nprocesses = 7\n"
		 "[tasks]\nuser = exec, file.read\n"
		 "[exec]\nmax_output = 1M\n"
		 "[http]\nlocal = yes\n"
		 "[limits]\nmessage = 64K\nconnections = 9\npending = 10\npending_per_owner = 4\nqueues = 3\n"
		 "waits_per_connection = 2\nranges_per_connection = 3\nselection = 1\nresult = 4096\n"
		 "[retention]\nfinished = 1.5h\n"
		 "[log]\nlevel = debug\n"),
	    0);
	ck_assert_int_eq(config_check(&config), 0);
	ck_assert_int_eq(config.drain_ms, 120000);
	ck_assert_int_eq(config.grace_ms, 250);
	ck_assert_str_eq(config.unix_path, "/tmp/x.sock");
	ck_assert_int_eq(config.unix_mode, 0666);
	ck_assert_str_eq(config.tcp_host, "::1");
	ck_assert_int_eq(config.tcp_port, 7433);
	ck_assert_int_eq(config.synchronous, CONFIG_SYNCHRONOUS_NORMAL);
	ck_assert_int_eq(config.window, 64);
	ck_assert_int_eq(config.cpu_workers, 3);
	ck_assert_int_eq(config.max_tasks_per_worker, 100);
	ck_assert_int_eq(config.io_threads, 5);
	ck_assert_int_eq(config.io_waits, 50);
	ck_assert_int_eq(config.io_processes, 7);
	ck_assert(config_user_task(&config, "exec") && config_user_task(&config, "file.read"));
	ck_assert(!config_user_task(&config, "file.sha256"));
	ck_assert_int_eq(config.max_output, 1 << 20);
	ck_assert(config.http_local);
	ck_assert_int_eq(config.limit_message, 65536);
	ck_assert_int_eq(config.limit_connections, 9);
	ck_assert_int_eq(config.limit_pending, 10);
	ck_assert_int_eq(config.limit_pending_per_owner, 4);
	ck_assert_int_eq(config.limit_queues, 3);
	ck_assert_int_eq(config.limit_waits_per_connection, 2);
	ck_assert_int_eq(config.limit_ranges_per_connection, 3);
	ck_assert_int_eq(config.limit_selection, 1);
	ck_assert_int_eq(config.limit_result, 4096);
	ck_assert_int_eq(config.retention_ms, 5400000);
	ck_assert_int_eq(config.log_level, LOG_LEVEL_DEBUG);
}
END_TEST

START_TEST(mistakes_are_told_with_their_line)
{
	refused("[daemon]\n\ndrian = 5\n", ":3: [daemon] has no key \"drian\"");
	refused("\n[deamon]\ndrain = 5\n", ":3: no section is called [deamon]");
	refused("drain = 5\n", ":1: \"drain\" stands before the first section");
	refused("[daemon]\ndrain = 5x\n",
	    ":2: [daemon] drain: \"5x\" is not a duration such as 30, 0.5, 30s, 5m, 2h or 7d, "
	    "at most 2592000 s");
	refused("[cpu]\nworkers = 0\n", ":2: [cpu] workers: \"0\" is not a whole number from 1 to 1024");
	refused("[cpu]\nworkers = -1\n", ":2: [cpu] workers: \"-1\" is not a whole number from 1 to 1024");
	refused("[limits]\nmessage = 1T\n",
	    ":2: [limits] message: \"1T\" is not a size such as 65536, 64K or 16M from 4096 to 33554432");
	refused("[http]\nlocal = maybe\n", ":2: [http] local: \"maybe\" is not yes or no");
	refused("[log]\nlevel = loud\n", ":2: [log] level: \"loud\" is not error, warning, notice, info or debug");
	refused("[store]\nsynchronous = yes\n", ":2: [store] synchronous: \"yes\" is not full, normal or off");
	refused("[listen]\nunix_mode = 0888\n", ":2: [listen] unix_mode: \"0888\" is not an octal mode such as 0660");
	refused(
	    "[listen]\nunix = futured.sock\n", ":2: [listen] unix: \"futured.sock\" is not a path that begins with /");
	refused("[listen]\ntcp = 7433\n", ":2: [listen] tcp: \"7433\" is not HOST:PORT or [HOST]:PORT");
	refused("[cpu]\nworkers = 1\nworkers = 2\n", ":3: [cpu] workers is set twice");
	refused("[listen]\ntcp =;localhost:7433\n",
	    ":2: [listen] tcp: \";localhost:7433\" has a semicolon: before a comment write a blank");
	refused("[tasks]\nuser = file.read,;http.fetch\n",
	    ":2: [tasks] user: \"file.read,;http.fetch\" has a semicolon: before a comment write a blank");
	refused("[cpu]\nworkers\n", ":2: this is no section, key or comment");
	refused("[cpu\n", ":1: this is no section, key or comment");
}
END_TEST

START_TEST(what_is_not_built_is_refused_by_name)
{
	refused("[exec]\nrun_as = nobody\n", ":2: [exec] run_as: \"nobody\" is not daemon or owner");
}
END_TEST

/* What no single line tells: it is good by itself, and wrong with the rest. */
static void
refused_in_all(const char *text, const char *sentence)
{
	config_done(&config);
	config_init(&config);
	ck_assert_int_eq(load(text), 0);
	ck_assert_int_eq(config_check(&config), -1);
	ck_assert_str_eq(config.error, sentence);
}

START_TEST(doors_are_refused_by_halves)
{
	refused("[tls]\ncertificate = c\n", ":2: [tls] certificate: \"c\" is not a path that begins with /");
	refused("[tokens]\nfile = tokens\n", ":2: [tokens] file: \"tokens\" is not a path that begins with /");
	refused_in_all("[tls]\ncertificate = /c\n", "[tls] certificate and key go together: key is missing");
	refused_in_all("[tls]\nkey = /k\n", "[tls] certificate and key go together: certificate is missing");
	refused_in_all("[tls]\nclient_ca = /a\n", "[tls] client_ca needs certificate and key");
	refused_in_all("[listen]\ntcp = 0.0.0.0:7433\n",
	    "[listen] tcp: 0.0.0.0 is not a loopback address: that needs TLS ([tls] certificate and key)");
	refused_in_all("[listen]\ntcp = [::]:7433\n",
	    "[listen] tcp: :: is not a loopback address: that needs TLS ([tls] certificate and key)");
	config_done(&config);
	config_init(&config);
	ck_assert_int_eq(load("[listen]\ntcp = [::]:7433\n[tls]\ncertificate = /c\nkey = /k\n"), 0);
	ck_assert_int_eq(config_check(&config), 0);
}
END_TEST

START_TEST(a_long_line_is_one_mistake)
{
	char text[1024];

	memset(text, 'a', sizeof(text));
	memcpy(text, "[tasks]\nuser = ", 15);
	strcpy(text + sizeof(text) - 18, "\n[cpu]\nworkers=1\n");
	refused(text, ":2: the line is too long");
}
END_TEST

/* What stands behind it in its line would go unseen. */
START_TEST(a_nul_is_no_text)
{
	static const char bytes[] = "[cpu]\nworkers = 2\0, or not\n[daemon]\ngrace = 1\n";

	ck_assert_int_eq(load_bytes(bytes, sizeof(bytes) - 1), -1);
	ck_assert_str_eq(config.error + strlen(file), ":2: there is a NUL in this line: the file is no text");
}
END_TEST

START_TEST(an_empty_tcp_is_none)
{
	ck_assert_int_eq(load("[listen]\ntcp =\n"), 0);
	ck_assert_ptr_null(config.tcp_host);
}
END_TEST

START_TEST(an_option_wins_over_the_file)
{
	char state[96];

	snprintf(state, sizeof(state), "%s/state", folder);
	ck_assert_int_eq(options("--cpu-workers=2", "--listen", "127.0.0.1:0", "--state-dir", state, "--socket",
			     "/tmp/option.sock", "--io-threads", "4", NULL),
	    0);
	ck_assert_int_eq(
	    load("[cpu]\nworkers = 9\n[listen]\nunix = /tmp/file.sock\ntcp = 127.0.0.1:9\n[io]\nthreads = 9\n"
		 "waits = 8\n"),
	    0);
	ck_assert_int_eq(config_check(&config), 0);
	ck_assert_int_eq(config.cpu_workers, 2);
	ck_assert_str_eq(config.tcp_host, "127.0.0.1");
	ck_assert_int_eq(config.tcp_port, 0);
	ck_assert_str_eq(config.unix_path, "/tmp/option.sock");
	ck_assert_str_eq(config.state_dir, state);
	ck_assert_int_eq(config.io_threads, 4);
	ck_assert_int_eq(config.io_waits, 8);
	refused("[cpu]\nworkers = none\n", ":2: [cpu] workers: \"none\" is not a whole number from 1 to 1024");
}
END_TEST

START_TEST(wrong_usage_is_told)
{
	ck_assert_int_eq(options("--nonsense", NULL), -1);
	ck_assert_str_eq(config.error, "there is no option --nonsense");
	config.error[0] = '\0';
	ck_assert_int_eq(options("--socket", NULL), -1);
	ck_assert_str_eq(config.error, "--socket wants a value");
	config.error[0] = '\0';
	ck_assert_int_eq(options("extra", NULL), -1);
	ck_assert_str_eq(config.error, "there is nothing to do with \"extra\"");
	config.error[0] = '\0';
	ck_assert_int_eq(options("--version=1", NULL), -1);
}
END_TEST

START_TEST(options_that_end_it)
{
	static const struct {
		char *option;
		enum config_action action;
	} actions[] = {{"--check-config", CONFIG_CHECK}, {"--version", CONFIG_VERSION}, {"--help", CONFIG_HELP}};
	enum config_action action;

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		char *argv[] = {"futured", actions[i].option, NULL};

		ck_assert_int_eq(config_options(&config, 2, argv, &action), 0);
		ck_assert_int_eq(action, actions[i].action);
	}
}
END_TEST

START_TEST(a_named_file_must_be_there)
{
	ck_assert_int_eq(options("--config", "/nonexistent/futured.conf", NULL), 0);
	ck_assert_int_eq(config_load_file(&config), -1);
	ck_assert_str_eq(config.error, "/nonexistent/futured.conf: No such file or directory");
}
END_TEST

START_TEST(a_long_socket_path_is_refused)
{
	char path[160];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(options("--socket", path, NULL), 0);
	ck_assert_int_eq(config_check(&config), -1);
	ck_assert_ptr_nonnull(strstr(config.error, "ends at 107 bytes"));
}
END_TEST

START_TEST(values)
{
	char **names;
	char *host;
	int64_t n;

	ck_assert_int_eq(config_value_duration("7d", &n), 0);
	ck_assert_int_eq(n, 604800000);
	ck_assert_int_eq(config_value_duration("0.0019", &n), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(config_value_duration("", &n), -1);
	ck_assert_int_eq(config_value_duration(".5", &n), -1);
	ck_assert_int_eq(config_value_duration("5.", &n), -1);
	ck_assert_int_eq(config_value_duration("1e3", &n), -1);
	ck_assert_int_eq(config_value_duration("99999999999999999999", &n), -1);
	ck_assert_int_eq(config_value_duration("999999999999999999d", &n), -1);
	ck_assert_int_eq(config_value_size("2G", &n), 0);
	ck_assert_int_eq(n, INT64_C(2) << 30);
	ck_assert_int_eq(config_value_size("9223372036854775807G", &n), -1);
	ck_assert_int_eq(config_value_size("1.5M", &n), -1);
	ck_assert_int_eq(config_value_address("::1:80", &host, &n), -1);
	ck_assert_int_eq(config_value_address("[::1]:65536", &host, &n), -1);
	ck_assert_int_eq(config_value_address(":80", &host, &n), -1);
	ck_assert_int_eq(config_value_address("[]:80", &host, &n), -1);
	ck_assert_int_eq(config_value_address("[\vhost]:80", &host, &n), -1);
	ck_assert_int_eq(config_value_address("[[::1]:80", &host, &n), -1);
	ck_assert_int_eq(config_value_address("a host:80", &host, &n), -1);
	ck_assert(config_value_is_loopback("127.9.9.9") && config_value_is_loopback("::1"));
	ck_assert(!config_value_is_loopback("example.org") && !config_value_is_loopback("::ffff:127.0.0.1"));
	ck_assert_uint_eq(config_value_names(" ,, ", &names), 0);
	ck_assert_ptr_null(names);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults_are_the_documented);
	tcase_add_test(tcase, places_follow_the_user);
	tcase_add_test(tcase, every_key_is_taken);
	tcase_add_test(tcase, mistakes_are_told_with_their_line);
	tcase_add_test(tcase, what_is_not_built_is_refused_by_name);
	tcase_add_test(tcase, doors_are_refused_by_halves);
	tcase_add_test(tcase, a_long_line_is_one_mistake);
	tcase_add_test(tcase, a_nul_is_no_text);
	tcase_add_test(tcase, an_empty_tcp_is_none);
	tcase_add_test(tcase, an_option_wins_over_the_file);
	tcase_add_test(tcase, wrong_usage_is_told);
	tcase_add_test(tcase, options_that_end_it);
	tcase_add_test(tcase, a_named_file_must_be_there);
	tcase_add_test(tcase, a_long_socket_path_is_refused);
	tcase_add_test(tcase, values);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
