/*
 * role: what a caller may do at the most. Pure.
 */
#ifndef PROTO_ROLE_H
#define PROTO_ROLE_H

enum role {
	ROLE_NONE, /* has not said who it is */
	ROLE_READER,
	ROLE_USER,
	ROLE_OPERATOR,
};

/* "none", "reader", "user", "operator". */
const char *role_name(enum role role);
/* A role that one can be given, so not "none": 0, or -1 for a word that is none. */
int role_parse(const char *word, enum role *ret_role);

#endif
