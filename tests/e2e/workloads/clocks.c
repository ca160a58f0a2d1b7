// Spends its time reading a clock, which the kernel's own code in every process does.
#include "clock.h"

int main(void)
{
	tg_limit_life();
	for (;;)
		tg_clock_ns(CLOCK_MONOTONIC);
}
