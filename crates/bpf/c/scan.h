/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * All processes in one read, instead of some files of /proc for each; enters those that were there before us.
 */
#ifndef TG_SCAN_H
#define TG_SCAN_H

/*
 * Not sleepable: the program runs in an RCU section, so a task that is alive when we look cannot be released, and its
 * entry deleted, before we have inserted it.
 */
SEC("iter/task")
int tg_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct tg_process process = {}, *known;
	struct tg_scratch *scratch;
	struct tg_scanned *out;
	u32 key, path_bytes = 0;

	if (!task || task->pid != task->tgid || task->signal->live.counter == 0)
		return 0;
	scratch = tg_get_scratch(TG_SCRATCH_SCAN);
	process.pid = tg_pid_of(task);
	if (!scratch || !process.pid)
		return 0;
	key = task->tgid;
	process.start_ns = task->start_boottime;
	out = &scratch->scanned;
	out->kernel_thread = !!(task->flags & PF_KTHREAD);
	if (!out->kernel_thread) {
		known = bpf_map_lookup_elem(&tg_processes, &key);
		if (!known) {
			process.word = tg_new_word(TG_UNDECIDED);
			tg_enter(key, &process, BPF_NOEXIST);
			known = bpf_map_lookup_elem(&tg_processes, &key);
		}
		if (known) {
			process.word = known->word;
			process.generation = known->generation;
		}
		path_bytes = tg_bounded(tg_exe_path(task, scratch), TG_PATH_BYTES);
	}
	out->key = key;
	out->pid = process.pid;
	out->parent = tg_parent_of(task);
	out->generation = process.generation;
	out->word = process.word;
	out->start_ns = process.start_ns;
	tg_cgroup_of(task, &out->cgroup);
	/* The set of a task's control groups, one of each hierarchy: tasks share it as long as all are the same. */
	out->cgroups = bpf_core_field_exists(task->cgroups) ? (u64)BPF_CORE_READ(task, cgroups) : 0;
	out->path_bytes = path_bytes;
	BPF_CORE_READ_STR_INTO(&out->comm, task, comm);
	bpf_seq_write(seq, out, sizeof(*out));
	if (path_bytes)
		bpf_seq_write(seq, scratch->text, path_bytes);
	return 0;
}

/*
 * The first TG_ARGV0_BYTES of the arguments, which user space cuts at the first NUL. They live in the process's own
 * memory, which may have to be paged in: this one may sleep. Its scratch slot is its own, and user space runs one such
 * scan at a time.
 */
SEC("iter.s/task")
int tg_scan_argv0(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct tg_scratch *scratch;
	struct tg_scanned_argv0 *out;
	unsigned long from, bytes;

	if (!task || task->pid != task->tgid || (task->flags & PF_KTHREAD) || task->signal->live.counter == 0)
		return 0;
	from = BPF_CORE_READ(task, mm, arg_start);
	bytes = BPF_CORE_READ(task, mm, arg_end) - from;
	scratch = tg_get_scratch(TG_SCRATCH_ARGV0);
	if (!from || !bytes || !scratch)
		return 0;
	/* Never past the arguments: what lies behind them may not be mapped, and is nobody's business. */
	if (bytes > TG_ARGV0_BYTES)
		bytes = TG_ARGV0_BYTES;
	if (bpf_copy_from_user_task(scratch->text, bytes, (void *)from, task, 0))
		return 0;
	out = &scratch->argv0;
	out->key = task->tgid;
	out->start_ns = task->start_boottime;
	out->argv0_bytes = bytes;
	bpf_seq_write(ctx->meta->seq, out, sizeof(*out));
	bpf_seq_write(ctx->meta->seq, scratch->text, bytes);
	return 0;
}

#endif
