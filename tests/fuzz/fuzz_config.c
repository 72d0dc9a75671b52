/*
 * fuzz_config: what the daemon is told before it lives: command line, configuration file, tokens file.
 *
 * Leading lines that begin with "--" are options, a line each; the rest is the configuration file, and, read anew, the
 * tokens file. What is asserted: whoever is refused is told why, with file and line where the file is at fault; what is
 * accepted lies in the ranges that futured.conf(5) tells; what came by the file alone is the same configuration when it is
 * written out and read again; and a token that the file names is found by nobody else's hash.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/mem.h"
#include "daemon/text.h"
#include "daemon/tokens.h"
#include "tests/fuzz/fuzz.h"

#define OPTIONS_MAX 16

static char *conf_path, *tokens_path;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("HOME", "/home/nobody", 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	return 0;
}

/* ---- what may be accepted ---------------------------------------------------------------------------------------- */

static void
check_range(const char *what, int64_t value, int64_t min, int64_t max)
{
	FUZZ_CHECK(value >= min && value <= max, "%s is %lld", what, (long long)value);
}

static void
check_path(const char *what, const char *path)
{
	FUZZ_CHECK(path == NULL || path[0] == '/', "%s is %s", what, path);
}

static void
check_accepted(const struct config *config)
{
	check_range("workers", config->cpu_workers, 1, 1024);
	check_range("threads", config->io_threads, 1, 1024);
	check_range("processes", config->io_processes, 1, 4096);
	check_range("window", config->window, 1, 1000000);
	check_range("message", config->limit_message, 4 << 10, 32 << 20);
	check_range("result", config->limit_result, 1 << 10, 32 << 20);
	check_range("max_output", config->max_output, 0, INT64_C(1) << 40);
	check_range("connections", config->limit_connections, 1, 1000000);
	check_range("drain", config->drain_ms, 0, INT64_C(30) * 86400000);
	check_range("retention", config->retention_ms, 0, INT64_C(36500) * 86400000);
	check_range("unix_mode", config->unix_mode, 0, 0777);
	check_range("tcp port", config->tcp_port, 0, 65535);
	check_range("synchronous", config->synchronous, CONFIG_SYNCHRONOUS_FULL, CONFIG_SYNCHRONOUS_OFF);
	check_range("run_as", config->run_as, CONFIG_RUN_AS_DAEMON, CONFIG_RUN_AS_OWNER);
	check_range("level", config->log_level, LOG_LEVEL_ERROR, LOG_LEVEL_DEBUG);
	check_range("pending_per_owner", config->limit_pending_per_owner, 0, 1000000000);
	check_path("unix", config->unix_path);
	check_path("cgroup", config->cgroup);
	check_path("tokens", config->tokens_file);
	check_path("certificate", config->tls_certificate);
	FUZZ_CHECK(config->tcp_host == NULL || config->tcp_host[0] != '\0', "a host without a name");
	for (size_t i = 0; i < config->n_user_tasks; i++)
		FUZZ_CHECK(config->user_tasks[i][0] != '\0', "a task without a name");
}

/* ---- written out and read again ---------------------------------------------------------------------------------- */

static void
put_section(struct text *text, const char *name)
{
	text_printf(text, "[%s]\n", name);
}

static void
put_number(struct text *text, const char *key, int64_t value)
{
	text_printf(text, "%s = %lld\n", key, (long long)value);
}

static void
put_seconds(struct text *text, const char *key, int64_t ms)
{
	text_printf(text, "%s = ", key);
	text_add_seconds_ms(text, ms);
	text_add_char(text, '\n');
}

static void
put_text(struct text *text, const char *key, const char *value)
{
	if (value != NULL)
		text_printf(text, "%s = %s\n", key, value);
}

static void
write_limits(struct text *text, const struct config *config)
{
	put_section(text, "limits");
	put_number(text, "message", config->limit_message);
	put_number(text, "connections", config->limit_connections);
	put_seconds(text, "hello", config->limit_hello_ms);
	put_number(text, "pending", config->limit_pending);
	if (config->limit_pending_per_owner > 0)
		put_number(text, "pending_per_owner", config->limit_pending_per_owner);
	put_number(text, "queues", config->limit_queues);
	put_number(text, "waits_per_connection", config->limit_waits_per_connection);
	put_number(text, "ranges_per_connection", config->limit_ranges_per_connection);
	put_number(text, "selection", config->limit_selection);
	put_number(text, "result", config->limit_result);
}

static void
write_listen(struct text *text, const struct config *config)
{
	put_section(text, "listen");
	put_text(text, "unix", config->unix_path);
	text_printf(text, "unix_mode = %04llo\n", (unsigned long long)config->unix_mode);
	if (config->tcp_host != NULL)
		text_printf(text, strchr(config->tcp_host, ':') != NULL ? "tcp = [%s]:%lld\n" : "tcp = %s:%lld\n", config->tcp_host,
		    (long long)config->tcp_port);
}

static void
write_config(struct text *text, const struct config *config)
{
	static const char *const synchronous[] = {"full", "normal", "off"}, *const run_as[] = {"daemon", "owner"};
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};

	put_section(text, "daemon");
	put_seconds(text, "drain", config->drain_ms);
	put_seconds(text, "grace", config->grace_ms);
	write_listen(text, config);
	put_section(text, "store");
	put_text(text, "synchronous", synchronous[config->synchronous]);
	put_number(text, "window", config->window);
	put_section(text, "cpu");
	put_number(text, "workers", config->cpu_workers);
	put_number(text, "max_tasks_per_worker", config->max_tasks_per_worker);
	put_section(text, "io");
	put_number(text, "threads", config->io_threads);
	put_number(text, "waits", config->io_waits);
	put_number(text, "processes", config->io_processes);
	put_section(text, "tasks");
	text_add_lit(text, "user =");
	for (size_t i = 0; i < config->n_user_tasks; i++)
		text_printf(text, " %s", config->user_tasks[i]);
	text_add_char(text, '\n');
	put_section(text, "exec");
	put_number(text, "max_output", config->max_output);
	put_text(text, "cgroup", config->cgroup);
	put_text(text, "run_as", run_as[config->run_as]);
	put_section(text, "http");
	put_text(text, "local", config->http_local ? "yes" : "no");
	write_limits(text, config);
	put_section(text, "retention");
	put_seconds(text, "finished", config->retention_ms);
	put_section(text, "tokens");
	put_text(text, "file", config->tokens_file);
	put_section(text, "tls");
	put_text(text, "certificate", config->tls_certificate);
	put_text(text, "key", config->tls_key);
	put_text(text, "client_ca", config->tls_client_ca);
	put_section(text, "log");
	put_text(text, "level", levels[config->log_level]);
}

static int
load(struct config *config, char **options, int n_options)
{
	char *argv[OPTIONS_MAX + 4] = {"futured"};
	enum config_action action;
	int argc = 1;

	config_init(config);
	for (int i = 0; i < n_options; i++)
		argv[argc++] = options[i];
	argv[argc++] = "--config"; /* the last one counts */
	argv[argc++] = conf_path;
	if (config_options(config, argc, argv, &action) < 0)
		return -1;
	return config_load_file(config);
}

/* A line of the file is no longer than its reader takes, so long values are left out. */
static bool
fits_a_file(const struct text *text)
{
	const char *at = text->at, *end = text->at + text->len, *newline;

	for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1) {
		if (newline - at > 190)
			return false;
	}
	return true;
}

static void
check_again(const struct config *config)
{
	struct text text = {0}, again = {0};
	struct config other;

	write_config(&text, config);
	if (fits_a_file(&text)) {
		fuzz_spill(conf_path, text_span(&text));
		FUZZ_CHECK(load(&other, NULL, 0) == 0, "what was accepted is refused: %s", other.error);
		write_config(&again, &other);
		FUZZ_CHECK(text.len == again.len && memcmp(text.at, again.at, text.len) == 0, "%.*s\nbecame\n%.*s", (int)text.len,
		    text.at, (int)again.len, again.at);
		config_done(&other);
	}
	text_done(&text);
	text_done(&again);
}

/* ---- the files --------------------------------------------------------------------------------------------------- */

/* "FILE:LINE: …" or, of the file as a whole, "FILE: …" */
static void
check_place(const char *error, const char *path, bool line)
{
	size_t len = strlen(path);

	FUZZ_CHECK(strncmp(error, path, len) == 0 && error[len] == ':', "not told where: %s", error);
	FUZZ_CHECK(!line || isdigit((unsigned char)error[len + 1]), "not told in which line: %s", error);
}

static void
play_config(char **options, int n_options, struct span bytes)
{
	struct config config;

	fuzz_spill(conf_path, bytes);
	if (load(&config, options, n_options) < 0) {
		FUZZ_CHECK(config.error[0] != '\0', "refused without a reason");
		if (n_options == 0)
			check_place(config.error, conf_path, true);
	} else {
		FUZZ_CHECK(memchr(bytes.at, '\0', bytes.len) == NULL, "a file with a NUL in it is no text");
		check_accepted(&config);
		if (n_options == 0) /* an option can say what no file could, as a path that ends in a blank */
			check_again(&config);
		if (config_check(&config) < 0)
			FUZZ_CHECK(config.error[0] != '\0', "refused without a reason");
		else
			FUZZ_CHECK(config.unix_path != NULL && config.state_dir != NULL, "accepted without a place");
	}
	config_done(&config);
}

static void
play_tokens(struct span bytes)
{
	struct tokens *tokens;
	struct peer peer = {.role = ROLE_NONE};
	char *reason = NULL;

	fuzz_spill(tokens_path, bytes);
	tokens = tokens_open(tokens_path, false, &reason);
	if (tokens == NULL) {
		FUZZ_CHECK(reason != NULL, "refused without a reason");
		check_place(reason, tokens_path, true);
		free(reason);
		return;
	}
	FUZZ_CHECK(reason == NULL && memchr(bytes.at, '\0', bytes.len) == NULL, "a file with a NUL in it is no text");
	FUZZ_CHECK(!tokens_find(tokens, "", &peer) && peer.role == ROLE_NONE, "a token that nobody has");
	if (tokens_find(tokens, "open sesame", &peer)) /* the corpus has its hash */
		FUZZ_CHECK(peer.role > ROLE_NONE && strncmp(peer.owner, "token:", 6) == 0 && tokens_still_holds(tokens, &peer),
		    "a token that holds no more");
	FUZZ_CHECK(tokens_reload(tokens, &reason) == 0, "%s", reason);
	tokens_close(tokens);
}

/* Whether the next line is an option. */
static bool
next_is_option(const struct fuzz_input *input)
{
	return input->left > 2 && input->at[0] == '-' && input->at[1] == '-';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	char *options[OPTIONS_MAX];
	struct span line, bytes;
	int n_options = 0;

	if (conf_path == NULL) {
		conf_path = mem_format("%s/futured.conf", fuzz_folder());
		tokens_path = mem_format("%s/tokens", fuzz_folder());
	}
	while (n_options < OPTIONS_MAX && next_is_option(&input) && fuzz_line(&input, &line))
		options[n_options++] = mem_copy(line.at, line.len);
	bytes = fuzz_tight(fuzz_take(&input, SIZE_MAX));
	play_config(options, n_options, bytes);
	if (n_options == 0)
		play_tokens(bytes);
	fuzz_release(bytes);
	while (n_options > 0)
		free(options[--n_options]);
	return 0;
}
