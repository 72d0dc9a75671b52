/*
 * receivers: see receivers.h. Origins are kept as hashes: two that fall together are at worst put off together.
 */
#include "daemon/receivers.h"

#include <stddef.h>
#include <string.h>

#define RECEIVERS_FIRST_MS 400 /* shorter than the shortest pause before a second try, so that this is let through */
#define RECEIVERS_MAX_MS   60000

uint64_t
receivers_origin(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len = host != NULL ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : strlen(url);
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)url[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static struct receiver *
receivers_find(struct receivers *receivers, uint64_t origin)
{
	for (size_t i = 0; i < RECEIVERS_MAX; i++) {
		if (receivers->down[i].failures > 0 && receivers->down[i].origin == origin)
			return &receivers->down[i];
	}
	return NULL;
}

/* A free place, or that of the one which may be tried again first. */
static struct receiver *
receivers_take_place(struct receivers *receivers)
{
	struct receiver *place = &receivers->down[0];

	for (size_t i = 0; i < RECEIVERS_MAX; i++) {
		if (receivers->down[i].failures == 0)
			return &receivers->down[i];
		if (receivers->down[i].until_ms < place->until_ms)
			place = &receivers->down[i];
	}
	return place;
}

bool
receivers_may(struct receivers *receivers, uint64_t origin, int64_t now_ms)
{
	struct receiver *receiver = receivers_find(receivers, origin);

	if (receiver == NULL)
		return true;
	if (receiver->probing || now_ms < receiver->until_ms)
		return false;
	receiver->probing = true;
	return true;
}

int64_t
receivers_rest_ms(struct receivers *receivers, uint64_t origin, int64_t now_ms)
{
	const struct receiver *receiver = receivers_find(receivers, origin);

	if (receiver == NULL)
		return 0;
	if (receiver->probing)
		return RECEIVERS_FIRST_MS;
	return now_ms < receiver->until_ms ? receiver->until_ms - now_ms : 0;
}

void
receivers_note(struct receivers *receivers, uint64_t origin, bool reached, int64_t now_ms)
{
	struct receiver *receiver = receivers_find(receivers, origin);
	int64_t pause_ms = RECEIVERS_FIRST_MS;

	if (reached) {
		if (receiver != NULL)
			*receiver = (struct receiver){0};
		return;
	}
	if (receiver != NULL && !receiver->probing)
		return; /* it was on its way when another failed */
	if (receiver == NULL) {
		receiver = receivers_take_place(receivers);
		*receiver = (struct receiver){.origin = origin};
	}
	for (unsigned i = 0; i < receiver->failures && pause_ms < RECEIVERS_MAX_MS; i++)
		pause_ms *= 2;
	receiver->failures++;
	receiver->until_ms = now_ms + (pause_ms < RECEIVERS_MAX_MS ? pause_ms : RECEIVERS_MAX_MS);
	receiver->probing = false;
}
