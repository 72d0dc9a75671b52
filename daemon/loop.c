/*
 * loop: see loop.h. libevent runs one turn at a time; between turns the hooks run. The mailbox is a list under a mutex and an
 * eventfd that is written only when the list was empty.
 */
#include "daemon/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/mem.h"

#define LOOP_HOOKS 16

struct loop {
	struct event_base *base;
	struct event *wake;
	int wake_fd;
	bool stopping;
	pthread_mutex_t lock; /* guards the two below */
	struct mail *first;
	struct mail **last;
	struct {
		void (*cb)(void *arg);
		void *arg;
	} hooks[LOOP_HOOKS];
	unsigned n_hooks;
};

void
loop_deliver(struct loop *loop)
{
	struct mail *mail, *next;

	pthread_mutex_lock(&loop->lock);
	mail = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	for (; mail != NULL; mail = next) {
		next = mail->next;
		mail->deliver(mail);
	}
}

static void
loop_read_mail(evutil_socket_t fd, short events, void *arg)
{
	uint64_t count;

	(void)events;
	if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	loop_deliver(arg);
}

struct loop *
loop_new(void)
{
	struct loop *loop = mem_new(sizeof(*loop));
	struct event_config *config = event_config_new();

	if (config == NULL)
		abort();
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->base == NULL || loop->wake_fd < 0)
		abort();
	loop->last = &loop->first;
	pthread_mutex_init(&loop->lock, NULL);
	loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, loop_read_mail, loop);
	if (loop->wake == NULL || event_add(loop->wake, NULL) < 0)
		abort();
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	event_free(loop->wake);
	event_base_free(loop->base);
	close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

int
loop_turn(struct loop *loop, bool may_wait)
{
	if (event_base_loop(loop->base, may_wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK) < 0)
		return -1;
	for (unsigned i = 0; i < loop->n_hooks; i++)
		loop->hooks[i].cb(loop->hooks[i].arg);
	return 0;
}

int
loop_run(struct loop *loop)
{
	while (!loop->stopping) {
		if (loop_turn(loop, true) < 0)
			return -1;
	}
	return 0;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
	event_base_loopbreak(loop->base);
}

void
loop_post(struct loop *loop, struct mail *mail)
{
	uint64_t one = 1;
	bool was_empty;

	mail->next = NULL;
	pthread_mutex_lock(&loop->lock);
	was_empty = loop->first == NULL;
	*loop->last = mail;
	loop->last = &mail->next;
	pthread_mutex_unlock(&loop->lock);
	if (was_empty && write(loop->wake_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd that counts to one cannot be full */
}

void
loop_after_turn(struct loop *loop, void (*cb)(void *arg), void *arg)
{
	if (loop->n_hooks == LOOP_HOOKS)
		abort();
	loop->hooks[loop->n_hooks].cb = cb;
	loop->hooks[loop->n_hooks].arg = arg;
	loop->n_hooks++;
}

void
loop_again(struct loop *loop)
{
	event_active(loop->wake, EV_READ, 0);
}

static int64_t
loop_clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
loop_mono_ms(void)
{
	return loop_clock_ms(CLOCK_MONOTONIC);
}

int64_t
loop_wall_ms(void)
{
	return loop_clock_ms(CLOCK_REALTIME);
}
