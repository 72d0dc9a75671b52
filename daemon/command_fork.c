/*
 * command_fork: the second way of starting a command, for what a process can only do to itself, and not undo: limits,
 * another user; and for being born in a control group (clone3(2); to be moved there later costs milliseconds, and forgets children).
 *
 * What the child cannot do it tells by an errno on a pipe that closes when the program is executed. Between fork and
 * exec it allocates nothing: its memory may be limited to less than it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/command_private.h"

#define REPORT_FD   COMMAND_FDS
#define CONTINUE_MS 100
#define STOPS_MAX   30 /* so often, and no more */

static int
command_limit(int resource, int64_t soft, int64_t hard)
{
	struct rlimit limit;

	if (soft <= 0)
		return 0;
	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return -1;
	if (limit.rlim_max == RLIM_INFINITY || (rlim_t)hard < limit.rlim_max)
		limit.rlim_max = (rlim_t)hard;
	limit.rlim_cur = (rlim_t)soft < limit.rlim_max ? (rlim_t)soft : limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit);
}

static int
command_apply_limits(const struct spec_limits *limits, bool memory)
{
	int64_t bytes = memory ? limits->memory_mib << 20 : 0;

	if (command_limit(RLIMIT_CPU, limits->cpu_s, limits->cpu_s + COMMAND_CPU_GRACE_S) < 0 ||
	    command_limit(RLIMIT_NOFILE, limits->files, limits->files) < 0)
		return -1;
	return command_limit(RLIMIT_DATA, bytes, bytes);
}

/* The report goes behind the descriptors that the command gets. */
static int
command_place_fds(const int fds[COMMAND_FDS], int report)
{
	for (int i = 0; i < COMMAND_FDS; i++) {
		if (fds[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(fds[i], i) < 0)
			return -1;
	}
	if (report != REPORT_FD && dup3(report, REPORT_FD, O_CLOEXEC) < 0)
		return -1;
	return close_range(REPORT_FD + 1, ~0u, 0);
}

static int
command_reset_signals(void)
{
	static const long standard[16]; /* as the kernel has it: SIG_DFL is zero, and the rest is not looked at then */
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) /* also those two that sigaction(3) keeps for itself */
		syscall(SYS_rt_sigaction, sig, standard, NULL, (size_t)NSIG / 8);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Its pipes are to be its own: /dev/stderr is opened anew by whoever writes to it by name. */
static void
command_hand_over(const struct runas_user *user)
{
	struct stat stat;

	for (int i = 0; i < COMMAND_FDS; i++) {
		if (fstat(i, &stat) == 0 && S_ISFIFO(stat.st_mode) && fchown(i, user->uid, user->gid) < 0)
			continue; /* it writes to its descriptors all the same */
	}
}

struct command_report {
	int error;
	enum command_step failed;
};

static void __attribute__((noreturn)) command_fail(int report, enum command_step failed)
{
	const struct command_report said = {.error = errno, .failed = failed};

	if (write(report, &said, sizeof(said)) < 0)
		_exit(126);
	_exit(127);
}

/* Becomes the user, and goes to its folder with that one's rights. */
static void
command_be(const struct command *command, int report)
{
	command_hand_over(command->as);
	errno = runas_become(command->as);
	if (errno != 0)
		command_fail(report, COMMAND_BECOME);
	if (chdir(command->cwd != NULL ? command->cwd : "/") < 0)
		command_fail(report, COMMAND_ENTER);
}

static void __attribute__((noreturn))
command_become(const struct command *command, bool memory, char **env, const int fds[COMMAND_FDS], int report)
{
	if (setsid() < 0 || command_place_fds(fds, report) < 0)
		command_fail(report, COMMAND_RUN);
	report = REPORT_FD;
	if (command_reset_signals() < 0 || command_apply_limits(&command->limits, memory) < 0)
		command_fail(report, COMMAND_RUN);
	if (command->as != NULL)
		command_be(command, report);
	execvpe(command->argv[0], command->argv, env);
	command_fail(report, COMMAND_RUN);
}

/*
 * Once it is another user's, that one may stop it before it has come to its program: it goes on. Where it is stopped whenever it would, it is
 * ended: nobody holds up a supervisor for ever. 0, or the errno for that; it is reaped then.
 */
static int
command_keep_going(int report, pid_t pid)
{
	struct pollfd pollfd = {.fd = report, .events = POLLIN};

	for (int stops = 0; poll(&pollfd, 1, CONTINUE_MS) <= 0;) {
		siginfo_t info = {0};

		if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == pid && ++stops > STOPS_MAX) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return ECANCELED;
		}
		kill(pid, SIGCONT);
	}
	return 0;
}

/* 0, or the errno that the child has told; it is reaped then. */
static int
command_hear(int report, pid_t pid, enum command_step *ret_failed)
{
	struct command_report said;
	ssize_t n;

	do
		n = read(report, &said, sizeof(said));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(said))
		return 0;
	waitpid(pid, NULL, 0);
	*ret_failed = said.failed;
	return said.error;
}

/* As fork(2), into the group; the kernel may not know how, or not let us. */
static pid_t
command_clone(int cgroup)
{
	struct clone_args args = {
	    .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)(unsigned)cgroup};

	return cgroup >= 0 ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : -1;
}

int
command_fork(const struct command *command, char **env, const struct command_place *place,
    const int fds[COMMAND_FDS], pid_t *ret_pid, enum command_step *ret_failed)
{
	bool memory = !place->cgroup_memory;
	int report[2], error;
	sigset_t all, before;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return errno;
	sigfillset(&all); /* the child may not run a handler of ours */
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = command_clone(place->cgroup);
	if (pid < 0) {
		memory = true;
		pid = fork();
	}
	if (pid == 0)
		command_become(command, memory, env, fds, report[1]);
	error = pid < 0 ? errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (error == 0 && command->as != NULL)
		error = command_keep_going(report[0], pid);
	if (error == 0)
		error = command_hear(report[0], pid, ret_failed);
	close(report[0]);
	*ret_pid = pid;
	return error;
}
