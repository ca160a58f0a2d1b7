// Forks, without exec, a child that burns CPU time, and waits for it.
//
//   forker CPU_MILLISECONDS
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

TG_BURNER(tg_parent_burn, 13)
TG_BURNER(tg_child_burn, 11)

static void burn_for(uint64_t (*burner)(uint64_t), int64_t limit_ns)
{
	uint64_t state = 1;

	while (tg_process_cpu_ns() < limit_ns)
		state = burner(state);
	if (state == 0)
		puts("zero");
}

int main(int argc, char **argv)
{
	int64_t limit_ns = argc > 1 ? atoll(argv[1]) * 1000000 : 1000000000;

	tg_limit_life();
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		tg_limit_life();
		burn_for(tg_child_burn, limit_ns);
		_exit(0);
	}
	printf("child=%d\n", (int)child);
	fflush(stdout);
	burn_for(tg_parent_burn, limit_ns);
	waitpid(child, NULL, 0);
	return 0;
}
