/*
 * birth: see birth.h. This file: from the arguments to a configuration that has been checked, with the files that it names.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/birth_private.h"
#include "daemon/doors.h"
#include "daemon/log.h"
#include "daemon/tasks/tasks.h"
#include "daemon/tls.h"
#include "daemon/tokens.h"

/* The files that the configuration names, as a start would read them. The exit status. */
static int
birth_check_files(const struct config *config)
{
	char *reason = NULL;

	if (config->tls_certificate != NULL)
		tls_close(tls_open(config->tls_certificate, config->tls_key, config->tls_client_ca, &reason));
	if (reason == NULL && config->tokens_file != NULL)
		tokens_close(tokens_open(config->tokens_file, false, &reason));
	if (reason == NULL && doors_check_tasks(config, tasks_builtin, &reason) == 0) {
		puts("the configuration is good");
		return 0;
	}
	fprintf(stderr, "futured: %s\n", reason);
	free(reason);
	return EXIT_CONFIG;
}

int
birth_read_config(struct birth *birth, int argc, char **argv)
{
	enum config_action action;

	config_init(&birth->config);
	if (config_options(&birth->config, argc, argv, &action) < 0) {
		fprintf(stderr, "futured: %s\n%s", birth->config.error, config_help);
		return EXIT_USAGE;
	}
	if (action == CONFIG_VERSION || action == CONFIG_HELP) {
		fputs(action == CONFIG_VERSION ? "futured " PACKAGE_VERSION "\n" : config_help, stdout);
		return 0;
	}
	if (config_load_file(&birth->config) < 0 || config_check(&birth->config) < 0) {
		fprintf(stderr, "futured: %s\n", birth->config.error);
		return EXIT_CONFIG;
	}
	if (action == CONFIG_CHECK)
		return birth_check_files(&birth->config);
	log_set_level((enum log_level)birth->config.log_level);
	return -1;
}
