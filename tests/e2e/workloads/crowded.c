// Has more of something than a process should have, and spends its time in tg_crowded:
// crowded mappings N | threads N | remaps | file PATH. Prints `ready` when all is there.
#define _GNU_SOURCE
#include "clock.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

TG_BURNER(tg_crowded, 13)

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// Pages of code with a page that is none between each two, or the kernel would merge them.
static void map_pages(long count)
{
	char *memory = mmap(NULL, (size_t)count * 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	for (long i = 0; i < count; i++)
		if (mprotect(memory + i * 8192, 4096, PROT_READ | PROT_EXEC))
			fail("mprotect");
}

static void *sleep_on(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

static void start_threads(long count)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	for (long i = 0; i < count; i++)
		if (pthread_create(&thread, &small, sleep_on, NULL))
			fail("pthread_create");
}

// Maps and unmaps code for as long as the process lives.
static void *remap(void *nothing)
{
	for (;;) {
		void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			fail("mmap");
		munmap(memory, 4096);
	}
	return nothing;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	long count = argc > 2 ? atol(argv[2]) : 0;
	uint64_t state = 1;
	pthread_t thread;

	tg_limit_life();
	prctl(PR_SET_NAME, "</b><b>$(x)\x1b[31m");
	if (!strcmp(kind, "mappings")) {
		map_pages(count);
	} else if (!strcmp(kind, "threads")) {
		start_threads(count);
	} else if (!strcmp(kind, "remaps")) {
		pthread_create(&thread, NULL, remap, NULL);
	} else {
		int file = open(argv[2], O_RDONLY);

		if (file < 0 || mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED)
			fail(argv[2]);
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		state = tg_crowded(state);
}
