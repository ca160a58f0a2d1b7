// Spends its time in generated code, most of it where a function has no frame of its own yet or any more: edges KIND, KIND one of
//   push    functions that keep frame pointers, one of which calls the other, which does little but come and go
//   other   the same by the other encodings of the same instructions
//   zero    a function that uses the frame pointer for something else, and has 0 in it
#include "clock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// push rbp; mov rbp, rsp; mov ecx, edi; 1: call 2f; dec ecx; jnz 1b; pop rbp; ret
static const unsigned char outer[] = {0x55, 0x48, 0x89, 0xe5, 0x89, 0xf9, 0xe8, 0xf5, 0x00,
				      0x00, 0x00, 0xff, 0xc9, 0x75, 0xf7, 0x5d, 0xc3};
// 2: push rbp; mov rbp, rsp; imul rax, rax (twice); pop rbp; ret
static const unsigned char push[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x0f, 0xaf, 0xc0, 0x48, 0x0f, 0xaf, 0xc0, 0x5d, 0xc3};
// 2: endbr64; push rbp; mov rbp, rsp; imul rax, rax; leave; ret 0
static const unsigned char other[] = {0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x8b, 0xec,
				      0x48, 0x0f, 0xaf, 0xc0, 0xc9, 0xc2, 0x00, 0x00};
// 2: push rbp; sub rsp, 32; xor ebp, ebp; mov eax, 30; 1: dec eax; jnz 1b; add rsp, 32; pop rbp; ret
static const unsigned char zero[] = {0x55, 0x48, 0x83, 0xec, 0x20, 0x31, 0xed, 0xb8, 0x1e, 0x00, 0x00, 0x00,
				     0xff, 0xc8, 0x75, 0xfc, 0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};

static char path[64];

static void on_signal(int number)
{
	(void)number;
	unlink(path);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "push";
	unsigned char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *map;

	tg_limit_life();
	signal(SIGTERM, on_signal);
	signal(SIGALRM, on_signal);
	memcpy(memory, outer, sizeof(outer));
	if (!strcmp(kind, "push"))
		memcpy(memory + 0x100, push, sizeof(push));
	else if (!strcmp(kind, "other"))
		memcpy(memory + 0x100, other, sizeof(other));
	else
		memcpy(memory + 0x100, zero, sizeof(zero));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	map = fopen(path, "w");
	fprintf(map, "%lx 40 tg_outer\n%lx 40 tg_inner\n", (unsigned long)memory, (unsigned long)memory + 0x100);
	fclose(map);
	for (;;)
		((void (*)(int))memory)(1000000);
}
