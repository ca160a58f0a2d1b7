// Makes a function while it runs, as just-in-time compilers do, spends its time in it, and writes a map of it for perf:
// generated KIND, KIND one of good, none, symlink, hardlink, fifo, sparse, garbage, endless.
#define _GNU_SOURCE
#include "clock.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char path[64], other[72];

static void remove_map(void)
{
	unlink(path);
	unlink(other);
}

static void on_signal(int number)
{
	(void)number;
	remove_map();
	_exit(0);
}

int main(int argc, char **argv)
{
	// push rbp; mov rbp, rsp; mov ecx, 1000000; 1: dec ecx; jnz 1b; pop rbp; ret
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xb9, 0x40, 0x42, 0x0f,
					     0x00, 0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};
	const char *kind = argc > 1 ? argv[1] : "good";
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *map;

	tg_limit_life();
	signal(SIGTERM, on_signal);
	signal(SIGALRM, on_signal);
	memcpy(memory, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	snprintf(other, sizeof(other), "%s.other", path);
	if (!strcmp(kind, "fifo")) {
		mkfifo(path, 0600);
	} else if (strcmp(kind, "none")) {
		int elsewhere = !strcmp(kind, "symlink") || !strcmp(kind, "hardlink");

		map = fopen(elsewhere ? other : path, "w");
		if (!strcmp(kind, "garbage"))
			for (int i = 0; i < 1000000; i++)
				fprintf(map, "%c%d\xff\x1b[31m</script>\n", i, i);
		fprintf(map, "%lx %zx tg_generated\n", (unsigned long)memory, sizeof(code));
		fflush(map);
		if (!strcmp(kind, "symlink"))
			(void)!symlink(other, path);
		if (!strcmp(kind, "hardlink"))
			(void)!link(other, path);
		if (!strcmp(kind, "sparse"))
			(void)!ftruncate(fileno(map), 20LL << 30);
		// The map grows for as long as anybody reads it.
		if (!strcmp(kind, "endless") && !fork()) {
			for (int i = 0; i < 20000000; i++)
				fprintf(map, "%x 1 tg_other\n", i);
			_exit(0);
		}
	}
	for (;;)
		((void (*)(void))memory)();
}
