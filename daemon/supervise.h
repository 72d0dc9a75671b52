/*
 * supervise: runs one command in a worker, as its parent and nearest subreaper, and ends its whole tree before it
 * reports.
 *
 * The command's output goes through pipes into the job's two output files (capture.h), its first 64 KiB of each into
 * the result. A command ends with its leader: what is left of its tree gets TERM, grace, KILL before supervise_run()
 * returns. The end of a pipe is never waited for once the tree is empty. Worker process only: one thread, no libevent,
 * no SQLite.
 */
#ifndef DAEMON_SUPERVISE_H
#define DAEMON_SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/command.h"
#include "daemon/outcome.h"
#include "daemon/progress.h"

/* What a worker is given at its birth to run commands with. */
struct supervise_config {
	int output_dir;	    /* descriptor of the folder of output files */
	int cgroup;	    /* descriptor of the folder of control groups, or -1 */
	int leaders_fd;	    /* the leaders file (leaders.h), or -1 */
	int64_t max_output; /* bytes kept of each stream */
	const char *mark;   /* "FUTURED_TREE=…", in each command's environment: a later daemon knows its own by it */
	unsigned slot;
	int64_t grace_ms; /* for what a command left behind */
};

/*
 * Told while the command runs; all on the caller's stack. cancel_fd is polled for reading: when it becomes readable,
 * on_readable is called, which says whether to end the command (and with which grace), or that the other side is gone
 * (then the tree is killed at once).
 */
enum supervise_wish { SUPERVISE_GO_ON, SUPERVISE_STOP, SUPERVISE_GONE };
struct supervise_hooks {
	int cancel_fd;
	enum supervise_wish (*on_readable)(void *arg, int64_t *ret_grace_ms);
	void (*on_started)(void *arg, pid_t leader);
	/* So many bytes are in the files now: at the first byte at once, then at most every 50 ms, and before the end.
	 */
	void (*on_output)(void *arg, int64_t stdout_bytes, int64_t stderr_bytes);
	/* It has told how far it is: at once, then at most every PROGRESS_GAP_MS, and only the latest. May be NULL. */
	void (*on_progress)(void *arg, const struct progress *progress);
	void *arg;
};

/*
 * Runs the command to its end, its tree included. Sets *ret_outcome: on exit status 0 the result
 * {"exit_status":0,"stdout":…,"stdout_encoding":…,"stderr":…,"stderr_encoding":…,"truncated":bool}; else, and always
 * when on_readable asked for its end, ExitStatus or Signal with exit_status or signal, and stderr_tail (the last 4
 * KiB); TaskError with data {"errno":"ENOENT"} when it could not be started ("cannot run NAME: No such file or
 * directory"), OutOfMemory where its control group tells that. The message of one that was ended by a limit of the job says so. usage is the whole tree's, as far as it
 * was reaped.
 * Returns 0, or -1 when the daemon is gone (on_readable said so): the tree is dead then and the worker must exit.
 */
int supervise_run(const struct supervise_config *config, const struct supervise_hooks *hooks, uint64_t job,
    unsigned attempt, const struct command *command, struct outcome *ret_outcome);

#endif
