// Forks and execs a program, burns CPU time meanwhile, and waits for it.
//
//   spawner CPU_MILLISECONDS PROGRAM ARG...
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

TG_BURNER(tg_spawner_burn, 13)

int main(int argc, char **argv)
{
	uint64_t state = 1;
	int status = 0;

	if (argc < 3)
		return 2;
	tg_limit_life();
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	printf("child=%d\n", (int)child);
	fflush(stdout);
	while (tg_process_cpu_ns() < atoll(argv[1]) * 1000000)
		state = tg_spawner_burn(state);
	waitpid(child, &status, 0);
	return state == 0 || !WIFEXITED(status) ? 1 : WEXITSTATUS(status);
}
