// Spends its time at the ends of call chains that are hard to walk, each known exactly. Every function that takes part
// is called tg_…, and calls nothing but what `tests/stacks.rs` says that it does.
#define _GNU_SOURCE
#include "clock.h"
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define APART __attribute__((noinline, noclone, used))
#ifdef __clang__
#undef APART
#define APART __attribute__((noinline, used))
#endif
// What comes after a call, so that it is none that its caller's frame has been given up for.
#define AFTER() __asm__ volatile("" : : : "memory")

static volatile uint64_t sink;

// About a tenth of a millisecond.
APART void tg_spin(void)
{
	for (int i = 0; i < 40000; i++)
		sink += (uint64_t)i;
	AFTER();
}

APART int tg_recurse(int depth)
{
	volatile char here[32];
	int result;

	here[depth & 31] = 1;
	if (depth == 0) {
		for (int i = 0; i < 20; i++)
			tg_spin();
		return here[0];
	}
	result = tg_recurse(depth - 1);
	AFTER();
	return result + here[depth & 31];
}

APART void tg_shallow(void)
{
	sink += (uint64_t)tg_recurse(50);
	AFTER();
}

APART void tg_deep(void)
{
	sink += (uint64_t)tg_recurse(400);
	AFTER();
}

APART int tg_compare(const void *a, const void *b)
{
	tg_spin();
	AFTER();
	return *(const int *)a - *(const int *)b;
}

// The callback of a library.
APART void tg_sorting(void)
{
	int values[8] = {5, 3, 8, 1, 9, 2, 7, 4};

	qsort(values, 8, sizeof(values[0]), tg_compare);
	sink += (uint64_t)values[0];
	AFTER();
}

APART void tg_handler(int number)
{
	(void)number;
	for (int i = 0; i < 20; i++)
		tg_spin();
	AFTER();
}

// A handler on the interrupted stack, and one on a stack of its own.
APART void tg_raising(void)
{
	raise(SIGUSR1);
	AFTER();
	raise(SIGUSR2);
	AFTER();
}

// A leaf in a library, in hand-written assembly.
APART void tg_copying(void)
{
	static char from[1 << 16], to[1 << 16];

	for (int i = 0; i < 400; i++) {
		memcpy(to, from, sizeof(to));
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	AFTER();
}

// A frame whose size is known at run time only, and whose start is aligned to more than the stack is.
APART void tg_aligned(int size)
{
	volatile char *dynamic = alloca((size_t)size);
	volatile char aligned[128] __attribute__((aligned(128)));

	dynamic[size - 1] = aligned[0] = 1;
	for (int i = 0; i < 20; i++)
		tg_spin();
	sink += (uint64_t)(dynamic[0] + aligned[0]);
	AFTER();
}

static jmp_buf back;

APART __attribute__((noreturn)) void tg_never(void)
{
	for (int i = 0; i < 20; i++)
		tg_spin();
	longjmp(back, 1);
}

// Its last instruction is the call: the address to return to lies in the next function, or in none.
APART __attribute__((noreturn)) void tg_no_return(void)
{
	tg_never();
}

APART void tg_jumping(void)
{
	if (setjmp(back) == 0)
		tg_no_return();
	AFTER();
}

#ifdef TG_COROUTINES
static ucontext_t main_context, other_context;

APART void tg_coroutine(void)
{
	for (;;) {
		for (int i = 0; i < 20; i++)
			tg_spin();
		swapcontext(&other_context, &main_context);
	}
}

APART void tg_switching(void)
{
	static char stack[64 << 10];

	if (!other_context.uc_stack.ss_sp) {
		getcontext(&other_context);
		other_context.uc_stack.ss_sp = stack;
		other_context.uc_stack.ss_size = sizeof(stack);
		makecontext(&other_context, tg_coroutine, 0);
	}
	swapcontext(&main_context, &other_context);
	AFTER();
}
#endif

APART void *tg_thread(void *nothing)
{
	for (int i = 0; i < 20; i++)
		tg_spin();
	AFTER();
	return nothing;
}

APART void tg_threading(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, tg_thread, NULL);
	pthread_join(thread, NULL);
	AFTER();
}

// Rounds of ever the same length would run in step with the clock, which then would miss the same functions each time.
APART void tg_unevenly(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	for (uint32_t i = 0; i < state >> 27; i++)
		tg_spin();
	AFTER();
}

APART void tg_round(void)
{
	tg_unevenly();
	tg_shallow();
	tg_deep();
	tg_sorting();
	tg_raising();
	tg_copying();
	tg_aligned(100);
	tg_jumping();
#ifdef TG_COROUTINES
	tg_switching();
#endif
	tg_threading();
	AFTER();
}

int main(void)
{
	static char signal_stack[64 << 10];
	stack_t other = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction action = {.sa_handler = tg_handler};

	tg_limit_life();
	sigaction(SIGUSR1, &action, NULL);
	sigaltstack(&other, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
	for (;;)
		tg_round();
}
