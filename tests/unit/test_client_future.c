/*
 * test_client_future: futures against a daemon that answers as a test wants: ends of all kinds, many at once, refusals,
 * losses, callbacks, and who is freed when.
 *
 * The daemon's script is a list of steps, so that it can be read beside the test: what it must hear, what it says then.
 */
#include "fake_daemon.h"
#include "tests/unit/bulk.h"

/* A line must hold this text; then reply is said. NULL ends the list. */
struct step {
	const char *wanted;
	const char *reply;
};

static const struct step *steps;
static char wrong[1024];

static void follow_steps(void)
{
	const char *line;

	for (const struct step *step = steps; step->wanted != NULL; step++) {
		line = hear();
		if (line == NULL || strstr(line, step->wanted) == NULL) {
			snprintf(wrong, sizeof(wrong), "'%s' was due, not '%.700s'", step->wanted,
				 line != NULL ? line : "the end");
			return;
		}
		say(step->reply);
	}
	hear();
}

static void begin(const struct step *list)
{
	steps = list;
	wrong[0] = '\0';
	ck_assert_int_eq(start(follow_steps), 0);
}

/* Ends the connection, and sees whether the daemon heard what it should. */
static void finish(void)
{
	fut_free(client);
	client = NULL;
	pthread_join(thread, NULL);
	started = false;
	ck_assert_str_eq(wrong, "");
}

static struct fut_future *submit(const char *task)
{
	struct fut_future *future;

	ck_assert_int_eq(fut_future_submit(client, task, NULL, NULL, &future), 0);
	return future;
}

static struct fut_future *open_id(int64_t id)
{
	struct fut_future *future;

	ck_assert_int_eq(fut_future_open(client, id, &future), 0);
	return future;
}

#define RESULT(id, result)	 "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":" result "}\n"
#define ACCEPTED(request, job)	 RESULT(request, "{\"id\":" #job ",\"state\":\"pending\"}")
#define WATCHED(request, number) RESULT(request, "{\"watch\":" #number ",\"count\":1}")
#define REFUSED(request, code, word, more)                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":" #request ",\"error\":{\"code\":" #code ",\"message\":\"it is " word \
	"\",\"data\":{\"code\":\"" word "\"" more "}}}\n"
#define EVENT(watch, event, job, state, more)                                                           \
	"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":" #watch ",\"event\":\"" event \
	"\",\"job\":{\"id\":" #job ",\"state\":\"" state "\"" more "}}}\n"
#define SUCCEEDED(watch, job) EVENT(watch, "finished", job, "succeeded", ",\"result\":[" #job "]")
#define FAILED(watch, job) \
	EVENT(watch, "finished", job, "failed", ",\"error\":{\"type\":\"ExitStatus\",\"message\":\"it said 3\"}")
#define CANCELLED(watch, job) \
	EVENT(watch, "finished", job, "cancelled", ",\"error\":{\"type\":\"Cancelled\",\"message\":\"by you\"}")
#define END(watch) "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":" #watch ",\"event\":\"end\"}}\n"

START_TEST(a_result)
{
	static const struct step list[] = {
	    {"\"method\":\"submit\",\"params\":{\"task\":\"noop\"}", ACCEPTED(2, 42)},
	    {"\"id\":3,\"method\":\"watch\",\"params\":{\"ids\":[42],\"events\":[\"running\",\"finished\"],\"fields\":",
	     WATCHED(3, 7) EVENT(7, "running", 42, "running", "")},
	    {"ping", RESULT(4, "\"pong\"") SUCCEEDED(7, 42) END(7)},
	    {0},
	};
	struct fut_future *future;
	const char *result;
	int64_t id = 0;

	begin(list);
	future = submit("noop");
	ck_assert_int_eq(fut_future_id(future), 0);
	ck_assert_int_eq(fut_future_accepted(future, FUT_FOREVER, &id), 0);
	ck_assert_int_eq(id, 42);
	while (!fut_future_running(future))
		ck_assert(!fut_future_done(future));
	ck_assert_int_eq(fut_future_wait(future, 0), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_future_result(future, 0.01, &result), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_future_result(future, FUT_FOREVER, &result), 0);
	ck_assert_str_eq(result, "[42]");
	ck_assert(fut_future_done(future) && !fut_future_running(future) && !fut_future_cancelled(future));
	ck_assert_int_eq(fut_future_code(future), 0);
	ck_assert_ptr_null(fut_future_error(future));
	ck_assert_int_eq(fut_job_id(fut_future_job(future)), 42);
	fut_future_free(future);
	finish();
}
END_TEST

START_TEST(many_share_a_watch)
{
	static const struct step list[] = {
	    {"submit", ""},
	    {"submit", ""},
	    {"submit", ACCEPTED(2, 42) ACCEPTED(3, 43) ACCEPTED(4, 44)},
	    {"\"ids\":[\"42-44\"]", WATCHED(5, 7) SUCCEEDED(7, 44)},
	    {"ping", RESULT(6, "\"pong\"") FAILED(7, 42)},
	    {"ping", RESULT(7, "\"pong\"") CANCELLED(7, 43) END(7)},
	    {0},
	};
	struct fut_future *futures[3];
	const char *result = NULL;

	begin(list);
	for (int i = 0; i < 3; i++)
		futures[i] = submit("noop");
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_ANY, FUT_FOREVER), 0);
	ck_assert(!fut_future_done(futures[0]) && !fut_future_done(futures[1]) && fut_future_done(futures[2]));
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_FIRST_FAILURE, 0.01), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_FIRST_FAILURE, FUT_FOREVER), 0);
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_ALL, 0), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_ALL, FUT_FOREVER), 0);

	ck_assert_int_eq(fut_future_result(futures[0], 0, &result), FUT_E_JOB_FAILED);
	ck_assert_str_eq(fut_error_word(client), "ExitStatus");
	ck_assert_str_eq(fut_error_message(client), "it said 3");
	ck_assert_str_eq(fut_error_data(client), "{\"type\":\"ExitStatus\",\"message\":\"it said 3\"}");
	ck_assert_str_eq(fut_future_error(futures[0]), "it said 3");
	ck_assert(fut_future_cancelled(futures[1]) && !fut_future_cancelled(futures[0]));
	ck_assert_int_eq(fut_future_result(futures[1], 0, &result), FUT_E_JOB_CANCELLED);
	ck_assert_ptr_null(result);
	for (int i = 0; i < 3; i++)
		fut_future_free(futures[i]);
	finish();
}
END_TEST

static void remember(struct fut_future *future, void *arg)
{
	char **order = arg;
	const char *task = fut_future_job(future) != NULL ? "+" : "-";

	strcat(*order, task);
}

START_TEST(refused_submission)
{
	static const struct step list[] = {
	    {"submit", REFUSED(2, -32004, "busy", ",\"retry_after\":2")},
	    {0},
	};
	char said[8] = "", *order = said;
	struct fut_future *future;
	const char *result;
	int64_t id;

	begin(list);
	future = submit("noop");
	ck_assert_int_eq(fut_future_add_done_callback(future, remember, &order), 0);
	ck_assert_int_eq(fut_future_accepted(future, FUT_FOREVER, &id), FUT_E_BUSY);
	ck_assert_int_eq(fut_future_result(future, FUT_FOREVER, &result), FUT_E_BUSY);
	ck_assert_str_eq(fut_error_data(client), "{\"code\":\"busy\",\"retry_after\":2}");
	ck_assert_str_eq(fut_future_error(future), "it is busy");
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(fut_process(client, 0), 1);
	ck_assert_str_eq(said, "-");
	fut_future_free(future);
	ck_assert_int_eq(fut_future_submit(client, "noop", "[1", NULL, &future), FUT_E_ARGUMENT);
	finish();
}
END_TEST

static void say_some_and_go(void)
{
	hear();
	hear();
	say(ACCEPTED(2, 42));
	hear();
	say(WATCHED(4, 7) EVENT(7, "running", 42, "running", ""));
}

START_TEST(lost_connection)
{
	char said[8] = "", *order = said;
	struct fut_future *accepted, *adding, *more;
	int r;

	ck_assert_int_eq(start(say_some_and_go), 0);
	accepted = submit("noop");
	adding = submit("noop");
	ck_assert_int_eq(fut_future_add_done_callback(accepted, remember, &order), 0);
	ck_assert_int_eq(fut_future_add_done_callback(adding, remember, &order), 0);
	do
		r = fut_process(client, -1);
	while (r >= 0);
	ck_assert_int_eq(r, FUT_E_DISCONNECTED);
	ck_assert_str_eq(said, "--");
	ck_assert_int_eq(fut_future_code(accepted), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_future_id(accepted), 42);
	ck_assert_int_eq(fut_future_code(adding), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_future_open(client, 42, &more), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_future_submit(client, "noop", NULL, NULL, &more), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_process(client, 0), FUT_E_DISCONNECTED);
	fut_future_free(accepted);
	fut_future_free(adding);
}
END_TEST

START_TEST(cancelled_before_it_is_accepted)
{
	static const struct step list[] = {
	    {"submit", ACCEPTED(2, 42)},
	    {"\"cancel\",\"params\":{\"grace\":1.5,\"reason\":\"no more\",\"id\":42}",
	     RESULT(3, "{\"id\":42,\"cancelled\":true}")},
	    {"watch", WATCHED(4, 7)},
	    {"cancel", RESULT(5, "{\"id\":42,\"cancelled\":true}") CANCELLED(7, 42) END(7)},
	    {0},
	};
	struct fut_future *future;

	begin(list);
	future = submit("noop");
	ck_assert_int_eq(fut_future_cancel(future, 1.5, "no\xff"), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_future_cancel(future, 1.5, "no more"), 0);
	ck_assert_int_eq(fut_future_wait(future, 0.01), FUT_E_TIMED_OUT);
	while (fut_future_id(future) == 0)
		ck_assert(!fut_future_done(future));
	ck_assert_int_eq(fut_future_cancel(future, 5, NULL), 0);
	ck_assert_int_eq(fut_future_wait(future, FUT_FOREVER), 0);
	ck_assert(fut_future_cancelled(future));
	ck_assert_msg(fut_future_cancel(future, 5, NULL) == 0, "of what is done nothing is asked");
	fut_future_free(future);
	finish();
}
END_TEST

START_TEST(unknown_among_known)
{
	static const struct step list[] = {
	    {"\"ids\":[5,6,7]", REFUSED(2, -32001, "not_found", ",\"ids\":[6]")},
	    {"\"ids\":[5,7]", WATCHED(3, 1) SUCCEEDED(1, 5) END(1)},
	    {0},
	};
	struct fut_future *futures[3];

	begin(list);
	for (int i = 0; i < 3; i++)
		futures[i] = open_id(5 + i);
	ck_assert_int_eq(fut_futures_wait(futures, 3, FUT_ALL, FUT_FOREVER), 0);
	ck_assert_int_eq(fut_future_code(futures[0]), 0);
	ck_assert_int_eq(fut_future_code(futures[1]), FUT_E_NOT_FOUND);
	ck_assert_msg(fut_future_code(futures[2]) == FUT_E_NOT_FOUND, "what ends without its event is gone");
	for (int i = 0; i < 3; i++)
		fut_future_free(futures[i]);
	finish();
}
END_TEST

START_TEST(too_many_watches)
{
	static const struct step list[] = {
	    {"\"ids\":[5]", WATCHED(2, 1)},
	    {"\"ids\":[6]", REFUSED(3, -32004, "busy", "")},
	    {"ping", RESULT(4, "\"pong\"")},
	    {"ping", RESULT(5, "\"pong\"") SUCCEEDED(1, 5) END(1)},
	    {"\"ids\":[6]", WATCHED(6, 2) SUCCEEDED(2, 6) END(2)},
	    {"\"ids\":[7]", REFUSED(7, -32004, "busy", "")},
	    {0},
	};
	struct fut_future *first, *second, *third;

	begin(list);
	first = open_id(5);
	ck_assert_int_eq(fut_flush(client), 0);
	second = open_id(6);
	ck_assert_int_eq(fut_flush(client), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_future_wait(second, FUT_FOREVER), 0);
	ck_assert_int_eq(fut_future_code(first), 0);
	ck_assert_int_eq(fut_future_code(second), 0);
	third = open_id(7);
	ck_assert_int_eq(fut_future_wait(third, FUT_FOREVER), 0);
	ck_assert_msg(fut_future_code(third) == FUT_E_BUSY, "with no watch of ours it can wait for none to end");
	fut_future_free(first);
	fut_future_free(second);
	fut_future_free(third);
	finish();
}
END_TEST

static struct fut_future *survivor;

static void free_it(struct fut_future *future, void *arg)
{
	remember(future, arg);
	fut_future_free(future);
}

static void add_another(struct fut_future *future, void *arg)
{
	remember(future, arg);
	ck_assert_int_eq(fut_future_add_done_callback(future, remember, arg), 0);
	ck_assert_msg(fut_process(client, 0) == FUT_E_ARGUMENT, "not from within itself");
	fut_future_free(survivor);
	survivor = NULL;
}

START_TEST(callbacks)
{
	static const struct step list[] = {
	    {"\"ids\":[5,6,5,7]",
	     WATCHED(2, 1) SUCCEEDED(1, 5) SUCCEEDED(1, 6) SUCCEEDED(1, 7) END(1) RESULT(3, "\"pong\"")},
	    {"ping", ""},
	    {0},
	};
	char said[16] = "", *order = said;
	struct fut_future *future, *again, *freed;

	begin(list);
	future = open_id(5);
	freed = open_id(6);
	again = open_id(5);
	survivor = open_id(7);
	ck_assert_int_eq(fut_future_add_done_callback(freed, free_it, &order), 0);
	ck_assert_int_eq(fut_future_add_done_callback(freed, remember, &order), 0);
	ck_assert_int_eq(fut_future_add_done_callback(future, add_another, &order), 0);
	ck_assert_int_eq(fut_future_add_done_callback(survivor, remember, &order), 0);
	ck_assert_int_eq(fut_flush(client), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert(fut_future_done(again));
	ck_assert_int_eq(fut_future_add_done_callback(again, remember, &order), 0);
	ck_assert_str_eq(said, "");
	/* add_another, which frees survivor; free_it, after which none of its is left; again; and the one added. */
	ck_assert_int_eq(fut_process(client, 0), 4);
	ck_assert_str_eq(said, "++++");
	ck_assert_int_eq(fut_process(client, 0), 0);
	fut_future_free(future);
	fut_future_free(again);
	finish();
}
END_TEST

START_TEST(freed_while_they_wait)
{
	static const struct step list[] = {
	    {"submit", ""},
	    {"\"ids\":[5,6]", WATCHED(3, 1)},
	    {"ping", RESULT(4, "\"pong\"") ACCEPTED(2, 4)},
	    {"unwatch\",\"params\":{\"watch\":1}", RESULT(5, "true")},
	    {"ping", SUCCEEDED(1, 5) RESULT(6, "\"pong\"")},
	    {0},
	};
	struct fut_future *first, *second;

	begin(list);
	fut_future_free(submit("noop"));
	first = open_id(5);
	second = open_id(6);
	ck_assert_int_eq(fut_flush(client), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	fut_future_free(first);
	fut_future_free(second);
	ck_assert_int_eq(fut_ping(client), 0);
	finish();
}
END_TEST

START_TEST(longer_than_their_client)
{
	static const struct step list[] = {
	    {"submit", ACCEPTED(2, 4)},
	    {"\"ids\":[4]", WATCHED(3, 1)},
	    {"\"ids\":[5]", WATCHED(4, 2) SUCCEEDED(1, 4) END(1)},
	    {0},
	};
	struct fut_future *done, *waiting;
	const char *result;
	int64_t id;

	begin(list);
	done = submit("noop");
	ck_assert_int_eq(fut_future_accepted(done, FUT_FOREVER, &id), 0);
	waiting = open_id(5);
	ck_assert_int_eq(fut_future_add_done_callback(waiting, remember, NULL), 0);
	ck_assert_int_eq(fut_future_wait(done, FUT_FOREVER), 0);
	fut_free(client);
	client = NULL;
	ck_assert_int_eq(fut_future_result(done, FUT_FOREVER, &result), 0);
	ck_assert_str_eq(result, "[4]");
	ck_assert(fut_future_done(waiting));
	ck_assert_int_eq(fut_future_result(waiting, FUT_FOREVER, &result), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_future_add_done_callback(waiting, remember, NULL), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_future_cancel(waiting, 0, NULL), 0);
	fut_future_free(done);
	fut_future_free(waiting);
}
END_TEST

#define MANY 30000

/* Accepts all there is, then says how each watch of it ends. */
static void answer_many(void)
{
	static char ids[1 << 20];
	int64_t job = 0, request = 2, first, last;
	int watch = 0, more;
	const char *line, *at;

	while ((line = hear()) != NULL) {
		if (strstr(line, "\"submit\"") != NULL) {
			say_format("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"id\":%lld}}\n", (long long)request++,
				   (long long)++job);
			continue;
		}
		snprintf(ids, sizeof(ids), "%s", line);
		watch++;
		say_format("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"watch\":%d,\"count\":0}}\n",
			   (long long)request++, watch);
		at = strstr(ids, "\"ids\":[");
		at += at != NULL ? strlen("\"ids\":[") : 0;
		while (at != NULL && *at != ']') {
			at += strspn(at, ",\"");
			more = 0;
			if (sscanf(at, "%lld-%lld%n", (long long *)&first, (long long *)&last, &more) < 2) {
				sscanf(at, "%lld%n", (long long *)&first, &more);
				last = first;
			}
			at += more + (at[more] == '"');
			for (; first <= last; first++)
				say_format("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":%d,"
					   "\"event\":\"finished\",\"job\":{\"id\":%lld,\"state\":\"succeeded\","
					   "\"result\":%lld}}}\n",
					   watch, (long long)first, (long long)first);
		}
		say_format("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":%d,\"event\":\"end\"}}\n",
			   watch);
	}
	if (watch > MANY / 10)
		snprintf(wrong, sizeof(wrong), "%d watches for %d futures", watch, MANY);
}

START_TEST(very_many)
{
	static struct fut_future *futures[MANY];
	const char *result;
	char wanted[24];

	wrong[0] = '\0';
	ck_assert_int_eq(start(answer_many), 0);
	for (int i = 0; i < MANY; i++)
		futures[i] = submit("noop");
	ck_assert_int_eq(fut_futures_wait(futures, MANY, FUT_ALL, FUT_FOREVER), 0);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(fut_future_result(futures[i], 0, &result), 0);
		snprintf(wanted, sizeof(wanted), "%lld", (long long)fut_future_id(futures[i]));
		ck_assert_str_eq(result, wanted);
		fut_future_free(futures[i]);
	}
	finish();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, a_result);
	tcase_add_test(tcase, many_share_a_watch);
	tcase_add_test(tcase, refused_submission);
	tcase_add_test(tcase, lost_connection);
	tcase_add_test(tcase, cancelled_before_it_is_accepted);
	tcase_add_test(tcase, unknown_among_known);
	tcase_add_test(tcase, too_many_watches);
	tcase_add_test(tcase, callbacks);
	tcase_add_test(tcase, freed_while_they_wait);
	tcase_add_test(tcase, longer_than_their_client);
	tcase_add_bulk_test(tcase, very_many);
	return run("client_future", tcase);
}
