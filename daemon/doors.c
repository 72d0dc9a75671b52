/*
 * doors: see doors.h.
 */
#include "daemon/doors.h"

#include <stdlib.h>

#include "daemon/mem.h"
#include "daemon/privacy.h"
#include "daemon/runas.h"

int
doors_check_tasks(const struct config *config, const struct task *const *tasks, char **ret_reason)
{
	const char *missing;

	for (size_t i = 0; i < config->n_user_tasks; i++) {
		if (task_find_name(tasks, config->user_tasks[i]) != NULL)
			continue;
		*ret_reason = mem_format("[tasks] user: there is no task \"%s\"", config->user_tasks[i]);
		return -1;
	}
	if (config->run_as != CONFIG_RUN_AS_OWNER)
		return 0;
	missing = runas_missing();
	if (missing != NULL) {
		*ret_reason = mem_format("[exec] run_as = owner needs %s", missing);
		return -1;
	}
	for (; *tasks != NULL; tasks++) {
		if ((*tasks)->kind == TASK_COMMAND || !(*tasks)->privileged || !config_user_task(config, (*tasks)->name))
			continue;
		*ret_reason = mem_format("[tasks] user: %s would read with root's rights, whatever [exec] run_as says: leave it "
					 "out, and let users run cat and sha256sum",
		    (*tasks)->name);
		return -1;
	}
	return 0;
}

int
doors_keep_private(const struct config *config)
{
	char *output = mem_format("%s/output", config->state_dir);
	int r = privacy_keep_folder(config->state_dir) < 0 || privacy_keep_folder(output) < 0 ? -1 : 0;

	free(output);
	if (config->tokens_file != NULL)
		privacy_keep_file(config->tokens_file);
	if (config->tls_key != NULL)
		privacy_keep_file(config->tls_key);
	return r;
}
