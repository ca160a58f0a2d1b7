// Has a child under a pid of the caller's choice, which burns CPU time without exec or becomes another program:
//
//   at_pid PID CPU_MILLISECONDS
//   at_pid PID CPU_MILLISECONDS PROGRAM
//
// PROGRAM is run with CPU_MILLISECONDS. Exits with 2 if the pid cannot be had, else with 0.
#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TG_BURNER(tg_at_pid, 13)

int main(int argc, char **argv)
{
	pid_t wanted = argc > 2 ? atoi(argv[1]) : 0;
	int64_t limit_ns = argc > 2 ? atoll(argv[2]) * 1000000 : 0;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = 1,
	};
	uint64_t state = 1;

	tg_limit_life();
	// As fork(2), but for the choice.
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0) {
		perror("clone3");
		return 2;
	}
	if (child > 0) {
		int status = 0;

		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	tg_limit_life();
	if (argc > 3) {
		execl(argv[3], argv[3], argv[2], (char *)NULL);
		_exit(1);
	}
	while (tg_process_cpu_ns() < limit_ns)
		state = tg_at_pid(state);
	_exit(state == 0);
}
