// Spends its time below a function that nothing can tell the frame of, whose frame pointer is 0, and that ends with a call: where
// that would return to, the next function begins, which is described.
#include "spin.h"

void tg_unfollowed(void);

__asm__(".text\n"
	".type tg_unfollowed, @function\n"
	"tg_unfollowed:\n"
	"	push %rbx\n"
	"	mov $0, %ebp\n"
	"	mov %rsp, %rax\n"
	"	xor $64, %rax\n"
	"	xor $64, %rax\n"
	"	mov %rax, %rsp\n"
	"	call tg_last\n"
	".size tg_unfollowed, . - tg_unfollowed\n"
	".type tg_next, @function\n"
	"tg_next:\n"
	".cfi_startproc\n"
	"	ret\n"
	".cfi_endproc\n"
	".size tg_next, . - tg_next\n");

__attribute__((noreturn, used)) void tg_last(void)
{
	while (tg_thread_cpu_ns() < 1500000000)
		tg_unevenly();
	_exit(0);
}

int main(void)
{
	tg_limit_life();
	tg_unfollowed();
	TG_AFTER();
	return 0;
}
