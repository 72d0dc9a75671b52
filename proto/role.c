/*
 * role: see role.h.
 */
#include "proto/role.h"

#include <string.h>

static const char *const role_names[] = {
    [ROLE_NONE] = "none", [ROLE_READER] = "reader", [ROLE_USER] = "user", [ROLE_OPERATOR] = "operator"};

const char *
role_name(enum role role)
{
	return role_names[role];
}

int
role_parse(const char *word, enum role *ret_role)
{
	for (int role = ROLE_READER; role <= ROLE_OPERATOR; role++) {
		if (strcmp(word, role_names[role]) == 0) {
			*ret_role = (enum role)role;
			return 0;
		}
	}
	return -1;
}
