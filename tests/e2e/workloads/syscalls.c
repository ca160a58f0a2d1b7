// Spends nearly all its CPU time in the kernel, reading /dev/zero, until SIGTERM.
//
// The system call is made by the function itself, not by the C library, so that the function is the caller of the
// kernel whatever way user stacks are walked.
#include "clock.h"

#include <fcntl.h>
#include <sys/syscall.h>

static char buffer[1 << 20];

__attribute__((noinline, noclone)) long tg_read_zero(long fd)
{
	long result;

	TG_KEEP_FRAME();
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_read), "D"(fd), "S"(buffer), "d"(sizeof(buffer))
			 : "rcx", "r11", "memory");
	return result;
}

int main(void)
{
	int fd = open("/dev/zero", O_RDONLY);

	if (fd < 0)
		return 1;
	tg_limit_life();
	while (tg_read_zero(fd) > 0)
		;
	return 1;
}
