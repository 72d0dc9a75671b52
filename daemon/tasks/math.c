/*
 * math: factors and primes, the examples of CPU work. Trial division on purpose: it takes time that can be seen to
 * shrink with more workers.
 */
#include <math.h>
#include <stdio.h>

#include "daemon/text.h"
#include "tasks.h"

/* Binds n: 0, or -1 with the error. */
static int
math_bind(const struct task *task, const struct task_call *call, int64_t min, uint64_t *ret_n,
    struct outcome *ret_outcome)
{
	struct span values[TASK_PARAMS_MAX];
	int64_t n;

	if (task_bind(task, call->args, values, ret_outcome) < 0)
		return -1;
	if (jsonspan_integer(values[0], &n) < 0 || n < min) {
		outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "%s: n must be from %d to 9223372036854775807",
		    task->name, (int)min);
		return -1;
	}
	*ret_n = (uint64_t)n;
	return 0;
}

/* ---- math.factorize -------------------------------------------------------------------------- */

#define FACTORIZE_REPORT ((uint64_t)6 << 22) /* the divisors between two reports: some hundredths of a second */

/* The root of what is left is the last divisor to be tried. */
static void
factorize_report(const struct task_call *call, uint64_t n, uint64_t d)
{
	char text[40];

	snprintf(text, sizeof(text), "tried up to %llu", (unsigned long long)d);
	task_report(call, (double)d / sqrt((double)n), text);
}

static void
math_add_factor(struct text *text, uint64_t factor)
{
	if (text->len > 1)
		text_add_char(text, ',');
	text_add_integer(text, (int64_t)factor);
}

/* Takes every factor d out of n. */
static uint64_t
math_divide_out(uint64_t n, uint64_t d, struct text *text)
{
	for (; n % d == 0; n /= d)
		math_add_factor(text, d);
	return n;
}

static void
factorize_run(const struct task_call *call, struct outcome *ret_outcome)
{
	struct text text = {0};
	uint64_t n;
	size_t len;
	char *json;

	if (math_bind(&task_math_factorize, call, 2, &n, ret_outcome) < 0)
		return;
	text_add_char(&text, '[');
	n = math_divide_out(n, 2, &text);
	n = math_divide_out(n, 3, &text);
	for (uint64_t d = 5; d <= n / d; d += 6) { /* primes beyond 3 are 6k - 1 or 6k + 1 */
		n = math_divide_out(n, d, &text);
		n = math_divide_out(n, d + 2, &text);
		if ((d - 5) % FACTORIZE_REPORT == 0)
			factorize_report(call, n, d);
	}
	if (n > 1)
		math_add_factor(&text, n);
	text_add_char(&text, ']');
	json = text_steal(&text, &len);
	outcome_take_result(ret_outcome, json, len);
}

static const struct task_param factorize_params[] = {
    {"n", TYPE_INTEGER, true, "from 2 to 2^63 - 1"},
    {NULL, TYPE_ANY, false, NULL},
};

const struct task task_math_factorize = {
    .name = "math.factorize",
    .doc = "the prime factors of n, rising, by trial division",
    .kind = TASK_FUNCTION,
    .idempotent = true,
    .pure = true,
    .params = factorize_params,
    .run = factorize_run,
};

/* ---- math.is_prime --------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 math_wide;

static uint64_t
math_multiply(uint64_t a, uint64_t b, uint64_t n)
{
	return (uint64_t)((math_wide)a * b % n);
}

static uint64_t
math_power(uint64_t base, uint64_t exponent, uint64_t n)
{
	uint64_t result = 1;

	for (base %= n; exponent > 0; exponent >>= 1) {
		if (exponent & 1)
			result = math_multiply(result, base, n);
		base = math_multiply(base, base, n);
	}
	return result;
}

/* Whether base proves that n, odd, is composite (Miller-Rabin): n - 1 is odd << shift. */
static bool
math_is_witness(uint64_t base, uint64_t n, uint64_t odd, int shift)
{
	uint64_t x = math_power(base, odd, n);

	if (x == 1 || x == n - 1)
		return false;
	for (int i = 1; i < shift; i++) {
		x = math_multiply(x, x, n);
		if (x == n - 1)
			return false;
	}
	return true;
}

static bool
math_is_prime(uint64_t n)
{
	static const uint64_t bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}; /* enough for all 64 bits */
	uint64_t odd;
	int shift;

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		if (n % bases[i] == 0)
			return n == bases[i];
	}
	if (n < 2)
		return false;
	shift = __builtin_ctzll(n - 1);
	odd = (n - 1) >> shift;
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		if (math_is_witness(bases[i], n, odd, shift))
			return false;
	}
	return true;
}

static void
is_prime_run(const struct task_call *call, struct outcome *ret_outcome)
{
	uint64_t n;

	if (math_bind(&task_math_is_prime, call, 0, &n, ret_outcome) == 0)
		outcome_set_result(ret_outcome, math_is_prime(n) ? SPAN_LIT("true") : SPAN_LIT("false"));
}

static const struct task_param is_prime_params[] = {
    {"n", TYPE_INTEGER, true, "from 0 to 2^63 - 1"},
    {NULL, TYPE_ANY, false, NULL},
};

const struct task task_math_is_prime = {
    .name = "math.is_prime",
    .doc = "whether n is a prime",
    .kind = TASK_FUNCTION,
    .idempotent = true,
    .pure = true,
    .params = is_prime_params,
    .run = is_prime_run,
};
