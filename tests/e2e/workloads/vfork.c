// Spends half of its time in children of `vfork`, which run on their parent's stack while that waits, and says what CPU
// time all of them have had.
//
//   vfork CPU_SECONDS
#define _GNU_SOURCE
#include "spin.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

TG_APART void tg_child(void)
{
	for (int i = 0; i < 300; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_vforking(void)
{
	pid_t child = vfork();

	if (child == 0) {
		tg_child();
		_exit(0);
	}
	waitpid(child, NULL, 0);
	TG_AFTER();
}

TG_APART void tg_parent(void)
{
	for (int i = 0; i < 300; i++)
		tg_spin();
	TG_AFTER();
}

static double seconds_of(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	double limit = argc > 1 ? atof(argv[1]) : 2;

	tg_limit_life();
	while (seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN) < limit) {
		tg_parent();
		tg_vforking();
	}
	printf("total=%.6f\n", seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN));
	return 0;
}
