/*
 * outfile: `output` requests: reading what commands wrote from their files (on a thread of its own, never on the loop), and waiting for more.
 */
#ifndef DAEMON_OUTFILE_H
#define DAEMON_OUTFILE_H

#include "daemon/capture.h"
#include "daemon/request.h"

struct outfiles;

struct outfile_what {
	int64_t id;
	enum stream stream;
	int64_t offset;
	int64_t limit;   /* bytes */
	int64_t wait_ms; /* 0: do not wait; SPEC_NONE: no limit */
};

/* dir is the folder's descriptor; the caller's. */
struct outfiles *outfiles_new(struct server *server, int dir);
void outfiles_free(struct outfiles *outfiles);
/* Takes the request. */
void outfiles_read(struct outfiles *outfiles, struct request *request, const struct outfile_what *what);
/* A job has written more, has ended, or begins anew. */
void outfiles_news(struct outfiles *outfiles, int64_t id);
/* Deletes the files of these jobs, then calls done(arg) on the loop. ids are the caller's until then. */
void outfiles_delete(struct outfiles *outfiles, const int64_t *ids, size_t n, void (*done)(void *arg), void *arg);

#endif
