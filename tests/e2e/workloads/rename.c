// Burns CPU time under the name it was started with, then renames its main thread and burns on, until SIGTERM.
//
//   rename CPU_MILLISECONDS NEW_NAME
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

TG_BURNER(tg_before_rename, 13)
TG_BURNER(tg_after_rename, 11)

int main(int argc, char **argv)
{
	uint64_t state = 1;

	if (argc < 3)
		return 2;
	tg_limit_life();
	while (tg_process_cpu_ns() < atoll(argv[1]) * 1000000)
		state = tg_before_rename(state);
	prctl(PR_SET_NAME, argv[2]);
	puts("renamed");
	fflush(stdout);
	for (;;)
		state = tg_after_rename(state);
}
