// Comes to a program by a way that is not fork and exec alone:
//
//   chain thread|daemon|vfork PROGRAM ARGUMENT…
//
// thread: a thread that does not lead calls exec. daemon: two forks and a session of its own in between, as daemons do.
// vfork: the parent stands still until its child has called exec.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(char **argv)
{
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static void *become_in_thread(void *argv)
{
	become(argv);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status = 0;
	pid_t child;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "thread")) {
		pthread_create(&thread, NULL, become_in_thread, argv + 2);
		for (;;)
			pause();
	} else if (!strcmp(argv[1], "daemon")) {
		if (fork())
			return 0;
		setsid();
		if (fork())
			return 0;
		become(argv + 2);
	} else {
		child = vfork();
		if (!child)
			become(argv + 2);
		waitpid(child, &status, 0);
	}
	return WEXITSTATUS(status);
}
