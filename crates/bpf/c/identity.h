/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who a task is, to the kernel and in the agent's pid namespace. */
#ifndef TG_IDENTITY_H
#define TG_IDENTITY_H

/* The number of a pid in the agent's pid namespace, 0 if it has none there. */
static __always_inline u32 tg_number(struct pid *pid)
{
	u32 level = tg_shared.agent.pid_level;
	struct upid *upid;

	if (BPF_CORE_READ(pid, level) < level)
		return 0;
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	if (BPF_CORE_READ(upid, ns, ns.inum) != tg_shared.agent.pid_namespace)
		return 0;
	return BPF_CORE_READ(upid, nr);
}

/* A task's process in the agent's pid namespace. */
static __always_inline u32 tg_pid_of(struct task_struct *task)
{
	return tg_number(BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]));
}

static __always_inline u64 tg_start_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline u32 tg_parent_of(struct task_struct *task)
{
	return tg_pid_of(BPF_CORE_READ(task, real_parent));
}

#endif
