/*
 * What may be said of a job that is submitted. The values are static: one command line is read in the life of the
 * process.
 */
#include "job_options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "select.h"
#include "value.h"

#define JOB_OPTIONS_PARENTS_MAX 1000 /* the daemon's, as the limits of limits */
#define JOB_OPTIONS_MEMORY_MAX  (INT64_C(1) << 32)
#define JOB_OPTIONS_CPU_MAX     1000000000
#define JOB_OPTIONS_FILES_MAX   (1 << 20)

struct job_options job_options;

/* Of these options what is sent, as they are read once: "last" and "03:00" must not mean another thing a batch later. */
static struct text job_options_after;
static struct text job_options_not_before;
static int64_t job_options_memory_mib;

const struct option_spec job_options_table[] = {
    {"queue", 'q', OPTION_TEXT, &job_options.queue, "NAME", "the queue it stands in (default)"},
    {"priority", 'p', OPTION_INTEGER, &job_options.priority, "N", "-1000 to 1000, higher goes first (0)"},
    {"delay", 0, OPTION_DURATION, &job_options.delay, "TIME", "start it no sooner than in TIME"},
    {"not-before", 0, OPTION_TEXT, &job_options.not_before, "WHEN", "no sooner than 03:00, 2026-12-24 18:00, ...T18:00Z"},
    {"expires", 0, OPTION_DURATION, &job_options.expires, "TIME", "fail it if it has not begun after TIME"},
    {"after", 0, OPTION_TEXT, &job_options.after, "IDS", "once these jobs have ended: 3,5-9 or last"},
    {"after-policy", 0, OPTION_TEXT, &job_options.after_policy, "POLICY",
	"if they have succeeded (default), failed, or just finished"},
    {"timeout", 't', OPTION_DURATION, &job_options.timeout, "TIME", "end an attempt that takes longer"},
    {"max-attempts", 0, OPTION_INTEGER, &job_options.max_attempts, "N", "start it again when it fails, N times in all"},
    {"backoff", 0, OPTION_DURATION, &job_options.backoff, "TIME",
	"pause before a second start, doubled each time (1s)"},
    {"key", 'k', OPTION_TEXT, &job_options.key, "KEY", "accept it once only for this KEY"},
    {"label", 'l', OPTION_TEXT, &job_options.label, "TEXT", "a label to select it by"},
    {"webhook", 0, OPTION_TEXT, &job_options.webhook, "URL", "POST the job there once it has ended"},
    {"retain", 0, OPTION_DURATION, &job_options.retain, "TIME", "keep it so long after its end"},
    {"lane", 0, OPTION_TEXT, &job_options.lane, "LANE", "cpu or io, where the task can run in both"},
    {"args", 0, OPTION_TEXT, &job_options.args, "JSON", "all its arguments, as an array or object"},
    {0},
};

const struct option_spec job_options_command[] = {
    {"io", 0, OPTION_FLAG, &job_options.io, NULL, "it mostly waits: do not count it against a core"},
    {"no-env", 0, OPTION_FLAG, &job_options.no_env, NULL, "do not send the environment along"},
    {"limit-memory", 0, OPTION_TEXT, &job_options.limit_memory, "SIZE", "at most so much memory: 512M, 2G"},
    {"limit-cpu", 0, OPTION_DURATION, &job_options.limit_cpu, "TIME", "at most so much time on processors"},
    {"limit-files", 0, OPTION_INTEGER, &job_options.limit_files, "N", "at most N files open at once"},
    {0},
};

static void job_options_check_limits(const struct operands *operands)
{
	double cpu_s = job_options.limit_cpu.seconds;
	bool limits = job_options.limit_memory != NULL || job_options.limit_cpu.given || job_options.limit_files.given;

	if (limits && operands->command == NULL && strcmp(operands->at[0], "exec") != 0)
		ctl_die_usage("--limit-memory, --limit-cpu and --limit-files are for a command");
	if (job_options.limit_memory != NULL &&
	    (value_read_mib(job_options.limit_memory, &job_options_memory_mib) < 0 ||
		job_options_memory_mib > JOB_OPTIONS_MEMORY_MAX))
		ctl_die_usage("--limit-memory takes a size such as 512M or 2G, up to 4096T, not '%s'", job_options.limit_memory);
	if (job_options.limit_cpu.given &&
	    (cpu_s < 1 || cpu_s > JOB_OPTIONS_CPU_MAX || (double)(int64_t)cpu_s < cpu_s))
		ctl_die_usage("--limit-cpu takes whole seconds, from 1s to %ds, not %gs", JOB_OPTIONS_CPU_MAX, cpu_s);
	if (job_options.limit_files.given &&
	    (job_options.limit_files.value < 1 || job_options.limit_files.value > JOB_OPTIONS_FILES_MAX))
		ctl_die_usage("--limit-files takes a number from 1 to %d, not %lld", JOB_OPTIONS_FILES_MAX,
		    (long long)job_options.limit_files.value);
}

static void job_options_check_when(void)
{
	struct select parents;
	struct text wrong = {0};
	char *words[] = {(char *)(uintptr_t)job_options.after};
	double moment;

	if (job_options.not_before != NULL) {
		if (job_options.delay.given)
			ctl_die_usage("--delay and --not-before say the same; give one");
		if (value_read_moment(job_options.not_before, time(NULL), &moment) < 0)
			ctl_die_usage("--not-before takes a time such as 03:00, '2026-12-24 18:00' or "
				      "2026-12-24T18:00:00Z, not '%s'",
			    job_options.not_before);
		value_write_time(&job_options_not_before, moment);
	}
	if (job_options.after_policy != NULL && job_options.after == NULL)
		ctl_die_usage("--after-policy goes with --after");
	if (job_options.after == NULL)
		return;
	if (select_read(words, 1, &parents, &wrong) < 0)
		ctl_die_usage("--after: %s", text_string(&wrong));
	if (select_is_filter(&parents))
		ctl_die_usage("--after takes ids, not a filter: '%s'", job_options.after);
	select_done(&parents);
}

void job_options_check(const struct operands *operands, bool takes_words)
{
	if (operands->command != NULL) {
		if (operands->command[0] == NULL)
			ctl_die_usage("a command is missing behind '--'");
		if (job_options.args != NULL)
			ctl_die_usage("--args is for a task; a command has its arguments behind '--'");
	} else {
		if (operands->count == 0)
			ctl_die_usage("which task? 'futurectl tasks' lists them; a command is given behind '--'");
		if (operands->count > 1 && (!takes_words || job_options.args != NULL))
			ctl_die_usage("'%s' is one argument too many", operands->at[1]);
		if (job_options.no_env)
			ctl_die_usage("--no-env is for a command");
	}
	if (job_options.args != NULL && !value_is_json(job_options.args))
		ctl_die_usage("--args takes JSON, and this is none: %s", job_options.args);
	if (job_options.io && job_options.lane != NULL)
		ctl_die_usage("--io and --lane say the same; give one");
	job_options_check_limits(operands);
	job_options_check_when();
}

const char *job_options_task(const struct operands *operands)
{
	return operands->command != NULL ? "exec" : operands->at[0];
}

static void job_options_put_duration(struct fut_params *params, const char *name,
    const struct option_duration *duration)
{
	if (duration->given)
		fut_params_number(params, name, duration->seconds);
}

static void job_options_put_integer(struct fut_params *params, const char *name, const struct option_integer *integer)
{
	if (integer->given)
		fut_params_integer(params, name, integer->value);
}

static void job_options_put_text(struct fut_params *params, const char *name, const char *text)
{
	if (text != NULL)
		fut_params_string(params, name, text);
}

/* The parents as an array of ids, looked up when they are first needed. */
static const char *job_options_parents(void)
{
	char *words[] = {(char *)(uintptr_t)job_options.after};
	struct select parents;
	int64_t count = 0;

	if (job_options_after.len > 0)
		return ctl_text(&job_options_after);
	select_read_or_die(words, 1, &parents);
	for (size_t i = 0; i < parents.n_ranges; i++) {
		for (int64_t id = parents.ranges[i].first; id <= parents.ranges[i].last; id++) {
			if (++count > JOB_OPTIONS_PARENTS_MAX)
				ctl_die_usage("--after names more than %d jobs", JOB_OPTIONS_PARENTS_MAX);
			text_add_format(&job_options_after, "%s%lld", count == 1 ? "[" : ",", (long long)id);
		}
	}
	text_add(&job_options_after, "]", 1);
	select_done(&parents);
	return ctl_text(&job_options_after);
}

static void job_options_put_limits(struct fut_params *params)
{
	struct text limits = {0};

	if (job_options.limit_memory != NULL)
		text_add_format(&limits, ",\"memory_mib\":%lld", (long long)job_options_memory_mib);
	if (job_options.limit_cpu.given) {
		text_add_string(&limits, ",\"cpu_s\":");
		text_add_number(&limits, job_options.limit_cpu.seconds);
	}
	if (job_options.limit_files.given)
		text_add_format(&limits, ",\"files\":%lld", (long long)job_options.limit_files.value);
	if (limits.len == 0)
		return;
	text_add(&limits, "}", 1);
	limits.at[0] = '{';
	fut_params_json(params, "limits", ctl_text(&limits), SIZE_MAX);
	text_done(&limits);
}

struct fut_params *job_options_params(void)
{
	struct fut_params *params = ctl_params();

	job_options_put_text(params, "queue", job_options.queue);
	job_options_put_text(params, "lane", job_options.io ? "io" : job_options.lane);
	job_options_put_text(params, "label", job_options.label);
	job_options_put_integer(params, "priority", &job_options.priority);
	job_options_put_integer(params, "max_attempts", &job_options.max_attempts);
	job_options_put_duration(params, "delay", &job_options.delay);
	job_options_put_duration(params, "timeout", &job_options.timeout);
	job_options_put_duration(params, "backoff", &job_options.backoff);
	job_options_put_duration(params, "retain", &job_options.retain);
	job_options_put_duration(params, "expires", &job_options.expires);
	job_options_put_text(params, "after_policy", job_options.after_policy);
	job_options_put_text(params, "webhook", job_options.webhook);
	if (job_options.not_before != NULL)
		fut_params_string(params, "not_before", ctl_text(&job_options_not_before));
	if (job_options.after != NULL)
		fut_params_json(params, "after", job_options_parents(), SIZE_MAX);
	job_options_put_limits(params);
	return params;
}
