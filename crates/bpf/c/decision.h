/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What user space asks of the kernel side: who am I, and decisions to carry out. */
#ifndef TG_DECISION_H
#define TG_DECISION_H

/* Run once by the agent, in its own context. */
SEC("syscall")
int tg_identify(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pid *pid = task->thread_pid;
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *upid =
		(void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	tg_shared.agent.pid_level = level;
	tg_shared.agent.pid_namespace = BPF_CORE_READ(upid, ns, ns.inum);
	tg_shared.agent.key = task->tgid;
	return 0;
}

/*
 * Changes the state of an entry, if it still is the process and the program image that the decision was made for.
 * A token is never used twice, so comparing it inside the exchange is safe even if the entry's memory has been given
 * to another one meanwhile.
 */
static __always_inline bool tg_decide(struct tg_process *process, u64 token, u32 state)
{
	for (int attempt = 0; attempt < 4; attempt++) {
		u64 word = *(volatile u64 *)&process->word;
		u64 wanted = token << TG_TOKEN_SHIFT | (word & TG_SEEN) | (state & (TG_STATE_MASK | TG_BY_PID | TG_FOLLOW | TG_TARGET_MASK));

		if (word >> TG_TOKEN_SHIFT != token || (word & TG_GONE))
			return false;
		if (__sync_val_compare_and_swap(&process->word, word, wanted) == word)
			return true;
	}
	return false;
}

/*
 * Deletes an entry whose process user space has not found for long, though it should have been told of its release. Its exit has
 * been seen: nothing changes its word any more.
 */
static __always_inline bool tg_release_leftover(u32 key, struct tg_process *process, u64 token)
{
	u64 word = *(volatile u64 *)&process->word;

	if (word >> TG_TOKEN_SHIFT != token || !(word & TG_GONE))
		return false;
	tg_release(key);
	return true;
}

static long tg_apply_one(u64 index, void *ctx)
{
	struct tg_apply_item *item = &tg_shared.apply.items[index & (TG_APPLY_MAX - 1)];
	u32 key = item->key;
	struct tg_process *process = bpf_map_lookup_elem(&tg_processes, &key);

	if (item->state == TG_RELEASE) {
		item->outcome = process && tg_release_leftover(key, process, item->token);
		return 0;
	}
	item->outcome = process && tg_decide(process, item->token, item->state);
	if (item->outcome)
		tg_bit_follow(key, process);
	return 0;
}

/* Carries out the decisions in tg_shared.apply. */
SEC("syscall")
int tg_apply_decisions(void *ctx)
{
	u32 count = tg_shared.apply.count;

	bpf_loop(count < TG_APPLY_MAX ? count : TG_APPLY_MAX, tg_apply_one, NULL, 0);
	return 0;
}

#endif
