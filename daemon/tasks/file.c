/*
 * file: files: a digest in a worker, a read in a thread. Both read what the daemon's user may read, so
 * they are privileged; but not what is the daemon's own. A file may be endless or may never answer: reading stops at a limit, and a worker can be killed.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/mem.h"
#include "daemon/privacy.h"
#include "daemon/text.h"
#include "tasks.h"

#define READ_SIZE     (256 * 1024)
#define FILE_READ_MAX (16 << 20)

/* Opens args' path for reading: the descriptor and *ret_path (malloc'ed), or -1 with the error. Whoever submits has another folder than we have. */
static int
file_open(struct span path_value, char **ret_path, struct outcome *ret_outcome)
{
	char *path = task_string(path_value, NULL);
	int fd;

	if (path[0] != '/') {
		outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS,
		    "path must be absolute, and \"%.400s\" is not: the folder of whoever submits is not known here", path);
		free(path);
		return -1;
	}
	fd = privacy_open(path);
	if (fd < 0) {
		if (fd == PRIVACY_KEPT)
			outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR,
			    "cannot open %.400s: it is the daemon's own, or tells of a process, and no task reads that", path);
		else
			outcome_set_errno(ret_outcome, "open", path, errno);
		free(path);
		return -1;
	}
	*ret_path = path;
	return fd;
}

static ssize_t
file_read_some(int fd, char *buf, size_t size)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	return n;
}

/* ---- file.sha256 ----------------------------------------------------------------------------- */

static void
sha256_set_result(const unsigned char *digest, size_t len, int64_t bytes, struct outcome *ret_outcome)
{
	struct text text = {0};
	char *json;

	text_add_lit(&text, "{\"sha256\":\"");
	for (size_t i = 0; i < len; i++)
		text_printf(&text, "%02x", digest[i]);
	text_printf(&text, "\",\"bytes\":%lld}", (long long)bytes);
	json = text_steal(&text, &len);
	outcome_take_result(ret_outcome, json, len);
}

static void
sha256_run(const struct task_call *call, struct outcome *ret_outcome)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct span values[TASK_PARAMS_MAX];
	EVP_MD_CTX *context;
	unsigned digest_len;
	int64_t bytes = 0;
	char *path, *buf;
	ssize_t n;
	int fd;

	if (task_bind(&task_file_sha256, call->args, values, ret_outcome) < 0)
		return;
	fd = file_open(values[0], &path, ret_outcome);
	if (fd < 0)
		return;
	buf = mem_grow(NULL, READ_SIZE, 1);
	context = EVP_MD_CTX_new();
	if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		abort(); /* out of memory, or a libcrypto without SHA-256 */
	while ((n = file_read_some(fd, buf, READ_SIZE)) > 0) {
		EVP_DigestUpdate(context, buf, (size_t)n);
		bytes += n;
	}
	if (n < 0)
		outcome_set_errno(ret_outcome, "read", path, errno);
	else if (EVP_DigestFinal_ex(context, digest, &digest_len) == 1)
		sha256_set_result(digest, digest_len, bytes, ret_outcome);
	EVP_MD_CTX_free(context);
	close(fd);
	free(buf);
	free(path);
}

static const struct task_param sha256_params[] = {
    {"path", TYPE_STRING, true, "absolute, of a file that the daemon may read"},
    {NULL, TYPE_ANY, false, NULL},
};

const struct task task_file_sha256 = {
    .name = "file.sha256",
    .doc = "the SHA-256 of a file, and its length",
    .kind = TASK_FUNCTION,
    .idempotent = true,
    .privileged = true,
    .params = sha256_params,
    .run = sha256_run,
};

/* ---- file.read ------------------------------------------------------------------------------- */

/* Reads to the end, or one byte more than max, by which the caller sees that there is more. 0, or -1 with errno. */
static int
file_read_all(int fd, size_t max, struct text *ret_text)
{
	for (;;) {
		size_t room = max + 1 - ret_text->len;
		ssize_t n;

		if (room > READ_SIZE)
			room = READ_SIZE;
		n = file_read_some(fd, text_room(ret_text, room), room);
		if (n < 0)
			return -1;
		ret_text->len += (size_t)n;
		if (n == 0 || ret_text->len > max)
			return 0;
	}
}

static void
file_set_body(const char *bytes, size_t len, struct outcome *ret_outcome)
{
	struct text text = {0};
	char *json;

	text_printf(&text, "{\"bytes\":%zu,", len);
	text_add_bytes(&text, "body", "encoding", bytes, len);
	text_add_char(&text, '}');
	json = text_steal(&text, &len);
	outcome_take_result(ret_outcome, json, len);
}

static void
file_read_run(const struct task_call *call, struct outcome *ret_outcome)
{
	struct span values[TASK_PARAMS_MAX];
	struct text text = {0};
	int64_t max = FILE_READ_MAX;
	char *path;
	int fd;

	if (task_bind(&task_file_read, call->args, values, ret_outcome) < 0)
		return;
	if (values[1].at != NULL && (jsonspan_integer(values[1], &max) < 0 || max < 0 || max > FILE_READ_MAX)) {
		outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "file.read: max_bytes must be from 0 to %d",
		    FILE_READ_MAX);
		return;
	}
	fd = file_open(values[0], &path, ret_outcome);
	if (fd < 0)
		return;
	if (file_read_all(fd, (size_t)max, &text) < 0)
		outcome_set_errno(ret_outcome, "read", path, errno);
	else if (text.len > (size_t)max)
		outcome_set_error(ret_outcome, JOB_ERROR_RESULT_TOO_LARGE, "%.400s has more than %lld bytes", path,
		    (long long)max);
	else
		file_set_body(text.at, text.len, ret_outcome);
	text_done(&text);
	close(fd);
	free(path);
}

static const struct task_param file_read_params[] = {
    {"path", TYPE_STRING, true, "absolute, of a file that the daemon may read"},
    {"max_bytes", TYPE_INTEGER, false, "a longer file is ResultTooLarge; 16 MiB unless given"},
    {NULL, TYPE_ANY, false, NULL},
};

const struct task task_file_read = {
    .name = "file.read",
    .doc = "the content of a file",
    .kind = TASK_BLOCKING,
    .idempotent = true,
    .privileged = true,
    .params = file_read_params,
    .run = file_read_run,
};
