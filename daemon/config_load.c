/*
 * config_load: the two places a configuration comes from: the command line (getopt_long) and the INI file (inih).
 *
 * inih hands over values without their line, so its reader, which is ours, counts: a key is told before the next line
 * is read. The first error is kept; what stands behind it is read and dropped.
 */
#include "daemon/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"

#ifndef FUTURED_SYSCONFDIR
#define FUTURED_SYSCONFDIR "/etc"
#endif

const char config_help[] =
    "usage: futured [OPTION…]\n"
    "Runs the job service in the foreground; logs to standard error. See futured(8) and futured.conf(5).\n"
    "\n"
    "  --config FILE       read FILE in place of the one in the default place\n"
    "  --state-dir DIR     the folder of the store and the output files\n"
    "  --socket PATH       the Unix socket to listen on\n"
    "  --listen HOST:PORT  listen on this loopback address too\n"
    "  --cpu-workers N     worker processes\n"
    "  --io-threads N      threads for blocking I/O tasks\n"
    "  --check-config      read the configuration, say what is wrong with it, and end\n"
    "  --version\n"
    "  --help\n";

struct config_reader {
	struct config *config;
	FILE *file;
	unsigned line;
	unsigned failed_at; /* the line of config->error */
	bool ended;    /* by a line that is not to be read */
	char *seen;    /* "[section]key\n" of each key so far */
};

/* Reads as fgets: how many bytes, 0 at the end of the file. */
static size_t
config_get_line(FILE *file, char *line, size_t size)
{
	size_t len = 0;
	int c = 0;

	while (len + 1 < size && c != '\n' && (c = getc(file)) != EOF)
		line[len++] = (char)c;
	line[len] = '\0';
	return len;
}

/*
 * inih's reader: as fgets, and counts lines. A line that is not to be read ends the file: inih would take for a line what
 * stands behind what does not fit, and would not see what stands behind a NUL.
 */
static char *
config_read_line(char *line, int size, void *arg)
{
	struct config_reader *reader = arg;
	const char *why = NULL;
	size_t len;

	if (reader->ended || (len = config_get_line(reader->file, line, (size_t)size)) == 0)
		return NULL;
	reader->line++;
	if (len + 1 == (size_t)size && line[len - 1] != '\n')
		why = "the line is too long";
	else if (memchr(line, '\0', len) != NULL)
		why = "there is a NUL in this line: the file is no text";
	if (why == NULL)
		return line;
	reader->ended = true;
	config_fail(reader->config, "%s:%u: %s", reader->config->file, reader->line, why);
	return NULL;
}

/* inih's handler: 1, or 0 for an error. */
static int
config_take_key(void *arg, const char *section, const char *key, const char *value)
{
	struct config_reader *reader = arg;
	char *where = mem_format("%s:%u: ", reader->config->file, reader->line);
	char *name = mem_format("[%s]%s\n", section, key);
	char *seen;
	int r;

	if (strstr(reader->seen, name) != NULL) {
		r = config_fail(reader->config, "%s[%s] %s is set twice", where, section, key);
	} else if (strchr(value, ';') != NULL) {
		r = config_fail(reader->config, "%s[%s] %s: \"%s\" has a semicolon: before a comment write a blank", where, section, key, value);
	} else {
		seen = mem_format("%s%s", reader->seen, name);
		free(reader->seen);
		reader->seen = seen;
		r = config_set(reader->config, section, key, value, where);
	}
	if (r != 0 && reader->failed_at == 0)
		reader->failed_at = reader->line;
	free(name);
	free(where);
	return r == 0;
}

static char *
config_default_file(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (geteuid() == 0)
		return mem_text(FUTURED_SYSCONFDIR "/futured/futured.conf");
	if (xdg != NULL && xdg[0] == '/')
		return mem_format("%s/futured/futured.conf", xdg);
	if (home != NULL && home[0] == '/')
		return mem_format("%s/.config/futured/futured.conf", home);
	return NULL;
}

int
config_load_file(struct config *config)
{
	struct config_reader reader = {.config = config};
	bool named = config->file != NULL;
	struct stat st;
	int line;

	if (!named)
		config->file = config_default_file();
	if (config->file == NULL)
		return 0;
	reader.file = fopen(config->file, "re");
	if (reader.file == NULL && errno == ENOENT && !named) {
		free(config->file);
		config->file = NULL;
		return 0;
	}
	if (reader.file == NULL)
		return config_fail(config, "%s: %s", config->file, strerror(errno));
	if (fstat(fileno(reader.file), &st) == 0 && S_ISDIR(st.st_mode)) {
		fclose(reader.file);
		return config_fail(config, "%s: %s", config->file, strerror(EISDIR));
	}
	reader.seen = mem_text("");
	line = ini_parse_stream(config_read_line, &reader, config_take_key, &reader);
	if (ferror(reader.file)) {
		config_fail(config, "%s: %s", config->file, strerror(EIO));
	} else if (line != 0 && (reader.failed_at == 0 || (unsigned)line < reader.failed_at)) {
		config->error[0] = '\0'; /* this comes before it */
		config_fail(config, "%s:%d: this is no section, key or comment", config->file, line);
	}
	fclose(reader.file);
	free(reader.seen);
	return config->error[0] == '\0' ? 0 : -1;
}

/* A path on the command line counts from the working directory, also after the daemon has left it. */
static char *
config_absolute(const char *path)
{
	char *here, *absolute;

	if (path[0] == '/')
		return mem_text(path);
	here = get_current_dir_name();
	absolute = mem_format("%s/%s", here != NULL ? here : "", path);
	free(here);
	return absolute;
}

static int
config_take_socket(struct config *config, const char *path)
{
	char *absolute = config_absolute(path);
	int r = config_override(config, "listen", "unix", absolute, "--socket: ");

	free(absolute);
	return r;
}

static void
config_take_path(char **place, const char *path)
{
	free(*place);
	*place = config_absolute(path);
}

enum {
	OPTION_CONFIG = 1,
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTION_LISTEN,
	OPTION_CPU_WORKERS,
	OPTION_IO_THREADS,
	OPTION_CHECK,
	OPTION_VERSION,
	OPTION_HELP
};

static int
config_take_option(struct config *config, int option, const char *value, enum config_action *action)
{
	switch (option) {
	case OPTION_CONFIG: config_take_path(&config->file, value); return 0;
	case OPTION_STATE_DIR: config_take_path(&config->state_dir, value); return 0;
	case OPTION_SOCKET: return config_take_socket(config, value);
	case OPTION_LISTEN: return config_override(config, "listen", "tcp", value, "--listen: ");
	case OPTION_CPU_WORKERS: return config_override(config, "cpu", "workers", value, "--cpu-workers: ");
	case OPTION_IO_THREADS: return config_override(config, "io", "threads", value, "--io-threads: ");
	case OPTION_CHECK: *action = CONFIG_CHECK; return 0;
	case OPTION_VERSION: *action = CONFIG_VERSION; return 0;
	case OPTION_HELP: *action = CONFIG_HELP; return 0;
	}
	return -1;
}

int
config_options(struct config *config, int argc, char **argv, enum config_action *ret_action)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, OPTION_CONFIG},
	    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	    {"socket", required_argument, NULL, OPTION_SOCKET},
	    {"listen", required_argument, NULL, OPTION_LISTEN},
	    {"cpu-workers", required_argument, NULL, OPTION_CPU_WORKERS},
	    {"io-threads", required_argument, NULL, OPTION_IO_THREADS},
	    {"check-config", no_argument, NULL, OPTION_CHECK},
	    {"version", no_argument, NULL, OPTION_VERSION},
	    {"help", no_argument, NULL, OPTION_HELP},
	    {NULL, 0, NULL, 0},
	};
	enum config_action action = CONFIG_RUN;
	int option, which = 0;

	optind = 0; /* glibc: start anew */
	while ((option = getopt_long(argc, argv, ":", options, &which)) != -1) {
		if (option == ':')
			return config_fail(config, "%s wants a value", argv[optind - 1]);
		if (option == '?')
			return config_fail(config, "there is no option %s", argv[optind - 1]);
		if (option <= OPTION_SOCKET && optarg[0] == '\0') /* a variable that was not set; it would be the working directory */
			return config_fail(config, "--%s: the path is empty", options[which].name);
		if (config_take_option(config, option, optarg, &action) < 0)
			return -1;
	}
	if (optind < argc)
		return config_fail(config, "there is nothing to do with \"%s\"", argv[optind]);
	*ret_action = action;
	return 0;
}
