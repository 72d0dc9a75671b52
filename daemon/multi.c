/*
 * multi: see multi.h. libcurl says by callbacks which sockets and which timer it wants to hear of, and is told of each
 * through curl_multi_socket_action(); what is ready costs work, what waits does not.
 */
#include "daemon/multi.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>

#include "daemon/mem.h"

struct multi {
	CURLM *curl;
	struct event_base *base;
	struct event *timer;
	multi_ended_cb ended;
};

static void
multi_take_ended(struct multi *multi)
{
	CURLMsg *message;
	CURLcode code;
	CURL *easy;
	char *private;
	int left;

	while ((message = curl_multi_info_read(multi->curl, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		easy = message->easy_handle;
		code = message->data.result;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
		curl_multi_remove_handle(multi->curl, easy);
		multi->ended(private, (int)code);
	}
}

static void
multi_act(struct multi *multi, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(multi->curl, fd, what, &running);
	multi_take_ended(multi);
}

static void
multi_socket_ready(evutil_socket_t fd, short events, void *arg)
{
	multi_act(arg, fd, (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
multi_timer_fired(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	multi_act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl says what it wants to know of a socket; the event is kept with the socket. */
static int
multi_watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct multi *multi = arg;
	struct event *event = socket_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (event != NULL)
		event_free(event);
	curl_multi_assign(multi->curl, fd, NULL);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if (what != CURL_POLL_OUT)
		events |= EV_READ;
	if (what != CURL_POLL_IN)
		events |= EV_WRITE;
	event = event_new(multi->base, fd, events, multi_socket_ready, multi);
	if (event == NULL || event_add(event, NULL) < 0)
		abort();
	curl_multi_assign(multi->curl, fd, event);
	return 0;
}

static int
multi_set_timer(CURLM *curl, long timeout_ms, void *arg)
{
	struct multi *multi = arg;
	struct timeval in = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	(void)curl;
	if (timeout_ms < 0)
		event_del(multi->timer);
	else if (event_add(multi->timer, &in) < 0)
		abort();
	return 0;
}

struct multi *
multi_new(struct event_base *base, long connections, multi_ended_cb ended)
{
	struct multi *multi = mem_new(sizeof(*multi));

	multi->base = base;
	multi->ended = ended;
	multi->curl = curl_multi_init();
	multi->timer = evtimer_new(base, multi_timer_fired, multi);
	if (multi->curl == NULL || multi->timer == NULL)
		abort();
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, multi_watch_socket);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, multi_set_timer);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, connections);
	return multi;
}

void
multi_free(struct multi *multi)
{
	if (multi == NULL)
		return;
	curl_multi_cleanup(multi->curl);
	event_free(multi->timer);
	free(multi);
}

void
multi_add(struct multi *multi, void *easy, void *private)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, private);
	if (curl_multi_add_handle(multi->curl, easy) != CURLM_OK)
		abort();
}

void
multi_remove(struct multi *multi, void *easy)
{
	curl_multi_remove_handle(multi->curl, easy);
}
