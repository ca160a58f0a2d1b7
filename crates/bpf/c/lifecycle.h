/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Processes come, change and go: fork enters, exec renews, the last thread's exit marks, release deletes.
 *
 * Each process that the agent can see has an entry, selected or not: some 100 bytes, so that a later change of mind
 * is one atomic operation on an entry that is there, and nobody but these programs ever inserts one. User space
 * inserting entries of processes that have just died is how stale ones come about.
 */
#ifndef TG_LIFECYCLE_H
#define TG_LIFECYCLE_H

static __always_inline void tg_fill_event(struct tg_event *event, u32 kind, u32 key, const struct tg_process *process)
{
	event->kind = kind;
	event->key = key;
	event->pid = process->pid;
	event->parent = 0;
	event->word = process->word;
	event->parent_word = 0;
	event->start_ns = process->start_ns;
	event->time_ns = bpf_ktime_get_ns();
	event->generation = process->generation;
	event->path_bytes = 0;
	event->argv0_bytes = 0;
	event->cgroup.id = 0;
	event->cgroup.hierarchy = 0;
	event->cgroup.unused = 0;
}

/*
 * How to commit an event. User space is woken at once for what it has to answer. All else wakes it if it had nothing left to
 * read, unless it will look by itself soon.
 */
static __always_inline u64 tg_wake_up(bool awaits_answer)
{
	if (!awaits_answer)
		return *(volatile u64 *)&tg_shared.attentive ? BPF_RB_NO_WAKEUP : 0;
	__sync_fetch_and_add(&tg_shared.awaited, 1);
	return BPF_RB_FORCE_WAKEUP;
}

/* What a child begins with, given its parent's word. */
static __always_inline u64 tg_inherited(u64 word)
{
	u64 state = word & TG_STATE_MASK;

	if (word & TG_FOLLOW)
		return TG_PROFILE | TG_FOLLOW | (word & TG_TARGET_MASK);
	if (state == TG_EXITING || (word & TG_BY_PID))
		return TG_UNDECIDED;
	return state | (word & TG_TARGET_MASK);
}

/*
 * The state of a process by its control group alone, when it comes into it. Where names can exclude a process that is not
 * enough.
 */
static __always_inline u64 tg_state_in(const struct tg_cgroup *cgroup)
{
	return tg_shared.policy.exclusions ? TG_UNDECIDED : tg_cgroup_state(cgroup);
}

/* In the context of the parent, before the child runs. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tg_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 parent_key = parent->tgid, key = child->tgid;
	struct tg_process process = {}, *above;
	struct tg_event *event;
	u64 parent_word = TG_UNDECIDED, state;
	struct tg_cgroup cgroup;
	bool elsewhere;

	if (child->pid != child->tgid || (child->flags & PF_KTHREAD))
		return 0;
	process.pid = tg_pid_of(child);
	if (!process.pid)
		return 0;
	above = bpf_map_lookup_elem(&tg_processes, &parent_key);
	if (above)
		parent_word = above->word;
	process.forked_from = parent_word >> TG_TOKEN_SHIFT;
	process.remaps = above ? above->remaps : 0;
	process.told = above ? above->told : 0;
	process.start_ns = tg_start_of(child);
	state = tg_inherited(parent_word);
	tg_cgroup_of(child, &cgroup);
	/* A child can be cloned into other control groups than its parent's. */
	elsewhere = bpf_core_field_exists(child->cgroups) &&
		    BPF_CORE_READ(child, cgroups) != BPF_CORE_READ(parent, cgroups);
	if (tg_shared.policy.watch_cgroups && !(state & TG_FOLLOW) &&
	    ((state & TG_STATE_MASK) == TG_UNDECIDED || elsewhere))
		state = tg_state_in(&cgroup);
	process.word = tg_new_word(state);
	if (!tg_enter(key, &process, BPF_ANY))
		return 0;

	event = bpf_ringbuf_reserve(&tg_events, sizeof(*event), 0);
	if (!event) {
		tg_count_fault(&tg_shared.faults.events_lost);
		return 0;
	}
	tg_fill_event(event, TG_EVENT_FORK, key, &process);
	event->parent = tg_parent_of(child);
	event->parent_word = parent_word;
	if (elsewhere)
		event->cgroup = cgroup;
	BPF_CORE_READ_STR_INTO(&event->comm, child, comm);
	bpf_ringbuf_submit(event, tg_wake_up(elsewhere || (state & TG_STATE_MASK) == TG_UNDECIDED));
	return 0;
}

/* Reads argv[0] of the current task behind the path; its length, 0 if there is none, or it is too long and not `whole`. */
static __always_inline u32 tg_argv0(struct task_struct *task, char *text, bool *whole)
{
	const char *from = (const char *)BPF_CORE_READ(task, mm, arg_start);
	long copied = bpf_probe_read_user_str(text, TG_ARGV0_BYTES, from);

	*whole = copied > 0 && copied < TG_ARGV0_BYTES;
	return *whole ? copied - 1 : 0;
}

/* In the context of the task, its new image in place, before its first instruction. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(tg_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	u32 key = task->tgid;
	struct tg_process process = {}, *before;
	struct tg_scratch *scratch = tg_get_scratch(TG_SCRATCH_EXEC);
	struct tg_cgroup cgroup;
	u32 path_bytes, argv0_bytes;
	bool whole;
	u64 state;

	process.pid = tg_pid_of(task);
	if (!process.pid || !scratch)
		return 0;
	BPF_CORE_READ_STR_INTO(&scratch->event.comm, task, comm);
	path_bytes = tg_bounded(tg_exe_path(task, scratch), TG_PATH_BYTES);
	argv0_bytes = tg_bounded(tg_argv0(task, &scratch->text[path_bytes], &whole), TG_ARGV0_BYTES);
	tg_cgroup_of(task, &cgroup);
	state = tg_state_at_exec(scratch, path_bytes, argv0_bytes, whole,
				 tg_shared.policy.watch_cgroups ? tg_cgroup_state(&cgroup) : TG_UNDECIDED);
	before = bpf_map_lookup_elem(&tg_processes, &key);
	if (before) {
		process.generation = before->generation + 1;
		if (before->word & TG_FOLLOW)
			state = TG_PROFILE | TG_FOLLOW | (before->word & TG_TARGET_MASK);
	}
	process.start_ns = tg_start_of(task);
	process.word = tg_new_word(state);
	if (!tg_enter(key, &process, BPF_ANY))
		return 0;

	tg_fill_event(&scratch->event, TG_EVENT_EXEC, key, &process);
	scratch->event.parent = tg_parent_of(task);
	scratch->event.cgroup = cgroup;
	scratch->event.path_bytes = path_bytes;
	scratch->event.argv0_bytes = argv0_bytes;
	/* Of a target user space wants to know more while it lives. */
	if (bpf_ringbuf_output(&tg_events, &scratch->event, sizeof(struct tg_event) + path_bytes + argv0_bytes,
			       tg_wake_up((state & TG_STATE_MASK) != TG_SKIP)))
		tg_count_fault(&tg_shared.faults.events_lost);
	return 0;
}

/* Another state for the same image, unless it was chosen by pid or with a command, or is past its exit. */
static __always_inline void tg_move_to_state(u32 key, struct tg_process *process, u64 state)
{
	for (int attempt = 0; attempt < 4; attempt++) {
		u64 word = *(volatile u64 *)&process->word;
		u64 wanted = (word & ~(u64)(TG_STATE_MASK | TG_TARGET_MASK)) | state;

		if (word & (TG_BY_PID | TG_FOLLOW | TG_GONE))
			return;
		if (__sync_val_compare_and_swap(&process->word, word, wanted) == word) {
			tg_bit_follow(key, process);
			return;
		}
	}
}

static __always_inline bool tg_announce(u32 kind, u32 key, const struct tg_process *process, struct task_struct *task)
{
	struct tg_event *event = bpf_ringbuf_reserve(&tg_events, sizeof(*event), 0);

	if (!event) {
		tg_count_fault(&tg_shared.faults.events_lost);
		return false;
	}
	tg_fill_event(event, kind, key, process);
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	if (task)
		BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	bpf_ringbuf_submit(event, tg_wake_up(kind != TG_EVENT_EXIT));
	return true;
}

/*
 * A process has been put into another control group. One event comes for each hierarchy; that which containers are told
 * by counts, and leaving it.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tg_moved, struct cgroup *into, const char *path, struct task_struct *task, bool threadgroup)
{
	u32 key = task->tgid;
	struct tg_process *process;
	struct tg_event *event;
	struct tg_cgroup cgroup, of_event;

	if (task->pid != task->tgid || (task->flags & PF_KTHREAD) || !tg_shared.policy.watch_cgroups)
		return 0;
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process)
		return 0;
	tg_cgroup_of(task, &cgroup);
	if (tg_cgroup_in(into, &of_event) && (of_event.id != cgroup.id || of_event.hierarchy != cgroup.hierarchy))
		return 0;
	tg_move_to_state(key, process, tg_state_in(&cgroup));
	event = bpf_ringbuf_reserve(&tg_events, sizeof(*event), 0);
	if (!event) {
		tg_count_fault(&tg_shared.faults.events_lost);
		return 0;
	}
	tg_fill_event(event, TG_EVENT_MOVED, key, process);
	event->cgroup = cgroup;
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	bpf_ringbuf_submit(event, tg_wake_up(true));
	return 0;
}

/* Each thread passes here; `live` has been lowered already, so the last one sees 0, whether it leads or not. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(tg_exit, struct task_struct *task)
{
	u32 key = task->tgid;
	struct tg_process *process;

	if (task->signal->live.counter != 0)
		return 0;
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process)
		return 0;
	/* What is not a target stays that: its last ticks are rejected ones. */
	if ((process->word & TG_STATE_MASK) == TG_SKIP)
		__sync_fetch_and_or(&process->word, TG_GONE);
	else
		__sync_fetch_and_or(&process->word, TG_GONE | TG_EXITING);
	tg_announce(TG_EVENT_EXIT, key, process, NULL);
	return 0;
}

/*
 * The task is released. The pid may have been given to another process by now, whose fork has overwritten the entry:
 * then the start time differs and the entry is left alone.
 */
SEC("tp_btf/sched_process_free")
int BPF_PROG(tg_free, struct task_struct *task)
{
	u32 key = task->tgid;
	struct tg_process *process;

	if (task->pid != task->tgid)
		return 0;
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process || process->start_ns != task->start_boottime)
		return 0;
	tg_release(key);
	return 0;
}

/* `comm` of the task is still the old one here: the new one is the argument. exec renames too, and says so itself. */
SEC("tp_btf/task_rename")
int BPF_PROG(tg_rename, struct task_struct *task, const char *comm)
{
	u32 key = task->tgid;
	struct tg_process *process;
	struct tg_event *event;

	if (task->pid != task->tgid || (task->flags & PF_KTHREAD))
		return 0;
	if (bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD(task, in_execve))
		return 0;
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process)
		return 0;
	event = bpf_ringbuf_reserve(&tg_events, sizeof(*event), 0);
	if (!event) {
		tg_count_fault(&tg_shared.faults.events_lost);
		return 0;
	}
	tg_fill_event(event, TG_EVENT_RENAME, key, process);
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	bpf_probe_read_kernel_str(event->comm, sizeof(event->comm), comm);
	bpf_ringbuf_submit(event, tg_wake_up(true));
	return 0;
}

#endif
