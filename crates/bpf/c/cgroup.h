/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The control group that tells a task's container. */
#ifndef TG_CGROUP_H
#define TG_CGROUP_H

#define TG_SUBSYSTEM(name)                                                                                                 \
	(bpf_core_enum_value_exists(enum cgroup_subsys_id, name) ? (int)bpf_core_enum_value(enum cgroup_subsys_id, name) : -1)

static __always_inline bool tg_cgroup_in(struct cgroup *cgroup, struct tg_cgroup *out)
{
	out->id = BPF_CORE_READ(cgroup, kn, id);
	out->hierarchy = BPF_CORE_READ(cgroup, root, hierarchy_id);
	out->unused = 0;
	return BPF_CORE_READ(cgroup, level) > 0;
}

/*
 * A controller's own hierarchy, of version 1, where the task is in a group of it. On version 2 a task's group of a
 * controller can be an ancestor of the one that it is in, and is none of this.
 */
static __always_inline bool tg_cgroup_v1(struct css_set *set, int subsystem, struct tg_cgroup *out)
{
	struct cgroup_subsys_state *css = NULL;
	struct cgroup *cgroup;

	if (subsystem < 0)
		return false;
	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) + subsystem * sizeof(void *));
	if (!css)
		return false;
	cgroup = BPF_CORE_READ(css, cgroup);
	return tg_cgroup_in(cgroup, out) && out->hierarchy;
}

/*
 * Runtimes put a container into all hierarchies of version 1, and not always into that of version 2 beside them. So the
 * first of version 1 in which the task is not at the root, else version 2.
 */
static __always_inline void tg_cgroup_of(struct task_struct *task, struct tg_cgroup *out)
{
	struct css_set *set = NULL;

	out->id = 0;
	out->hierarchy = 0;
	out->unused = 0;
	if (bpf_core_field_exists(task->cgroups))
		set = BPF_CORE_READ(task, cgroups);
	if (!set)
		return;
	if (tg_cgroup_v1(set, TG_SUBSYSTEM(memory_cgrp_id), out) || tg_cgroup_v1(set, TG_SUBSYSTEM(pids_cgrp_id), out) ||
	    tg_cgroup_v1(set, TG_SUBSYSTEM(cpu_cgrp_id), out))
		return;
	tg_cgroup_in(BPF_CORE_READ(set, dfl_cgrp), out);
}

/* The state of all processes of a control group, TG_UNDECIDED where they are not all one. */
static __always_inline u64 tg_cgroup_state(const struct tg_cgroup *cgroup)
{
	u64 *state = bpf_map_lookup_elem(&tg_cgroups, cgroup);

	return state ? *state : TG_UNDECIDED;
}

#endif
