/*
 * What may be said of a job that is submitted. The values are static: one command line is read in the life of the
 * process.
 */
#include "job_options.h"

#include "value.h"

struct job_options job_options;

const struct option_spec job_options_table[] = {
    {"queue", 'q', OPTION_TEXT, &job_options.queue, "NAME", "the queue it stands in (default)"},
    {"priority", 'p', OPTION_INTEGER, &job_options.priority, "N", "-1000 to 1000, higher goes first (0)"},
    {"delay", 0, OPTION_DURATION, &job_options.delay, "TIME", "start it no sooner than in TIME"},
    {"timeout", 't', OPTION_DURATION, &job_options.timeout, "TIME", "end an attempt that takes longer"},
    {"max-attempts", 0, OPTION_INTEGER, &job_options.max_attempts, "N", "start it again when it fails, N times in all"},
    {"backoff", 0, OPTION_DURATION, &job_options.backoff, "TIME",
	"pause before a second start, doubled each time (1s)"},
    {"key", 'k', OPTION_TEXT, &job_options.key, "KEY", "accept it once only for this KEY"},
    {"label", 'l', OPTION_TEXT, &job_options.label, "TEXT", "a label to select it by"},
    {"retain", 0, OPTION_DURATION, &job_options.retain, "TIME", "keep it so long after its end"},
    {"lane", 0, OPTION_TEXT, &job_options.lane, "LANE", "cpu or io, where the task can run in both"},
    {"args", 0, OPTION_TEXT, &job_options.args, "JSON", "all its arguments, as an array or object"},
    {0},
};

const struct option_spec job_options_command[] = {
    {"io", 0, OPTION_FLAG, &job_options.io, NULL, "it mostly waits: do not count it against a core"},
    {"no-env", 0, OPTION_FLAG, &job_options.no_env, NULL, "do not send the environment along"},
    {0},
};

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
	return params;
}
