/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side's search and step, for the tests: over a table in memory, and memory that the test makes up. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#include "unwind_table.h"

struct tg_unwind_table {
	const u8 *bytes;
	u32 blocks;
};

static _Thread_local struct tg_unwind_table *tables;
static _Thread_local u32 table_count;
static _Thread_local const struct tg_unwind_rule *rules;
static _Thread_local u32 rule_count;
static _Thread_local int (*read_memory)(void *context, u64 address, u64 *word);
static _Thread_local void *read_context;
/* How often a search has asked for a block. */
static _Thread_local u32 asked;

static struct tg_unwind_table *tg_unwind_table(u32 number)
{
	return number < table_count ? &tables[number] : NULL;
}

static const struct tg_unwind_block *tg_unwind_block(struct tg_unwind_table *table, u32 number)
{
	asked++;
	return number < table->blocks ? (const void *)(table->bytes + (size_t)number * 1024) : NULL;
}

static const struct tg_unwind_rule *tg_unwind_rule(u32 number)
{
	return number < rule_count ? &rules[number] : NULL;
}

static int tg_read_user(void *to, u32 bytes, u64 address)
{
	u32 at;
	u64 word;

	for (at = 0; at < bytes; at += 8) {
		if (read_memory(read_context, address + at, &word))
			return -1;
		memcpy((u8 *)to + at, &word, 8);
	}
	return 0;
}

static int tg_read_stack(struct tg_stack *stack, u64 address, u64 *word)
{
	(void)stack;
	return tg_read_user(word, sizeof(*word), address);
}

/* `asked_for`, if it is not NULL: how many blocks were looked at. */
u32 tg_native_find(const u8 *bytes, u32 blocks, u32 position, u32 *asked_for)
{
	struct tg_unwind_table table = { bytes, blocks };
	u32 rule;

	asked = 0;
	rule = tg_unwind_find(&table, position);
	if (asked_for)
		*asked_for = asked;
	return rule;
}

/* As a walk finds a rule, in tables that are numbered from 0 on; `found` has room for TG_FOUND_BITS. -1 if there is no such table. */
s64 tg_native_find_rule(struct tg_found *found, struct tg_unwind_table *all, u32 count, u32 number, u32 position)
{
	u32 rule;

	tables = all;
	table_count = count;
	return tg_find_rule(found, number, position, &rule) ? (s64)rule : -1;
}

/* `state`: pc, sp, fp, fp_known, switches, exact, rbx_at; exchanged for the caller's. */
int tg_native_step(const struct tg_unwind_rule *rule, u64 *state, const u64 *other, u64 thread,
		   int (*read)(void *, u64, u64 *), void *context)
{
	struct tg_unwind_registers registers = {
		state[0], state[1], state[2], state[6], (u8)state[5], (u8)state[3], (u8)state[4]
	};
	int outcome;

	rules = rule;
	rule_count = 1;
	read_memory = read;
	read_context = context;
	outcome = tg_step(tg_unwind_rule(0), &registers, NULL, other, thread);
	state[0] = registers.pc;
	state[1] = registers.sp;
	state[2] = registers.fp;
	state[3] = registers.fp_known;
	state[4] = registers.switches;
	state[5] = registers.exact;
	state[6] = registers.rbx_at;
	return outcome;
}
