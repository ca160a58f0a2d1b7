// Spends its CPU time in three functions, 50 %, 30 % and 20 % of it, by its own thread CPU clock, and says at exit
// what it has truly spent in each.
//
//   burn [--threads N] [--seconds CPU_SECONDS_PER_THREAD]
//
// Without --seconds it runs until SIGTERM. With --threads it burns in N further threads, named tg-worker-<i>.
#define _GNU_SOURCE
#include "clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CYCLE_NS 100000000LL

TG_BURNER(tg_half, 13)
TG_BURNER(tg_third, 11)
TG_BURNER(tg_fifth, 5)

struct burner {
	pthread_t thread;
	int index;
	int64_t limit_ns;
	int64_t spent_ns[3];
	uint64_t state;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void burn(struct burner *burner)
{
	int64_t now = tg_thread_cpu_ns(), begin = now;

	while (!stopped && (burner->limit_ns == 0 || now - begin < burner->limit_ns)) {
		int64_t place = (now - begin) % CYCLE_NS;
		int phase = place < CYCLE_NS / 2 ? 0 : place < CYCLE_NS * 8 / 10 ? 1 : 2;

		if (phase == 0)
			burner->state = tg_half(burner->state);
		else if (phase == 1)
			burner->state = tg_third(burner->state);
		else
			burner->state = tg_fifth(burner->state);

		int64_t then = now;
		now = tg_thread_cpu_ns();
		burner->spent_ns[phase] += now - then;
	}
}

static void *run_thread(void *argument)
{
	struct burner *burner = argument;
	char name[16];

	snprintf(name, sizeof(name), "tg-worker-%d", burner->index);
	pthread_setname_np(pthread_self(), name);
	burn(burner);
	return NULL;
}

static int run_threads(struct burner *burners, int threads)
{
	for (int i = 0; i < threads; i++)
		if (pthread_create(&burners[i].thread, NULL, run_thread, &burners[i]) != 0)
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(burners[i].thread, NULL);
	return 0;
}

static void report(const struct burner *burners, int count)
{
	int64_t spent[3] = {0};
	uint64_t state = 0;

	for (int i = 0; i < count; i++) {
		state ^= burners[i].state;
		for (int phase = 0; phase < 3; phase++)
			spent[phase] += burners[i].spent_ns[phase];
	}
	printf("tg_half=%.6f tg_third=%.6f tg_fifth=%.6f total=%.6f state=%lx\n", spent[0] / 1e9, spent[1] / 1e9,
	       spent[2] / 1e9, tg_process_cpu_ns() / 1e9, (unsigned long)state);
}

int main(int argc, char **argv)
{
	struct burner burners[64] = {0};
	struct sigaction action = {.sa_handler = stop};
	int threads = 0;
	double seconds = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--threads") == 0)
			threads = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = atof(argv[i + 1]);
		else
			return 2;
	}
	if (threads < 0 || threads > 64)
		return 2;
	tg_limit_life();
	sigaction(SIGTERM, &action, NULL);

	int count = threads > 0 ? threads : 1;
	for (int i = 0; i < count; i++)
		burners[i] = (struct burner){.index = i, .limit_ns = (int64_t)(seconds * 1e9), .state = 88172645463325252ULL + i};
	if (threads == 0)
		burn(&burners[0]);
	else if (run_threads(burners, threads) != 0)
		return 1;
	report(burners, count);
	return 0;
}
