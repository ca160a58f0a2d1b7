// What the programs whose stacks are known by construction are made of.
#ifndef TG_SPIN_H
#define TG_SPIN_H

#include "clock.h"

// A function that is called as its source says: neither inlined nor cloned nor merged with another.
#ifdef __clang__
#define TG_APART __attribute__((noinline, used))
#else
#define TG_APART __attribute__((noinline, noclone, used))
#endif
// What comes after a call, so that it is none that its caller's frame has been given up for.
#define TG_AFTER() __asm__ volatile("" : : : "memory")

static volatile uint64_t tg_sink;

// About a tenth of a millisecond.
TG_APART static void tg_spin(void)
{
	for (int i = 0; i < 40000; i++)
		tg_sink += (uint64_t)i;
	TG_AFTER();
}

// Rounds of ever the same length would run in step with the clock, which then would miss the same functions each time.
TG_APART static void tg_unevenly(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	for (uint32_t i = 0; i < state >> 28; i++)
		tg_spin();
	TG_AFTER();
}

#endif
