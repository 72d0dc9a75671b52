/*
 * Saying things, ending, connecting: what every command of futurectl needs.
 *
 * Whatever goes wrong is said once, on standard error, with what was wrong, where, and what to do; the exit status is
 * the protocol's.
 */
#include "ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"

#define CTL_TOKEN_MAX 4096

struct ctl ctl;

static bool ctl_has_asked; /* for something that changes jobs */

void ctl_restore(void)
{
	void (*restore)(void) = ctl.restore;

	ctl.restore = NULL;
	if (restore != NULL)
		restore();
}

static void __attribute__((format(printf, 1, 0))) ctl_say_args(const char *format, va_list args)
{
	ctl_restore();
	progress_clear();
	fflush(stdout);
	fputs("futurectl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void ctl_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_say_args(format, args);
	va_end(args);
}

/* At once: what is still held goes with the process, and no handler needs to see it. */
static _Noreturn void ctl_exit(int status)
{
	fflush(stdout);
	_exit(status);
}

/* What the command line's own trouble ends with: run -- COMMAND has a status for it that its command hardly has. */
static int ctl_status(int status)
{
	return ctl.runs_command && status == CTL_REFUSED ? CTL_OWN_FAULT : status;
}

void ctl_die(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_say_args(format, args);
	va_end(args);
	ctl_exit(ctl_status(status));
}

void ctl_die_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_say_args(format, args);
	va_end(args);
	fprintf(stderr, "Try 'futurectl %s%s--help'.\n", ctl.command != NULL ? ctl.command : "",
	    ctl.command != NULL ? " " : "");
	ctl_exit(ctl_status(CTL_REFUSED));
}

void ctl_die_memory(void)
{
	ctl_die(CTL_REFUSED, "out of memory");
}

static void ctl_say_unreachable(void)
{
	if (fut_is_local(ctl.client))
		fputs("  Start one with 'futured', or the service with 'systemctl start futured'. Another\n"
		      "  socket is named with --socket PATH or $FUTURED_SOCKET.\n", stderr);
	else
		fputs("  A daemon listens there only with --listen HOST:PORT, or [listen] tcp in its\n"
		      "  configuration.\n", stderr);
}

static bool ctl_speaks_tls(void)
{
	return ctl.ca != NULL || ctl.certificate != NULL || ctl.key != NULL;
}

static void ctl_say_busy(void)
{
	struct span retry_after;
	double seconds;

	if (fut_error_data(ctl.client) != NULL &&
	    ctl_member(ctl_span(fut_error_data(ctl.client)), "retry_after", &retry_after) &&
	    jsonspan_number(retry_after, &seconds) == 0)
		fprintf(stderr, "  Try again in %g s.\n", seconds);
	else
		fputs("  Try again later.\n", stderr);
}

/* What the daemon says of a parameter is said of the option that gave it. */
static bool ctl_say_option(const char *message)
{
	const char *data = fut_error_data(ctl.client);
	char *param = data != NULL ? ctl_member_string(ctl_span(data), "param") : NULL;
	size_t len = param != NULL ? strlen(param) : 0;
	bool says_it = len > 0 && strncmp(message, param, len) == 0 && message[len] == ' ';
	bool known;

	for (char *at = param; at != NULL && *at != '\0'; at++)
		if (*at == '_')
			*at = '-';
	known = len > 0 && ctl.has_option != NULL && ctl.has_option(param);
	if (known)
		ctl_say("--%s%s%s", param, says_it ? "" : ": ", says_it ? message + len : message);
	free(param);
	return known;
}

int ctl_say_failure(void)
{
	int code = fut_error_code(ctl.client);
	const char *message = fut_error_message(ctl.client);

	if (code != FUT_E_BAD_PARAMS || !ctl_say_option(message))
		ctl_say("%s", message);
	switch (code) {
	case FUT_E_UNREACHABLE:
		ctl_say_unreachable();
		return CTL_NO_DAEMON;
	case FUT_E_DISCONNECTED:
		if (!ctl_has_asked && ctl.connect != NULL && !ctl_speaks_tls())
			fputs("  It may speak TLS there: give --ca FILE.\n", stderr);
		if (ctl_has_asked)
			fputs("  What was asked may have had its effect: 'futurectl list' tells, once a daemon\n"
			      "  runs.\n", stderr);
		return CTL_NO_DAEMON;
	case FUT_E_BUSY:
		ctl_say_busy();
		return CTL_BUSY;
	case FUT_E_UNAUTHENTICATED:
		if (fut_error_data(ctl.client) == NULL && ctl_speaks_tls()) {
			fputs("  --ca FILE names who signed the daemon's certificate, which must be for the host that\n"
			      "  --connect names.\n", stderr);
			return CTL_DENIED;
		}
		fputs("  Give the token with --token-file FILE or $FUTURED_TOKEN; the daemon's own is the\n"
		      "  file 'token' in its state folder.\n", stderr);
		return CTL_DENIED;
	case FUT_E_KEY_CONFLICT:
		fputs("  Of a command its environment, folder and input are compared too: --no-env leaves the\n"
		      "  environment out.\n", stderr);
		break;
	case FUT_E_FORBIDDEN:
		return CTL_DENIED;
	case FUT_E_NO_SUCH_METHOD:
		fprintf(stderr, "  The daemon, version %s, does not have it yet.\n", fut_server_version(ctl.client));
		break;
	case FUT_E_NO_SUCH_TASK:
		fputs("  'futurectl tasks' lists what there is. To run a command, give it behind '--':\n"
		      "  futurectl run -- COMMAND\n", stderr);
		break;
	case FUT_E_OUTCOME_UNKNOWN:
		fputs("  It may have been accepted: ask again with the same --key, and it will not be done\n"
		      "  twice.\n", stderr);
		break;
	}
	return ctl_status(CTL_REFUSED);
}

void ctl_die_failure(void)
{
	ctl_exit(ctl_say_failure());
}

static char *ctl_read_token(const char *path)
{
	static char token[CTL_TOKEN_MAX];
	FILE *file = fopen(path, "re");

	if (file == NULL || fgets(token, sizeof(token), file) == NULL)
		ctl_die(CTL_DENIED, "cannot read a token from %s: %s", path,
		    file == NULL ? strerror(errno) : "it is empty");
	fclose(file);
	token[strcspn(token, "\r\n")] = '\0';
	return token;
}

/* By TCP; with one of the options of TLS, encrypted. */
static int ctl_connect_remote(void)
{
	const struct fut_tls tls = {ctl.ca, ctl.certificate, ctl.key};
	const char *token = ctl.token_file != NULL ? ctl_read_token(ctl.token_file) : NULL;

	if (!ctl_speaks_tls())
		return fut_connect_tcp(ctl.client, ctl.connect, token);
	if ((tls.certificate != NULL) != (tls.key != NULL))
		ctl_die_usage("--cert and --key go together");
	return fut_connect_tls(ctl.client, ctl.connect, token, &tls);
}

void ctl_connect(void)
{
	int r;

	if (ctl.socket != NULL && ctl.connect != NULL)
		ctl_die_usage("--socket and --connect are two places; give one");
	if (ctl.token_file != NULL && ctl.connect == NULL)
		ctl_die_usage("--token-file goes with --connect; a Unix socket knows who connects");
	if (ctl_speaks_tls() && ctl.connect == NULL)
		ctl_die_usage("--ca, --cert and --key go with --connect");
	ctl.client = fut_new("futurectl");
	if (ctl.client == NULL)
		ctl_die_memory();
	if (ctl.connect != NULL)
		r = ctl_connect_remote();
	else if (ctl.socket != NULL)
		r = fut_connect_unix(ctl.client, ctl.socket);
	else
		r = fut_connect(ctl.client);
	if (r < 0)
		ctl_die_failure();
}

struct fut_params *ctl_params(void)
{
	struct fut_params *params = fut_params_new();

	if (params == NULL)
		ctl_die_memory();
	return params;
}

static void ctl_note_method(const char *method)
{
	static const char *const changing[] = {"submit", "map", "cancel", "retry", "forget", "pause", "resume",
	    "set_queue", "drain"};

	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++)
		if (strcmp(method, changing[i]) == 0)
			ctl_has_asked = true;
}

int ctl_try(const char *method, struct fut_params *params, char **ret_result)
{
	int r;

	ctl_note_method(method);
	r = fut_call(ctl.client, method, params, ret_result);
	fut_params_free(params);
	return r;
}

char *ctl_call(const char *method, struct fut_params *params)
{
	char *result;

	if (ctl_try(method, params, &result) < 0)
		ctl_die_failure();
	return result;
}

int64_t ctl_send(const char *method, struct fut_params *params)
{
	int64_t request;

	ctl_note_method(method);
	if (fut_send(ctl.client, method, params, &request) < 0)
		ctl_die_failure();
	fut_params_free(params);
	return request;
}

const char *ctl_text(const struct text *text)
{
	if (text->failed)
		ctl_die_memory();
	return text_string(text);
}

int ctl_write(int fd, const char *bytes, size_t len)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
	ssize_t n;

	while (len > 0) {
		n = write(fd, bytes, len);
		if (n < 0 && errno == EAGAIN)
			poll(&pollfd, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

void ctl_print_line(struct span value)
{
	fwrite(value.at, 1, value.len, stdout);
	putchar('\n');
}

int ctl_finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	ctl_say("cannot write to standard output: %s", strerror(errno));
	return ctl_status(CTL_REFUSED);
}

struct span ctl_span(const char *json)
{
	return (struct span){json, strlen(json)};
}

bool ctl_member(struct span object, const char *name, struct span *ret_value)
{
	return jsonspan_type(object) == JSONSPAN_OBJECT && jsonspan_get(object, name, ret_value);
}

char *ctl_member_string(struct span object, const char *name)
{
	struct span value;
	char *text;
	int r;

	if (!ctl_member(object, name, &value))
		return NULL;
	r = jsonspan_string(value, &text, NULL);
	if (r == -2)
		ctl_die_memory();
	return r == 0 ? text : NULL;
}

bool ctl_member_is(struct span object, const char *name, const char *text)
{
	struct span value;

	return ctl_member(object, name, &value) && jsonspan_type(value) == JSONSPAN_STRING && jsonspan_is(value, text);
}

bool ctl_member_is_true(struct span object, const char *name)
{
	struct span value;
	bool truth = false;

	return ctl_member(object, name, &value) && jsonspan_bool(value, &truth) == 0 && truth;
}

int64_t ctl_member_integer(struct span object, const char *name, int64_t otherwise)
{
	struct span value;
	int64_t integer;

	if (!ctl_member(object, name, &value) || jsonspan_integer(value, &integer) < 0)
		return otherwise;
	return integer;
}
