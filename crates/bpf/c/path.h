/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The path of an executable, as the process sees it. */
#ifndef TG_PATH_H
#define TG_PATH_H

/* Room to put a record with a path and argv[0] together; one per CPU and program. */
struct tg_scratch {
	union {
		struct tg_event event;
		struct tg_scanned scanned;
		struct tg_scanned_argv0 argv0;
	};
	/* Slack behind each text: the verifier must see that the longest piece fits at the last offset. */
	char text[TG_PATH_BYTES + TG_ARGV0_BYTES + TG_NAME_BYTES];
	const unsigned char *names[TG_PATH_DEPTH];
};

enum { TG_SCRATCH_EXEC, TG_SCRATCH_SCAN, TG_SCRATCH_ARGV0, TG_SCRATCH_COUNT };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TG_SCRATCH_COUNT);
	__type(key, u32);
	__type(value, struct tg_scratch);
} tg_scratch SEC(".maps");

static __always_inline struct tg_scratch *tg_get_scratch(u32 which)
{
	return bpf_map_lookup_elem(&tg_scratch, &which);
}

/* A length that has already been checked, masked where the verifier can see it; `limit` is a power of two. */
static __always_inline u32 tg_bounded(u32 length, u32 limit)
{
	barrier_var(length);
	return length & (limit - 1);
}

/* Where a walk from a file up to the process's root has come to. */
struct tg_walk {
	struct tg_scratch *scratch;
	struct dentry *dentry, *root;
	struct vfsmount *mnt, *root_mnt;
	u32 names; /* collected, leaf first */
	u32 length; /* of what has been written */
	bool done;
};

/*
 * One step up: a directory, or from a mounted file system to where it is mounted. What __prepend_path of fs/d_path.c
 * does, without its locks: a rename at that very moment can give a mixed path, which the next scan mends.
 *
 * This and the next are callbacks of bpf_loop because the verifier walks a callback once, and a plain loop with
 * branches in it more than a million instructions.
 */
static long tg_walk_up(u64 step, struct tg_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent;
	struct vfsmount *mnt = walk->mnt;

	if (dentry == walk->root && mnt == walk->root_mnt) {
		walk->done = true;
		return 1;
	}
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			walk->done = true;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	walk->scratch->names[walk->names & (TG_PATH_DEPTH - 1)] = BPF_CORE_READ(dentry, d_name.name);
	walk->names++;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) { /* a file without a directory: memfd */
		walk->done = true;
		return 1;
	}
	walk->dentry = parent;
	return 0;
}

/* Writes the next name, the root's child first; stops when all are written or there is no more room. */
static long tg_walk_down(u64 step, struct tg_walk *walk)
{
	struct tg_scratch *scratch = walk->scratch;
	u32 length = walk->length;
	long copied;

	if (step >= walk->names)
		return 1;
	if (length >= TG_PATH_BYTES - 1) {
		walk->done = false;
		return 1;
	}
	scratch->text[tg_bounded(length, TG_PATH_BYTES)] = '/';
	length++;
	copied = bpf_probe_read_kernel_str(&scratch->text[tg_bounded(length, TG_PATH_BYTES)], TG_NAME_BYTES,
					   scratch->names[tg_bounded(walk->names - 1 - step, TG_PATH_DEPTH)]);
	if (copied < 1) {
		walk->done = false;
		return 1;
	}
	walk->length = length + copied - 1;
	return 0;
}

/* Writes the path of a task's executable to scratch->text; its length, or 0 if it has none or it is too long. */
static __always_inline u32 tg_exe_path(struct task_struct *task, struct tg_scratch *scratch)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct tg_walk walk = { .scratch = scratch };

	if (!file)
		return 0;
	walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	walk.mnt = BPF_CORE_READ(file, f_path.mnt);
	walk.root = BPF_CORE_READ(task, fs, root.dentry);
	walk.root_mnt = BPF_CORE_READ(task, fs, root.mnt);
	bpf_loop(TG_PATH_DEPTH, tg_walk_up, &walk, 0);
	if (!walk.done)
		return 0;
	bpf_loop(TG_PATH_DEPTH, tg_walk_down, &walk, 0);
	return walk.done && walk.length < TG_PATH_BYTES ? walk.length : 0;
}

#endif
