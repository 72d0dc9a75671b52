/*
 * config: see config.h. One const table says each key's section, name, kind, range and place in struct config; a key
 * that is not in it is an error, and one that this version does not build stands in it as refused, so that nobody
 * relies on it.
 */
#include "daemon/config.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/config_value.h"
#include "daemon/mem.h"

#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define SECOND INT64_C(1000)
#define DAY    (86400 * SECOND)

enum row_kind {
	ROW_INTEGER,
	ROW_SIZE,
	ROW_DURATION,
	ROW_BOOLEAN,
	ROW_MODE,
	ROW_LEVEL,
	ROW_SYNCHRONOUS,
	ROW_RUN_AS,
	ROW_PATH,
	ROW_TCP,
	ROW_NAMES
};

static const char *const row_kinds[] = {
    [ROW_INTEGER] = "a whole number",
    [ROW_SIZE] = "a size such as 65536, 64K or 16M",
    [ROW_DURATION] = "a duration such as 30, 0.5, 30s, 5m, 2h or 7d",
    [ROW_BOOLEAN] = "yes or no",
    [ROW_MODE] = "an octal mode such as 0660",
    [ROW_LEVEL] = "error, warning, notice, info or debug",
    [ROW_SYNCHRONOUS] = "full, normal or off",
    [ROW_RUN_AS] = "daemon or owner",
    [ROW_PATH] = "a path that begins with /",
    [ROW_TCP] = "HOST:PORT or [HOST]:PORT",
    [ROW_NAMES] = "names of tasks",
};

struct config_row {
	const char *section, *key;
	enum row_kind kind;
	size_t offset;
	int64_t min, max; /* of the first three kinds */
};

#define AT(member) offsetof(struct config, member)
static const struct config_row config_rows[] = {
    {"daemon", "drain", ROW_DURATION, AT(drain_ms), 0, 30 * DAY},
    {"daemon", "grace", ROW_DURATION, AT(grace_ms), 0, DAY},
    {"listen", "unix", ROW_PATH, AT(unix_path), 0, 0},
    {"listen", "unix_mode", ROW_MODE, AT(unix_mode), 0, 0},
    {"listen", "tcp", ROW_TCP, AT(tcp_host), 0, 0},
    {"store", "synchronous", ROW_SYNCHRONOUS, AT(synchronous), 0, 0},
    {"store", "window", ROW_INTEGER, AT(window), 1, 1000000},
    {"cpu", "workers", ROW_INTEGER, AT(cpu_workers), 1, 1024},
    {"cpu", "max_tasks_per_worker", ROW_INTEGER, AT(max_tasks_per_worker), 0, 1000000000},
    {"io", "threads", ROW_INTEGER, AT(io_threads), 1, 1024},
    {"io", "waits", ROW_INTEGER, AT(io_waits), 1, 1000000},
    {"io", "processes", ROW_INTEGER, AT(io_processes), 1, 4096},
    {"tasks", "user", ROW_NAMES, AT(user_tasks), 0, 0},
    {"exec", "max_output", ROW_SIZE, AT(max_output), 0, INT64_C(1) << 40},
    {"exec", "cgroup", ROW_PATH, AT(cgroup), 0, 0},
    {"exec", "run_as", ROW_RUN_AS, AT(run_as), 0, 0},
    {"http", "local", ROW_BOOLEAN, AT(http_local), 0, 0},
    {"limits", "message", ROW_SIZE, AT(limit_message), 4 * KIB, 32 * MIB},
    {"limits", "connections", ROW_INTEGER, AT(limit_connections), 1, 1000000},
    {"limits", "hello", ROW_DURATION, AT(limit_hello_ms), 1, DAY},
    {"limits", "pending", ROW_INTEGER, AT(limit_pending), 1, 1000000000},
    {"limits", "pending_per_owner", ROW_INTEGER, AT(limit_pending_per_owner), 1, 1000000000},
    {"limits", "queues", ROW_INTEGER, AT(limit_queues), 1, 1000000},
    {"limits", "waits_per_connection", ROW_INTEGER, AT(limit_waits_per_connection), 1, 1000000},
    {"limits", "ranges_per_connection", ROW_INTEGER, AT(limit_ranges_per_connection), 1, 100000000},
    {"limits", "selection", ROW_INTEGER, AT(limit_selection), 1, 1000000000},
    {"limits", "result", ROW_SIZE, AT(limit_result), 1 * KIB, 32 * MIB},
    {"retention", "finished", ROW_DURATION, AT(retention_ms), 0, 36500 * DAY},
    {"tokens", "file", ROW_PATH, AT(tokens_file), 0, 0},
    {"tls", "certificate", ROW_PATH, AT(tls_certificate), 0, 0},
    {"tls", "key", ROW_PATH, AT(tls_key), 0, 0},
    {"tls", "client_ca", ROW_PATH, AT(tls_client_ca), 0, 0},
    {"log", "level", ROW_LEVEL, AT(log_level), 0, 0},
};
#undef AT
#define CONFIG_ROWS (sizeof(config_rows) / sizeof(config_rows[0]))
_Static_assert(CONFIG_ROWS <= CONFIG_KEYS_MAX, "struct config has a flag for each row");

int
config_fail(struct config *config, const char *format, ...)
{
	va_list args;

	if (config->error[0] != '\0')
		return -1;
	va_start(args, format);
	vsnprintf(config->error, sizeof(config->error), format, args);
	va_end(args);
	return -1;
}

/* The folder that variable names, else below the home folder; NULL when neither is known. */
static char *
config_xdg(const char *variable, const char *below_home)
{
	const char *value = getenv(variable);
	const char *home = getenv("HOME");

	if (value != NULL && value[0] == '/')
		return mem_text(value);
	if (below_home != NULL && home != NULL && home[0] == '/')
		return mem_format("%s/%s", home, below_home);
	return NULL;
}

static char *
config_below(char *folder, const char *name)
{
	char *path = folder != NULL ? mem_format("%s/%s", folder, name) : NULL;

	free(folder);
	return path;
}

static int64_t
config_count_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return CPU_COUNT(&set);
}

void
config_init(struct config *config)
{
	bool root = geteuid() == 0;

	*config = (struct config){
	    .drain_ms = 30 * SECOND,
	    .grace_ms = 5 * SECOND,
	    .unix_mode = root ? 0660 : 0600,
	    .synchronous = CONFIG_SYNCHRONOUS_FULL,
	    .window = 8192,
	    .cpu_workers = config_count_cores(),
	    .io_threads = 32,
	    .io_waits = 20000,
	    .io_processes = 64,
	    .max_output = 16 * MIB,
	    .limit_message = 16 * MIB,
	    .limit_connections = 16384,
	    .limit_hello_ms = 60 * SECOND,
	    .limit_pending = 10000000,
	    .limit_queues = 1000,
	    .limit_waits_per_connection = 10000,
	    .limit_ranges_per_connection = 1000000,
	    .limit_selection = 10000000,
	    .limit_result = 16 * MIB,
	    .retention_ms = 7 * DAY,
	    .log_level = LOG_LEVEL_INFO,
	};
	if (root) {
		config->state_dir = mem_text("/var/lib/futured");
		config->unix_path = mem_text("/run/futured/futured.sock");
	} else {
		config->state_dir = config_below(config_xdg("XDG_STATE_HOME", ".local/state"), "futured");
		config->unix_path = config_below(config_xdg("XDG_RUNTIME_DIR", NULL), "futured.sock");
	}
}

static void
config_free_names(struct config *config)
{
	for (size_t i = 0; i < config->n_user_tasks; i++)
		free(config->user_tasks[i]);
	free(config->user_tasks);
	config->user_tasks = NULL;
	config->n_user_tasks = 0;
}

void
config_done(struct config *config)
{
	config_free_names(config);
	free(config->state_dir);
	free(config->unix_path);
	free(config->tcp_host);
	free(config->tokens_file);
	free(config->cgroup);
	free(config->tls_certificate);
	free(config->tls_key);
	free(config->tls_client_ca);
	free(config->file);
	*config = (struct config){0};
}

/* The place of value among words, which end with NULL: 0 and *ret, or -1. */
static int
row_read_word(const char *const *words, const char *value, int64_t *ret)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(value, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -1;
}

/* The kinds that are one number: 0 and *ret, or -1. */
static int
row_read_number(enum row_kind kind, const char *value, int64_t *ret)
{
	static const char *const synchronous[] = {"full", "normal", "off", NULL}, *const run_as[] = {"daemon", "owner", NULL};
	enum log_level level;

	switch (kind) {
	case ROW_INTEGER: return config_value_integer(value, ret);
	case ROW_SIZE: return config_value_size(value, ret);
	case ROW_DURATION: return config_value_duration(value, ret);
	case ROW_BOOLEAN: return config_value_boolean(value, ret);
	case ROW_MODE: return config_value_mode(value, ret);
	case ROW_LEVEL:
		if (log_level_parse(value, &level) < 0)
			return -1;
		*ret = level;
		return 0;
	case ROW_SYNCHRONOUS: return row_read_word(synchronous, value, ret);
	case ROW_RUN_AS: return row_read_word(run_as, value, ret);
	case ROW_PATH:
	case ROW_TCP:
	case ROW_NAMES: break;
	}
	return -1;
}

/* Says why value does not fit the row. Returns -1. */
static int
row_fail(struct config *config, const struct config_row *row, const char *value, const char *where)
{
	const char *kind = row_kinds[row->kind];
	char range[80] = "";

	if (row->kind == ROW_INTEGER || row->kind == ROW_SIZE)
		snprintf(range, sizeof(range), " from %lld to %lld", (long long)row->min, (long long)row->max);
	else if (row->kind == ROW_DURATION)
		snprintf(range, sizeof(range), ", at most %lld s", (long long)(row->max / SECOND));
	return config_fail(config, "%s[%s] %s: \"%s\" is not %s%s", where, row->section, row->key, value, kind, range);
}

static int
row_set_tcp(struct config *config, const struct config_row *row, const char *value, const char *where, bool keep)
{
	char *host = NULL;
	int64_t port = 0;

	if (value[0] != '\0' && config_value_address(value, &host, &port) < 0)
		return row_fail(config, row, value, where);
	if (!keep) {
		free(host);
		return 0;
	}
	free(config->tcp_host);
	config->tcp_host = host;
	config->tcp_port = port;
	return 0;
}

/* Reads value into its place; keep is false when an option has been there first, then the value is only looked at. */
static int
row_set(struct config *config, const struct config_row *row, const char *value, const char *where, bool keep)
{
	char *field = (char *)config + row->offset;
	int64_t number;

	switch (row->kind) {
	case ROW_TCP: return row_set_tcp(config, row, value, where, keep);
	case ROW_NAMES:
		config_free_names(config);
		config->n_user_tasks = config_value_names(value, &config->user_tasks);
		return 0;
	case ROW_PATH:
		if (value[0] != '/')
			return row_fail(config, row, value, where);
		if (keep) {
			free(*(char **)(void *)field);
			*(char **)(void *)field = mem_text(value);
		}
		return 0;
	case ROW_INTEGER:
	case ROW_SIZE:
	case ROW_DURATION:
	case ROW_BOOLEAN:
	case ROW_MODE:
	case ROW_LEVEL:
	case ROW_SYNCHRONOUS:
	case ROW_RUN_AS: break;
	}
	if (row_read_number(row->kind, value, &number) < 0)
		return row_fail(config, row, value, where);
	if (row->max > 0 && (number < row->min || number > row->max))
		return row_fail(config, row, value, where);
	if (keep && row->kind == ROW_BOOLEAN)
		*(bool *)field = number != 0;
	else if (keep)
		*(int64_t *)(void *)field = number;
	return 0;
}

static const struct config_row *
row_find(const char *section, const char *key, bool *ret_section_known)
{
	*ret_section_known = false;
	for (size_t i = 0; i < CONFIG_ROWS; i++) {
		if (strcmp(config_rows[i].section, section) != 0)
			continue;
		*ret_section_known = true;
		if (strcmp(config_rows[i].key, key) == 0)
			return &config_rows[i];
	}
	return NULL;
}

static int
config_set_row(
    struct config *config, const char *section, const char *key, const char *value, const char *where, bool fix)
{
	bool section_known;
	const struct config_row *row = row_find(section, key, &section_known);
	size_t i;

	if (row != NULL) {
		i = (size_t)(row - config_rows);
		if (row_set(config, row, value, where, fix || !config->fixed[i]) < 0)
			return -1;
		config->fixed[i] |= fix;
		return 0;
	}
	if (section_known)
		return config_fail(config, "%s[%s] has no key \"%s\"", where, section, key);
	if (section[0] == '\0')
		return config_fail(config, "%s\"%s\" stands before the first section", where, key);
	return config_fail(config, "%sno section is called [%s]", where, section);
}

int
config_set(struct config *config, const char *section, const char *key, const char *value, const char *where)
{
	return config_set_row(config, section, key, value, where, false);
}

int
config_override(struct config *config, const char *section, const char *key, const char *value, const char *where)
{
	return config_set_row(config, section, key, value, where, true);
}

/* What leaves this machine is encrypted, or does not leave it. */
static int
config_check_tls(struct config *config)
{
	if ((config->tls_certificate != NULL) != (config->tls_key != NULL))
		return config_fail(config, "[tls] certificate and key go together: %s is missing",
		    config->tls_key == NULL ? "key" : "certificate");
	if (config->tls_client_ca != NULL && config->tls_certificate == NULL)
		return config_fail(config, "[tls] client_ca needs certificate and key");
	if (config->tcp_host != NULL && !config_value_is_loopback(config->tcp_host) && config->tls_certificate == NULL)
		return config_fail(config,
		    "[listen] tcp: %s is not a loopback address: that needs TLS ([tls] certificate and key)",
		    config->tcp_host);
	return 0;
}

int
config_check(struct config *config)
{
	struct sockaddr_un address;

	if (config_check_tls(config) < 0)
		return -1;
	if (config->state_dir == NULL)
		return config_fail(
		    config, "neither HOME nor XDG_STATE_HOME says where the state is to be: use --state-dir");
	if (config->unix_path == NULL)
		config->unix_path = mem_format("%s/futured.sock", config->state_dir);
	if (strlen(config->unix_path) >= sizeof(address.sun_path))
		return config_fail(config, "the path of a socket ends at %zu bytes: %s", sizeof(address.sun_path) - 1,
		    config->unix_path);
	if (config->limit_pending_per_owner == 0)
		config->limit_pending_per_owner = config->limit_pending;
	return 0;
}

bool
config_user_task(const struct config *config, const char *task)
{
	for (size_t i = 0; i < config->n_user_tasks; i++) {
		if (strcmp(config->user_tasks[i], task) == 0)
			return true;
	}
	return false;
}
