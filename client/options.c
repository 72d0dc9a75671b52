/*
 * Reading and explaining options by their tables, with getopt_long below.
 *
 * getopt_long never permutes here: an operand is taken aside and reading goes on behind it, so that "-5" can be told
 * from an option.
 */
#include "options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

#define OPTIONS_MAX  64
#define OPTIONS_CODE 256 /* getopt's value of options[i] is OPTIONS_CODE + i */

struct options {
	const struct option_spec *specs[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 + OPTIONS_MAX * 2 + 1];
	int count;
};

static void options_build(struct options *options, const struct option_spec *const *tables)
{
	char *letter = options->shorts;

	*letter++ = '+';
	*letter++ = ':';
	for (; *tables != NULL; tables++) {
		for (const struct option_spec *spec = *tables; spec->name != NULL && options->count < OPTIONS_MAX;
		     spec++) {
			options->specs[options->count] = spec;
			options->longs[options->count] = (struct option){
			    .name = spec->name,
			    .has_arg = spec->kind == OPTION_FLAG ? no_argument : required_argument,
			    .val = OPTIONS_CODE + options->count,
			};
			options->count++;
			if (spec->letter == 0)
				continue;
			*letter++ = spec->letter;
			if (spec->kind != OPTION_FLAG)
				*letter++ = ':';
		}
	}
	*letter = '\0';
}

static const struct option_spec *options_find(const struct options *options, int code)
{
	if (code >= OPTIONS_CODE)
		return options->specs[code - OPTIONS_CODE];
	for (int i = 0; i < options->count; i++)
		if (options->specs[i]->letter == code)
			return options->specs[i];
	return NULL;
}

static int options_take(const struct option_spec *spec, const char *value, struct text *wrong)
{
	struct option_integer *integer = spec->into;
	struct option_duration *duration = spec->into;

	switch (spec->kind) {
	case OPTION_FLAG:
		*(bool *)spec->into = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)spec->into = value;
		return 0;
	case OPTION_INTEGER:
		integer->given = true;
		if (value_read_integer(value, &integer->value) == 0)
			return 0;
		text_add_format(wrong, "--%s takes a whole number, not '%s'", spec->name, value);
		return -1;
	case OPTION_DURATION:
		duration->given = true;
		if (value_read_duration(value, &duration->seconds) == 0)
			return 0;
		text_add_format(wrong, "--%s takes a duration such as 90, 1.5, 1h30m or 2d, not '%s'", spec->name,
		    value);
		return -1;
	}
	return -1;
}

static void options_explain(const struct options *options, int code, const char *word, struct text *wrong)
{
	const struct option_spec *spec = optopt != 0 ? options_find(options, optopt) : NULL;

	if (code == ':' && spec != NULL)
		text_add_format(wrong, "--%s needs %s", spec->name, spec->takes);
	else if (spec != NULL)
		text_add_format(wrong, "--%s takes no value", spec->name);
	else if (word != NULL && strncmp(word, "--", 2) == 0)
		text_add_format(wrong, "unknown option '%s'", word);
	else
		text_add_format(wrong, "unknown option '-%c'", optopt);
}

/* A negative number is one, unless its digit is an option. */
static bool options_is_operand(const struct options *options, const char *word)
{
	if (word[0] == '-' && isdigit((unsigned char)word[1]) && word[2] == '\0' &&
	    options_find(options, (unsigned char)word[1]) != NULL)
		return false;
	return word[0] != '-' || word[1] == '\0' || isdigit((unsigned char)word[1]) ||
	       (word[1] == '.' && isdigit((unsigned char)word[2]));
}

int options_read(const struct option_spec *const *tables, bool stop_at_operand, bool takes_command, int argc,
    char **argv, struct operands *ret_operands, struct text *wrong)
{
	struct options options = {0};
	struct operands operands = {.at = calloc((size_t)argc + 1, sizeof(char *))};
	const struct option_spec *spec;
	int code;

	if (operands.at == NULL)
		ctl_die_memory();
	options_build(&options, tables);
	opterr = 0;
	/* Makes getopt forget an earlier reading; with no words it only sets optind to 1. */
	optind = 0;
	(void)getopt_long(1, argv, options.shorts, options.longs, NULL);
	while (optind < argc) {
		const char *word = argv[optind];

		if (options_is_operand(&options, word)) {
			if (stop_at_operand)
				break;
			operands.at[operands.count++] = argv[optind++];
			continue;
		}
		if (strcmp(word, "--") == 0) {
			optind++;
			if (takes_command && operands.count == 0)
				operands.command = argv + optind;
			break;
		}
		code = getopt_long(argc, argv, options.shorts, options.longs, NULL);
		spec = code == '?' || code == ':' ? NULL : options_find(&options, code);
		if (spec == NULL)
			options_explain(&options, code, word, wrong);
		if (spec == NULL || options_take(spec, optarg, wrong) < 0) {
			free(operands.at);
			return -1;
		}
	}
	while (operands.command == NULL && optind < argc)
		operands.at[operands.count++] = argv[optind++];
	*ret_operands = operands;
	return 0;
}

static bool options_is(const struct option_spec *spec, const char *word)
{
	size_t len = strlen(spec->name);

	if (word[0] != '-' || word[1] == '\0')
		return false;
	if (word[1] != '-')
		return spec->letter != 0 && word[1] == spec->letter && word[2] == '\0';
	return strncmp(word + 2, spec->name, len) == 0 && (word[2 + len] == '\0' || word[2 + len] == '=');
}

const struct option_spec *options_match(const struct option_spec *const *tables, const char *word)
{
	for (; *tables != NULL; tables++)
		for (const struct option_spec *spec = *tables; spec->name != NULL; spec++)
			if (options_is(spec, word))
				return spec;
	return NULL;
}

void options_print(const struct option_spec *table)
{
	for (const struct option_spec *spec = table; spec->name != NULL; spec++) {
		char left[64];
		int len = snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", spec->letter != 0 ? '-' : ' ',
		    spec->letter != 0 ? spec->letter : ' ', spec->letter != 0 ? "," : " ", spec->name,
		    spec->takes != NULL ? " " : "", spec->takes != NULL ? spec->takes : "");

		if (len < 30)
			printf("%-30s%s\n", left, spec->help);
		else
			printf("%s\n%30s%s\n", left, "", spec->help);
	}
}
