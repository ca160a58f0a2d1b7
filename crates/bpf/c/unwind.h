/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The user stack, frame by frame: the mapping that an address lies in leads to the table of its binary, the table to
 * the rule, the rule to the caller. Where there is no table, frame pointers are followed.
 */
#ifndef TG_UNWIND_H
#define TG_UNWIND_H

/* Tables of binaries, each an array of blocks of its own size. User space alone makes, fills and removes them. */
struct tg_unwind_blocks {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct tg_unwind_block));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TG_MAX_TABLES);
	__type(key, u32);
	__array(values, struct tg_unwind_blocks);
} tg_tables SEC(".maps");

/* The rules that all tables refer to; mapped by user space, which only ever appends to them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TG_MAX_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct tg_unwind_rule);
} tg_rules SEC(".maps");

/*
 * What each program image has mapped executable, by its token and the number of a part (token << 8 | part). The parts
 * of an image are a binary tree; most have one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TG_MAX_PARTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct tg_mapped);
} tg_mapped SEC(".maps");

/* The key of an image's first part, by the word of its process. */
static __always_inline u64 tg_mapped_key(u64 word)
{
	return word >> TG_TOKEN_SHIFT << 8;
}

/* Which addresses have been handed out anew, by the token of the image. User space makes and removes entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct tg_areas);
} tg_areas SEC(".maps");

/* A walk up a stack, in the scratch memory of its CPU: registers of a BPF program do not outlive a frame. */
struct tg_walk {
	struct tg_unwind_registers registers;
	u64 key; /* of part 0 */
	struct tg_range range; /* in which the last frame was found */
	tg_user_regs interrupted; /* registers of the first frame */
	u64 thread; /* where the thread's local storage ends; 0 if that is not known */
	u32 frames;
	u32 most;
	u32 depth;
	u32 ending; /* enum tg_ending */
	bool not_ready; /* frame pointers stood in for a table that is not there yet */
	bool outdated; /* the list is that of an earlier state of the address space */
	bool at_start; /* of a function: nothing holds for the byte before the frame's return address */
	bool not_called; /* the frame that was last left has an address of its own, not that behind a call */
};

/* An outcome of this file alone: the frame is to be looked at once more. */
#define TG_STEP_AGAIN 0x100

static __always_inline const struct tg_unwind_block *tg_unwind_block(struct tg_unwind_table *table, u32 number)
{
	return bpf_map_lookup_elem(table, &number);
}

static __always_inline struct tg_unwind_table *tg_unwind_table(u32 number)
{
	u32 slot = number % TG_MAX_TABLES;

	return bpf_map_lookup_elem(&tg_tables, &slot);
}

static __always_inline const struct tg_unwind_rule *tg_unwind_rule(u32 number)
{
	return bpf_map_lookup_elem(&tg_rules, &number);
}

/* 1 if a <= b, else 0; both below 2^63, as the addresses of user space are. */
static __always_inline u32 tg_address_at_most(u64 a, u64 b)
{
	u64 difference = b - a;

	barrier_var(difference);
	return (~difference >> 63) & 1;
}

enum tg_where {
	TG_WHERE_FOUND,
	TG_WHERE_UNMAPPED, /* in no executable mapping that is known */
	TG_WHERE_NOBODY, /* nothing is known of this image's mappings yet */
};

/* Leaves the mapping that an address lies in at `walk->range`. */
static __always_inline enum tg_where tg_find_range(struct tg_walk *walk, u64 pc)
{
	struct tg_mapped *part = NULL;
	struct tg_range *range;
	u64 key = walk->key;
	u32 at = 0, bit, level;

	if (walk->outdated)
		return TG_WHERE_NOBODY;
	if (pc - walk->range.start < walk->range.end - walk->range.start)
		return TG_WHERE_FOUND;
	for (level = 0; level < TG_PART_LEVELS; level++) {
		u32 next;

		part = bpf_map_lookup_elem(&tg_mapped, &key);
		if (!part)
			return level ? TG_WHERE_UNMAPPED : TG_WHERE_NOBODY;
		if (pc < part->low)
			next = part->left;
		else if (pc >= part->high)
			next = part->right;
		else
			break;
		if (!next)
			return TG_WHERE_UNMAPPED;
		key = walk->key | (next & 0xff);
	}
	if (!part)
		return TG_WHERE_UNMAPPED;
#pragma unroll
	for (bit = TG_PART_RANGES / 2; bit; bit /= 2)
		at += bit * tg_address_at_most(part->ranges[tg_within(at + bit, TG_PART_RANGES)].start, pc);
	range = &part->ranges[tg_within(at, TG_PART_RANGES)];
	if (pc < range->start || pc >= range->end)
		return TG_WHERE_UNMAPPED;
	walk->range = *range;
	return TG_WHERE_FOUND;
}

#if defined(__TARGET_ARCH_x86)
/* A register of the interrupted frame by its DWARF number, 0 to 15. The stack pointer is not asked for. */
static __always_inline u64 *tg_interrupted_register(struct tg_walk *walk, u32 number)
{
	/* Where in pt_regs each is: four bits a register, the first one lowest. */
	u32 slot = 0x01236789f4ed5bcaULL >> (number % 16 * 4) & 15;

	return &((u64 *)&walk->interrupted)[tg_within(slot, 16)];
}
#else
static __always_inline u64 *tg_interrupted_register(struct tg_walk *walk, u32 number)
{
	return NULL;
}
#endif

/* rax, rdx, rcx, rsi, rdi, r8 to r11 by their DWARF numbers: compilers take it that a call changes them. */
#define TG_CHANGED_BY_CALLS 0xf37

/*
 * Whether the frame that has called the interrupted one finds its own by such a register. A compiler's does not: this one is
 * written by hand, and calls what leaves the register alone.
 */
static __always_inline bool tg_outlives_call(struct tg_walk *walk, const struct tg_unwind_rule *rule)
{
	return rule->kind == TG_RULE_REGISTER && TG_CHANGED_BY_CALLS >> (rule->reg & 31) & 1 && !walk->registers.exact;
}

/* Whether the register by which a rule finds its frame is still what it was when the thread was interrupted. */
static __always_inline bool tg_is_in_register(struct tg_walk *walk, const struct tg_unwind_rule *rule)
{
	return !walk->depth || (walk->depth == 1 && tg_outlives_call(walk, rule)) ||
	       (rule->reg == TG_DWARF_RBX && walk->registers.rbx_at == TG_IN_REGISTER);
}

static __always_inline int tg_step_by_table(struct tg_walk *walk, struct tg_stack *stack, struct tg_found *found,
					    u64 pc)
{
	const struct tg_unwind_rule *rule;
	u64 *other = NULL;
	u32 number;

	if (!tg_find_rule(found, walk->range.table, pc - walk->range.start + walk->range.position, &number))
		return TG_STEP_UNKNOWN;
	rule = tg_unwind_rule(number);
	if (!rule)
		return TG_STEP_UNKNOWN;
	if (tg_is_in_register(walk, rule))
		other = tg_interrupted_register(walk, rule->reg);
	return tg_step(rule, &walk->registers, stack, other, walk->thread);
}

/*
 * What a signal handler returns to, where nothing describes it: in musl's library, in Go's runtime. It is known by its
 * instructions, `mov $15, %rax; syscall`, as debuggers know it.
 */
static __always_inline bool tg_is_signal_return(u64 pc)
{
	u64 instructions;

	return !tg_read_user(&instructions, sizeof(instructions), pc) && instructions == 0x0f0000000fc0c748ULL;
}

/*
 * Whether a call returns to an address, `e8` and where it leads from here. The last of a function, which does not return, returns to
 * the next function.
 */
static __always_inline bool tg_is_behind_call(u64 pc)
{
	u64 before;

	return !tg_read_user(&before, sizeof(before), pc - sizeof(before)) && (before >> 24 & 0xff) == 0xe8;
}

/*
 * Up from a frame. Where the byte before a return address is no function's, no call has put it there. It is that of a signal's
 * frame, or of a function that something has been made to look as if it came from, as a context's first function. That function's
 * frame is the last one. The walk looks at such a frame twice.
 */
static __always_inline int tg_step_up(struct tg_walk *walk, struct tg_stack *stack, struct tg_found *found)
{
	bool second = walk->at_start, was_exact = walk->registers.exact && !second;
	u64 pc = walk->registers.exact ? walk->registers.pc : walk->registers.pc - 1;
	int outcome = TG_STEP_UNKNOWN;
	bool described = false;

	walk->at_start = false;
	walk->not_called = false;
	switch (tg_find_range(walk, pc)) {
	case TG_WHERE_UNMAPPED:
		return TG_ENDING_UNMAPPED;
	case TG_WHERE_NOBODY:
		walk->not_ready = true;
		break;
	case TG_WHERE_FOUND:
		if (walk->range.table == TG_TABLE_AWAITED)
			walk->not_ready = true;
		else
			described = walk->range.table != TG_TABLE_NONE;
		break;
	}
	if (described)
		outcome = tg_step_by_table(walk, stack, found, pc);
	if (outcome != TG_STEP_UNKNOWN) {
		/* Behind a signal's frame the address is exact. */
		bool is_signal = outcome == TG_STEP_DONE && walk->registers.exact == TG_EXACT;

		walk->not_called = !was_exact && (second || is_signal);
		return second && !is_signal ? TG_STEP_OUTERMOST : outcome;
	}
	if (second) {
		walk->registers.exact = TG_EXACT_NOT;
	} else if (was_exact) {
		outcome = tg_step_without_frame(&walk->registers, stack);
		if (outcome != TG_STEP_UNKNOWN)
			return outcome;
	} else if (walk->depth) {
		if (tg_is_signal_return(walk->registers.pc)) {
			walk->not_called = true;
			return tg_step_signal(&walk->registers);
		}
		if (described && !tg_is_behind_call(walk->registers.pc)) {
			walk->at_start = true;
			walk->registers.exact = TG_EXACT;
			return TG_STEP_AGAIN;
		}
	}
	return tg_step_by_frame_pointer(&walk->registers, stack, described);
}

#endif
