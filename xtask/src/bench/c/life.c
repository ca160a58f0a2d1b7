/* life MILLISECONDS [SELF]: spends so much CPU time, then says its pid, as the link SELF has it, and how much that was. */
/* life 0: ends at once. life -1: waits until it is ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned long long cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000000000ULL + used.tv_nsec;
}

/* Between two looks at the clock it stays here for 100 µs or so: nearly all that it does. */
__attribute__((noinline)) void tg_bench_spin(void)
{
	for (volatile unsigned left = 50000; left; left--)
		;
}

int main(int argc, char **argv)
{
	long milliseconds = argc > 1 ? atol(argv[1]) : 0;
	char line[96], pid[32];
	ssize_t length;

	if (milliseconds < 0)
		for (;;)
			pause();
	if (!milliseconds)
		return 0;
	while (cpu_ns() < milliseconds * 1000000ULL)
		tg_bench_spin();
	length = readlink(argc > 2 ? argv[2] : "/proc/self", pid, sizeof(pid) - 1);
	if (length <= 0)
		return 1;
	pid[length] = 0;
	/* In one piece: many write to one pipe. */
	snprintf(line, sizeof(line), "%s %llu\n", pid, cpu_ns());
	return write(1, line, strlen(line)) < 0;
}
