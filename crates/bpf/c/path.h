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
	/*
	 * Where the walk from a file up to the process's root has come to. Here and not on the stack, where the verifier
	 * would follow every value that the numbers can have.
	 */
	struct dentry *dentry, *root;
	struct vfsmount *mnt, *root_mnt;
	u32 count; /* names collected, leaf first */
	u32 length; /* bytes written */
	u32 last_name; /* where the last name begins */
	u32 whole; /* 1 if nothing is missing */
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

/*
 * One step up: a directory, or from a mounted file system to where it is mounted. What __prepend_path of fs/d_path.c
 * does, without its locks: a rename at that very moment can give a mixed path, which the next scan mends.
 *
 * This and the next are callbacks of bpf_loop because the verifier walks a callback a few times only, and a plain loop
 * with branches in it more than a million instructions.
 */
static long tg_walk_up(u64 step, struct tg_scratch **ctx)
{
	struct tg_scratch *scratch = *ctx;
	struct dentry *dentry = scratch->dentry, *parent;
	struct vfsmount *mnt = scratch->mnt;

	if (dentry == scratch->root && mnt == scratch->root_mnt) {
		scratch->whole = 1;
		return 1;
	}
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			scratch->whole = 1;
			return 1;
		}
		scratch->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		scratch->mnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	scratch->names[scratch->count & (TG_PATH_DEPTH - 1)] = BPF_CORE_READ(dentry, d_name.name);
	scratch->count++;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) { /* a file without a directory: memfd */
		scratch->whole = 1;
		return 1;
	}
	scratch->dentry = parent;
	return 0;
}

/* Writes the next name, the root's child first; stops when all are written or there is no more room. */
static long tg_walk_down(u64 step, struct tg_scratch **ctx)
{
	struct tg_scratch *scratch = *ctx;
	u32 length = scratch->length, count = scratch->count;
	long copied;

	if (count == 0)
		return 1;
	if (length >= TG_PATH_BYTES - 1) {
		scratch->whole = 0;
		return 1;
	}
	scratch->text[tg_bounded(length, TG_PATH_BYTES)] = '/';
	length++;
	scratch->last_name = length;
	copied = bpf_probe_read_kernel_str(&scratch->text[tg_bounded(length, TG_PATH_BYTES)], TG_NAME_BYTES,
					   scratch->names[tg_bounded(count - 1, TG_PATH_DEPTH)]);
	if (copied < 1) {
		scratch->whole = 0;
		return 1;
	}
	scratch->length = length + copied - 1;
	scratch->count = count - 1;
	return 0;
}

/* Writes the path of a task's executable to scratch->text; its length, or 0 if it has none or it is too long. */
static __always_inline u32 tg_exe_path(struct task_struct *task, struct tg_scratch *scratch)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);

	if (!file)
		return 0;
	scratch->dentry = BPF_CORE_READ(file, f_path.dentry);
	scratch->mnt = BPF_CORE_READ(file, f_path.mnt);
	scratch->root = BPF_CORE_READ(task, fs, root.dentry);
	scratch->root_mnt = BPF_CORE_READ(task, fs, root.mnt);
	scratch->count = 0;
	scratch->length = 0;
	scratch->last_name = 0;
	scratch->whole = 0;
	bpf_loop(TG_PATH_DEPTH, tg_walk_up, &scratch, 0);
	if (!scratch->whole)
		return 0;
	bpf_loop(TG_PATH_DEPTH, tg_walk_down, &scratch, 0);
	return scratch->whole && scratch->length < TG_PATH_BYTES ? scratch->length : 0;
}

#endif
