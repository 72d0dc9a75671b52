/*
 * What went wrong last on a client: a code, a word, a sentence and perhaps data.
 *
 * Setting a failure cannot fail: without memory the sentence falls back to the static one of the code.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

static const struct {
	int code;
	const char *word;
	const char *message;
} failure_table[] = {
    {FUT_OK, "ok", "no error"},
    {FUT_E_MEMORY, "no_memory", "out of memory"},
    {FUT_E_ARGUMENT, "bad_argument", "an argument of the call is not valid"},
    {FUT_E_UNREACHABLE, "unreachable", "no daemon answers"},
    {FUT_E_DISCONNECTED, "disconnected", "the connection has ended"},
    {FUT_E_BAD_REPLY, "bad_reply", "the daemon's answer is not the protocol"},
    {FUT_E_TIMED_OUT, "timed_out", "nothing came in time"},
    {FUT_E_WOULD_BLOCK, "would_block", "too much is unsent"},
    {FUT_E_JOB_FAILED, "job_failed", "the job failed"},
    {FUT_E_JOB_CANCELLED, "job_cancelled", "the job was cancelled"},
};

static const char *failure_word(int code)
{
	for (size_t i = 0; i < sizeof(failure_table) / sizeof(failure_table[0]); i++)
		if (failure_table[i].code == code)
			return failure_table[i].word;
	return rpc_error_word(code);
}

const char *failure_message(int code)
{
	for (size_t i = 0; i < sizeof(failure_table) / sizeof(failure_table[0]); i++)
		if (failure_table[i].code == code)
			return failure_table[i].message;
	return rpc_error_message(code);
}

void failure_clear(struct failure *failure)
{
	free(failure->message);
	free(failure->data);
	*failure = (struct failure){0};
}

void failure_set(struct failure *failure, int code, const char *format, va_list args)
{
	char *message;

	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	failure_clear(failure);
	failure->code = code;
	snprintf(failure->word, sizeof(failure->word), "%s", failure_word(code));
	failure->message = message;
}

void failure_set_code(struct failure *failure, int code)
{
	failure_clear(failure);
	failure->code = code;
	if (code != 0)
		snprintf(failure->word, sizeof(failure->word), "%s", failure_word(code));
}

void failure_set_word(struct failure *failure, const char *word)
{
	snprintf(failure->word, sizeof(failure->word), "%s", word);
}

void failure_set_reply(struct failure *failure, struct span error)
{
	struct span member;
	int64_t code = FUT_E_BAD_REPLY;

	failure_clear(failure);
	if (jsonspan_type(error) == JSONSPAN_OBJECT) {
		if (jsonspan_get(error, "code", &member) &&
		    (jsonspan_integer(member, &code) < 0 || code >= 0 || code < INT32_MIN))
			code = FUT_E_BAD_REPLY;
		if (jsonspan_get(error, "message", &member) && jsonspan_type(member) == JSONSPAN_STRING &&
		    jsonspan_string(member, &failure->message, NULL) < 0)
			failure->message = NULL;
		if (jsonspan_get(error, "data", &member) && jsonspan_type(member) == JSONSPAN_OBJECT) {
			failure->data = strndup(member.at, member.len);
			if (!jsonspan_get(member, "code", &member) ||
			    jsonspan_string_copy(member, failure->word, sizeof(failure->word)) < 0)
				failure->word[0] = '\0';
		}
	}
	failure->code = (int)code;
	if (failure->word[0] == '\0')
		snprintf(failure->word, sizeof(failure->word), "%s", failure_word(failure->code));
}

int client_fail(struct fut_client *client, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	failure_set(&client->failure, code, format, args);
	va_end(args);
	return code;
}

int client_fail_reply(struct fut_client *client, struct span error)
{
	failure_set_reply(&client->failure, error);
	return client->failure.code;
}

void failure_copy(struct failure *to, const struct failure *from)
{
	failure_clear(to);
	*to = *from;
	to->message = from->message != NULL ? strdup(from->message) : NULL;
	to->data = from->data != NULL ? strdup(from->data) : NULL;
}

int client_fail_copy(struct fut_client *client, const struct failure *failure)
{
	failure_copy(&client->failure, failure);
	return failure->code;
}

void client_explain(struct fut_client *client, int code, struct span error, struct failure *failure)
{
	char *text;

	if (error.at == NULL && code != 0 && code == client->ended.code) {
		failure_copy(failure, &client->ended);
	} else if (error.at != NULL && jsonspan_type(error) == JSONSPAN_OBJECT) {
		failure_set_reply(failure, error);
	} else {
		failure_set_code(failure, code);
		if (error.at != NULL && jsonspan_string(error, &text, NULL) == 0)
			failure->message = text;
	}
}

int client_fail_ended(struct fut_client *client)
{
	return client_fail_copy(client, &client->ended);
}

int fut_error_code(const struct fut_client *client)
{
	return client->failure.code;
}

const char *fut_error_word(const struct fut_client *client)
{
	return client->failure.code == 0 ? failure_word(0) : client->failure.word;
}

const char *fut_error_message(const struct fut_client *client)
{
	return client->failure.message != NULL ? client->failure.message : failure_message(client->failure.code);
}

const char *fut_error_data(const struct fut_client *client)
{
	return client->failure.data;
}
