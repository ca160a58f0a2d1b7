/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the programs keep: one entry per process, a bit per pid in front of it, rings to user space, counters. */
#ifndef TG_STATE_H
#define TG_STATE_H

/* Set before loading. */
const volatile u32 tg_ring_count = 1;
const volatile u32 tg_user_frames = 127;
const volatile bool tg_kernel_stacks = true;

/* The program's only variable, hence the whole of the map `.bss`. */
struct tg_shared tg_shared;

/*
 * Every process that the agent can see, by its tgid in the initial pid namespace. Programs alone insert and delete;
 * user space changes states through tg_apply.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct tg_process);
} tg_processes SEC(".maps");

/* Control groups all of whose processes are targets, by rules that look at nothing else: state and number of the target. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tg_cgroup);
	__type(value, u64);
} tg_cgroups SEC(".maps");

/* Lifecycle events. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} tg_events SEC(".maps");

/* Samples: several rings, so that many CPUs do not wait for one lock. User space fills them in. */
struct tg_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct tg_ring);
} tg_rings SEC(".maps");

static __always_inline void tg_count_fault(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void tg_bit_set(u32 key)
{
	__sync_fetch_and_or(&tg_shared.bitmap[(key / 64) & (TG_BITMAP_WORDS - 1)], 1ULL << (key % 64));
}

static __always_inline void tg_bit_clear(u32 key)
{
	__sync_fetch_and_and(&tg_shared.bitmap[(key / 64) & (TG_BITMAP_WORDS - 1)], ~(1ULL << (key % 64)));
}

static __always_inline bool tg_bit(u32 key)
{
	return tg_shared.bitmap[(key / 64) & (TG_BITMAP_WORDS - 1)] & (1ULL << (key % 64));
}

/* Whether what a process has mapped is being read, or has been and is not in `tg_mapped` yet; perhaps another process's. */
static __always_inline bool tg_is_being_read(u32 key)
{
	return *(volatile u32 *)&tg_shared.readings[key & (TG_READINGS - 1)];
}

/* A word for a process, or a program image, that never was before. */
static __always_inline u64 tg_new_word(u64 state)
{
	return (__sync_fetch_and_add(&tg_shared.next_token, 1) + 1) << TG_TOKEN_SHIFT | state;
}

/*
 * Sets the bit to what the word says. The word is always changed before the bit, and after clearing it is read
 * again: whoever changes the word in between sets the bit after us or is seen by us.
 */
static __always_inline void tg_bit_follow(u32 key, struct tg_process *process)
{
	if ((*(volatile u64 *)&process->word & TG_STATE_MASK) != TG_SKIP) {
		tg_bit_set(key);
		return;
	}
	tg_bit_clear(key);
	if ((*(volatile u64 *)&process->word & TG_STATE_MASK) != TG_SKIP)
		tg_bit_set(key);
}

/* Deletes the entry of a process that is gone. */
static __always_inline void tg_release(u32 key)
{
	bpf_map_delete_elem(&tg_processes, &key);
	tg_bit_clear(key);
	/* A fork that has taken the pid between the two lines above has set the bit that was just cleared. */
	if (bpf_map_lookup_elem(&tg_processes, &key))
		tg_bit_set(key);
}

/* Enters a process; flags as for bpf_map_update_elem. False if there is no room. */
static __always_inline bool tg_enter(u32 key, struct tg_process *process, u64 flags)
{
	if (bpf_map_update_elem(&tg_processes, &key, process, flags)) {
		tg_count_fault(&tg_shared.faults.processes_refused);
		return false;
	}
	if ((process->word & TG_STATE_MASK) == TG_SKIP)
		tg_bit_clear(key);
	else
		tg_bit_set(key);
	return true;
}

#endif
