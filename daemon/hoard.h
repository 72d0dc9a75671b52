/*
 * hoard: how much clients make the daemon keep for them, all together: of one kind, unfinished lines or unread replies. Each
 * may keep a little, which does not count; when what is beyond is too much in all, it is the turn of the one who has
 * done nothing about his for the longest time. Pure.
 */
#ifndef DAEMON_HOARD_H
#define DAEMON_HOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HOARD_SMALL ((size_t)16 << 10) /* so much of one client does not count */

/* One client's; zeroed at first. */
struct hoarder {
	TAILQ_ENTRY(hoarder) link;
	size_t bytes;     /* 0: not in the list */
	int64_t since; /* his last progress, by the clock of whoever asks */
	bool held;        /* not his fault: his bytes count, and he is not in the list */
};

struct hoard {
	TAILQ_HEAD(, hoarder) list; /* in the order of their last progress */
	size_t bytes, max;
	unsigned n;
};

void hoard_init(struct hoard *hoard, size_t max);
/* What it keeps now; progress: the client has just done his part. 0 takes it out of the list, before it is freed. */
void hoard_set(struct hoard *hoard, struct hoarder *hoarder, size_t bytes, bool progress, int64_t now);
/* He cannot do his part until he is held no more; that counts as progress. */
void hoard_hold(struct hoard *hoard, struct hoarder *hoarder, bool held, int64_t now);
/* Who must go, or NULL while all have room. */
struct hoarder *hoard_victim(const struct hoard *hoard);
/* The same where others can wait for a while (wanted: somebody does): who has done his part since idle is spared, unless it is twice too much. */
struct hoarder *hoard_idle_victim(const struct hoard *hoard, bool wanted, int64_t idle);
/* What each of them may keep if all keep as much and half of the room is to stay free; no more than most. */
size_t hoard_share(const struct hoard *hoard, size_t most);

#endif
