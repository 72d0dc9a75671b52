/*
 * test_http: http.fetch and the webhook's POST: what is sent, what comes back, what is refused; net.resolve as far as it needs no network.
 */
#include <arpa/inet.h>
#include <check.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tasks/post.h"
#include "daemon/tasks/tasks.h"
#include "daemon/waits.h"
#include "http_server.h"
#include "pump.h"

static struct loop *loop;
static struct waits *waits;
static struct http_server *server;
static struct outcome last;
static char *last_text; /* of last, with a NUL */
static bool has_ended, restricted;
static uint64_t next_token;

static void
done(uint64_t job, uint64_t token, struct outcome *outcome, void *arg)
{
	(void)job;
	(void)arg;
	ck_assert_uint_eq(token, next_token);
	last = *outcome;
	last_text = strndup(last.json, last.len);
	has_ended = true;
}

static void
forget(void)
{
	outcome_done(&last);
	free(last_text);
	last_text = NULL;
}

/* Runs the task to its end. */
static void fetch(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void
fetch(const char *format, ...)
{
	char args[8192];
	va_list list;
	int len;

	va_start(list, format);
	len = vsnprintf(args, sizeof(args), format, list);
	va_end(list);
	ck_assert_int_lt(len, (int)sizeof(args));
	forget();
	has_ended = false;
	waits_begin(waits, &task_http_fetch, 1, ++next_token, 1, (struct span){args, (size_t)len}, restricted);
	PUMP(loop, has_ended);
}

static void
contains(const char *part)
{
	ck_assert_msg(strstr(last_text, part) != NULL, "%s is not in %s", part, last_text);
}

static void
lacks(const char *part)
{
	ck_assert_msg(strcasestr(last_text, part) == NULL, "%s is in %s", part, last_text);
}

static void
failed_with(enum job_error error, const char *part)
{
	ck_assert_msg(last.error == error, "%s", last_text);
	contains(part);
}

static int
port(void)
{
	return http_server_port(server);
}

static void
start(bool local)
{
	const struct waits_config config = {.local = local, .max_result = 2 << 20};

	waits = waits_new(loop, &config, done, NULL);
	ck_assert_ptr_nonnull(waits);
}

static void
setup(void)
{
	restricted = false;
	loop = loop_new();
	start(false);
	server = http_server_new("127.0.0.1");
	ck_assert_ptr_nonnull(server);
}

static void
teardown(void)
{
	forget();
	waits_free(waits);
	http_server_free(server);
	loop_deliver(loop); /* what was posted is freed on delivery */
	loop_free(loop);
}

START_TEST(a_result_is_as_documented)
{
	fetch("[\"http://127.0.0.1:%d/hello\"]", port());
	ck_assert_str_eq(last_text,
	    "{\"status\":200,\"headers\":{\"content-type\":\"text/plain\",\"content-length\":\"5\"},"
	    "\"bytes\":5,\"body\":\"hello\",\"encoding\":\"utf-8\"}");
	fetch("{\"url\":\"HTTP://127.0.0.1:%d/binary\"}", port());
	contains("\"bytes\":3,\"body\":\"AP+A\",\"encoding\":\"base64\"}");
	fetch("[\"http://127.0.0.1:%d/bytes/0\"]", port());
	contains("\"bytes\":0,\"body\":\"\",\"encoding\":\"utf-8\"}");
}
END_TEST

START_TEST(any_status_is_a_success)
{
	static const int statuses[] = {204, 304, 404, 418, 500, 503};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		char status[32];

		fetch("[\"http://127.0.0.1:%d/status/%d\"]", port(), statuses[i]);
		ck_assert_int_eq(last.error, JOB_ERROR_NONE);
		snprintf(status, sizeof(status), "{\"status\":%d,", statuses[i]);
		contains(status);
	}
}
END_TEST

START_TEST(a_request_says_what_was_asked_and_no_more)
{
	fetch("[\"http://127.0.0.1:%d/echo\"]", port());
	contains("GET /echo HTTP/1.1\\r\\n");
	contains("User-Agent: futured/");
	lacks("Accept-Encoding");
	lacks("Content-Type");
	fetch("{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":{\"Accept-Encoding\":\"gzip\",\"User-Agent\":\"me\","
	      "\"X-None\":\"\",\"X-Some\":\"a: b; c\"}}",
	    port());
	contains("Accept-Encoding: gzip\\r\\n");
	contains("User-Agent: me\\r\\n");
	contains("X-None:\\r\\n");
	contains("X-Some: a: b; c\\r\\n");
	lacks("futured/");
}
END_TEST

START_TEST(methods_and_bodies)
{
	fetch("[\"http://127.0.0.1:%d/echo\",\"POST\",{},\"h\\u00e9llo\"]", port());
	contains("POST /echo HTTP/1.1\\r\\n");
	contains("Content-Length: 6\\r\\n");
	contains("\\r\\n\\r\\nh\u00e9llo");
	lacks("Content-Type");
	lacks("Expect");
	fetch(
	    "{\"url\":\"http://127.0.0.1:%d/echo\",\"method\":\"put\",\"body\":\"AGFi\",\"body_encoding\":\"base64\"}",
	    port());
	contains("\"encoding\":\"base64\"");
	fetch(
	    "{\"url\":\"http://127.0.0.1:%d/echo\",\"method\":\"patch\",\"body\":\"YWJj\",\"body_encoding\":\"base64\","
	    "\"headers\":{\"content-type\":\"text/x\"}}",
	    port());
	contains("PATCH /echo HTTP/1.1\\r\\n");
	contains("content-type: text/x\\r\\n");
	contains("\\r\\n\\r\\nabc\"");
	fetch("[\"http://127.0.0.1:%d/echo\",\"PUT\"]", port());
	contains("PUT /echo HTTP/1.1\\r\\n");
	contains("Content-Length: 0\\r\\n");
	fetch("[\"http://127.0.0.1:%d/echo\",\"DELETE\"]", port());
	contains("DELETE /echo HTTP/1.1\\r\\n");
	fetch("{\"url\":\"http://127.0.0.1:%d/echo\",\"body\":\"q\"}", port());
	contains("GET /echo HTTP/1.1\\r\\n");
	contains("Content-Length: 1\\r\\n");
}
END_TEST

START_TEST(headers_come_lower_cased_and_joined)
{
	fetch("[\"http://127.0.0.1:%d/headers\"]", port());
	contains("\"headers\":{\"x-one\":\"1\",\"set-cookie\":\"a=1, b=2\",\"x-latin\":\"caf\u00e9\",\"x-empty\":\"\","
		 "\"content-length\":\"0\"}");
	fetch("[\"http://127.0.0.1:%d/many/400\"]", port());
	contains("\"x-line-399\":\"399\"");
	fetch("[\"http://127.0.0.1:%d/many/600\"]", port());
	failed_with(JOB_ERROR_RESULT_TOO_LARGE, "too many headers");
}
END_TEST

START_TEST(a_long_body_is_too_large)
{
	fetch("{\"url\":\"http://127.0.0.1:%d/bytes/1000\",\"max_bytes\":1000}", port());
	contains("\"bytes\":1000");
	fetch("{\"url\":\"http://127.0.0.1:%d/bytes/1001\",\"max_bytes\":1000}", port());
	failed_with(JOB_ERROR_RESULT_TOO_LARGE, "longer than 1000 bytes");
	fetch("[\"http://127.0.0.1:%d/bytes/1048576\"]", port());
	contains("\"bytes\":1048576");
	fetch("[\"http://127.0.0.1:%d/bytes/1048577\"]", port());
	failed_with(JOB_ERROR_RESULT_TOO_LARGE, "longer than 1048576 bytes");
	fetch("{\"url\":\"http://127.0.0.1:%d/bytes/2097152\",\"max_bytes\":1000000000}", port());
	failed_with(JOB_ERROR_RESULT_TOO_LARGE, "[limits] result");
	fetch("{\"url\":\"http://127.0.0.1:%d/bytes/2097153\",\"max_bytes\":1000000000}", port());
	failed_with(JOB_ERROR_RESULT_TOO_LARGE, "longer than 2097152 bytes");
}
END_TEST

START_TEST(redirects_are_followed)
{
	fetch("[\"http://127.0.0.1:%d/to/302/http://127.0.0.1:%d/hello\"]", port(), port());
	contains("\"body\":\"hello\"");
	contains("\"content-type\":\"text/plain\"");
	lacks("location");
	fetch("[\"http://127.0.0.1:%d/to/303//echo\",\"POST\",{},\"body\"]", port());
	contains("\"body\":\"GET /echo");
	fetch("[\"http://127.0.0.1:%d/to/303//echo\",\"PUT\",{},\"body\"]", port());
	contains("\"body\":\"GET /echo");
	fetch("[\"http://127.0.0.1:%d/to/302//echo\",\"POST\",{},\"body\"]", port());
	contains("\"body\":\"GET /echo");
	fetch("[\"http://127.0.0.1:%d/to/302//echo\",\"PUT\",{},\"body\"]", port());
	contains("\"body\":\"PUT /echo");
	contains("\\r\\n\\r\\nbody");
	fetch("[\"http://127.0.0.1:%d/to/307//echo\",\"POST\",{},\"body\"]", port());
	contains("\"body\":\"POST /echo");
	contains("\\r\\n\\r\\nbody");
}
END_TEST

START_TEST(redirects_come_to_an_end)
{
	char path[256] = "";

	for (int i = 0; i < 11; i++)
		strcat(path, "/to/302/");
	strcat(path, "/hello");
	fetch("[\"http://127.0.0.1:%d%s\"]", port(), path + strlen("/to/302/"));
	contains("\"body\":\"hello\"");
	fetch("[\"http://127.0.0.1:%d%s\"]", port(), path);
	failed_with(JOB_ERROR_TASK_ERROR, "more than 10 redirects");
	fetch("[\"http://127.0.0.1:%d/to/302/file:///etc/passwd\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "rotocol");
	fetch("[\"http://127.0.0.1:%d/to/302/ftp://127.0.0.1/\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "rotocol");
}
END_TEST

START_TEST(failures_say_where_and_why)
{
	struct http_server *other = http_server_new("127.0.0.1");
	int gone = http_server_port(other);
	char where[64];

	http_server_free(other);
	fetch("[\"http://127.0.0.1:%d/\"]", gone);
	snprintf(where, sizeof(where), "127.0.0.1 port %d", gone);
	failed_with(JOB_ERROR_TASK_ERROR, where);
	contains("Connection refused");
	fetch("[\"http://127.0.0.1:%d/garbage\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "127.0.0.1 port");
	fetch("[\"http://futured-test.invalid/\"]");
	failed_with(JOB_ERROR_TASK_ERROR, "futured-test.invalid port 80: ");
}
END_TEST

START_TEST(bad_arguments_are_told)
{
	static const struct {
		const char *args, *part;
	} cases[] = {
	    {"[]", "url"},
	    {"[1]", "url must be a string"},
	    {"[\"\"]", "url"},
	    {"[\"example.org\"]", "url"},
	    {"[\"ftp://example.org/\"]", "only http and https"},
	    {"[\"file:///etc/passwd\"]", "only http and https"},
	    {"[\"http://exa mple.org/\"]", "url"},
	    {"[\"http://h/\",\"G T\"]", "method"},
	    {"[\"http://h/\",\"\"]", "method"},
	    {"[\"http://h/\",\"CONNECT\"]", "method"},
	    {"[\"http://h/\",\"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ\"]", "method is longer"},
	    {"[\"http://h/\",\"GET\",{\"A\":1}]", "must be a string"},
	    {"[\"http://h/\",\"GET\",{\"A\":\"b\\r\\nC: d\"}]", "line break"},
	    {"[\"http://h/\",\"GET\",{\"A\":\"b\\n\"}]", "line break"},
	    {"[\"http://h/\",\"GET\",{\"A B\":\"c\"}]", "no name of a header"},
	    {"[\"http://h/\",\"GET\",{\"A:\":\"c\"}]", "no name of a header"},
	    {"[\"http://h/\",\"GET\",{\"\":\"c\"}]", "no name of a header"},
	    {"[\"http://h/\",\"GET\",{\"Content-length\":\"5\"}]", "set by the daemon"},
	    {"[\"http://h/\",\"GET\",{\"Transfer-Encoding\":\"chunked\"}]", "set by the daemon"},
	    {"[\"http://h/\",\"GET\",[]]", "headers"},
	    {"[\"http://h/\",\"HEAD\",{},\"b\"]", "HEAD takes no body"},
	    {"[\"http://h/\",\"POST\",{},5]", "body"},
	    {"[\"http://h/\",\"POST\",{},\"a\",5,\"base64\"]", "not base64"},
	    {"[\"http://h/\",\"POST\",{},\"ab=c\",5,\"base64\"]", "not base64"},
	    {"[\"http://h/\",\"POST\",{},\"YQ==\",5,\"hex\"]", "body_encoding"},
	    {"[\"http://h/\",\"GET\",{},null,-1]", "max_bytes"},
	    {"[\"http://h/\",\"GET\",{},null,1.5]", "max_bytes"},
	    {"{\"url\":\"http://h/\",\"wait\":1}", "wait"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fetch("%s", cases[i].args);
		failed_with(JOB_ERROR_BAD_ARGUMENTS, cases[i].part);
	}
}
END_TEST

START_TEST(a_restricted_job_stays_away_from_this_machine)
{
	/* There is a connection that could be used again. */
	fetch("[\"http://127.0.0.1:%d/hello\"]", port());
	contains("hello");
	restricted = true;
	fetch("[\"http://127.0.0.1:%d/hello\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	fetch("[\"http://localhost:%d/hello\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	fetch("[\"http://2130706433:%d/hello\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	fetch("[\"http://[::ffff:127.0.0.1]:%d/hello\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	fetch("[\"http://0.0.0.0:%d/hello\"]", port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	waits_free(waits);
	start(true);
	fetch("[\"http://127.0.0.1:%d/hello\"]", port());
	contains("hello");
}
END_TEST

/* An address of this machine that is not of its loopback; false when there is none. */
static bool
find_own_address(char *ret_text, size_t size)
{
	struct ifaddrs *list;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (struct ifaddrs *at = list; at != NULL && !found; at = at->ifa_next) {
		if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET || (at->ifa_flags & IFF_LOOPBACK) != 0)
			continue;
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)at->ifa_addr)->sin_addr, ret_text, (socklen_t)size);
		found = true;
	}
	freeifaddrs(list);
	return found;
}

START_TEST(a_redirect_leads_a_restricted_job_nowhere)
{
	struct http_server *outside;
	char address[INET_ADDRSTRLEN];

	if (!find_own_address(address, sizeof(address)) || (outside = http_server_new(address)) == NULL)
		return;
	fetch("[\"http://127.0.0.1:%d/hello\"]", port());
	restricted = true;
	fetch("[\"http://%s:%d/hello\"]", address, http_server_port(outside));
	contains("hello");
	fetch("[\"http://%s:%d/to/302/http://127.0.0.1:%d/hello\"]", address, http_server_port(outside), port());
	failed_with(JOB_ERROR_TASK_ERROR, "forbidden");
	waits_free(waits);
	start(false);
	http_server_free(outside);
}
END_TEST

START_TEST(what_can_be_told_at_submission)
{
	static const char *const local[] = {"[\"http://127.0.0.1/\"]", "{\"url\":\"https://LOCALHOST:1/\"}",
	    "[\"http://[::1]/\"]", "[\"http://0x7f.1/\"]", "[\"http://user@[fe80::1]/\"]",
	    "[\"http://[::ffff:7f00:1]/\"]"};
	static const char *const other[] = {"[\"http://example.org/\"]", "[]", "[5]", "[\"http://10.0.0.1/\"]"};
	static const char *const idempotent[] = {
	    "[\"http://h/\"]", "[\"http://h/\",\"get\"]", "{\"method\":\"HEAD\",\"url\":\"\"}", "[\"http://h/\",null]"};
	static const char *const once[] = {
	    "[\"http://h/\",\"POST\"]", "[\"http://h/\",\"GETS\"]", "{\"method\":\"DELETE\",\"url\":\"\"}"};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		ck_assert_ptr_nonnull(task_http_fetch.check_user((struct span){local[i], strlen(local[i])}, false));
		ck_assert_ptr_null(task_http_fetch.check_user((struct span){local[i], strlen(local[i])}, true));
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		ck_assert_ptr_null(task_http_fetch.check_user((struct span){other[i], strlen(other[i])}, false));
	for (size_t i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]); i++)
		ck_assert(task_http_fetch.is_idempotent((struct span){idempotent[i], strlen(idempotent[i])}));
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		ck_assert(!task_http_fetch.is_idempotent((struct span){once[i], strlen(once[i])}));
}
END_TEST

static void
resolve(const char *args)
{
	const struct task_call call = {.args = {args, strlen(args)}};

	forget();
	task_net_resolve.run(&call, &last);
	last_text = strndup(last.json, last.len);
}

/* Posts to a path of the server; the status. */
static int
post(const char *path)
{
	char args[512];
	int len = snprintf(args, sizeof(args), "[\"http://127.0.0.1:%d%s\",\"key-1\",{\"id\":1}]", port(), path);

	forget();
	has_ended = false;
	next_token = 0; /* it is nobody's attempt */
	waits_begin_own(waits, &task_post, 1, 1, (struct span){args, (size_t)len}, restricted, done, NULL);
	PUMP(loop, has_ended);
	return post_status(&last);
}

START_TEST(a_post_brings_the_status_alone)
{
	ck_assert_int_eq(post("/echo"), 200);
	ck_assert_str_eq(last_text, "{\"status\":200}");
	ck_assert_int_eq(post("/status/204"), 204);
	ck_assert_int_eq(post("/status/500"), 500);
	ck_assert_int_eq(post("/bytes/3000000"), 200); /* more than is read, and than a result may have */
	ck_assert_str_eq(last_text, "{\"status\":200}");
	ck_assert_int_eq(post("/garbage"), 0);
	failed_with(JOB_ERROR_TASK_ERROR, "webhook: 127.0.0.1 port ");
	restricted = true;
	ck_assert_int_eq(post("/echo"), 0);
	contains("webhook: forbidden: ");
}
END_TEST

START_TEST(receivers_are_http_urls)
{
	ck_assert_ptr_null(post_check_url("http://a.example/x?y#z"));
	ck_assert_ptr_null(post_check_url("HTTPS://user@a.example:8443"));
	ck_assert_ptr_nonnull(post_check_url("ftp://a.example/"));
	ck_assert_ptr_nonnull(post_check_url("a.example/x"));
	ck_assert_ptr_nonnull(post_check_url("http://"));
	ck_assert_ptr_nonnull(post_check_url(""));
	ck_assert(post_url_is_local("http://127.0.0.1/"));
	ck_assert(post_url_is_local("https://x.localhost:1/"));
	ck_assert(!post_url_is_local("https://a.example/"));
}
END_TEST

START_TEST(names_are_resolved)
{
	resolve("[\"127.0.0.1\"]");
	ck_assert_str_eq(last_text, "[\"127.0.0.1\"]");
	resolve("{\"name\":\"::1\"}");
	ck_assert_str_eq(last_text, "[\"::1\"]");
	resolve("[\"localhost\"]");
	ck_assert_int_eq(last.error, JOB_ERROR_NONE);
	resolve("[\"futured-test.invalid\"]");
	failed_with(JOB_ERROR_TASK_ERROR, "cannot resolve futured-test.invalid: ");
	resolve("[\"\"]");
	failed_with(JOB_ERROR_BAD_ARGUMENTS, "name");
	resolve("[7]");
	failed_with(JOB_ERROR_BAD_ARGUMENTS, "name");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http");
	TCase *tcase = tcase_create("http");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120.0 * (double)pump_scale());
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_result_is_as_documented);
	tcase_add_test(tcase, any_status_is_a_success);
	tcase_add_test(tcase, a_request_says_what_was_asked_and_no_more);
	tcase_add_test(tcase, methods_and_bodies);
	tcase_add_test(tcase, headers_come_lower_cased_and_joined);
	tcase_add_test(tcase, a_long_body_is_too_large);
	tcase_add_test(tcase, redirects_are_followed);
	tcase_add_test(tcase, redirects_come_to_an_end);
	tcase_add_test(tcase, failures_say_where_and_why);
	tcase_add_test(tcase, bad_arguments_are_told);
	tcase_add_test(tcase, a_restricted_job_stays_away_from_this_machine);
	tcase_add_test(tcase, a_redirect_leads_a_restricted_job_nowhere);
	tcase_add_test(tcase, what_can_be_told_at_submission);
	tcase_add_test(tcase, a_post_brings_the_status_alone);
	tcase_add_test(tcase, receivers_are_http_urls);
	tcase_add_test(tcase, names_are_resolved);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
