// Lives for so much CPU time, then says how much it has truly had.
//
//   short CPU_MILLISECONDS
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

TG_BURNER(tg_short, 13)

int main(int argc, char **argv)
{
	int64_t limit_ns = argc > 1 ? atoll(argv[1]) * 1000000 : 100000000;
	uint64_t state = 1;

	tg_limit_life();
	while (tg_process_cpu_ns() < limit_ns)
		state = tg_short(state);
	printf("total=%.6f state=%lx\n", tg_process_cpu_ns() / 1e9, (unsigned long)state);
	return 0;
}
