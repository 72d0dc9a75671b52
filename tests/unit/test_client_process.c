/*
 * test_client_process: callbacks of replies, the one descriptor to poll, sends that never wait, and what callbacks may
 * do.
 */
#include "fake_daemon.h"

#include <event2/event.h>
#include <poll.h>
#include <semaphore.h>

static char said[256];

static void remember(struct fut_client *from, int code, const char *result, void *arg)
{
	size_t len = strlen(said);

	(void)from;
	snprintf(said + len, sizeof(said) - len, "%s=%s;", (const char *)arg,
		 code == 0 ? result : fut_error_word(client));
	ck_assert((result == NULL) == (code < 0));
}

static int64_t ask(const char *name)
{
	int64_t request;

	ck_assert_int_eq(fut_ask(client, "ping", NULL, remember, (void *)(uintptr_t)name, &request), 0);
	return request;
}

/* Whether the client's descriptor says that there is something to do, within so long. */
static bool is_ready(int timeout_ms)
{
	struct pollfd pollfd = {.fd = fut_poll_fd(client), .events = POLLIN};

	ck_assert_int_ge(pollfd.fd, 0);
	return poll(&pollfd, 1, timeout_ms) == 1;
}

static void answer_in_any_order(void)
{
	for (int i = 0; i < 4; i++)
		hear();
	say("{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":3}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1}\n");
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32004,\"message\":\"full\"}}\n");
	say("{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":\"pong\"}\n");
	hear();
}

START_TEST(replies_by_callback)
{
	said[0] = '\0';
	ck_assert_int_eq(start(answer_in_any_order), 0);
	ask("a");
	ask("b");
	ask("c");
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_msg(said[0] == '\0', "a call that waits calls nothing back");
	ck_assert_int_eq(fut_process(client, 0), 3);
	ck_assert_str_eq(said, "c=3;a=1;b=busy;");
	ck_assert_int_eq(fut_process(client, 0), 0);
}
END_TEST

START_TEST(dropped)
{
	int64_t first, third;

	said[0] = '\0';
	ck_assert_int_eq(start(answer_in_any_order), 0);
	first = ask("a");
	ask("b");
	third = ask("c");
	fut_drop(client, first);
	ck_assert_int_eq(fut_receive(client, third, 0, NULL), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_ping(client), 0);
	fut_drop(client, third);
	ck_assert_int_eq(fut_process(client, 0), 1);
	ck_assert_str_eq(said, "b=busy;");
	fut_drop(client, third);
}
END_TEST

START_TEST(one_descriptor)
{
	int fd;

	said[0] = '\0';
	ck_assert_int_eq(start(answer_in_any_order), 0);
	fd = fut_poll_fd(client);
	ck_assert_int_eq(fut_poll_fd(client), fd);
	ck_assert_msg(!is_ready(0), "nothing to do");
	ask("a");
	ck_assert_msg(is_ready(0), "there is something to write");
	ck_assert_int_eq(fut_process(client, 0), 0);
	ck_assert_msg(!is_ready(0), "it is written");
	ask("b");
	ask("c");
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_msg(is_ready(0), "callbacks are due, though all is read");
	ck_assert_int_eq(fut_process(client, 0), 3);
	ck_assert_msg(!is_ready(0), "they were called");
}
END_TEST

static void go_at_once(void)
{
	hear();
}

/* The next introduction has the next number. */
static const char *hello_again(int id)
{
	static char text[sizeof(HELLO) + 16];
	const char *rest = strstr(HELLO, "\"result\"");

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%d,%s", id, rest);
	return text;
}

START_TEST(the_end_and_a_new_beginning)
{
	int fd;

	said[0] = '\0';
	ck_assert_int_eq(start(go_at_once), 0);
	fd = fut_poll_fd(client);
	ask("a");
	ck_assert_int_eq(fut_flush(client), 0);
	ck_assert(is_ready(-1));
	ck_assert_int_eq(fut_process(client, -1), FUT_E_DISCONNECTED);
	ck_assert_str_eq(said, "a=disconnected;");
	ck_assert_msg(!is_ready(0), "the end is told once, or a loop would spin");
	ck_assert_int_eq(fut_process(client, 0), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, remember, NULL, NULL), FUT_E_DISCONNECTED);
	pthread_join(thread, NULL);

	said[0] = '\0';
	hello = hello_again(3);
	ck_assert_int_eq(start(NULL), 0);
	ask("b");
	pthread_join(thread, NULL);
	hello = hello_again(5);
	ck_assert_int_eq(start(NULL), 0);
	ck_assert_msg(fut_poll_fd(client) == fd && is_ready(0), "the same descriptor tells of what was lost");
	ck_assert_int_eq(fut_process(client, 0), 1);
	ck_assert_str_eq(said, "b=disconnected;");
}
END_TEST

static void answer_each(void)
{
	const char *line;
	int id = 2;

	while ((line = hear()) != NULL)
		say_format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%zu}\n", id++, strlen(line));
}

struct loop {
	struct event_base *base;
	int left;
};

static void process_from_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_assert_int_ge(fut_process(client, 0), 0);
}

static void ask_the_next(struct fut_client *from, int code, const char *result, void *arg)
{
	struct loop *loop = arg;

	(void)result;
	ck_assert_int_eq(code, 0);
	if (--loop->left == 0)
		event_base_loopbreak(loop->base);
	else
		ck_assert_int_eq(fut_ask(from, "ping", NULL, ask_the_next, loop, NULL), 0);
}

START_TEST(in_a_loop_of_libevent)
{
	struct loop loop = {.base = event_base_new(), .left = 100};
	struct event *event;

	ck_assert_int_eq(start(answer_each), 0);
	event = event_new(loop.base, fut_poll_fd(client), EV_READ | EV_PERSIST, process_from_loop, NULL);
	event_add(event, NULL);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, ask_the_next, &loop, NULL), 0);
	ck_assert_int_eq(event_base_dispatch(loop.base), 0);
	ck_assert_int_eq(loop.left, 0);
	event_free(event);
	event_base_free(loop.base);
}
END_TEST

#define BULK (100u << 10)

static sem_t may_read;

static void read_late(void)
{
	sem_wait(&may_read);
	answer_each();
}

static void count_reply(struct fut_client *from, int code, const char *result, void *arg)
{
	(void)from;
	(void)result;
	ck_assert_int_eq(code, 0);
	--*(int *)arg;
}

START_TEST(sends_that_never_wait)
{
	struct fut_params *params = fut_params_new();
	char *bulk = malloc(BULK + 1);
	int left = 0, more = 0, r;

	memset(bulk, 'z', BULK);
	bulk[BULK] = '\0';
	fut_params_string(params, "bulk", bulk);
	sem_init(&may_read, 0, 0);
	ck_assert_int_eq(start(read_late), 0);
	fut_set_nonblocking(client, true);
	while ((r = fut_ask(client, "ping", params, count_reply, &left, NULL)) == 0) {
		left++;
		ck_assert_msg(left < 1000, "100 MB are not bounded");
	}
	ck_assert_int_eq(r, FUT_E_WOULD_BLOCK);
	ck_assert_str_eq(fut_error_word(client), "would_block");
	ck_assert_msg(left > 10, "a megabyte fits");
	ck_assert_int_eq(fut_process(client, 0), 0);
	ck_assert(fut_wants_write(client));
	ck_assert_msg(!is_ready(0), "nobody reads, so nothing can be done");
	sem_post(&may_read);
	while (fut_wants_write(client)) {
		ck_assert(is_ready(-1));
		ck_assert_int_ge(fut_process(client, 0), 0);
	}
	ck_assert_int_eq(fut_ask(client, "ping", params, count_reply, &more, NULL), 0);
	more++;
	while (left > 0 || more > 0)
		ck_assert_int_ge(fut_process(client, -1), 0);
	fut_params_free(params);
	free(bulk);
}
END_TEST

static void free_client(struct fut_client *from, int code, const char *result, void *arg)
{
	remember(from, code, result, arg);
	fut_free(from);
	client = NULL;
}

START_TEST(freed_by_a_callback)
{
	said[0] = '\0';
	ck_assert_int_eq(start(answer_in_any_order), 0);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, remember, (void *)(uintptr_t) "a", NULL), 0);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, remember, (void *)(uintptr_t) "b", NULL), 0);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, free_client, (void *)(uintptr_t) "c", NULL), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_process(client, 0), 1);
	ck_assert_str_eq(said, "c=3;");
	ck_assert_ptr_null(client);
}
END_TEST

static void wait_within(struct fut_client *from, int code, const char *result, void *arg)
{
	remember(from, code, result, arg);
	ck_assert_int_eq(fut_process(from, 0), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_ping(from), 0);
}

START_TEST(waiting_within_a_callback)
{
	said[0] = '\0';
	ck_assert_int_eq(start(answer_each), 0);
	ck_assert_int_eq(fut_ask(client, "ping", NULL, wait_within, (void *)(uintptr_t) "a", NULL), 0);
	ck_assert_int_eq(fut_process(client, -1), 1);
	ck_assert_msg(said[0] == 'a', "it was called: %s", said);
	ck_assert_msg(fut_process(client, 20) == 0, "within its time nothing came");
}
END_TEST

START_TEST(not_connected)
{
	ck_assert_int_eq(fut_process(client, 0), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_process(client, -1), FUT_E_DISCONNECTED);
	ck_assert_int_ge(fut_poll_fd(client), 0);
	hello = HELLO;
	ck_assert_int_eq(start(answer_in_any_order), 0);
	ck_assert_int_eq(fut_process(client, 0), 0);
}
END_TEST

/* What the daemon's thread has heard, for the test's. */
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;
static char heard[512];

static void note_heard(const char *text)
{
	pthread_mutex_lock(&heard_lock);
	strncat(heard, text, sizeof(heard) - strlen(heard) - 1);
	pthread_mutex_unlock(&heard_lock);
}

/* Since the last call. */
static void check_heard(const char *expected)
{
	char got[sizeof(heard)];

	pthread_mutex_lock(&heard_lock);
	strcpy(got, heard);
	heard[0] = '\0';
	pthread_mutex_unlock(&heard_lock);
	ck_assert_str_eq(got, expected);
}

static void answer_control(void)
{
	static const char *const results[] = {
	    "{\"id\":42,\"retried\":true,\"new\":57}",
	    "{\"id\":42,\"retried\":false}",
	    "{\"id\":42,\"forgotten\":true}",
	    "{\"queue\":\"q\"}",
	    "{\"queue\":\"q\"}",
	    "{\"queue\":\"q\"}",
	    "{\"queue\":\"q\"}",
	    "[1]",
	    "[2]",
	    "{\"workers\":[]}",
	    "true",
	    "{\"id\":3,\"state\":\"running\"}",
	};

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		const char *line = hear();
		const char *method = line != NULL ? strstr(line, "\"method\":") : NULL;

		if (method == NULL)
			return;
		note_heard(method + strlen("\"method\":"));
		say_format("{\"jsonrpc\":\"2.0\",\"id\":%zu,\"result\":%s}\n", i + 2, results[i]);
	}
	hear();
}

START_TEST(the_rest_of_the_protocol)
{
	char *text;
	struct fut_job *job;
	bool forgotten = false;
	int64_t new = 0;

	ck_assert_int_eq(start(answer_control), 0);
	ck_assert_int_eq(fut_retry(client, 42, &new), 0);
	ck_assert_int_eq(new, 57);
	ck_assert_int_eq(fut_retry(client, 42, &new), 0);
	ck_assert_int_eq(new, 0);
	ck_assert_int_eq(fut_forget(client, 42, &forgotten), 0);
	ck_assert(forgotten);
	check_heard("\"retry\",\"params\":{\"id\":42}}\n\"retry\",\"params\":{\"id\":42}}\n"
		    "\"forget\",\"params\":{\"id\":42}}\n");
	ck_assert_int_eq(fut_pause(client, "q"), 0);
	ck_assert_int_eq(fut_resume(client, "q"), 0);
	ck_assert_int_eq(fut_set_queue(client, "q", 3), 0);
	ck_assert_int_eq(fut_set_queue(client, "q", FUT_NO_LIMIT), 0);
	check_heard("\"pause\",\"params\":{\"queue\":\"q\"}}\n\"resume\",\"params\":{\"queue\":\"q\"}}\n"
		    "\"set_queue\",\"params\":{\"queue\":\"q\",\"limit\":3}}\n"
		    "\"set_queue\",\"params\":{\"queue\":\"q\",\"limit\":null}}\n");
	ck_assert_int_eq(fut_queues(client, &text), 0);
	ck_assert_str_eq(text, "[1]");
	free(text);
	ck_assert_int_eq(fut_tasks(client, &text), 0);
	free(text);
	ck_assert_int_eq(fut_stats(client, &text), 0);
	free(text);
	ck_assert_int_eq(fut_drain(client, 2.5), 0);
	ck_assert_int_eq(fut_run(client, "noop", "[]", NULL, 0.5, &job), 0);
	check_heard("\"queues\",\"params\":{}}\n\"tasks\",\"params\":{}}\n\"stats\",\"params\":{}}\n"
		    "\"drain\",\"params\":{\"wait\":2.5}}\n"
		    "\"run\",\"params\":{\"task\":\"noop\",\"args\":[],\"wait\":0.5}}\n");
	ck_assert(fut_job_state(job) == FUT_RUNNING && !fut_job_ended(job));
	fut_job_free(job);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, replies_by_callback);
	tcase_add_test(tcase, dropped);
	tcase_add_test(tcase, one_descriptor);
	tcase_add_test(tcase, the_end_and_a_new_beginning);
	tcase_add_test(tcase, in_a_loop_of_libevent);
	tcase_add_test(tcase, sends_that_never_wait);
	tcase_add_test(tcase, freed_by_a_callback);
	tcase_add_test(tcase, waiting_within_a_callback);
	tcase_add_test(tcase, not_connected);
	tcase_add_test(tcase, the_rest_of_the_protocol);
	return run("client_process", tcase);
}
