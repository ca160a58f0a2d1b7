/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The search in an unwind table, and the step from a frame to its caller. Compiled twice: into the programs, and for
 * user space, where the tests hold it against call frame information itself.
 *
 * Who includes this has bool and fixed-width types (u8 … s64), and says how a table and memory are read:
 *   struct tg_unwind_table *tg_unwind_table(u32 number);                                        NULL if there is none
 *   const struct tg_unwind_block *tg_unwind_block(struct tg_unwind_table *table, u32 number);   the same
 *   const struct tg_unwind_rule *tg_unwind_rule(u32 number);                                    the same
 *   int tg_read_user(void *to, u32 bytes, u64 address);                                         0 if it could be read
 *   int tg_read_stack(struct tg_stack *stack, u64 address, u64 *word);                          the same of a word of the stack
 */
#ifndef TG_UNWIND_TABLE_H
#define TG_UNWIND_TABLE_H

#define TG_UNWIND_PAGE_BITS 16
#define TG_UNWIND_ROWS 256

/* `src/table.rs` says what is in it. */
struct tg_unwind_block {
	union {
		u32 words[TG_UNWIND_ROWS];
		struct {
			u16 low;
			u16 rule;
		} rows[TG_UNWIND_ROWS];
	};
};
_Static_assert(sizeof(struct tg_unwind_block) == 1024, "layout shared with table.rs");

enum tg_rule_kind {
	TG_RULE_UNKNOWN = 0,
	TG_RULE_REGISTER = 1,
	TG_RULE_DEREF = 2,
	TG_RULE_PLT = 3,
	TG_RULE_SIGNAL = 4,
	TG_RULE_OUTERMOST = 5,
	TG_RULE_UNSUPPORTED = 6,
	TG_RULE_RETURN_IN_REGISTER = 7,
	TG_RULE_OTHER_STACK = 8, /* as TG_RULE_REGISTER, but its caller's frame may be anywhere */
	TG_RULE_INTERRUPTED = 9, /* as TG_RULE_REGISTER, but its caller was interrupted, and has not called it */
	TG_RULE_CALL_OF_C = 10,
	TG_RULE_GOROUTINE = 11,
	TG_RULE_INDEXED = 12, /* as TG_RULE_DEREF from the stack pointer, and as many words farther as the register says */
};

enum tg_rule_place {
	TG_PLACE_SAME = 0,
	TG_PLACE_AT_CFA = 1,
	TG_PLACE_AT_FRAME_POINTER = 2,
	TG_PLACE_LOST = 3,
};

/* `src/rule.rs` says what is in it. */
struct tg_unwind_rule {
	u8 kind;
	u8 reg;
	u8 frame_pointer;
	u8 return_address;
	s32 cfa_offset;
	s16 cfa_added;
	s16 frame_pointer_offset;
	s16 return_address_offset;
	s16 rbx;
};
_Static_assert(sizeof(struct tg_unwind_rule) == 16, "layout shared with rule.rs");

struct tg_unwind_table;
static struct tg_unwind_table *tg_unwind_table(u32 number);
static const struct tg_unwind_block *tg_unwind_block(struct tg_unwind_table *table, u32 number);
static const struct tg_unwind_rule *tg_unwind_rule(u32 number);
struct tg_stack;
static int tg_read_user(void *to, u32 bytes, u64 address);
static int tg_read_stack(struct tg_stack *stack, u64 address, u64 *word);

#ifndef TG_OPAQUE
/* Keeps the compiler from turning arithmetic into branches, each of which the verifier would follow both ways. */
#define TG_OPAQUE(variable) asm volatile("" : "+r"(variable))
#endif

/*
 * A number modulo a power of two, where the verifier can see it: the compiler, which knows that the number is small
 * enough, would leave the operation out.
 */
static __always_inline u32 tg_within(u32 number, u32 count)
{
	TG_OPAQUE(number);
	return number & (count - 1);
}

/* 1 if a <= b, else 0; both below 2^31. */
static __always_inline u32 tg_at_most(u32 a, u32 b)
{
	u32 difference = b - a;

	TG_OPAQUE(difference);
	return (~difference >> 31) & 1;
}

/* A word of the table's index. */
static __always_inline int tg_unwind_index(struct tg_unwind_table *table, u32 word, u32 *value)
{
	const struct tg_unwind_block *block = tg_unwind_block(table, word / TG_UNWIND_ROWS);

	if (!block)
		return -1;
	*value = block->words[tg_within(word, TG_UNWIND_ROWS)];
	return 0;
}

/* The last row of a block that does not begin above `low`; the first one does not. */
static __always_inline u32 tg_unwind_row(const struct tg_unwind_block *block, u32 low)
{
	u32 at = 0, bit;

#pragma unroll
	for (bit = TG_UNWIND_ROWS / 2; bit; bit /= 2)
		at += bit * tg_at_most(block->rows[tg_within(at + bit, TG_UNWIND_ROWS)].low, low);
	return block->rows[tg_within(at, TG_UNWIND_ROWS)].rule;
}

/* The number of the rule that holds at a position of the table; 0, the unknown one, if there is none. */
static __always_inline u32 tg_unwind_find(struct tg_unwind_table *table, u32 position)
{
	u32 page = position >> TG_UNWIND_PAGE_BITS, low = position & 0xffff;
	u32 pages, first, end, at = 0, bit;
	const struct tg_unwind_block *block;

	if (tg_unwind_index(table, 0, &pages) || page >= pages)
		return 0;
	if (tg_unwind_index(table, 1 + page, &first) || tg_unwind_index(table, 2 + page, &end))
		return 0;
#pragma unroll
	for (bit = TG_UNWIND_ROWS / 2; bit; bit /= 2) {
		if (first + at + bit >= end)
			continue;
		block = tg_unwind_block(table, first + at + bit);
		if (block)
			at += bit * tg_at_most(block->rows[0].low, low);
	}
	if (first + at >= end)
		return 0;
	block = tg_unwind_block(table, first + at);
	if (!block || block->rows[0].low > low)
		return 0;
	return tg_unwind_row(block, low);
}

/*
 * Rules that were found lately, one per place in the tables: the same functions are on the stacks of one tick after the other, and
 * a search goes through a dozen lines of memory that nobody else has had in his cache since. No two tables have one number, nor do
 * tables or rules change, so what has been found stays true.
 */
#define TG_FOUND_BITS 10
struct tg_found {
	u64 place; /* (number of the table << 32 | position) + 1; 0: nothing yet */
	u32 rule;
	u32 unused;
};

/* The rule that holds at a position of a table; false if there is no such table any more. */
static __always_inline bool tg_find_rule(struct tg_found *found, u32 number, u32 position, u32 *rule)
{
	u64 place = ((u64)number << 32 | position) + 1;
	struct tg_unwind_table *table;

	found += tg_within(place * 0x9e3779b97f4a7c15ULL >> (64 - TG_FOUND_BITS), 1 << TG_FOUND_BITS);
	if (found->place == place) {
		*rule = found->rule;
		return true;
	}
	table = tg_unwind_table(number);
	if (!table)
		return false;
	*rule = tg_unwind_find(table, position);
	found->place = place;
	found->rule = *rule;
	return true;
}

/* Registers by their DWARF numbers on x86-64; of callers only these are known, and where rules say so rbx. */
#define TG_DWARF_RBX 3
#define TG_DWARF_RBP 6
#define TG_DWARF_RSP 7

struct tg_unwind_registers {
	u64 pc;
	u64 sp;
	u64 fp;
	/* Where the frame's rbx has been saved; 0 if nobody knows, TG_IN_REGISTER if it is where it was. */
	u64 rbx_at;
	/* The address of the next instruction is exact, not that after a call: the interrupted frame, and one a signal has. */
	u8 exact; /* enum tg_exact */
	/* The frame pointer has been followed all the way. */
	u8 fp_known;
	/* How often it has gone on on another stack, but for signals'. */
	u8 switches;
};

/* Of `rbx_at`, and of a rule's `rbx`. */
#define TG_IN_REGISTER 1

enum tg_exact {
	TG_EXACT_NOT = 0,
	TG_EXACT = 1,
	TG_EXACT_BELOW_CALLED = 2, /* so is this one, but it has been made to look as if it had called the one above */
};

/* Calls of C by Go, and of Go by C, within each other: each is two changes of stacks. What was read wrongly may go round for ever. */
#define TG_MAX_SWITCHES 64

enum tg_step {
	TG_STEP_DONE = 0, /* the registers are the caller's */
	TG_STEP_OUTERMOST = 1, /* there is no caller */
	TG_STEP_UNKNOWN = 2, /* no rule */
	TG_STEP_UNSUPPORTED = 3, /* a rule that cannot be followed */
	TG_STEP_UNREADABLE = 4, /* the stack could not be read */
	TG_STEP_NO_PROGRESS = 5, /* the caller's stack would lie below */
};

/* Where `struct ucontext` has the interrupted registers; the kernel's layout, which does not change. */
#define TG_UCONTEXT_RBP 120
#define TG_UCONTEXT_RBX 128
#define TG_UCONTEXT_RSP 160
#define TG_UCONTEXT_RIP 168

static __always_inline int tg_step_signal(struct tg_unwind_registers *registers)
{
	u64 fp, words[2];

	if (tg_read_user(&fp, sizeof(fp), registers->sp + TG_UCONTEXT_RBP) ||
	    tg_read_user(words, sizeof(words), registers->sp + TG_UCONTEXT_RSP))
		return TG_STEP_UNREADABLE;
	registers->rbx_at = registers->sp + TG_UCONTEXT_RBX;
	registers->fp = fp;
	registers->fp_known = 1;
	registers->sp = words[0];
	registers->pc = words[1];
	registers->exact = TG_EXACT;
	return TG_STEP_DONE;
}

/*
 * Go's run time has left a goroutine by hand, and works on the thread's own stack: it goes on where that was. At a distance from
 * the end of the thread's local storage, `thread`, is the goroutine that runs, which knows its thread (`m`), which knows the
 * goroutine that was left (`curg`), which knows where it was (`sched`). Without one this is where the stack begins.
 */
static __always_inline int tg_step_goroutine(const struct tg_unwind_rule *rule, struct tg_unwind_registers *registers,
					     u64 thread)
{
	u64 at, fp, left[2]; /* stack pointer, program counter */

	if (!thread)
		return TG_STEP_UNSUPPORTED;
	if (registers->switches >= TG_MAX_SWITCHES)
		return TG_STEP_NO_PROGRESS;
	if (tg_read_user(&at, sizeof(at), thread + (s64)rule->cfa_offset) ||
	    tg_read_user(&at, sizeof(at), at + rule->reg) ||
	    tg_read_user(&at, sizeof(at), at + (s64)rule->frame_pointer_offset))
		return TG_STEP_UNREADABLE;
	if (!at)
		return TG_STEP_OUTERMOST;
	if (tg_read_user(left, sizeof(left), at + rule->frame_pointer) ||
	    tg_read_user(&fp, sizeof(fp), at + (s64)rule->return_address_offset))
		return TG_STEP_UNREADABLE;
	if (!left[0])
		return TG_STEP_OUTERMOST;
	if (rule->return_address == TG_PLACE_AT_CFA) {
		left[0] += (s64)rule->cfa_added;
		if (tg_read_user(&left[1], sizeof(left[1]), left[0] - 8))
			return TG_STEP_UNREADABLE;
	}
	registers->sp = left[0];
	registers->pc = left[1];
	registers->fp = fp;
	registers->fp_known = 1;
	registers->rbx_at = 0;
	registers->exact = TG_EXACT_NOT;
	registers->switches++;
	return left[1] ? TG_STEP_DONE : TG_STEP_OUTERMOST;
}

/*
 * Where Go's stack pointer was when it called C on the thread's own stack: there is the goroutine, and below it how far below the
 * upper end of its stack that was, since a stack may be moved meanwhile; or no goroutine, and the stack pointer itself.
 */
static __always_inline int tg_go_stack_pointer(u64 place, u64 *sp)
{
	u64 kept[2], high;

	if (tg_read_user(kept, sizeof(kept), place - 8))
		return -1;
	*sp = kept[0];
	if (!kept[1])
		return 0;
	/* `g.stack.hi`, the second word of all. */
	if (tg_read_user(&high, sizeof(high), kept[1] + 8))
		return -1;
	*sp = high - kept[0];
	return 0;
}

/*
 * From a frame to its caller. `other` is the value of the register that the rule names where that is neither stack nor
 * frame pointer; it is known in the interrupted frame only. `thread` is where the thread's local storage ends, 0 if that is not
 * known.
 */
static __always_inline int tg_step(const struct tg_unwind_rule *rule, struct tg_unwind_registers *registers,
				   struct tg_stack *stack, const u64 *other, u64 thread)
{
	u64 cfa, fp = registers->fp, pc;
	u8 fp_known = registers->fp_known, switches = registers->switches;

	/* Between two ticks a CPU forgets the code: what nearly all frames need is to lie close together. */
	switch (__builtin_expect(rule->kind, TG_RULE_REGISTER)) {
	case TG_RULE_UNKNOWN:
		return TG_STEP_UNKNOWN;
	case TG_RULE_OUTERMOST:
		return TG_STEP_OUTERMOST;
	case TG_RULE_SIGNAL:
		return tg_step_signal(registers);
	case TG_RULE_RETURN_IN_REGISTER:
		if (!other)
			return TG_STEP_UNSUPPORTED;
		cfa = registers->sp + (s64)rule->cfa_offset;
		if (cfa < registers->sp)
			return TG_STEP_NO_PROGRESS;
		registers->pc = *other;
		registers->sp = cfa;
		registers->exact = TG_EXACT_NOT;
		return *other ? TG_STEP_DONE : TG_STEP_OUTERMOST;
	case TG_RULE_INDEXED:
		if (!other)
			return TG_STEP_UNSUPPORTED;
		if (tg_read_user(&cfa, sizeof(cfa), registers->sp + (s64)rule->cfa_offset + *other * 8))
			return TG_STEP_UNREADABLE;
		cfa += (s64)rule->cfa_added;
		break;
	case TG_RULE_PLT:
		cfa = registers->sp + 8 + ((registers->pc & 15) >= rule->reg ? 8 : 0);
		break;
	case TG_RULE_GOROUTINE:
		return tg_step_goroutine(rule, registers, thread);
	case TG_RULE_CALL_OF_C:
		if (tg_go_stack_pointer(registers->sp + (s64)rule->cfa_offset, &cfa))
			return TG_STEP_UNREADABLE;
		cfa += (s64)rule->cfa_added;
		switches++;
		break;
	case TG_RULE_OTHER_STACK:
		switches++;
		/* fall through */
	case TG_RULE_INTERRUPTED:
	case TG_RULE_REGISTER:
	case TG_RULE_DEREF:
		if (__builtin_expect(rule->reg == TG_DWARF_RSP, 1))
			cfa = registers->sp;
		else if (rule->reg == TG_DWARF_RBP && fp_known)
			cfa = fp;
		else if (rule->reg != TG_DWARF_RBP && other)
			cfa = *other;
		else if (rule->reg != TG_DWARF_RBX || registers->rbx_at <= TG_IN_REGISTER)
			return TG_STEP_UNSUPPORTED;
		else if (tg_read_user(&cfa, sizeof(cfa), registers->rbx_at))
			return TG_STEP_UNREADABLE;
		cfa += (s64)rule->cfa_offset;
		if (rule->kind == TG_RULE_DEREF) {
			if (tg_read_user(&cfa, sizeof(cfa), cfa))
				return TG_STEP_UNREADABLE;
			cfa += (s64)rule->cfa_added;
		}
		break;
	default:
		return TG_STEP_UNSUPPORTED;
	}
	/*
	 * Stacks grow down; only a signal, and Go's own changes, lead to another stack. A function that has been interrupted may have
	 * taken its return address off before it goes on in another one, as OCaml's do that call C.
	 */
	if (switches == registers->switches ?
		    cfa < registers->sp || (cfa == registers->sp && registers->exact != TG_EXACT) :
		    switches > TG_MAX_SWITCHES)
		return TG_STEP_NO_PROGRESS;
	switch (rule->frame_pointer) {
	case TG_PLACE_AT_CFA:
		fp_known = !tg_read_stack(stack, cfa + (s64)rule->frame_pointer_offset, &fp);
		break;
	case TG_PLACE_AT_FRAME_POINTER:
		fp_known = fp_known && !tg_read_user(&fp, sizeof(fp), fp + (s64)rule->frame_pointer_offset);
		break;
	case TG_PLACE_LOST:
		fp_known = 0;
		break;
	}
	if (tg_read_stack(stack, cfa - 8, &pc))
		return TG_STEP_UNREADABLE;
	if (rule->rbx != TG_IN_REGISTER)
		registers->rbx_at = rule->rbx ? cfa + (s64)rule->rbx : 0;
	registers->pc = pc;
	registers->sp = cfa;
	registers->fp = fp;
	registers->fp_known = fp_known;
	registers->exact = rule->kind == TG_RULE_INTERRUPTED ? TG_EXACT_BELOW_CALLED : TG_EXACT_NOT;
	registers->switches = switches;
	return pc ? TG_STEP_DONE : TG_STEP_OUTERMOST;
}

#endif
