// Spends CPU time before main is reached, as much again in main, and says how much.
//
//   early CPU_MILLISECONDS
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

TG_BURNER(tg_constructor, 13)
TG_BURNER(tg_main_part, 11)

static uint64_t state = 1;
static int64_t constructor_ns;

__attribute__((constructor)) static void run_early(int argc, char **argv)
{
	int64_t limit_ns = argc > 1 ? atoll(argv[1]) * 1000000 : 100000000;
	int64_t begin = tg_process_cpu_ns();

	tg_limit_life();
	while (tg_process_cpu_ns() < limit_ns)
		state = tg_constructor(state);
	constructor_ns = tg_process_cpu_ns() - begin;
}

int main(int argc, char **argv)
{
	int64_t limit_ns = argc > 1 ? atoll(argv[1]) * 2000000 : 200000000;

	while (tg_process_cpu_ns() < limit_ns)
		state = tg_main_part(state);
	printf("tg_constructor=%.6f total=%.6f state=%lx\n", constructor_ns / 1e9, tg_process_cpu_ns() / 1e9,
	       (unsigned long)state);
	return 0;
}
