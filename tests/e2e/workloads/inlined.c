// Burns in a function that the compiler puts into its caller, until SIGTERM. Built with optimisation.
#include "clock.h"

static inline __attribute__((always_inline)) uint64_t tg_inlined(uint64_t x)
{
	for (int round = 0; round < 50000; round++) {
		x ^= x << 13;
		x ^= x >> 7;
		x += (uint64_t)round;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

__attribute__((noinline, noclone)) uint64_t tg_outer(uint64_t x)
{
	TG_KEEP_FRAME();
	return tg_inlined(x) + 1;
}

int main(void)
{
	uint64_t state = 1;

	tg_limit_life();
	for (;;) {
		state = tg_outer(state);
		__asm__ volatile("" : "+r"(state));
	}
}
