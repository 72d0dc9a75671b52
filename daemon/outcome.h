/*
 * outcome: how one attempt of a job came out: a result, or an error object, and what it cost.
 *
 * Made by tasks (in a worker or an I/O thread), by the supervisor for commands, and by the daemon for what it ends
 * itself. No threads of its own: an outcome has one owner at a time.
 */
#ifndef DAEMON_OUTCOME_H
#define DAEMON_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/errors.h"
#include "proto/jsonspan.h"

struct usage {
	int64_t user_us;
	int64_t system_us;
	int64_t max_rss_kib; /* 0: not known (a thread has no memory of its own) */
	bool known;
};

struct rusage;
/* Adds what a process took, its memory as the greater of both. */
void usage_add(struct usage *usage, const struct rusage *more);

struct outcome {
	enum job_error error; /* JOB_ERROR_NONE: it succeeded */
	char *json;	      /* owned; the result, or the error object {"type":…,"message":…,…} */
	size_t len;
	struct usage usage;
	bool later; /* an error of the moment, before the job began: it is tried again, and this does not count */
};

/* Ends what outcome owns; it is as zeroed then. */
void outcome_done(struct outcome *outcome);

/* Success. The first takes json (malloc'ed), the second copies. */
void outcome_take_result(struct outcome *outcome, char *json, size_t len);
void outcome_set_result(struct outcome *outcome, struct span json);

/* Failure: {"type":NAME,"message":formatted}. An earlier content is freed. */
void outcome_set_error(struct outcome *outcome, enum job_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* TaskError: "cannot open /etc/x: No such file or directory", with data {"errno":"ENOENT"}. */
void outcome_set_errno(struct outcome *outcome, const char *verb, const char *name, int error);

/* "SIGTERM", "SIGRTMIN+3". */
#define OUTCOME_SIGNAL_SIZE 32
void outcome_name_signal(int sig, char name[OUTCOME_SIGNAL_SIZE]);

/*
 * Adds a member to the error object; json is raw JSON, text is quoted (made valid UTF-8 where it is not). The last adds
 * two, the contract's Bytes: NAME and NAME_encoding.
 */
void outcome_add_json(struct outcome *outcome, const char *name, struct span json);
void outcome_add_integer(struct outcome *outcome, const char *name, int64_t value);
void outcome_add_text(struct outcome *outcome, const char *name, const char *bytes, size_t len);
void outcome_add_bytes(struct outcome *outcome, const char *name, const char *bytes, size_t len);

#endif
