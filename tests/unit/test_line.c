/*
 * test_line: the window of a line against a plain model of the store: whatever is put, picked, cancelled, cut by a map and filled, in any order, each
 * ready job is picked once and in order.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/job.h"
#include "daemon/line.h"
#include "daemon/mem.h"

#define JOBS_MAX 4096
#define WINDOW 8

/* The store's ready table: what is in it by (priority, id). */
struct model {
	struct {
		int16_t priority;
		bool ready;
	} job[JOBS_MAX];
	int64_t next_id;
	struct jobs memory;
	struct line *line;
	bool fill_asked;
	struct store_fill fill;
};

static struct job *
model_job(struct model *model, int64_t id)
{
	struct spec from = {.id = id, .priority = model->job[id].priority, .task = "t", .queue = "q", .owner = "o"};
	struct job *job = job_new(&model->memory, spec_new(&from), NULL);

	job->state = FSM_READY;
	return job;
}

static void
model_offer(struct model *model, struct job *job)
{
	struct job *dropped;

	if (!line_offer(model->line, job, &dropped))
		job_free(&model->memory, job);
	else if (dropped != NULL)
		job_free(&model->memory, dropped);
}

static void
model_ask_fill(struct model *model)
{
	if (!line_wants_fill(model->line))
		return;
	model->fill = (struct store_fill){0};
	line_fill_begin(model->line, &model->fill);
	model->fill_asked = true;
}

static void
model_put(struct model *model, int16_t priority)
{
	int64_t id = model->next_id++;

	model->job[id].priority = priority;
	model->job[id].ready = true;
	model_offer(model, model_job(model, id));
}

/* A map: jobs that only the store gets. */
static void
model_map(struct model *model, int16_t priority, int n)
{
	struct store_mark first = {priority, model->next_id};
	struct job *job;

	for (int i = 0; i < n; i++) {
		model->job[model->next_id].priority = priority;
		model->job[model->next_id++].ready = true;
	}
	line_cut(model->line, &first);
	while ((job = line_behind_mark(model->line)) != NULL)
		job_free(&model->memory, job);
}

/* The place of the first ready job behind (priority, id); 0 when there is none. */
static int64_t
model_next(const struct model *model, bool from_start, int priority, int64_t id)
{
	int64_t best = 0;

	for (int64_t i = 1; i < model->next_id; i++) {
		if (!model->job[i].ready)
			continue;
		if (!from_start && (model->job[i].priority > priority || (model->job[i].priority == priority && i <= id)))
			continue;
		if (best == 0 || model->job[i].priority > model->job[best].priority)
			best = i;
	}
	return best;
}

static void
model_answer_fill(struct model *model)
{
	struct store_mark last = {model->fill.mark.priority, model->fill.mark.id};
	bool from_start = model->fill.from_start, any = false;
	struct job *job;
	int64_t id = 0;

	if (!model->fill_asked)
		return;
	model->fill_asked = false;
	if (!model->line->missed) {
		for (size_t n = 0; n < model->fill.n; n++) {
			id = model_next(model, from_start, last.priority, last.id);
			if (id == 0)
				break;
			from_start = false;
			any = true;
			last = (struct store_mark){model->job[id].priority, id};
			job = job_find(&model->memory, id);
			if (job == NULL)
				line_fill_add(model->line, model_job(model, id));
			else if (job->where == JOB_ASIDE)
				line_fill_add(model->line, job);
		}
		line_fill_end(model->line, id == 0, any ? &last : NULL);
	} else {
		line_fill_failed(model->line);
	}
	while ((job = line_fill_leftover(model->line)) != NULL)
		model_offer(model, job);
}

static void
model_pick(struct model *model)
{
	struct job *job = line_head(model->line);
	int64_t first = model_next(model, true, 0, 0);

	if (job == NULL) {
		ck_assert_msg(first == 0 || !model->line->complete, "job %d is ready, and the line says it is empty", (int)first);
		return;
	}
	ck_assert_int_eq(job->spec->id, first);
	model->job[first].ready = false;
	line_remove(model->line, job);
	job_free(&model->memory, job);
}

static void
model_cancel(struct model *model, int64_t id)
{
	struct job *job;

	if (!model->job[id].ready)
		return;
	model->job[id].ready = false;
	job = job_find(&model->memory, id);
	if (job == NULL)
		return;
	line_remove(model->line, job);
	job_free(&model->memory, job);
}

static void
model_run(unsigned seed)
{
	struct model *model = mem_new(sizeof(*model));

	srandom(seed);
	model->next_id = 1;
	model->line = line_new(NULL, POOL_CPU, "o", WINDOW);
	while (model->next_id < JOBS_MAX - 64) {
		long what = random() % 100;

		if (what < 40)
			model_put(model, (int16_t)(random() % 3));
		else if (what < 44)
			model_map(model, (int16_t)(random() % 3), (int)(random() % 30) + 1);
		else if (what < 80)
			model_pick(model);
		else if (what < 85)
			model_cancel(model, random() % (model->next_id - 1 ? model->next_id - 1 : 1) + 1);
		else if (what < 92)
			model_answer_fill(model);
		if (random() % 2)
			model_ask_fill(model);
		ck_assert_uint_le(model->line->n, WINDOW + 64);
	}
	while (model_next(model, true, 0, 0) != 0) {
		model_answer_fill(model);
		model_ask_fill(model);
		model_pick(model);
	}
	model_answer_fill(model);
	ck_assert_uint_eq(model->memory.n, 0);
	line_free(model->line);
	free(model);
}

START_TEST(each_ready_job_is_picked_once_and_in_order)
{
	model_run((unsigned)_i + 1);
}
END_TEST

START_TEST(a_full_window_drops_its_last)
{
	struct jobs memory = {0};
	struct line *line = line_new(NULL, POOL_CPU, "o", 2);
	struct spec spec = {.task = "t", .queue = "q", .owner = "o"};
	struct job *jobs[3], *dropped;

	for (int i = 0; i < 3; i++) {
		spec.id = i + 1;
		spec.priority = i == 2 ? 5 : 0;
		jobs[i] = job_new(&memory, spec_new(&spec), NULL);
	}
	ck_assert(line_offer(line, jobs[0], &dropped) && dropped == NULL);
	ck_assert(line_offer(line, jobs[1], &dropped) && dropped == NULL);
	ck_assert(line->complete);
	ck_assert(line_offer(line, jobs[2], &dropped));
	ck_assert_ptr_eq(dropped, jobs[1]);
	ck_assert(!line->complete);
	ck_assert_ptr_eq(line_head(line), jobs[2]);
	line_remove(line, jobs[2]);
	line_remove(line, jobs[0]);
	for (int i = 0; i < 3; i++)
		job_free(&memory, jobs[i]);
	line_free(line);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("line");
	TCase *tcase = tcase_create("line");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_full_window_drops_its_last);
	tcase_add_loop_test(tcase, each_ready_job_is_picked_once_and_in_order, 0, getenv("FUTURED_TEST_LIGHT") == NULL ? 20 : 3);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
