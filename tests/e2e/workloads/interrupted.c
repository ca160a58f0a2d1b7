// Is interrupted by a timer of CPU time wherever it is, also in the first and last instructions of small functions and in
// the C library; the handler spends time, and raises another signal, whose handler has a stack of its own.
#define _GNU_SOURCE
#include "spin.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

TG_APART void tg_inner_handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	for (int i = 0; i < 10; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_timer_handler(int number)
{
	(void)number;
	for (int i = 0; i < 10; i++)
		tg_spin();
	raise(SIGUSR2);
	TG_AFTER();
}

TG_APART int tg_tiny(int x)
{
	return x ^ (x >> 3);
}

TG_APART int tg_small(int x)
{
	volatile int a = tg_tiny(x), b = tg_tiny(x + 1), c = tg_tiny(a + b);

	return a + b * c;
}

TG_APART int tg_six(int a, int b, int c, int d, int e, int f)
{
	int x = tg_small(a), y = tg_small(b), z = tg_small(c);

	return x + y * z + tg_small(d) + tg_small(e) * tg_small(f) + x * y;
}

// Mostly prologues and epilogues.
TG_APART void tg_small_ones(void)
{
	for (int i = 0; i < 30000; i++)
		tg_sink += (uint64_t)tg_six(i, 2, 3, 4, 5, 6);
	TG_AFTER();
}

TG_APART int tg_order(const void *a, const void *b)
{
	return tg_tiny(*(const int *)a) - tg_tiny(*(const int *)b);
}

TG_APART void tg_sorting(void)
{
	static int values[4000];

	for (int i = 0; i < 4000; i++)
		values[i] = (i * 7919) & 4095;
	qsort(values, 4000, sizeof(values[0]), tg_order);
	TG_AFTER();
}

TG_APART void tg_copying(void)
{
	static char from[1 << 15], to[1 << 15];

	for (int i = 0; i < 400; i++) {
		memcpy(to, from, sizeof(to));
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	TG_AFTER();
}

TG_APART void tg_round(void)
{
	tg_small_ones();
	tg_sorting();
	tg_copying();
	TG_AFTER();
}

int main(void)
{
	static char signal_stack[64 << 10];
	stack_t other = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction timer = {.sa_handler = tg_timer_handler, .sa_flags = SA_RESTART};
	struct sigaction inner = {.sa_sigaction = tg_inner_handler, .sa_flags = SA_ONSTACK | SA_SIGINFO};
	struct itimerval each = {{0, 9000}, {0, 9000}};

	tg_limit_life();
	sigaltstack(&other, NULL);
	sigaction(SIGPROF, &timer, NULL);
	sigaction(SIGUSR2, &inner, NULL);
	setitimer(ITIMER_PROF, &each, NULL);
	for (;;)
		tg_round();
}
