// Forks many children, without exec, that wait until there is a file and then each burn CPU time of their own.
//
//   crowd CHILDREN CPU_MILLISECONDS FILE
//
// Prints the pids of all children, then `ready`; when all have ended, `done`.
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

TG_BURNER(tg_in_crowd, 13)

static int burn(int64_t limit_ns, int gate)
{
	uint64_t state = 1;
	char nothing;

	tg_limit_life();
	// Ends when the parent has closed the other end.
	if (read(gate, &nothing, 1) != 0)
		return 1;
	int64_t end = tg_process_cpu_ns() + limit_ns;
	while (tg_process_cpu_ns() < end)
		state = tg_in_crowd(state);
	return state == 0;
}

int main(int argc, char **argv)
{
	int gate[2];
	int failed = 0, status;

	tg_limit_life();
	if (argc < 4 || pipe(gate) != 0)
		return 2;
	for (int i = 0; i < atoi(argv[1]); i++) {
		pid_t child = fork();

		if (child < 0)
			return 1;
		if (child == 0) {
			close(gate[1]);
			_exit(burn(atoll(argv[2]) * 1000000, gate[0]));
		}
		printf("%d\n", (int)child);
	}
	puts("ready");
	fflush(stdout);
	while (access(argv[3], F_OK) != 0)
		usleep(20000);
	close(gate[1]);
	while (wait(&status) > 0)
		failed += status != 0;
	puts("done");
	return failed != 0;
}
