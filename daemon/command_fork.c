/*
 * command_fork: the second way of starting a command, for what a process can only do to itself, and not undo: limits;
 * and for being born in a control group (clone3(2); to be moved there later costs milliseconds, and forgets children).
 *
 * What the child cannot do it tells by an errno on a pipe that closes when the program is executed. Between fork and
 * exec it allocates nothing: its memory may be limited to less than it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/command_private.h"

#define REPORT_FD COMMAND_FDS

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

static void __attribute__((noreturn))
command_become(const struct command *command, bool memory, char **env, const int fds[COMMAND_FDS], int report)
{
	int error;

	if (setsid() >= 0 && command_place_fds(fds, report) == 0) {
		report = REPORT_FD;
		if (command_reset_signals() == 0 && command_apply_limits(&command->limits, memory) == 0)
			execvpe(command->argv[0], command->argv, env);
	}
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* 0, or the errno that the child has told; it is reaped then. */
static int
command_hear(int report, pid_t pid)
{
	int error = 0;
	ssize_t n;

	do
		n = read(report, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(error))
		return 0;
	waitpid(pid, NULL, 0);
	return error;
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
    const int fds[COMMAND_FDS], pid_t *ret_pid)
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
	if (error == 0)
		error = command_hear(report[0], pid);
	close(report[0]);
	*ret_pid = pid;
	return error;
}
