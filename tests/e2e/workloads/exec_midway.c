// Burns CPU time, then becomes another program under the same pid.
//
//   exec_midway CPU_MILLISECONDS PROGRAM ARG...
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

TG_BURNER(tg_before_exec, 13)

int main(int argc, char **argv)
{
	uint64_t state = 1;

	if (argc < 3)
		return 2;
	tg_limit_life();
	while (tg_process_cpu_ns() < atoll(argv[1]) * 1000000)
		state = tg_before_exec(state);
	printf("before_exec=%.6f state=%lx\n", tg_process_cpu_ns() / 1e9, (unsigned long)state);
	fflush(stdout);
	execv(argv[2], argv + 2);
	perror("execv");
	return 127;
}
