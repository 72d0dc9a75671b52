/*
 * hoard: see hoard.h.
 */
#include "daemon/hoard.h"

void
hoard_init(struct hoard *hoard, size_t max)
{
	*hoard = (struct hoard){.max = max};
	TAILQ_INIT(&hoard->list);
}

static void
hoard_remove(struct hoard *hoard, struct hoarder *hoarder)
{
	TAILQ_REMOVE(&hoard->list, hoarder, link);
	hoard->n--;
}

static void
hoard_append(struct hoard *hoard, struct hoarder *hoarder, int64_t now)
{
	hoarder->since = now;
	TAILQ_INSERT_TAIL(&hoard->list, hoarder, link);
	hoard->n++;
}

void
hoard_set(struct hoard *hoard, struct hoarder *hoarder, size_t bytes, bool progress, int64_t now)
{
	size_t counted = bytes > HOARD_SMALL ? bytes : 0, before = hoarder->bytes;

	hoard->bytes += counted - before;
	hoarder->bytes = counted;
	if (hoarder->held)
		return;
	if (before > 0 && (counted == 0 || progress))
		hoard_remove(hoard, hoarder);
	if (counted > 0 && (before == 0 || progress))
		hoard_append(hoard, hoarder, now);
}

void
hoard_hold(struct hoard *hoard, struct hoarder *hoarder, bool held, int64_t now)
{
	if (hoarder->held == held)
		return;
	hoarder->held = held;
	if (hoarder->bytes > 0 && held)
		hoard_remove(hoard, hoarder);
	else if (hoarder->bytes > 0)
		hoard_append(hoard, hoarder, now);
}

struct hoarder *
hoard_victim(const struct hoard *hoard)
{
	return hoard->bytes > hoard->max ? TAILQ_FIRST(&hoard->list) : NULL;
}

struct hoarder *
hoard_idle_victim(const struct hoard *hoard, bool wanted, int64_t idle)
{
	struct hoarder *first = TAILQ_FIRST(&hoard->list);

	if (first == NULL || (hoard->bytes <= hoard->max && !wanted))
		return NULL;
	return first->since <= idle || hoard->bytes > hoard->max * 2 ? first : NULL;
}

size_t
hoard_share(const struct hoard *hoard, size_t most)
{
	size_t share = hoard->max / 2 / (hoard->n + 1);

	share = share < HOARD_SMALL ? HOARD_SMALL : share;
	return share < most ? share : most;
}
