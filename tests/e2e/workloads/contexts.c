// Runs on stacks that are not its threads': contexts of `makecontext` on memory of their own, fibers that switch by hand
// as libraries of coroutines do, and a thread of a bare `clone`.
#define _GNU_SOURCE
#include "spin.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_SIZE (256 << 10)
#define CONTEXTS 3

static ucontext_t main_context, contexts[CONTEXTS];
static int current;

static char *new_stack(void)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED)
		exit(1);
	return stack;
}

TG_APART int tg_context_deep(int depth)
{
	int result = 0;

	if (depth == 0)
		tg_spin();
	else
		result = tg_context_deep(depth - 1);
	TG_AFTER();
	return result + 1;
}

TG_APART void tg_context(void)
{
	for (;;) {
		for (int i = 0; i < 10; i++)
			tg_sink += (uint64_t)tg_context_deep(20);
		swapcontext(&contexts[current], &main_context);
	}
}

TG_APART void tg_contexts(void)
{
	for (current = 0; current < CONTEXTS; current++)
		swapcontext(&main_context, &contexts[current]);
	TG_AFTER();
}

// Registers that a callee saves, and the stack pointer.
void tg_switch(void **from, void *to);
__asm__(".text\n"
	".globl tg_switch\n"
	".type tg_switch, @function\n"
	"tg_switch:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n	.cfi_adjust_cfa_offset 8\n"
	"	push %rbx\n	.cfi_adjust_cfa_offset 8\n"
	"	push %r12\n	.cfi_adjust_cfa_offset 8\n"
	"	push %r13\n	.cfi_adjust_cfa_offset 8\n"
	"	push %r14\n	.cfi_adjust_cfa_offset 8\n"
	"	push %r15\n	.cfi_adjust_cfa_offset 8\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %r14\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %r13\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %r12\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %rbx\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %rbp\n	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size tg_switch, . - tg_switch\n");

static void *main_fiber, *other_fiber;

// It is entered by a return, and its own return address is 0.
TG_APART void tg_fiber(void)
{
	for (;;) {
		for (int i = 0; i < 20; i++)
			tg_spin();
		tg_switch(&other_fiber, main_fiber);
	}
}

TG_APART void tg_fibers(void)
{
	tg_switch(&main_fiber, other_fiber);
	TG_AFTER();
}

static void make_fiber(void)
{
	void **top = (void **)(new_stack() + STACK_SIZE);

	*--top = 0;
	*--top = (void *)tg_fiber;
	for (int i = 0; i < 6; i++)
		*--top = 0;
	other_fiber = top;
}

TG_APART int tg_cloned(void *nothing)
{
	(void)nothing;
	for (int i = 0; i < 20; i++)
		tg_spin();
	TG_AFTER();
	return 0;
}

TG_APART void tg_cloning(void)
{
	static char *stack;
	// Set before the child runs, and cleared at its end.
	static volatile int running;

	if (!stack)
		stack = new_stack();
	// A child that shares the memory, but is a process of its own, would not be counted to this one.
	if (clone(tg_cloned, stack + STACK_SIZE, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, NULL, &running, NULL, &running) < 0)
		exit(1);
	while (running != 0)
		sched_yield();
	TG_AFTER();
}

int main(void)
{
	tg_limit_life();
	for (int i = 0; i < CONTEXTS; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = new_stack();
		contexts[i].uc_stack.ss_size = STACK_SIZE;
		contexts[i].uc_link = &main_context;
		makecontext(&contexts[i], tg_context, 0);
	}
	make_fiber();
	for (;;) {
		tg_unevenly();
		tg_contexts();
		tg_fibers();
		tg_cloning();
	}
}
