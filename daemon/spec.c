/*
 * spec: see spec.h. The texts lie behind the struct in the same block.
 */
#include "daemon/spec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

static size_t
spec_text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

size_t
spec_size(const struct spec *spec)
{
	return sizeof(*spec) + spec_text_size(spec->task) + spec_text_size(spec->queue) + spec_text_size(spec->owner) +
	    spec_text_size(spec->label) + spec_text_size(spec->key) + spec_text_size(spec->webhook) + spec->args.len +
	    spec->after.len;
}

static const char *
spec_put_text(char **at, const char *text)
{
	size_t size = spec_text_size(text);
	char *copy = *at;

	if (size == 0)
		return NULL;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static struct span
spec_put_span(char **at, struct span span)
{
	char *copy = *at;

	if (span.len == 0)
		return SPAN_NONE;
	memcpy(copy, span.at, span.len);
	*at += span.len;
	return (struct span){copy, span.len};
}

struct spec *
spec_new(const struct spec *from)
{
	struct spec *spec = mem_grow(NULL, 1, spec_size(from));
	char *at = (char *)(spec + 1);

	*spec = *from;
	spec->refs = 1;
	spec->task = spec_put_text(&at, from->task);
	spec->queue = spec_put_text(&at, from->queue);
	spec->owner = spec_put_text(&at, from->owner);
	spec->label = spec_put_text(&at, from->label);
	spec->key = spec_put_text(&at, from->key);
	spec->webhook = spec_put_text(&at, from->webhook);
	spec->after = spec_put_span(&at, from->after);
	spec->args = spec_put_span(&at, from->args);
	return spec;
}

struct spec *
spec_ref(struct spec *spec)
{
	spec->refs++;
	return spec;
}

void
spec_unref(struct spec *spec)
{
	if (spec == NULL)
		return;
	assert(spec->refs > 0);
	if (--spec->refs == 0)
		free(spec);
}

enum lane
spec_lane(const struct spec *spec)
{
	return spec->pool == POOL_CPU ? LANE_CPU : LANE_IO;
}
