/*
 * slots: see slots.h. A slot is one 64-bit word, so that beginning a job and raising the floor exclude each other:
 * the high half is the floor, the low half the number behind the last job that has begun. Numbers may wrap: they are
 * compared by their distance, and each beginning takes the floor along, so that it is never far behind.
 */
#include "daemon/slots.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

struct slot_word {
	alignas(64) _Atomic uint64_t word; /* a cache line each: worker and daemon write it */
};

struct slots {
	unsigned n;
	struct slot_word *words;
};

static uint64_t
slots_pack(uint32_t floor, uint32_t begun)
{
	return (uint64_t)floor << 32 | begun;
}

static uint32_t
slots_floor(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

struct slots *
slots_new(unsigned n)
{
	size_t size = (n ? n : 1) * sizeof(struct slot_word);
	struct slots *slots = malloc(sizeof(*slots));

	if (slots == NULL)
		return NULL;
	slots->n = n;
	slots->words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots->words == MAP_FAILED) {
		/* cppcheck-suppress memleak ; nothing was mapped */
		free(slots);
		return NULL;
	}
	return slots;
}

void
slots_free(struct slots *slots)
{
	if (slots == NULL)
		return;
	munmap(slots->words, (slots->n ? slots->n : 1) * sizeof(struct slot_word));
	free(slots);
}

void
slots_reset(struct slots *slots, unsigned slot)
{
	assert(slot < slots->n);
	atomic_store(&slots->words[slot].word, 0);
}

uint32_t
slots_withdraw(struct slots *slots, unsigned slot, uint32_t sent)
{
	uint64_t old;

	assert(slot < slots->n);
	old = atomic_load(&slots->words[slot].word);
	while (!atomic_compare_exchange_weak(&slots->words[slot].word, &old, slots_pack(sent, (uint32_t)old)))
		;
	return (uint32_t)old;
}

uint32_t
slots_begun(const struct slots *slots, unsigned slot)
{
	assert(slot < slots->n);
	return (uint32_t)atomic_load(&slots->words[slot].word);
}

bool
slots_begin(struct slots *slots, unsigned slot, uint32_t number)
{
	uint64_t old;

	assert(slot < slots->n);
	old = atomic_load(&slots->words[slot].word);
	do {
		if ((int32_t)(number - slots_floor(old)) < 0)
			return false;
	} while (!atomic_compare_exchange_weak(&slots->words[slot].word, &old, slots_pack(number + 1, number + 1)));
	return true;
}
