// Maps a binary, and spends its time in tg_large, which a function of that binary calls: large FILE OFFSET.
#include "clock.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static volatile uint64_t sink;

__attribute__((noinline, noclone)) void tg_large(void)
{
	for (int i = 0; i < 40000; i++)
		sink += (uint64_t)i;
}

int main(int argc, char **argv)
{
	struct stat status;
	int file = argc == 3 ? open(argv[1], O_RDONLY) : -1;
	char *memory = MAP_FAILED;

	if (file >= 0 && !fstat(file, &status))
		memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
	if (memory == MAP_FAILED) {
		perror("large FILE OFFSET");
		return 1;
	}
	tg_limit_life();
	for (;;)
		((void (*)(void (*)(void)))(memory + atol(argv[2])))(tg_large);
}
