/*
 * test_client_wire: what libfutured makes of what a daemon says: introduction, replies, pieces, losses, jobs.
 */
#include "fake_daemon.h"

static int64_t ask(const char *method)
{
	int64_t request;

	ck_assert_int_eq(fut_send(client, method, NULL, &request), 0);
	return request;
}

START_TEST(introduction)
{
	ck_assert_int_eq(start(NULL), 0);
	ck_assert_str_eq(fut_owner(client), "uid:7");
	ck_assert_str_eq(fut_role(client), "user");
	ck_assert_str_eq(fut_server_version(client), "9");
	ck_assert_str_eq(fut_place(client), path);
	ck_assert(fut_is_local(client));
	ck_assert_int_ge(fut_fd(client), 0);
	ck_assert_int_eq(fut_error_code(client), 0);
}
END_TEST

START_TEST(another_protocol)
{
	hello = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocol\":2}}\n";
	ck_assert_int_eq(start(NULL), FUT_E_BAD_REPLY);
	ck_assert_ptr_nonnull(strstr(fut_error_message(client), "version 2"));
	ck_assert_int_eq(fut_fd(client), -1);
}
END_TEST

START_TEST(not_a_daemon)
{
	hello = "220 mail.example.org ESMTP\r\n";
	ck_assert_int_eq(start(NULL), FUT_E_BAD_REPLY);
	ck_assert_str_eq(fut_error_word(client), "bad_reply");
}
END_TEST

START_TEST(nobody_there)
{
	char nowhere[128];
	int64_t request;

	snprintf(nowhere, sizeof(nowhere), "%s/none", folder);
	ck_assert_int_eq(fut_connect_unix(client, nowhere), FUT_E_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(fut_error_message(client), nowhere));
	memset(nowhere, 'x', sizeof(nowhere) - 1);
	nowhere[sizeof(nowhere) - 1] = '\0';
	ck_assert_int_eq(fut_connect_unix(client, nowhere), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_connect_tcp(client, "no-port", NULL), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_connect_tcp(client, "::1:80", NULL), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_send(client, "ping", NULL, &request), FUT_E_DISCONNECTED);
	ck_assert_int_eq(fut_flush(client), FUT_E_DISCONNECTED);
}
END_TEST

static void say_in_any_order(void)
{
	for (int i = 0; i < 3; i++)
		hear();
	say("\n  \n{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":7}}\n");
	say("{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":0}\n");
	say("{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":\"third\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":");
	say("\"first\"}\n{\"id\":3,\"error\":{\"code\":-32004,\"message\":\"full\",\"data\":{\"code\":\"busy\",\"retry_"
	    "after\":2}},");
	say("\"jsonrpc\":\"2.0\"}\n");
	hear();
}

START_TEST(replies_in_any_order)
{
	int64_t first, second, third;
	char *result = NULL;

	ck_assert_int_eq(start(say_in_any_order), 0);
	first = ask("ping");
	second = ask("ping");
	third = ask("ping");
	ck_assert_int_eq(fut_receive(client, first, -1, &result), 0);
	ck_assert_str_eq(result, "\"first\"");
	free(result);
	result = NULL;
	ck_assert_int_eq(fut_receive(client, second, -1, &result), FUT_E_BUSY);
	ck_assert_ptr_null(result);
	ck_assert_str_eq(fut_error_word(client), "busy");
	ck_assert_str_eq(fut_error_message(client), "full");
	ck_assert_str_eq(fut_error_data(client), "{\"code\":\"busy\",\"retry_after\":2}");
	ck_assert_int_eq(fut_receive(client, third, 0, &result), 0);
	ck_assert_str_eq(result, "\"third\"");
	free(result);
	ck_assert_msg(fut_receive(client, third, 0, NULL) == FUT_E_ARGUMENT, "a reply is fetched once");
}
END_TEST

START_TEST(replies_as_they_come)
{
	int64_t requests[3], request;
	char *result;

	ck_assert_int_eq(start(say_in_any_order), 0);
	ck_assert_int_eq(fut_receive_any(client, 0, &request, &result), FUT_E_ARGUMENT);
	for (int i = 0; i < 3; i++)
		requests[i] = ask("ping");
	fut_drop(client, requests[0]);
	ck_assert_int_eq(fut_receive_any(client, -1, &request, &result), 0);
	ck_assert(request == requests[2]);
	free(result);
	ck_assert_int_eq(fut_receive_any(client, -1, &request, &result), FUT_E_BUSY);
	ck_assert(request == requests[1]);
	ck_assert_int_eq(fut_receive_any(client, 0, &request, &result), FUT_E_ARGUMENT);
}
END_TEST

static void say_byte_by_byte(void)
{
	static const char reply[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[1,2]}\n";
	char byte[2] = {0};

	hear();
	for (const char *at = reply; *at != '\0'; at++) {
		byte[0] = *at;
		say(byte);
	}
	hear();
}

START_TEST(reply_in_pieces)
{
	char *result;

	ck_assert_int_eq(start(say_byte_by_byte), 0);
	ck_assert_int_eq(fut_call(client, "ping", NULL, &result), 0);
	ck_assert_str_eq(result, "[1,2]");
	free(result);
}
END_TEST

#define LARGE (20u << 20)

static void say_much(void)
{
	char *large = malloc(LARGE + 1);

	hear();
	memset(large, 'x', LARGE);
	large[LARGE] = '\0';
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"");
	say(large);
	say("\"}\n");
	free(large);
	hear();
}

START_TEST(large_reply)
{
	char *result;

	ck_assert_int_eq(start(say_much), 0);
	ck_assert_int_eq(fut_call(client, "ping", NULL, &result), 0);
	ck_assert_uint_eq(strlen(result), LARGE + 2);
	free(result);
}
END_TEST

static void say_and_go(void)
{
	hear();
	hear();
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":true}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"res");
}

START_TEST(lost_connection)
{
	int64_t first, second, request;
	char *result;

	ck_assert_int_eq(start(say_and_go), 0);
	first = ask("submit");
	second = ask("submit");
	ck_assert_int_eq(fut_receive(client, first, -1, &result), FUT_E_DISCONNECTED);
	ck_assert_msg(fut_receive(client, second, -1, &result) == 0, "what had come is still there");
	free(result);
	ck_assert_int_eq(fut_send(client, "ping", NULL, &request), FUT_E_DISCONNECTED);
	ck_assert_str_eq(fut_error_word(client), "disconnected");
	ck_assert_int_eq(fut_fd(client), -1);
}
END_TEST

static void say_too_large(void)
{
	hear();
	say("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32005,\"message\":\"too "
	    "long\",\"data\":{\"code\":\"too_large\"}}}\n");
}

START_TEST(error_without_id)
{
	int64_t request;

	ck_assert_int_eq(start(say_too_large), 0);
	ck_assert_int_eq(fut_call(client, "ping", NULL, NULL), FUT_E_TOO_LARGE);
	ck_assert_str_eq(fut_error_message(client), "too long");
	ck_assert_int_eq(fut_send(client, "ping", NULL, &request), FUT_E_TOO_LARGE);
}
END_TEST

#define MANY 40
#define BULK (256u << 10)

/* Answers each request with as much as it has, and reads the next only then: as a daemon that has to. */
static void answer_in_bulk(void)
{
	char *bulk = malloc(BULK + 1);
	char head[64];

	memset(bulk, 'y', BULK);
	bulk[BULK] = '\0';
	for (int i = 0; i < MANY && hear() != NULL; i++) {
		snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":\"", i + 2);
		say(head);
		say(bulk);
		say("\"}\n");
	}
	free(bulk);
	hear();
}

START_TEST(pipelining_both_ways)
{
	struct fut_params *params = fut_params_new();
	char *bulk = malloc(BULK + 1);
	int64_t requests[MANY];
	char *result;

	memset(bulk, 'z', BULK);
	bulk[BULK] = '\0';
	fut_params_string(params, "bulk", bulk);
	ck_assert_int_eq(start(answer_in_bulk), 0);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(fut_send(client, "ping", params, &requests[i]), 0);
	for (int i = MANY - 1; i >= 0; i--) {
		ck_assert_int_eq(fut_receive(client, requests[i], -1, &result), 0);
		ck_assert_uint_eq(strlen(result), BULK + 2);
		free(result);
	}
	fut_params_free(params);
	free(bulk);
}
END_TEST

static char heard[1024];

static void hear_one(void)
{
	const char *line = hear();

	snprintf(heard, sizeof(heard), "%s", line != NULL ? line : "");
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"id\":42,\"state\":\"pending\"}}\n");
	hear();
}

START_TEST(a_submission)
{
	struct fut_params *options = fut_params_new();
	int64_t id;

	ck_assert_int_eq(start(hear_one), 0);
	fut_params_string(options, "label", "first");
	fut_params_string(options, "label", "a\"\n\xc3\xa4");
	fut_params_integer(options, "priority", -5);
	fut_params_number(options, "delay", 0.25);
	fut_params_bool(options, "odd", true);
	ck_assert_int_eq(fut_submit(client, "noop", "[1,\n 2]\n", options, &id), 0);
	ck_assert_int_eq(id, 42);
	ck_assert_str_eq(heard,
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"submit\",\"params\":{\"label\":\"a\\\"\\n\xc3\xa4\","
	    "\"priority\":-5,\"delay\":0.25,\"odd\":true,\"task\":\"noop\",\"args\":[1,  2]}}\n");
	fut_params_free(options);
}
END_TEST

START_TEST(bad_parameters)
{
	struct fut_params *params;
	int64_t id = 7;

	ck_assert_int_eq(start(hear_one), 0);
	ck_assert_int_eq(fut_submit(client, "noop", "[1", NULL, &id), FUT_E_ARGUMENT);
	ck_assert_int_eq(fut_submit(client, "no\xffop", NULL, NULL, &id), FUT_E_ARGUMENT);
	params = fut_params_new();
	fut_params_number(params, "delay", 1.0 / 0.0);
	ck_assert_int_eq(fut_submit(client, "noop", NULL, params, &id), FUT_E_ARGUMENT);
	fut_params_free(params);
	ck_assert_int_eq(id, 7);
	ck_assert_msg(fut_submit(client, "noop", NULL, NULL, &id) == 0, "nothing of that was sent");
}
END_TEST

START_TEST(jobs_and_chunks)
{
	struct fut_chunk chunk;
	struct fut_jobs *jobs;
	struct fut_job *job;

	ck_assert_int_eq(fut_job_read(client,
			     "{\"id\":3,\"state\":\"failed\",\"result\":null,\"error\":{\"type\":\"TimedOut\","
			     "\"message\":\"a\\u00e4\"}}",
			     &job),
	    0);
	ck_assert_int_eq(fut_job_id(job), 3);
	ck_assert(fut_job_ended(job) && fut_job_state(job) == FUT_FAILED);
	ck_assert_ptr_null(fut_job_result(job));
	ck_assert_str_eq(fut_job_error_type(job), "TimedOut");
	ck_assert_str_eq(fut_job_error_message(job), "a\xc3\xa4");
	fut_job_free(job);
	ck_assert_int_eq(
	    fut_jobs_read(client, "[{\"id\":1,\"state\":\"succeeded\",\"result\":[1]},{\"id\":2}]", &jobs), 0);
	ck_assert_uint_eq(fut_jobs_count(jobs), 2);
	ck_assert_str_eq(fut_job_result(fut_jobs_at(jobs, 0)), "[1]");
	ck_assert_str_eq(fut_job_json(fut_jobs_at(jobs, 1)), "{\"id\":2}");
	ck_assert_ptr_null(fut_jobs_at(jobs, 2));
	fut_jobs_free(jobs);
	ck_assert_int_eq(fut_jobs_read(client, "[{\"id\":1},2]", &jobs), FUT_E_BAD_REPLY);
	ck_assert_int_eq(
	    fut_chunk_read(
		client, "{\"data\":\"AAH/\",\"encoding\":\"base64\",\"offset\":0,\"next\":3,\"eof\":true}", &chunk),
	    0);
	ck_assert_uint_eq(chunk.len, 3);
	ck_assert_int_eq(memcmp(chunk.bytes, "\0\1\377", 3), 0);
	ck_assert(chunk.eof && chunk.next == 3);
	free(chunk.bytes);
	ck_assert_int_eq(
	    fut_chunk_read(client, "{\"data\":\"AAH\",\"encoding\":\"base64\",\"next\":3,\"eof\":true}", &chunk),
	    FUT_E_BAD_REPLY);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, introduction);
	tcase_add_test(tcase, another_protocol);
	tcase_add_test(tcase, not_a_daemon);
	tcase_add_test(tcase, nobody_there);
	tcase_add_test(tcase, replies_in_any_order);
	tcase_add_test(tcase, replies_as_they_come);
	tcase_add_test(tcase, reply_in_pieces);
	tcase_add_test(tcase, large_reply);
	tcase_add_test(tcase, lost_connection);
	tcase_add_test(tcase, error_without_id);
	tcase_add_test(tcase, pipelining_both_ways);
	tcase_add_test(tcase, a_submission);
	tcase_add_test(tcase, bad_parameters);
	tcase_add_test(tcase, jobs_and_chunks);
	return run("client_wire", tcase);
}
