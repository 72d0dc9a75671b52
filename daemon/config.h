/*
 * config: what the daemon is told: defaults, then the INI file, then the command line, which wins.
 *
 * Read once at the start, before any thread or child, and constant from then on. Nothing is logged or printed here:
 * each failure leaves a sentence in config->error ("FILE:LINE: …" when it stands in the file) and the caller says it.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/log.h"

enum config_synchronous { CONFIG_SYNCHRONOUS_FULL, CONFIG_SYNCHRONOUS_NORMAL, CONFIG_SYNCHRONOUS_OFF };

enum config_run_as { CONFIG_RUN_AS_DAEMON, CONFIG_RUN_AS_OWNER };

#define CONFIG_KEYS_MAX 48

/* Strings are owned; a NULL one is not set. Names are those of the file's keys; futured.conf(5) tells the defaults. */
struct config {
	char *state_dir; /* --state-dir */

	int64_t drain_ms; /* [daemon] */
	int64_t grace_ms;

	char *unix_path; /* [listen] unix; NULL: no such socket */
	int64_t unix_mode;
	char *tcp_host; /* [listen] tcp, without brackets; NULL: none */
	int64_t tcp_port;

	int64_t synchronous; /* [store], enum config_synchronous */
	int64_t window;

	int64_t cpu_workers;          /* [cpu] */
	int64_t max_tasks_per_worker; /* 0: as many as come */

	int64_t io_threads; /* [io] */
	int64_t io_waits;
	int64_t io_processes;

	char **user_tasks; /* [tasks] user */
	size_t n_user_tasks;

	int64_t max_output; /* [exec], bytes of each stream */
	int64_t run_as;	    /* [exec], enum config_run_as */
	char *cgroup;	    /* [exec]: a folder of the cgroup v2 tree; NULL: what was delegated, if anything */

	bool http_local; /* [http] local */

	int64_t limit_message; /* [limits], bytes */
	int64_t limit_connections;
	int64_t limit_hello_ms;
	int64_t limit_pending;
	int64_t limit_pending_per_owner;
	int64_t limit_queues;
	int64_t limit_waits_per_connection;
	int64_t limit_ranges_per_connection;
	int64_t limit_selection;
	int64_t limit_result; /* bytes */

	int64_t retention_ms; /* [retention] finished */

	char *tokens_file; /* [tokens] file; NULL: tokens in the state folder, if it is there */

	char *tls_certificate; /* [tls]: paths; the first two together, or neither */
	char *tls_key;
	char *tls_client_ca;

	int64_t log_level; /* [log] level, enum log_level */

	char *file;      /* --config, or the default place that config_load_file() found; NULL: none was read */
	char error[512]; /* after a failure */
	bool fixed[CONFIG_KEYS_MAX]; /* by row of config.c's table: an option said it, the file does not change it */
};

enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_VERSION, CONFIG_HELP };

/* The defaults for this user and environment. */
void config_init(struct config *config);
void config_done(struct config *config);

/* The command line. 0 and what to do, or -1: wrong usage (exit status 64). Before config_load_file(). */
int config_options(struct config *config, int argc, char **argv, enum config_action *ret_action)
    __attribute__((warn_unused_result));
/* Reads the file that --config named, else the one in the default place if it is there. 0 or -1 (exit status 78). */
int config_load_file(struct config *config) __attribute__((warn_unused_result));
/* What only the whole can tell (a missing folder, a path that is too long); fills in what depends on other values. 0 or
 * -1. */
int config_check(struct config *config) __attribute__((warn_unused_result));

/*
 * Sets one key, with where ("FILE:LINE: ") before the message: as the file does, or as an option does, which the file
 * does not change any more. Used by config_load.c and by tests. 0 or -1.
 */
int config_set(struct config *config, const char *section, const char *key, const char *value, const char *where)
    __attribute__((warn_unused_result));
int config_override(struct config *config, const char *section, const char *key, const char *value, const char *where)
    __attribute__((warn_unused_result));
/* Keeps the sentence if it is the first. Returns -1. */
int config_fail(struct config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether [tasks] user names the task. */
bool config_user_task(const struct config *config, const char *task);

/* What --help prints. */
extern const char config_help[];

#endif
