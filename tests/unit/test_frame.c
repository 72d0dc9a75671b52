/*
 * test_frame: what is written is read again; what is no frame is refused.
 */
#include "daemon/frame.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct frame_out out;

static void
setup(void)
{
	out = (struct frame_out){0};
}

static void
teardown(void)
{
	frame_out_done(&out);
}

static struct span
cut(size_t at, struct frame_header *ret_header)
{
	struct span payload = SPAN_NONE;

	ck_assert_int_eq(frame_cut(out.bytes + at, out.len - at, ret_header, &payload), 1);
	return payload;
}

static void
check_span(struct span span, const char *text)
{
	ck_assert_uint_eq(span.len, strlen(text));
	ck_assert_int_eq(memcmp(span.at, text, span.len), 0);
}

START_TEST(test_job_round_trip)
{
	struct frame_header header;
	struct frame_job job;

	frame_put_job(&out, 42, 7, "math.factorize", 3, &(struct spec_limits){0}, FRAME_AS_OURSELVES, SPAN_LIT("[600851475143]"));
	ck_assert_int_eq(frame_read_job(cut(0, &header), &job), 0);
	ck_assert_int_eq(job.as, FRAME_AS_OURSELVES);
	ck_assert_int_eq(header.type, FRAME_JOB);
	ck_assert_uint_eq(header.job, 42);
	ck_assert_uint_eq(header.token, 7);
	check_span(job.task, "\"math.factorize\"");
	check_span(job.args, "[600851475143]");
	ck_assert_uint_eq(job.attempt, 3);
	ck_assert_int_eq(job.limits.memory_mib + job.limits.cpu_s + job.limits.files, 0);
}
END_TEST

START_TEST(test_limits_round_trip)
{
	const struct spec_limits limits = {.memory_mib = INT64_C(1) << 40, .cpu_s = 2, .files = 3};
	struct frame_header header;
	struct frame_job job;

	frame_put_job(&out, 1, 1, "exec", 1, &limits, 1000, SPAN_LIT("[]"));
	ck_assert_int_eq(frame_read_job(cut(0, &header), &job), 0);
	ck_assert_int_eq(job.as, 1000);
	ck_assert_int_eq(job.limits.memory_mib, limits.memory_mib);
	ck_assert_int_eq(job.limits.cpu_s, 2);
	ck_assert_int_eq(job.limits.files, 3);
	check_span(job.args, "[]");
}
END_TEST

START_TEST(test_progress_round_trip)
{
	static const char *const wrong[] = {"{\"text\":\"\"}", "{\"millionths\":1}", "{\"millionths\":-1,\"text\":\"\"}",
	    "{\"millionths\":1000001,\"text\":\"\"}", "{\"millionths\":1,\"text\":2}"};
	struct progress progress, told;
	struct frame_header header;
	char text[PROGRESS_TEXT];

	memset(text, '\x01', sizeof(text)); /* six bytes each where it is quoted */
	progress_set(&progress, 0.25, text, sizeof(text));
	frame_put_progress(&out, 1, 2, &progress);
	ck_assert_int_eq(frame_read_progress(cut(0, &header), &told), 0);
	ck_assert_int_eq(header.type, FRAME_PROGRESS);
	ck_assert_int_eq(told.millionths, 250000);
	ck_assert_str_eq(told.text, progress.text);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(frame_read_progress((struct span){wrong[i], strlen(wrong[i])}, &told), -1);
}
END_TEST

START_TEST(test_small_frames_round_trip)
{
	struct frame_header header;
	int64_t a, b;

	frame_put_cancel(&out, 1, 2, 5000);
	frame_put_output(&out, 3, 4, 70000, INT64_C(9000000000));
	ck_assert_int_eq(frame_read_cancel(cut(0, &header), &a), 0);
	ck_assert_int_eq(a, 5000);
	ck_assert_int_eq(header.type, FRAME_CANCEL);
	ck_assert_int_eq(frame_read_output(cut(sizeof(header) + header.length, &header), &a, &b), 0);
	ck_assert_int_eq(a, 70000);
	ck_assert_int_eq(b, INT64_C(9000000000));
	ck_assert_int_eq(header.type, FRAME_OUTPUT);
}
END_TEST

START_TEST(test_result_round_trip)
{
	struct outcome outcome = {0}, read = {0};
	struct frame_header header;
	struct span payload;

	outcome_set_result(&outcome, SPAN_LIT("[71,839]"));
	outcome.usage = (struct usage){.user_us = 10, .system_us = 20, .max_rss_kib = 30, .known = true};
	frame_put_result(&out, 5, 6, &outcome);
	ck_assert_int_eq(frame_read_result(cut(0, &header), &read), 0);
	ck_assert_int_eq(read.error, JOB_ERROR_NONE);
	check_span((struct span){read.json, read.len}, "[71,839]");
	ck_assert_int_eq(read.usage.user_us, 10);
	ck_assert_int_eq(read.usage.system_us, 20);
	ck_assert_int_eq(read.usage.max_rss_kib, 30);
	ck_assert(read.usage.known);
	outcome_done(&read);

	outcome_set_error(&outcome, JOB_ERROR_BAD_ARGUMENTS, "n is %s", "missing");
	out.len = 0;
	frame_put_result(&out, 5, 6, &outcome);
	payload = cut(0, &header);
	ck_assert_int_eq(frame_read_result(payload, &read), 0);
	ck_assert_int_eq(read.error, JOB_ERROR_BAD_ARGUMENTS);
	check_span((struct span){read.json, read.len}, "{\"type\":\"BadArguments\",\"message\":\"n is missing\"}");
	outcome_done(&read);
	outcome_done(&outcome);
}
END_TEST

START_TEST(test_cut_waits_for_the_whole)
{
	struct frame_header header;
	struct span payload;

	frame_put_hello(&out, 123);
	for (size_t len = 0; len < out.len; len++)
		ck_assert_int_eq(frame_cut(out.bytes, len, &header, &payload), 0);
	ck_assert_int_eq(frame_cut(out.bytes, out.len, &header, &payload), 1);
	check_span(payload, "{\"version\":1,\"pid\":123}");
}
END_TEST

START_TEST(test_cut_refuses_what_is_no_frame)
{
	const struct frame_header bad[] = {
	    {.version = FRAME_VERSION + 1, .type = FRAME_JOB},
	    {.version = FRAME_VERSION, .type = 0},
	    {.version = FRAME_VERSION, .type = FRAME_PROGRESS + 1},
	    {.version = FRAME_VERSION, .type = FRAME_JOB, .length = FRAME_MAX + 1},
	};
	struct frame_header header;
	struct span payload;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(frame_cut((const char *)&bad[i], sizeof(bad[i]), &header, &payload), -1);
}
END_TEST

START_TEST(test_payloads_that_lie)
{
	static const char *const jobs[] = {"", "[]", "{}", "{\"task\":1,\"attempt\":1,\"args\":[]}",
	    "{\"task\":\"x\",\"attempt\":-1,\"args\":[]}", "{\"task\":\"x\",\"attempt\":1,\"limits\":[1,2],\"args\":[]}", "{\"task\":\"x\",\"attempt\":1}", "{\"task\":\"x\""};
	static const char *const results[] = {"{\"result\":1}", "{\"usage\":[1,2],\"result\":1}",
	    "{\"usage\":[1,2,3,4],\"result\":1}", "{\"usage\":[1,2,-3],\"result\":1}", "{\"usage\":[1,2,3]}",
	    "{\"usage\":[1,2,3],\"error\":1}", "{\"usage\":[1,2,3],\"error\":{\"type\":\"Odd\",\"message\":\"\"}}",
	    "{\"usage\":[1,2,3],\"error\":{\"type\":\"TaskError\"}}"};
	struct frame_job job;
	struct outcome outcome;
	int64_t a, b;

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		ck_assert_int_eq(frame_read_job((struct span){jobs[i], strlen(jobs[i])}, &job), -1);
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		ck_assert_int_eq(frame_read_result((struct span){results[i], strlen(results[i])}, &outcome), -1);
	ck_assert_int_eq(frame_read_cancel(SPAN_LIT("{\"grace_ms\":-1}"), &a), -1);
	ck_assert_int_eq(frame_read_output(SPAN_LIT("{\"stdout\":1}"), &a, &b), -1);
}
END_TEST

static Suite *
frame_suite(void)
{
	Suite *suite = suite_create("frame");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_job_round_trip);
	tcase_add_test(tcase, test_limits_round_trip);
	tcase_add_test(tcase, test_progress_round_trip);
	tcase_add_test(tcase, test_small_frames_round_trip);
	tcase_add_test(tcase, test_result_round_trip);
	tcase_add_test(tcase, test_cut_waits_for_the_whole);
	tcase_add_test(tcase, test_cut_refuses_what_is_no_frame);
	tcase_add_test(tcase, test_payloads_that_lie);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(frame_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
