/*
 * The command token: makes a token, adds the line that makes it known to the tokens file, and shows it, once.
 *
 * It needs no daemon. The file has the token's hash alone, so what is lost is made anew; the line goes in with one write,
 * after a look whether the name is free.
 */
#include "token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"
#include "proto/holder.h"
#include "proto/role.h"

#define TOKEN_BYTES    32

static const char *token_path;

static const struct option_spec token_options[] = {
    {"file", 'f', OPTION_TEXT, &token_path, "FILE", "the tokens file, if not that of this user's daemon"},
    {0},
};

static void token_hex(const unsigned char *bytes, size_t n, char *ret_text)
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

/* Where a daemon of this user's looks unless it is told otherwise; the caller frees it. */
static char *token_default_path(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int r = -1;

	if (geteuid() == 0)
		r = asprintf(&path, "/var/lib/futured/tokens");
	else if (state != NULL && state[0] == '/')
		r = asprintf(&path, "%s/futured/tokens", state);
	else if (home != NULL && home[0] == '/')
		r = asprintf(&path, "%s/.local/state/futured/tokens", home);
	else
		ctl_die_usage("neither HOME nor XDG_STATE_HOME says where the tokens file is: give --file");
	if (r < 0)
		ctl_die_memory();
	return path;
}

/* The folder of the file, open, and the file's name in it. */
static int token_open_folder(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd;

	if (folder == NULL)
		ctl_die_memory();
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		ctl_die(CTL_DENIED, "cannot write %s: %s: %s", path, folder, strerror(errno));
	free(folder);
	*ret_name = slash == NULL ? path : slash + 1;
	return fd;
}

/* A new file: only its owner may read it. Made by root it is given to whose the folder is: a daemon that is not root reads it. */
static int token_create(int folder, const char *name)
{
	struct stat owner;
	int fd = openat(folder, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	if (geteuid() != 0 || (fstat(folder, &owner) == 0 && fchown(fd, owner.st_uid, owner.st_gid) == 0))
		return fd;
	close(fd);
	unlinkat(folder, name, 0);
	return -1;
}

/*
 * The file, made if it is not there. The folder may be another user's than the caller (root, for the system's daemon): what that
 * user may have put in the file's place leads nowhere else.
 */
static int token_open(const char *path)
{
	const char *name, *why = NULL;
	struct stat status;
	int folder = token_open_folder(path, &name);
	int fd = openat(folder, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		fd = token_create(folder, name);
	close(folder);
	if (fd < 0 || fstat(fd, &status) < 0)
		why = errno == ELOOP ? "it is a symbolic link: name the file itself" : strerror(errno);
	else if (!S_ISREG(status.st_mode))
		why = "it is no regular file";
	else if (status.st_nlink != 1)
		why = "it has other names beside this one (hard links)";
	if (why != NULL)
		ctl_die(CTL_DENIED, "cannot write %s: %s", path, why);
	return fd;
}

/* Whether the name stands in the file. *ret_whole: its last line has an end. */
static bool token_is_taken(const char *path, int fd, const char *name, bool *ret_whole)
{
	FILE *file = fdopen(dup(fd), "r");
	char *line = NULL;
	size_t room = 0, len = strlen(name);
	bool taken = false;
	ssize_t n;

	if (file == NULL)
		ctl_die(CTL_DENIED, "cannot read %s: %s", path, strerror(errno));
	*ret_whole = true;
	while (!taken && (n = getline(&line, &room, file)) > 0) {
		const char *word = line + strspn(line, " \t");

		taken = strncmp(word, name, len) == 0 && isspace((unsigned char)word[len]);
		*ret_whole = line[n - 1] == '\n';
	}
	free(line);
	fclose(file);
	return taken;
}

static int token_main(struct operands *operands)
{
	unsigned char bytes[TOKEN_BYTES], hash[SHA256_DIGEST_LENGTH];
	char token[2 * TOKEN_BYTES + 1], digest[2 * SHA256_DIGEST_LENGTH + 1], line[256];
	char *path;
	enum role role;
	bool whole;
	int fd;

	if (operands->count != 2)
		ctl_die_usage("token takes a name and a role");
	if (!holder_is_name(operands->at[0]))
		ctl_die_usage(HOLDER_RULES ", not '%s'", operands->at[0]);
	if (role_parse(operands->at[1], &role) < 0)
		ctl_die_usage("a role is reader, user or operator, not '%s'", operands->at[1]);
	path = token_path != NULL ? strdup(token_path) : token_default_path();
	if (path == NULL)
		ctl_die_memory();
	fd = token_open(path);
	if (token_is_taken(path, fd, operands->at[0], &whole))
		ctl_die(CTL_REFUSED, "%s has a token of that name already: take its line out first", path);
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		ctl_die(CTL_REFUSED, "no random bytes: %s", strerror(errno));
	token_hex(bytes, sizeof(bytes), token);
	SHA256((const unsigned char *)token, strlen(token), hash);
	token_hex(hash, sizeof(hash), digest);
	snprintf(line, sizeof(line), "%s%s %s %s\n", whole ? "" : "\n", operands->at[0], role_name(role), digest);
	if (write(fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(fd) < 0)
		ctl_die(CTL_REFUSED, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	if (ctl.json)
		printf("{\"name\":\"%s\",\"role\":\"%s\",\"token\":\"%s\"}\n", operands->at[0], role_name(role), token);
	else
		puts(token);
	fprintf(stderr,
	    "Added to %s. The daemon takes it once it gets SIGHUP ('systemctl reload futured').\n"
	    "The token is shown this once; futurectl takes it from $FUTURED_TOKEN or --token-file.\n",
	    path);
	free(path);
	return ctl_finish_output(CTL_DONE);
}

const struct command token_commands[] = {
    {
	.name = "token",
	.synopsis = "NAME ROLE",
	.summary = "let somebody else come by TCP",
	.text = "Makes a token, adds its line to the tokens file and prints it, this once. ROLE is\n"
		"reader (looks at its own jobs), user (submits tasks, not commands) or operator\n"
		"(everything). It asks no daemon; one that runs takes it in at SIGHUP.\n"
		"\n"
		"Example:\n"
		"  futurectl token ci-runner user\n",
	.options = {token_options},
	.operands = COMMAND_TAKES_ROLE,
	.run = token_main,
    },
    {0},
};
