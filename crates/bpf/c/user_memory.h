/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading memory of the process that was interrupted. */
#ifndef TG_USER_MEMORY_H
#define TG_USER_MEMORY_H

/*
 * A piece of the stack that was read in one go: a read costs some calls within the kernel, and little more if it is long. Of
 * frames so large that it would serve one of them, only the end is read.
 */
#define TG_STACK_WORDS 64
#define TG_FRAME_WORDS 8
struct tg_stack {
	u64 start; /* where it lies */
	u64 bytes; /* how much of it there is */
	u64 words[TG_STACK_WORDS];
};

static __always_inline int tg_read_user(void *to, u32 bytes, u64 address)
{
	return bpf_probe_read_user(to, bytes, (const void *)address);
}

static __always_inline int tg_read_stack(struct tg_stack *stack, u64 address, u64 *word)
{
	u64 at = address - stack->start;

	if (address % sizeof(*word))
		return tg_read_user(word, sizeof(*word), address);
	if (at >= stack->bytes) {
		u32 bytes = at < 2 * sizeof(stack->words) ? sizeof(stack->words) : TG_FRAME_WORDS * sizeof(*word);

		stack->start = address;
		stack->bytes = 0;
		/* At the end of a stack there may be nothing behind it. */
		if (tg_read_user(stack->words, bytes, address))
			return tg_read_user(word, sizeof(*word), address);
		stack->bytes = bytes;
		at = 0;
	}
	*word = stack->words[tg_within(at / sizeof(*word), TG_STACK_WORDS)];
	return 0;
}

#endif
