/*
 * starter rate RATE SECONDS NTH PROGRAM OTHER: starts so many processes a second, each nth of them PROGRAM, and says how many
 * those were, and how long it took.
 * starter each COUNT AT_ONCE PROGRAM [ARGUMENT ...]: starts so many of them when there is something on its standard input, and
 * never has more than AT_ONCE at a time.
 *
 * It costs what starting processes costs: a clone that shares memory, and exec.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void start(char **arguments)
{
	pid_t pid = vfork();

	if (!pid) {
		execv(arguments[0], arguments);
		_exit(127);
	}
	if (pid < 0)
		_exit(1);
}

static int at_rate(double rate, double duration, long nth, char *program, char *other)
{
	char *chosen[] = {program, NULL}, *others[] = {other, NULL};
	double begun = seconds(), now;
	long started = 0;

	/* Nobody waits for them. */
	signal(SIGCHLD, SIG_IGN);
	for (now = begun; now < begun + duration; now = seconds()) {
		double due = begun + started / rate;

		if (due > now) {
			usleep((due - now) * 1e6);
			continue;
		}
		started++;
		start(started % nth ? others : chosen);
	}
	printf("%ld %f\n", started, now - begun);
	return 0;
}

static int each(long count, long at_once, char **arguments)
{
	long running = 0;
	char go;

	if (read(0, &go, 1) < 0)
		return 1;
	while (count || running) {
		if (count && running < at_once) {
			start(arguments);
			count--, running++;
		} else if (wait(NULL) > 0) {
			running--;
		} else if (errno != EINTR) {
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "rate"))
		return at_rate(atof(argv[2]), atof(argv[3]), atol(argv[4]), argv[5], argv[6]);
	if (argc > 4 && !strcmp(argv[1], "each"))
		return each(atol(argv[2]), atol(argv[3]), argv + 4);
	return 2;
}
