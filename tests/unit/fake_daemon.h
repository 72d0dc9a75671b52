/*
 * fake_daemon.h: a daemon of a few lines, which says exactly what a test of libfutured wants.
 *
 * It is a thread that serves one connection on a Unix socket in a folder of the test's own: it answers hello, and then
 * runs the script of the test. What it found wrong is checked after it was joined. setup and teardown are the test
 * case's checked fixture.
 */
#ifndef TESTS_UNIT_FAKE_DAEMON_H
#define TESTS_UNIT_FAKE_DAEMON_H

#include <check.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/futured.h"

#define HELLO                                                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"server\":\"futured\",\"version\":\"9\",\"protocol\":1,\"owner\":" \
	"\"uid:7\","                                                                                                   \
	"\"role\":\"user\"}}\n"

static char folder[64];
static char path[96];
static int listener;
static pthread_t thread;
static bool started;
static int peer; /* the daemon's end */
static FILE *input;
static const char *hello;
static void (*script)(void);
static struct fut_client *client;

static void say(const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(peer, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void __attribute__((unused, format(printf, 1, 2))) say_format(const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(text);
}

/* One line from the client; the result lives until the next. NULL at the end. */
static const char *hear(void)
{
	static char *line;
	static size_t room;

	return getline(&line, &room, input) > 0 ? line : NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	peer = accept(listener, NULL, NULL);
	input = fdopen(peer, "r");
	if (input == NULL)
		return NULL;
	if (hear() != NULL) {
		say(hello);
		if (script != NULL)
			script();
	}
	shutdown(peer, SHUT_RDWR);
	fclose(input);
	return NULL;
}

static void setup(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(folder, "/tmp/test_client.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	client = fut_new("test");
	ck_assert_ptr_nonnull(client);
	hello = HELLO;
	script = NULL;
	started = false;
}

static void teardown(void)
{
	fut_free(client);
	client = NULL;
	if (started)
		pthread_join(thread, NULL);
	close(listener);
	unlink(path);
	rmdir(folder);
}

static int __attribute__((unused)) start(void (*what)(void))
{
	script = what;
	started = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	return fut_connect_unix(client, path);
}

/* Runs the test case to its end; what main returns. */
static int run(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);
	SRunner *runner = srunner_create(suite);
	const char *scale = getenv("FUTURED_TEST_SCALE");
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60 * (scale != NULL && atof(scale) > 1 ? atof(scale) : 1));
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

#endif
