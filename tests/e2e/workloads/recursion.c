// Two functions that call each other to a depth, with frames of different sizes, and spend the time at its end.
//
//   recursion DEPTH
#include "spin.h"
#include <stdlib.h>

TG_APART int tg_odd(int depth);

TG_APART int tg_even(int depth)
{
	volatile char here[1000];
	int result = 0;

	here[depth & 511] = 1;
	if (depth == 0) {
		for (int i = 0; i < 40; i++)
			tg_spin();
	} else {
		result = tg_odd(depth - 1);
	}
	TG_AFTER();
	return result + here[depth & 511];
}

TG_APART int tg_odd(int depth)
{
	int result = 0;

	if (depth == 0) {
		for (int i = 0; i < 40; i++)
			tg_spin();
	} else {
		result = tg_even(depth - 1);
	}
	TG_AFTER();
	return result + 1;
}

int main(int argc, char **argv)
{
	int depth = argc > 1 ? atoi(argv[1]) : 50;

	tg_limit_life();
	for (;;) {
		tg_unevenly();
		tg_sink += (uint64_t)tg_even(depth);
	}
}
