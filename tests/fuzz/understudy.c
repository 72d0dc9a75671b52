/*
 * understudy: see understudy.h. All descriptors are non-blocking; the link is a SOCK_SEQPACKET pair as the spawner's.
 */
#include "tests/fuzz/understudy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/fdpass.h"
#include "daemon/mem.h"
#include "daemon/spawner.h"
#include "tests/fuzz/fuzz.h"

#define FIRST_PID 1000
#define READ	  (64u * 1024)

void
understudy_open(struct understudy *us, unsigned n_slots, struct slots *shared, int *ret_fd)
{
	int fds[2];

	FUZZ_CHECK(n_slots <= UNDERSTUDY_SLOTS, "too many slots");
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "no pair");
	us->link = fds[0];
	us->n_slots = n_slots;
	us->shared = shared;
	for (unsigned i = 0; i < n_slots; i++)
		us->workers[i] = (struct understudy_worker){.channel = -1};
	*ret_fd = fds[1];
}

static void
understudy_bury(struct understudy_worker *worker)
{
	if (worker->channel >= 0)
		close(worker->channel);
	free(worker->in);
	*worker = (struct understudy_worker){.channel = -1};
}

void
understudy_close(struct understudy *us)
{
	for (unsigned i = 0; i < us->n_slots; i++)
		understudy_bury(&us->workers[i]);
	close(us->link);
}

static void
understudy_note(struct understudy *us, enum spawner_news news, unsigned slot, int pid, int status)
{
	const struct spawner_note note = {.news = news, .slot = slot, .pid = pid, .status = status};

	fdpass_send(us->link, &note, sizeof(note), -1); /* the daemon may be gone already */
}

void
understudy_write(struct understudy *us, unsigned slot, struct span bytes)
{
	if (us->workers[slot].channel >= 0 && bytes.len > 0)
		send(us->workers[slot].channel, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void
understudy_put(struct understudy *us, unsigned slot, struct frame_out *out)
{
	understudy_write(us, slot, (struct span){out->bytes, out->len});
	frame_out_done(out);
}

void
understudy_die(struct understudy *us, unsigned slot, int status)
{
	if (us->workers[slot].channel < 0)
		return;
	if (us->died != NULL)
		us->died(us, slot);
	understudy_bury(&us->workers[slot]);
	understudy_note(us, SPAWNER_GONE, slot, 0, status);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

static void
understudy_spawn(struct understudy *us, unsigned slot, int channel)
{
	struct understudy_worker *worker = &us->workers[slot];
	struct frame_out out = {0};

	FUZZ_CHECK(slot < us->n_slots && worker->channel < 0, "slot %u is filled already", slot);
	FUZZ_CHECK(channel >= 0, "a birth without a channel");
	if (us->refuse > 0) {
		us->refuse--;
		close(channel);
		understudy_note(us, SPAWNER_FAILED, slot, 0, EAGAIN);
		return;
	}
	FUZZ_CHECK(fcntl(channel, F_SETFL, O_NONBLOCK) == 0, "a channel that blocks");
	*worker = (struct understudy_worker){.channel = channel, .pid = FIRST_PID + us->births++};
	understudy_note(us, SPAWNER_SPAWNED, slot, worker->pid, 0);
	if (us->mute)
		return;
	frame_put_hello(&out, worker->pid);
	understudy_put(us, slot, &out);
}

static bool
understudy_take_order(struct understudy *us)
{
	struct spawner_order order;
	int fd;
	ssize_t n = fdpass_receive(us->link, &order, sizeof(order), &fd);

	if (n <= 0)
		return false;
	FUZZ_CHECK(n == (ssize_t)sizeof(order) && order.slot < us->n_slots, "an order of %zd bytes", n);
	if (order.verb == SPAWNER_SPAWN) {
		understudy_spawn(us, order.slot, fd);
		return true;
	}
	FUZZ_CHECK(order.verb == SPAWNER_KILL && fd < 0, "an order that there is not");
	understudy_die(us, order.slot, 9); /* one that is gone already has been told */
	return true;
}

/* ---- channels --------------------------------------------------------------------------------------------------- */

/* The first frame of what was read: false when there is no whole one. */
static bool
understudy_take_frame(struct understudy *us, unsigned slot)
{
	struct understudy_worker *worker = &us->workers[slot];
	struct frame_header header;
	struct span payload, held;
	int whole = frame_cut(worker->in, worker->len, &header, &payload);

	FUZZ_CHECK(whole >= 0, "the daemon writes what is no frame");
	if (whole == 0)
		return false;
	held = fuzz_tight(payload);
	worker->len -= sizeof(header) + header.length;
	memmove(worker->in, worker->in + sizeof(header) + header.length, worker->len);
	if (header.type == FRAME_JOB && slots_begin(us->shared, slot, worker->number++))
		us->job(us, slot, &header, held);
	else if (header.type == FRAME_CANCEL)
		us->cancel(us, slot, &header, held);
	else
		FUZZ_CHECK(header.type == FRAME_JOB, "the daemon writes a frame of type %u", header.type);
	fuzz_release(held);
	return true;
}

static bool
understudy_read(struct understudy *us, unsigned slot)
{
	struct understudy_worker *worker = &us->workers[slot];
	ssize_t n;

	if (worker->capacity - worker->len < READ) {
		worker->capacity = worker->len + READ;
		worker->in = mem_grow(worker->in, worker->capacity, 1);
	}
	n = recv(worker->channel, worker->in + worker->len, worker->capacity - worker->len, MSG_DONTWAIT);
	if (n < 0)
		return false;
	if (n == 0) {
		understudy_die(us, slot, 0);
		return true;
	}
	worker->len += (size_t)n;
	while (worker->channel >= 0 && worker->len > 0 && understudy_take_frame(us, slot))
		;
	return true;
}

bool
understudy_turn(struct understudy *us)
{
	bool any = false;

	while (understudy_take_order(us))
		any = true;
	for (unsigned i = 0; i < us->n_slots && !us->mute; i++) {
		if (us->workers[i].channel >= 0)
			any = understudy_read(us, i) || any;
	}
	return any;
}
