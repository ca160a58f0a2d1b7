// Starts a child that is in a control group of version 2 from the beginning, by clone3 and CLONE_INTO_CGROUP. The child lives for so
// much CPU time, then says who it is and how much it has truly had.
//
//   into_cgroup DIRECTORY CPU_MILLISECONDS
#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TG_BURNER(tg_in_cgroup, 13)

int main(int argc, char **argv)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int64_t limit_ns = argc > 2 ? atoll(argv[2]) * 1000000 : 100000000;
	uint64_t state = 1;
	int directory, status;
	long child;

	tg_limit_life();
	directory = open(argc > 1 ? argv[1] : "", O_PATH | O_DIRECTORY);
	if (directory < 0) {
		fprintf(stderr, "no control group: %s\n", strerror(errno));
		return 1;
	}
	args.cgroup = directory;
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0) {
		fprintf(stderr, "clone3: %s\n", strerror(errno));
		return 1;
	}
	if (child == 0) {
		while (tg_process_cpu_ns() < limit_ns)
			state = tg_in_cgroup(state);
		printf("total=%.6f pid=%d state=%lx\n", tg_process_cpu_ns() / 1e9, getpid(), (unsigned long)state);
		return 0;
	}
	if (waitpid(child, &status, 0) < 0 || status != 0)
		return 1;
	return 0;
}
