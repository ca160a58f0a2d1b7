// Spends its time in hand-written assembly whose frames lie as those of cryptographic libraries do: they are found by a register
// that compilers take every call to change, or by a place that a register knows how far away is.
#include "spin.h"

// As `aesni_gcm_encrypt`: its frame is found by rax all the time, since what it calls leaves rax alone.
void tg_by_register(void);
// As `bn_mul_mont`: where its stack pointer was is kept above so many words of its own.
void tg_by_index(long words);

__asm__(".text\n"
	".type tg_by_register, @function\n"
	"tg_by_register:\n"
	".cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	push %rbx\n"
	"	.cfi_offset %rbx, -16\n"
	"	push %rbp\n"
	"	.cfi_offset %rbp, -24\n"
	"	sub $200, %rsp\n"
	"	and $-128, %rsp\n"
	"	xor %ebp, %ebp\n"
	"	call tg_called\n"
	"	mov -16(%rax), %rbp\n"
	"	.cfi_restore %rbp\n"
	"	mov -8(%rax), %rbx\n"
	"	.cfi_restore %rbx\n"
	"	mov %rax, %rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size tg_by_register, . - tg_by_register\n"
	".type tg_called, @function\n"
	"tg_called:\n"
	".cfi_startproc\n"
	"	mov $200000, %ecx\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	ret\n"
	".cfi_endproc\n"
	".size tg_called, . - tg_called\n"
	".type tg_by_index, @function\n"
	"tg_by_index:\n"
	".cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	mov %rdi, %r9\n"
	"	neg %rdi\n"
	"	lea -16(%rsp, %rdi, 8), %rsp\n"
	"	and $-1024, %rsp\n"
	"	mov %rax, 8(%rsp, %r9, 8)\n"
	// *(rsp + 8 + r9 * 8) + 8
	"	.cfi_escape 0x0f, 10, 0x77, 8, 0x79, 0, 0x38, 0x1e, 0x22, 0x06, 0x23, 8\n"
	"	mov $200000, %ecx\n"
	"1:	xor %eax, %eax\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	mov 8(%rsp, %r9, 8), %rsi\n"
	"	.cfi_def_cfa %rsi, 8\n"
	"	mov %rsi, %rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size tg_by_index, . - tg_by_index\n");

TG_APART static void tg_encrypting(void)
{
	tg_by_register();
	TG_AFTER();
}

TG_APART static void tg_multiplying(void)
{
	for (int i = 1; i < 4; i++)
		tg_by_index(6 * i);
	TG_AFTER();
}

int main(void)
{
	tg_limit_life();
	for (;;) {
		tg_unevenly();
		tg_encrypting();
		tg_multiplying();
	}
}
