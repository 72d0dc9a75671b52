/*
 * command: see command.h.
 *
 * posix_spawn(3) shares the worker's memory with the child until it has executed, so a start costs the same however
 * large the worker has grown. What it cannot do for the child (folder, mask of file modes) the worker, which has one
 * thread, sets for itself, and undoes afterwards. Limits it could not undo, nor another user: a command that has any, or a
 * control group, is forked (command_fork.c).
 */
#include "daemon/command_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"

#define DEFAULT_UMASK 022
#define USER_PATH     "/usr/local/bin:/usr/bin:/bin"
#define ROOT_PATH     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define BASE_MAX 6
static char *command_base[BASE_MAX + 1];

void
command_done(struct command *command)
{
	for (char **arg = command->argv; arg != NULL && *arg != NULL; arg++)
		free(*arg);
	for (char **entry = command->env; entry != NULL && *entry != NULL; entry++)
		free(*entry);
	free(command->argv);
	free(command->env);
	free(command->cwd);
	free(command->stdin_data);
	*command = (struct command){.umask = COMMAND_UMASK_NONE};
}

/* ---- environment ----------------------------------------------------------------------------- */

static void
command_fill_base(char *base[BASE_MAX + 1], bool root, const char *name, const char *home, const char *shell)
{
	const char *lang = getenv("LANG");

	base[0] = mem_format("PATH=%s", root ? ROOT_PATH : USER_PATH);
	base[1] = mem_format("HOME=%s", home);
	base[2] = mem_format("USER=%s", name);
	base[3] = mem_format("LOGNAME=%s", name);
	base[4] = mem_format("SHELL=%s", shell[0] != '\0' ? shell : "/bin/sh");
	base[5] = mem_format("LANG=%s", lang != NULL && lang[0] != '\0' ? lang : "C.UTF-8");
	base[6] = NULL;
}

void
command_prepare(void)
{
	struct passwd *user;
	char number[16];

	if (command_base[0] != NULL)
		return;
	errno = 0;
	user = getpwuid(geteuid());
	if (user == NULL && errno == ENOMEM)
		mem_out(0);
	snprintf(number, sizeof(number), "%u", (unsigned)geteuid());
	command_fill_base(command_base, geteuid() == 0, user != NULL ? user->pw_name : number, user != NULL ? user->pw_dir : "/",
	    user != NULL ? user->pw_shell : "");
	endpwent();
}

static bool
command_same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strncmp(a, b, len) == 0 && b[len] == '=';
}

static bool
command_has_name(char *const *env, const char *entry)
{
	for (; env != NULL && *env != NULL; env++) {
		if (command_same_name(entry, *env))
			return true;
	}
	return false;
}

static size_t
command_count(char *const *env)
{
	size_t n = 0;

	while (env != NULL && env[n] != NULL)
		n++;
	return n;
}

#define IDENTITY_MAX 4

char **
command_environment(const struct command *command, const struct command_identity *identity)
{
	char *own[IDENTITY_MAX + 1] = {
	    mem_text(identity->mark),
	    mem_format("FUTURED_JOB_ID=%llu", (unsigned long long)identity->job),
	    mem_format("FUTURED_ATTEMPT=%u", identity->attempt),
	    mem_format("FUTURED_PROGRESS_FD=%d", COMMAND_PROGRESS_FD),
	    NULL,
	};
	char **env = mem_new_array(command_count(command->env) + BASE_MAX + IDENTITY_MAX + 1, sizeof(*env));
	char *base_of_user[BASE_MAX + 1] = {NULL}, **base = command_base;
	const struct runas_user *as = command->as;
	size_t n = 0;

	command_prepare();
	if (as != NULL) {
		command_fill_base(base_of_user, as->uid == 0, as->name, as->home, as->shell);
		base = base_of_user;
	}
	for (char **entry = base; *entry != NULL; entry++) {
		if (!command_has_name(command->env, *entry))
			env[n++] = mem_text(*entry);
	}
	for (char **entry = base_of_user; *entry != NULL; entry++)
		free(*entry);
	for (char **entry = command->env; entry != NULL && *entry != NULL; entry++) {
		if (!command_has_name(own, *entry))
			env[n++] = mem_text(*entry);
	}
	for (char **entry = own; *entry != NULL; entry++)
		env[n++] = *entry;
	return env;
}

void
command_environment_free(char **env)
{
	for (char **entry = env; *entry != NULL; entry++)
		free(*entry);
	free(env);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* Standard input lies in memory of its own: whatever the command does with it, nobody has to feed it. */
static int
command_open_stdin(const struct command *command)
{
	size_t at = 0;
	int fd;

	if (command->stdin_data == NULL)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("stdin", MFD_CLOEXEC);
	while (fd >= 0 && at < command->stdin_len) {
		ssize_t n = pwrite(fd, command->stdin_data + at, command->stdin_len - at, (off_t)at);

		if (n < 0) {
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	return fd;
}

/* 0 or an errno. */
static int
command_fill_actions(posix_spawn_file_actions_t *actions, const int fds[COMMAND_FDS])
{
	int error = 0;

	for (int i = 0; i < COMMAND_FDS && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(actions, fds[i], i);
	return error != 0 ? error : posix_spawn_file_actions_addclosefrom_np(actions, COMMAND_FDS);
}

static int
command_fill_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	memset(&all, 0xff, sizeof(all)); /* sigfillset() leaves out two, which the child would then ignore for life */
	sigemptyset(&none);
	if ((errno = posix_spawnattr_setsigdefault(attributes, &all)) != 0 ||
	    (errno = posix_spawnattr_setsigmask(attributes, &none)) != 0)
		return errno;
	return posix_spawnattr_setflags(attributes,
	    POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/* The program is looked for in the PATH that the command will have, not in ours. */
static int
command_spawn(const struct command *command, char **env, const int fds[COMMAND_FDS], pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	error = command_fill_actions(&actions, fds);
	if (error == 0)
		error = command_fill_attributes(&attributes);
	if (error == 0)
		error = posix_spawnp(ret_pid, command->argv[0], &actions, &attributes, command->argv, env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static bool
command_is_limited(const struct command *command)
{
	return command->limits.memory_mib > 0 || command->limits.cpu_s > 0 || command->limits.files > 0;
}

/* 0 or an errno; *ret_failed is at what. */
static int
command_execute(const struct command *command, char **env, const struct command_place *place,
    const int fds[COMMAND_FDS], pid_t *ret_pid, enum command_step *ret_failed)
{
	mode_t own_umask = umask(command->umask != COMMAND_UMASK_NONE ? command->umask : DEFAULT_UMASK);
	char **own = environ;
	int error;

	environ = env;
	*ret_failed = COMMAND_RUN;
	if (command->as != NULL || command->apart || command_is_limited(command) || place->cgroup >= 0)
		error = command_fork(command, env, place, fds, ret_pid, ret_failed);
	else
		error = command_spawn(command, env, fds, ret_pid);
	environ = own;
	umask(own_umask);
	return error;
}

static void
command_set_error(const struct command *command, enum command_step failed, int error, struct outcome *outcome)
{
	switch (failed) {
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who becomes somebody has a name */
	case COMMAND_BECOME: outcome_set_errno(outcome, "become", command->as->name, error); break;
	case COMMAND_ENTER: outcome_set_errno(outcome, "enter", command->cwd != NULL ? command->cwd : "/", error); break;
	case COMMAND_RUN: outcome_set_errno(outcome, "run", command->argv[0], error); break;
	}
}

int
command_start(const struct command *command, const struct command_identity *identity,
    const struct command_place *place, pid_t *ret_pid, struct outcome *ret_outcome)
{
	const char *cwd = command->cwd != NULL ? command->cwd : "/";
	int fds[COMMAND_FDS] = {-1, place->streams[COMMAND_STDOUT], place->streams[COMMAND_STDERR],
	    place->streams[COMMAND_PROGRESS]};
	enum command_step failed;
	int error, result = -1;
	char **env;

	fds[0] = command_open_stdin(command);
	if (fds[0] < 0) {
		outcome_set_errno(ret_outcome, "open", "standard input", errno);
		return -1;
	}
	if (command->as == NULL && chdir(cwd) < 0) { /* else it goes there itself, with its own rights */
		outcome_set_errno(ret_outcome, "enter", cwd, errno);
		goto out;
	}
	env = command_environment(command, identity);
	error = command_execute(command, env, place, fds, ret_pid, &failed);
	command_environment_free(env);
	if (chdir("/") < 0)
		abort(); /* there is always a root */
	if (error != 0)
		command_set_error(command, failed, error, ret_outcome);
	else
		result = 0;
out:
	close(fds[0]);
	return result;
}
