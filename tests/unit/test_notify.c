/*
 * test_notify: what systemd hears and what it hands over, with a notify socket and listening sockets of the test's own.
 * Built without libsystemd both are silent.
 */
#include "daemon/notify.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/activation.h"

static char folder[64];
static int notify_fd;

static void
bind_unix(int fd, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	unlink(address.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (strcmp(name, "notify") == 0)
		setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static void
setup(void)
{
	strcpy(folder, "/tmp/test_notify.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	notify_forget();
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bind_unix(notify_fd, "notify");
}

static void
teardown(void)
{
	static const char *const names[] = {"notify", "a", "b"};
	char path[128];

	close(notify_fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

#ifdef HAVE_SYSTEMD

/* A datagram over a Unix socket is there when the sender returns. */
static void
heard(const char *message)
{
	char buf[1024];
	ssize_t n = recv(notify_fd, buf, sizeof(buf) - 1, 0);

	if (message == NULL) {
		ck_assert_int_lt(n, 0);
		return;
	}
	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	ck_assert_str_eq(buf, message);
}

START_TEST(states_are_told)
{
	char text[512];

	notify_ready();
	heard("READY=1");
	notify_status("%d running,\n%d pending", 3, 4);
	heard("STATUS=3 running, 4 pending");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	notify_status("%s", text);
	ck_assert_int_gt(recv(notify_fd, text, sizeof(text), 0), 100);
	notify_alive();
	heard("WATCHDOG=1");
	notify_stopping();
	heard("STOPPING=1");
	notify_forget();
	notify_ready();
	heard(NULL);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
}
END_TEST

START_TEST(the_watchdog_is_fed_twice_as_often)
{
	char pid[16];

	ck_assert_int_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_int_eq(notify_watchdog_ms(), 15000);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	ck_assert_int_eq(notify_watchdog_ms(), 15000);
	setenv("WATCHDOG_PID", "1", 1);
	ck_assert_int_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_PID", pid, 1);
	setenv("WATCHDOG_USEC", "500", 1);
	ck_assert_int_eq(notify_watchdog_ms(), 1);
}
END_TEST

static int
tcp_listener(const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &v4.sin_addr);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&v4, sizeof(v4)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static int
unix_listener(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	bind_unix(fd, name);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

/* In the child, which may not assert: what activation_take() gives, as words. */
static void
report_taken(FILE *report, int n_passed)
{
	struct activated sockets[ACTIVATION_MAX];
	const char *why;
	int n = activation_take(sockets, &why);

	if (n < 0)
		fprintf(report, "%s", why);
	for (int i = 0; i < n; i++) {
		if (sockets[i].fd <= 10 || fcntl(sockets[i].fd, F_GETFD) != FD_CLOEXEC)
			fprintf(report, "low ");
		fprintf(report, "%s%s", sockets[i].is_tcp ? "tcp " : "unix ", sockets[i].is_loopback ? "" : "beyond ");
	}
	for (int fd = 3; n >= 0 && fd < 3 + n_passed; fd++) {
		if (n > 0 && fcntl(fd, F_GETFD) >= 0)
			fprintf(report, "open ");
	}
	if (getenv("LISTEN_FDS") != NULL || getenv("LISTEN_PID") != NULL)
		fprintf(report, "kept");
	fflush(report);
}

/*
 * A child that is started as systemd would, with the n descriptors from 3 up; they are closed here. listen_fds and
 * listen_pid NULL: the true ones. What it reports is in said.
 */
static char said[256];
static void
start(int n, const int *fds, const char *listen_fds, const char *listen_pid)
{
	char text[16];
	int pipes[2], report, status;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		report = fcntl(pipes[1], F_DUPFD, 200);
		for (int i = 0; i < n; i++)
			fcntl(fds[i], F_DUPFD, 100 + i);
		for (int fd = 3; fd < 100; fd++)
			close(fd);
		for (int i = 0; i < n; i++) {
			dup2(100 + i, 3 + i);
			close(100 + i);
		}
		snprintf(text, sizeof(text), "%d", n);
		setenv("LISTEN_FDS", listen_fds != NULL ? listen_fds : text, 1);
		snprintf(text, sizeof(text), "%d", (int)getpid());
		setenv("LISTEN_PID", listen_pid != NULL ? listen_pid : text, 1);
		report_taken(fdopen(report, "w"), n);
		_exit(0);
	}
	close(pipes[1]);
	while ((got = read(pipes[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)got;
	said[len] = '\0';
	close(pipes[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

START_TEST(passed_sockets_are_taken)
{
	int fds[] = {unix_listener("a"), tcp_listener("127.0.0.1"), unix_listener("b")};

	start(3, fds, NULL, NULL);
	ck_assert_str_eq(said, "unix tcp unix ");
}
END_TEST

START_TEST(for_another_process_they_are_not_ours)
{
	int fds[] = {unix_listener("a")};

	start(1, fds, NULL, "1");
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(what_cannot_be_served_is_refused)
{
	int deaf[] = {unix_listener("a"), socket(AF_UNIX, SOCK_STREAM, 0)};
	int datagram[] = {socket(AF_INET, SOCK_DGRAM, 0)};
	int file[] = {open("/dev/null", O_RDONLY)};
	int wide[] = {tcp_listener("0.0.0.0")};
	int many[ACTIVATION_MAX + 1];

	for (int i = 0; i <= ACTIVATION_MAX; i++)
		many[i] = tcp_listener("127.0.0.1");
	start(2, deaf, NULL, NULL);
	ck_assert_str_eq(said, "a passed descriptor is no listening stream socket");
	start(1, datagram, NULL, NULL);
	ck_assert_str_eq(said, "a passed descriptor is no listening stream socket");
	start(1, file, NULL, NULL);
	ck_assert_str_eq(said, "a passed descriptor is no listening stream socket");
	start(1, wide, NULL, NULL);
	ck_assert_str_eq(said, "tcp beyond "); /* whether that will do is not for this module to say */
	start(ACTIVATION_MAX + 1, many, NULL, NULL);
	ck_assert_str_eq(said, "more sockets were passed than the daemon takes");
	start(0, NULL, "2", NULL);
	ck_assert_str_eq(said, "LISTEN_PID and LISTEN_FDS do not tell open descriptors");
	start(0, NULL, "2x", NULL);
	ck_assert_str_eq(said, "LISTEN_PID and LISTEN_FDS do not tell open descriptors");
}
END_TEST

#else

START_TEST(without_libsystemd_nothing_happens)
{
	struct activated sockets[ACTIVATION_MAX];
	const char *why;
	char buf[16];

	notify_ready();
	ck_assert_int_lt(recv(notify_fd, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(notify_watchdog_ms(), 0);
	ck_assert_int_eq(activation_take(sockets, &why), 0);
}
END_TEST

#endif

int
main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tcase = tcase_create("notify");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
#ifdef HAVE_SYSTEMD
	tcase_add_test(tcase, states_are_told);
	tcase_add_test(tcase, the_watchdog_is_fed_twice_as_often);
	tcase_add_test(tcase, passed_sockets_are_taken);
	tcase_add_test(tcase, for_another_process_they_are_not_ours);
	tcase_add_test(tcase, what_cannot_be_served_is_refused);
#else
	tcase_add_test(tcase, without_libsystemd_nothing_happens);
#endif
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
