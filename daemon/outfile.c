/*
 * outfile: see outfile.h. A request asks the store whether the job is there and how it stands, reads its file on the thread, and, if it got
 * nothing and may wait, does the same again when there are news of the job's id, on which it hangs for life.
 */
#include "daemon/outfile.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch.h"
#include "daemon/hash.h"
#include "daemon/mem.h"
#include "daemon/server.h"

struct outfile;
TAILQ_HEAD(outfile_list, outfile);

struct outfile_key {
	int64_t id;
	struct outfile_list list;
	UT_hash_handle hh;
};

struct outfiles {
	struct server *server;
	int dir;
	struct outfile_key *by_id;
};

struct outfile {
	struct outfiles *outfiles;
	struct request *request;
	struct outfile_what what;
	struct peer_wait peer_wait;
	struct peer_turn turn;    /* to read the file, and reply with it */
	struct store_read read;
	struct id_range range;
	char *owner;
	struct event *timer;
	struct outfile_key *key;
	TAILQ_ENTRY(outfile) link;
	bool busy;                /* a read of the store or of the file is under way, or waits for its turn */
	bool waits;               /* for room */
	bool closed;              /* its connection has gone meanwhile */
	bool timed_out;
	bool ended;               /* the job will write no more */
	bool begun;               /* it has had an attempt: before that, a file by its name is another's, of a store that was here before */
	bool news;                /* came while busy */
	char *data;
	ssize_t len;              /* or -errno */
};

static void outfile_look(struct outfile *outfile);

static void
outfile_unhang(struct outfile *outfile)
{
	struct outfile_key *key = outfile->key;

	if (key == NULL)
		return;
	outfile->key = NULL;
	TAILQ_REMOVE(&key->list, outfile, link);
	if (TAILQ_EMPTY(&key->list)) {
		HASH_DEL(outfile->outfiles->by_id, key);
		free(key);
	}
}

static void
outfile_hang(struct outfile *outfile)
{
	struct outfiles *outfiles = outfile->outfiles;
	struct outfile_key *key;

	HASH_FIND(hh, outfiles->by_id, &outfile->what.id, sizeof(int64_t), key);
	if (key == NULL) {
		key = mem_new(sizeof(*key));
		key->id = outfile->what.id;
		TAILQ_INIT(&key->list);
		HASH_ADD(hh, outfiles->by_id, id, sizeof(key->id), key);
	}
	outfile->key = key;
	TAILQ_INSERT_TAIL(&key->list, outfile, link);
}

static void
outfile_free(struct outfile *outfile)
{
	outfile_unhang(outfile);
	if (outfile->timer != NULL)
		event_free(outfile->timer);
	free(outfile->owner);
	free(outfile->data);
	free(outfile);
}

static void
outfile_peer_closed(struct peer_wait *wait)
{
	struct outfile *outfile = (struct outfile *)((char *)wait - offsetof(struct outfile, peer_wait));

	if (outfile->turn.queued || outfile->waits) {
		peer_give_up_turn(outfile->request->peer, &outfile->turn);
		outfile->busy = false;
	}
	request_drop(outfile->request);
	if (outfile->busy)
		outfile->closed = true;
	else
		outfile_free(outfile);
}

static void
outfile_fail(struct outfile *outfile, int code, const char *message)
{
	struct request *request = outfile->request;

	peer_remove_wait(request->peer, &outfile->peer_wait);
	request_fail(request, code, "%s", message);
	outfile_free(outfile);
}

/* ---- the reply ------------------------------------------------------------------------------------------------------------- */

/* How many bytes at the end begin a character of UTF-8 whose rest has not come. */
static size_t
outfile_cut_tail(const char *bytes, size_t len)
{
	for (size_t back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)bytes[len - back];

		if ((c & 0xc0) == 0x80)
			continue;
		if (c >= 0xf0)
			return back < 4 ? back : 0;
		if (c >= 0xe0)
			return back < 3 ? back : 0;
		return c >= 0xc2 && back < 2 ? back : 0;
	}
	return 0;
}

static void
outfile_reply(struct outfile *outfile)
{
	struct request *request = outfile->request;
	size_t len = (size_t)outfile->len, cut;
	struct text result = {0};
	bool eof = outfile->ended && outfile->len < outfile->what.limit;

	cut = eof ? 0 : outfile_cut_tail(outfile->data, len);
	if (cut < len)
		len -= cut;
	text_add_char(&result, '{');
	text_add_bytes(&result, "data", "encoding", outfile->data, len);
	text_printf(&result, ",\"offset\":%lld,\"next\":%lld,\"eof\":%s}", (long long)outfile->what.offset,
	    (long long)(outfile->what.offset + (int64_t)len), eof ? "true" : "false");
	peer_remove_wait(request->peer, &outfile->peer_wait);
	request_reply(request, &result);
	outfile_free(outfile);
}

/* ---- looking --------------------------------------------------------------------------------------------------------------- */

static void
outfile_work(void *arg)
{
	struct outfile *outfile = arg;

	if (!outfile->begun) {
		outfile->len = 0;
		return;
	}
	outfile->len = capture_read(outfile->outfiles->dir, (uint64_t)outfile->what.id, outfile->what.stream, outfile->what.offset,
	    outfile->data, (size_t)outfile->what.limit);
	if (outfile->len < 0)
		outfile->len = -errno;
}

static void
outfile_worked(void *arg)
{
	struct outfile *outfile = arg;

	outfile->busy = false;
	if (outfile->closed) {
		outfile_free(outfile);
		return;
	}
	if (outfile->len < 0) {
		outfile_fail(outfile, RPC_INTERNAL, strerror((int)-outfile->len));
		return;
	}
	if (outfile->len > 0 || outfile->ended || outfile->what.wait_ms == 0 || outfile->timed_out) {
		outfile_reply(outfile);
		return;
	}
	free(outfile->data);
	outfile->data = NULL;
	outfile->busy = true; /* others get their turn, and may end the connection */
	room_leave(&outfile->request->room);
	request_is_no_bulk(outfile->request);
	outfile->busy = false;
	if (outfile->closed)
		outfile_free(outfile);
	else if (outfile->news)
		outfile_look(outfile);
}

static void
outfile_read(void *arg)
{
	struct outfile *outfile = arg;

	outfile->waits = false;
	outfile->data = mem_grow(NULL, (size_t)outfile->what.limit, 1);
	iopool_call(dispatch_iopool(outfile->outfiles->server->dispatch), outfile_work, outfile_worked, outfile);
}

/* Only a few at a time have read what their client has not: each may be a MiB. */
static void
outfile_turn(struct peer_turn *turn)
{
	struct outfile *outfile = (struct outfile *)((char *)turn - offsetof(struct outfile, turn));

	request_is_bulk(outfile->request);
	outfile->waits = true;
	room_take(&outfile->request->room, (size_t)outfile->what.limit, outfile_read, outfile);
}

static void
outfile_looked(struct store_read *read, void *arg)
{
	struct outfile *outfile = arg;
	const struct job *job;
	bool found = read->n_rows > 0;
	int error = read->error;

	outfile->busy = false;
	if (found) {
		job = dispatch_job(outfile->outfiles->server->dispatch, outfile->what.id);
		outfile->begun = read->rows[0].attempt > 0 || (job != NULL && job->attempts > 0);
		outfile->ended = read->rows[0].place == STORE_DONE && job == NULL;
	}
	store_read_done(read);
	if (outfile->closed) {
		outfile_free(outfile);
	} else if (error != 0) {
		outfile_fail(outfile, RPC_INTERNAL, read->reason);
	} else if (!found) {
		struct request *request = outfile->request;

		peer_remove_wait(request->peer, &outfile->peer_wait);
		request_fail_ids(request, &outfile->what.id, 1);
		outfile_free(outfile);
	} else {
		outfile->busy = true;
		peer_take_turn(outfile->request->peer, &outfile->turn);
	}
}

static void
outfile_look(struct outfile *outfile)
{
	struct store_read *read = &outfile->read;

	outfile->busy = true;
	outfile->news = false;
	*read = (struct store_read){.ranges = &outfile->range, .n_ranges = 1, .owner = outfile->owner, .max_rows = 1, .max_bytes = 1};
	read->done = outfile_looked;
	read->arg = outfile;
	dispatch_read(outfile->outfiles->server->dispatch, read);
}

static void
outfile_time_cb(evutil_socket_t fd, short events, void *arg)
{
	struct outfile *outfile = arg;

	(void)fd;
	(void)events;
	outfile->timed_out = true;
	if (outfile->busy)
		outfile->news = true;
	else
		outfile_look(outfile);
}

void
outfiles_read(struct outfiles *outfiles, struct request *request, const struct outfile_what *what)
{
	struct outfile *outfile = mem_new(sizeof(*outfile));
	const char *owner = request_owner_filter(request);

	outfile->outfiles = outfiles;
	outfile->request = request;
	outfile->what = *what;
	outfile->range = (struct id_range){what->id, what->id};
	outfile->owner = owner != NULL ? mem_text(owner) : NULL;
	outfile->peer_wait.closed = outfile_peer_closed;
	outfile->turn.go = outfile_turn;
	if (peer_add_wait(request->peer, &outfile->peer_wait) < 0) {
		request_fail(request, RPC_BUSY, "[limits] waits_per_connection is reached");
		outfile_free(outfile);
		return;
	}
	outfile_hang(outfile);
	if (what->wait_ms > 0) {
		struct timeval tv = {.tv_sec = what->wait_ms / 1000, .tv_usec = (what->wait_ms % 1000) * 1000};

		outfile->timer = event_new(loop_base(outfiles->server->loop), -1, 0, outfile_time_cb, outfile);
		event_add(outfile->timer, &tv);
	}
	outfile_look(outfile);
}

void
outfiles_news(struct outfiles *outfiles, int64_t id)
{
	struct outfile_key *key;
	struct outfile *outfile;

	HASH_FIND(hh, outfiles->by_id, &id, sizeof(id), key);
	if (key == NULL)
		return;
	TAILQ_FOREACH(outfile, &key->list, link) {
		if (outfile->busy)
			outfile->news = true;
		else
			outfile_look(outfile);
	}
}

/* ---- deleting -------------------------------------------------------------------------------------------------------------- */

struct outfile_delete {
	int dir;
	const int64_t *ids;
	size_t n;
	void (*done)(void *arg);
	void *arg;
};

static void
outfile_delete_work(void *arg)
{
	struct outfile_delete *work = arg;

	for (size_t i = 0; i < work->n; i++)
		capture_delete(work->dir, (uint64_t)work->ids[i]);
}

static void
outfile_delete_done(void *arg)
{
	struct outfile_delete *work = arg;

	work->done(work->arg);
	free(work);
}

void
outfiles_delete(struct outfiles *outfiles, const int64_t *ids, size_t n, void (*done)(void *arg), void *arg)
{
	struct outfile_delete *work = mem_new(sizeof(*work));

	*work = (struct outfile_delete){outfiles->dir, ids, n, done, arg};
	iopool_call(dispatch_iopool(outfiles->server->dispatch), outfile_delete_work, outfile_delete_done, work);
}

/* ---- birth and end --------------------------------------------------------------------------------------------------------- */

struct outfiles *
outfiles_new(struct server *server, int dir)
{
	struct outfiles *outfiles = mem_new(sizeof(*outfiles));

	outfiles->server = server;
	outfiles->dir = dir;
	return outfiles;
}

void
outfiles_free(struct outfiles *outfiles)
{
	free(outfiles);
}
