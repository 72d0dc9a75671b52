/*
 * test_fsm: the life of a job, row by row as HACKING.md tells it, and what must hold of the table as a whole.
 */
#include <check.h>

#include "daemon/fsm.h"

static const struct {
	enum fsm_state state;
	enum fsm_event event;
	enum fsm_state next;
	enum fsm_action action;
} rows[] = {
    {FSM_ADDING, FSM_E_STORED, FSM_READY, FSM_OFFER},
    {FSM_ADDING, FSM_E_STORED_RUNNING, FSM_RUNNING, FSM_RUN},
    {FSM_ADDING, FSM_E_STORED_FAR, FSM_GONE, FSM_DROP},
    {FSM_ADDING, FSM_E_STORED_ENDED, FSM_GONE, FSM_TELL},
    {FSM_ADDING, FSM_E_REFUSED, FSM_GONE, FSM_DROP},
    {FSM_READY, FSM_E_PICK, FSM_PICKED, FSM_START},
    {FSM_READY, FSM_E_SEND, FSM_RUNNING, FSM_RUN},
    {FSM_READY, FSM_E_CANCELLED, FSM_GONE, FSM_TELL},
    {FSM_READY, FSM_E_STORED_FAR, FSM_GONE, FSM_DROP},
    {FSM_PICKED, FSM_E_STARTED, FSM_RUNNING, FSM_RUN},
    {FSM_PICKED, FSM_E_UNSTARTED, FSM_GONE, FSM_DROP},
    {FSM_PICKED, FSM_E_CANCELLED, FSM_PICKED, FSM_NONE},
    {FSM_PICKED, FSM_E_REFUSED, FSM_READY, FSM_OFFER},
    {FSM_RUNNING, FSM_E_STOP, FSM_STOPPING, FSM_END},
    {FSM_RUNNING, FSM_E_OUTCOME, FSM_ENDING, FSM_WRITE},
    {FSM_RUNNING, FSM_E_WITHDRAWN, FSM_ENDING, FSM_BACK},
    {FSM_RUNNING, FSM_E_REFUSED, FSM_READY, FSM_OFFER},
    {FSM_STOPPING, FSM_E_STOP, FSM_STOPPING, FSM_NONE},
    {FSM_STOPPING, FSM_E_OUTCOME, FSM_ENDING, FSM_WRITE},
    {FSM_ENDING, FSM_E_STOP, FSM_ENDING, FSM_NONE},
    {FSM_ENDING, FSM_E_ENDED, FSM_GONE, FSM_TELL},
    {FSM_ENDING, FSM_E_RELEASED, FSM_GONE, FSM_DROP},
    {FSM_ENDING, FSM_E_STORED, FSM_READY, FSM_OFFER},
    {FSM_ENDING, FSM_E_FENCED, FSM_GONE, FSM_DROP},
    {FSM_ENDING, FSM_E_CANCELLED, FSM_GONE, FSM_TELL},
    {FSM_ENDING, FSM_E_NO_ROOM, FSM_HELD, FSM_NONE},
    {FSM_HELD, FSM_E_ROOM, FSM_ENDING, FSM_WRITE},
    {FSM_HELD, FSM_E_STOP, FSM_HELD, FSM_NONE},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

START_TEST(each_row_is_as_told)
{
	struct fsm_step step = fsm_step(rows[_i].state, rows[_i].event);

	ck_assert_int_eq(step.next, rows[_i].next);
	ck_assert_int_eq(step.action, rows[_i].action);
}
END_TEST

START_TEST(there_are_no_other_rows)
{
	unsigned steps = 0;

	for (int state = 0; state < FSM_STATES; state++) {
		for (int event = 0; event < FSM_EVENTS; event++) {
			struct fsm_step step = fsm_step((enum fsm_state)state, (enum fsm_event)event);

			if (step.action == FSM_BUG)
				ck_assert_int_eq(step.next, state);
			else
				steps++;
		}
	}
	ck_assert_uint_eq(steps, ROWS);
}
END_TEST

/* From each state a job can end, and nothing comes back from gone. */
START_TEST(each_life_has_an_end)
{
	for (int start = 0; start < FSM_STATES; start++) {
		unsigned reached = 1u << start, before = 0;

		while (reached != before) {
			before = reached;
			for (size_t i = 0; i < ROWS; i++) {
				if (reached & (1u << rows[i].state))
					reached |= 1u << rows[i].next;
			}
		}
		ck_assert_msg(reached & (1u << FSM_GONE), "%s never ends", fsm_state_name((enum fsm_state)start));
		if (start == FSM_GONE)
			ck_assert_uint_eq(reached, 1u << FSM_GONE);
	}
}
END_TEST

/* Only what is told or dropped leaves memory, and it does leave it. */
START_TEST(told_or_dropped_is_gone)
{
	for (size_t i = 0; i < ROWS; i++)
		ck_assert_int_eq(rows[i].next == FSM_GONE, rows[i].action == FSM_TELL || rows[i].action == FSM_DROP);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fsm");
	TCase *tcase = tcase_create("table");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, each_row_is_as_told, 0, (int)ROWS);
	tcase_add_test(tcase, there_are_no_other_rows);
	tcase_add_test(tcase, each_life_has_an_end);
	tcase_add_test(tcase, told_or_dropped_is_gone);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
