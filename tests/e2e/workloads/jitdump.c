// Makes a function while it runs, spends its time in it, and writes a jitdump file of it, as just-in-time compilers do:
// jitdump DIRECTORY KIND. KIND says where the function lies, or what else is in the file:
//   anonymous, memfd, named (in memory with a name, and no file), bare (in a memfd, and no file), moved,
//   replaced (it has had another name before), deleted, both (a perf map gives it another name),
//   garbage, nonsense, truncated, sparse, hole, endless, foreign, hardlink.
#define _GNU_SOURCE
#include "clock.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define PAGE 4096
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

// push rbp; mov rbp, rsp; mov ecx, 1000000; 1: dec ecx; jnz 1b; pop rbp; ret
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xb9, 0x40, 0x42, 0x0f,
				     0x00, 0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};

static char map_path[64];
static int is_foreign;

static void on_signal(int number)
{
	(void)number;
	unlink(map_path);
	_exit(0);
}

static void put(FILE *dump, uint64_t value, int bytes)
{
	if (is_foreign)
		value = bytes == 4 ? __builtin_bswap32((uint32_t)value) : __builtin_bswap64(value);
	fwrite(&value, bytes, 1, dump);
}

static void put_prefix(FILE *dump, uint32_t kind, uint64_t bytes)
{
	put(dump, kind, 4);
	put(dump, 16 + bytes, 4);
	put(dump, (uint64_t)tg_clock_ns(CLOCK_MONOTONIC), 8);
}

static void put_header(FILE *dump)
{
	put(dump, 0x4a695444, 4);
	put(dump, 1, 4);
	put(dump, 40, 4);
	put(dump, 62, 4);
	put(dump, 0, 4);
	put(dump, getpid(), 4);
	put(dump, (uint64_t)tg_clock_ns(CLOCK_MONOTONIC), 8);
	put(dump, 0, 8);
}

static void put_load(FILE *dump, uint64_t start, const char *name)
{
	put_prefix(dump, 0, 40 + strlen(name) + 1 + sizeof(code));
	put(dump, getpid(), 4);
	put(dump, getpid(), 4);
	put(dump, start, 8);
	put(dump, start, 8);
	put(dump, sizeof(code), 8);
	put(dump, 1, 8);
	fwrite(name, strlen(name) + 1, 1, dump);
	fwrite(code, sizeof(code), 1, dump);
}

static void put_move(FILE *dump, uint64_t before, uint64_t start)
{
	put_prefix(dump, 1, 48);
	put(dump, getpid(), 4);
	put(dump, getpid(), 4);
	put(dump, start, 8);
	put(dump, before, 8);
	put(dump, start, 8);
	put(dump, sizeof(code), 8);
	put(dump, 1, 8);
}

// The loop is at line 9, what comes before it at line 7.
static void put_lines(FILE *dump, uint64_t start)
{
	static const char file[] = "/src/tg_generated.js", same[] = "\xff";

	put_prefix(dump, 2, 16 + 2 * 16 + sizeof(file) + sizeof(same));
	put(dump, start, 8);
	put(dump, 2, 8);
	put(dump, start, 8);
	put(dump, 7, 4);
	put(dump, 0, 4);
	fwrite(file, sizeof(file), 1, dump);
	put(dump, start + 9, 8);
	put(dump, 9, 4);
	put(dump, 0, 4);
	fwrite(same, sizeof(same), 1, dump);
}

static void write_dump(FILE *dump, const char *kind, uint64_t start)
{
	if (!strcmp(kind, "nonsense")) {
		for (int i = 0; i < 100000; i++)
			fprintf(dump, "%c%d\xff\x1b[31m</script>\n", i, i);
		return;
	}
	put_header(dump);
	if (!strcmp(kind, "hole")) {
		// A record of nearly 4 GiB of which nothing is known, and nothing is written.
		put_prefix(dump, 77, 0xf0000000 - 16);
		fseek(dump, 40 + 0xf0000000LL, SEEK_SET);
	}
	if (!strcmp(kind, "replaced"))
		put_load(dump, start, "tg_before");
	if (!strcmp(kind, "moved")) {
		put_load(dump, 0x1000, "tg_generated");
		put_move(dump, 0x1000, start);
	} else {
		put_lines(dump, start);
		put_load(dump, start, "tg_generated");
	}
	if (!strcmp(kind, "garbage"))
		for (int i = 0; i < 1000000; i++)
			fprintf(dump, "%c%d\xff\x1b[31m</script>\n", i, i);
	if (!strcmp(kind, "truncated"))
		put_prefix(dump, 0, 1000);
	fflush(dump);
	if (!strcmp(kind, "sparse"))
		(void)!ftruncate(fileno(dump), 20LL << 30);
	// The file grows for as long as anybody reads it.
	if (!strcmp(kind, "endless") && !fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < 5000000; i++)
			put_load(dump, 0x100000 + i * 16, "tg_other");
		_exit(0);
	}
}

static void *place(const char *kind)
{
	int protection = PROT_READ | PROT_WRITE | PROT_EXEC;
	void *memory;

	if (!strcmp(kind, "memfd") || !strcmp(kind, "bare")) {
		int fd = memfd_create("tg-code", 0);

		(void)!ftruncate(fd, 4 * PAGE);
		// Not from its beginning.
		memory = mmap(NULL, PAGE, protection, MAP_SHARED, fd, 2 * PAGE);
	} else {
		memory = mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	if (memory == MAP_FAILED)
		exit(1);
	if (!strcmp(kind, "named") && prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, memory, PAGE, "tg code")) {
		printf("no names\n");
		fflush(stdout);
	}
	memcpy(memory, code, sizeof(code));
	return memory;
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : ".", *kind = argc > 2 ? argv[2] : "anonymous";
	void *memory = place(kind);
	uint64_t start = (uint64_t)memory;
	char path[256], other[272];

	tg_limit_life();
	signal(SIGTERM, on_signal);
	signal(SIGALRM, on_signal);
	snprintf(path, sizeof(path), "%s/jit-%d.dump", directory, getpid());
	snprintf(other, sizeof(other), "%s.other", path);
	if (strcmp(kind, "named") && strcmp(kind, "bare")) {
		FILE *dump = fopen(path, "w+");

		is_foreign = !strcmp(kind, "foreign");
		// The mark by which the file is found.
		if (!dump || ftruncate(fileno(dump), 0) ||
		    mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0) == MAP_FAILED)
			return 1;
		if (!strcmp(kind, "hardlink"))
			(void)!link(path, other);
		if (!strcmp(kind, "deleted"))
			unlink(path);
		write_dump(dump, kind, start);
		fflush(dump);
	}
	if (!strcmp(kind, "both")) {
		FILE *map;

		snprintf(map_path, sizeof(map_path), "/tmp/perf-%d.map", getpid());
		map = fopen(map_path, "w");
		fprintf(map, "%lx %zx tg_by_map\n", (unsigned long)start, sizeof(code));
		fclose(map);
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		((void (*)(void))memory)();
}
