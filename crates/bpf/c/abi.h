/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Limits and layouts that the programs share with user space; `src/abi.rs` says the same in Rust, and both sides
 * assert the sizes.
 */
#ifndef TG_ABI_H
#define TG_ABI_H

/* CONFIG_BASE_FULL's PID_MAX_LIMIT on 64 bits: no pid is ever larger. */
#define TG_PID_LIMIT (4 * 1024 * 1024)
#define TG_BITMAP_WORDS (TG_PID_LIMIT / 64)
/* Per-CPU counters are an array indexed by CPU number; user space refuses machines with more. */
#define TG_MAX_CPUS 1024
/* Frames of a user and of a kernel stack; of the latter the kernel walks kernel.perf_event_max_stack at most, 127 by default. */
#define TG_MAX_USER_FRAMES 512
#define TG_MAX_KERNEL_FRAMES 128
#define TG_COMM_BYTES 16
/* Longer paths are left to user space, which reads /proc/PID/exe for them. */
#define TG_PATH_BYTES 1024
#define TG_PATH_DEPTH 32
#define TG_NAME_BYTES 256
#define TG_ARGV0_BYTES 256
/* Decisions handed over in one call. */
#define TG_APPLY_MAX 256

/* The state of a process: the low byte of its state word; then the number of its target, and 48 bits of its token. */
enum tg_state {
	TG_UNDECIDED = 0,
	TG_PROFILE = 1,
	TG_SKIP = 2,
	TG_EXITING = 3,
};
#define TG_STATE_MASK 0x03
/* Chosen by pid: children do not inherit it. */
#define TG_BY_PID 0x04
/* Chosen with its descendants, through fork and exec (`record -- COMMAND`). */
#define TG_FOLLOW 0x08
/* User space has been told of its first sample. */
#define TG_SEEN 0x10
/* Its last thread has passed its exit: the state does not change any more. */
#define TG_GONE 0x20
/* In a request only, in the place of a state: the entry is to be deleted. */
#define TG_RELEASE 0x40
#define TG_TARGET_SHIFT 8
#define TG_TARGET_MASK 0xff00
#define TG_TOKEN_SHIFT 16
/* Targets that may be told apart at a time. */
#define TG_MAX_TARGETS 256

/* What the kernel keeps of each process; the value of `tg_processes`. */
struct tg_process {
	u64 word; /* token << 16 | target << 8 | flags | state; changed by atomic operations only */
	u64 start_ns; /* start_boottime of the group leader */
	u32 pid; /* in the agent's pid namespace */
	u32 generation; /* how many times it has called exec since it was first seen */
	u64 forked_from; /* token of the image whose mappings it has begun with; 0 after exec */
	u32 remaps; /* how often addresses have been handed out that may have been code for all that is known, its parent's included */
	u32 told; /* how often user space has been told that what it knows of the mappings is out of date */
};
_Static_assert(sizeof(struct tg_process) == 40, "layout shared with abi.rs");

enum tg_event_kind {
	TG_EVENT_FORK = 1,
	TG_EVENT_EXEC = 2,
	TG_EVENT_EXIT = 3,
	TG_EVENT_RENAME = 4,
	TG_EVENT_FIRST_SAMPLE = 5,
	TG_EVENT_REMAPPED = 6,
	TG_EVENT_MOVED = 7, /* to another control group */
};

/* A control group. */
struct tg_cgroup {
	u64 id; /* inode number and generation in its hierarchy; 0 if there is none */
	u32 hierarchy; /* 0 is that of version 2 */
	u32 unused;
};
_Static_assert(sizeof(struct tg_cgroup) == 16, "layout shared with abi.rs");

/* A record of `tg_events`; exec's is followed by the path and argv[0], neither NUL-terminated. */
struct tg_event {
	u32 kind;
	u32 key; /* tgid in the initial pid namespace: the key in `tg_processes` */
	u32 pid;
	u32 parent;
	u64 word;
	u64 parent_word; /* fork: the parent's */
	u64 start_ns;
	u64 time_ns; /* CLOCK_MONOTONIC */
	u32 generation;
	u16 path_bytes;
	u16 argv0_bytes;
	char comm[TG_COMM_BYTES];
	struct tg_cgroup cgroup; /* exec, move: where the process is; fork: that too, if its parent is not there */
};
_Static_assert(sizeof(struct tg_event) == 88, "layout shared with abi.rs");

/* A record of the scan; followed by the path, not NUL-terminated. */
struct tg_scanned {
	u32 key;
	u32 pid;
	u32 parent;
	u32 generation;
	u64 word;
	u64 start_ns;
	struct tg_cgroup cgroup;
	u64 cgroups; /* the same for all processes in the same control groups of all hierarchies; 0 if there are none */
	u32 kernel_thread;
	u32 path_bytes;
	char comm[TG_COMM_BYTES];
};
_Static_assert(sizeof(struct tg_scanned) == 80, "layout shared with abi.rs");

/* A record of the scan for argv[0]; followed by it, not NUL-terminated. */
struct tg_scanned_argv0 {
	u32 key;
	u32 argv0_bytes;
	u64 start_ns;
};
_Static_assert(sizeof(struct tg_scanned_argv0) == 16, "layout shared with abi.rs");

/* Tables of binaries, rules, and parts of lists of mappings that there may be. */
#define TG_MAX_TABLES 8192
#define TG_MAX_RULES 16384
#define TG_MAX_PARTS 65536
/* Ranges of a part; levels of the tree of an image's parts, so that it has no more than 255. */
#define TG_PART_RANGES 32
#define TG_PART_LEVELS 8
/*
 * The number of a table: its slot among the tables, and from this bit on which of that slot's tables it is, counted from 1. No two
 * tables have the same. Instead of it: there is none, and there will be one.
 */
#define TG_TABLE_SLOT_BITS 13
_Static_assert(TG_MAX_TABLES == 1 << TG_TABLE_SLOT_BITS, "every slot has a number, and no other");
#define TG_TABLE_NONE 0xffffffff
#define TG_TABLE_AWAITED 0xfffffffe

/* An executable mapping. */
struct tg_range {
	u64 start;
	u64 end;
	u32 position; /* of its start, in the table */
	u32 table;
};
_Static_assert(sizeof(struct tg_range) == 24, "layout shared with abi.rs");

/* Some of an image's executable mappings, ascending; unused ones stand at the end of the address space. */
struct tg_mapped {
	u64 low; /* addresses below are in the left part, … */
	u64 high; /* … from here on in the right one */
	u64 exec_pages; /* in part 0: how many the address space had when the list was made; 0: as many as the next tick finds */
	u8 left; /* 0 if there is none */
	u8 right;
	u16 unused;
	u32 told; /* in part 0: what user space had been told when the list was made; more: it knows that it has changed since */
	u32 remaps; /* in part 0: the list is that of an image that has had so many */
	u32 unused_too;
	struct tg_range ranges[TG_PART_RANGES];
};
_Static_assert(sizeof(struct tg_mapped) == 40 + 24 * TG_PART_RANGES, "layout shared with abi.rs");

/* Addresses that have been handed out anew, from `start` on. */
struct tg_area {
	u64 start;
	u64 end;
};
/* The last ones of an image, each at the number that `remaps` had before. */
#define TG_AREAS 128
struct tg_areas {
	u32 remaps; /* that of the process since the last one was put down; 0 if none was */
	u32 unused;
	struct tg_area areas[TG_AREAS];
};
_Static_assert(sizeof(struct tg_areas) == 8 + 16 * TG_AREAS, "layout shared with abi.rs");

/* Why the user stack of a sample ends where it does; the first ones are outcomes of a step. */
enum tg_ending {
	TG_ENDING_NONE = 0, /* there is no user stack */
	TG_ENDING_OUTERMOST = 1, /* it is whole */
	TG_ENDING_NO_RULE = 2,
	TG_ENDING_UNSUPPORTED = 3,
	TG_ENDING_UNREADABLE = 4,
	TG_ENDING_NO_PROGRESS = 5,
	TG_ENDING_UNMAPPED = 6, /* the caller's address is no code */
	TG_ENDING_TRUNCATED = 7, /* it is longer than what is taken */
};

#define TG_SAMPLE_KERNEL_TRUNCATED 0x1
/* Frame pointers stood in for a table that was not there yet. */
#define TG_SAMPLE_NOT_READY 0x2
/* enum tg_ending */
#define TG_SAMPLE_ENDING_SHIFT 8
/* The low half of the process's `remaps`. */
#define TG_SAMPLE_REMAPS_SHIFT 16

/* A record of a sample ring; followed by the user frames, then the kernel frames, each leaf first. */
struct tg_sample {
	u64 word;
	u64 time_ns; /* CLOCK_MONOTONIC */
	u32 pid;
	u32 tid; /* in the agent's pid namespace */
	u16 user_frames;
	u16 kernel_frames;
	u32 flags;
	char comm[TG_COMM_BYTES]; /* of the thread */
};
_Static_assert(sizeof(struct tg_sample) == 48, "layout shared with abi.rs");

/* What became of ticks: one line of the cache per CPU, written by that CPU's ticks only. */
struct tg_tick_counts {
	u64 rejected; /* on processes that are not targets */
	u64 undecided; /* on processes that user space has not answered for yet */
	u64 exiting; /* on processes whose last thread is past its exit */
	u64 sampled; /* handed to user space */
	u64 ring_full; /* lost: no room in the sample ring */
	u64 passed_over; /* on targets with a lower sample rate than the clock's */
	u64 unused[2];
};
_Static_assert(sizeof(struct tg_tick_counts) == 64, "one cache line");

/* What went wrong with the bookkeeping; rare, so one atomic counter each. */
struct tg_fault_counts {
	u64 events_lost; /* lifecycle events: no room in their ring */
	u64 processes_refused; /* no room in `tg_processes` */
};

/* Who the agent is, as `tg_identify` has found it. */
struct tg_agent {
	u32 pid_level; /* depth of its pid namespace */
	u32 pid_namespace; /* inode number of it */
	u32 key; /* its own tgid in the initial pid namespace */
	u32 unused;
};

struct tg_apply_item {
	u32 key;
	u32 state; /* state and flags */
	u64 token; /* in: of the process meant */
	u64 outcome; /* out: 1 if it was that process, 0 if that one is gone */
};
_Static_assert(sizeof(struct tg_apply_item) == 24, "layout shared with abi.rs");

/* What of the rules the programs can tell by themselves when a process calls exec. */
#define TG_MAX_PATTERNS 64
#define TG_PATTERN_BYTES 64
enum tg_subject {
	TG_SUBJECT_NAME = 0, /* any of comm, base name of the executable, base name of argv[0] */
	TG_SUBJECT_PATH = 1, /* the executable's path */
};
enum tg_form {
	TG_FORM_EXACT = 0,
	TG_FORM_PREFIX = 1,
	TG_FORM_SUFFIX = 2,
};
struct tg_pattern {
	u8 subject;
	u8 form;
	u8 type; /* a bit for the type of include rule; 0: an exclusion */
	u8 rank; /* of the target that it belongs to */
	u8 length;
	u8 unused[3];
	char text[TG_PATTERN_BYTES];
};
_Static_assert(sizeof(struct tg_pattern) == 72, "layout shared with abi.rs");

/* A target that the programs can say yes for; they are tried in this order. */
struct tg_rank {
	u8 target; /* its number */
	u8 all; /* types that must match together; 0: any one does */
};

struct tg_policy {
	u32 version; /* odd while it is being written, another one afterwards */
	u32 patterns;
	u32 ranks;
	u32 exclusions; /* how many of the patterns are exclusions */
	u32 watch_cgroups; /* whether rules depend on the control group of a process */
	u32 knows_inclusions; /* whether what no pattern includes is no target */
	struct tg_rank rank[TG_MAX_PATTERNS];
	struct tg_pattern pattern[TG_MAX_PATTERNS];
	/* Of each target by its number: the share of the clock's ticks that are taken, in 2^-32; 0: all. */
	u32 steps[TG_MAX_TARGETS];
};
_Static_assert(sizeof(struct tg_policy) == 24 + 2 * 64 + 72 * 64 + 4 * 256, "layout shared with abi.rs");

struct tg_apply {
	u32 count;
	u32 unused;
	struct tg_apply_item items[TG_APPLY_MAX];
};

/* Processes are told apart by so many numbers where nothing is lost if two have one. */
#define TG_READINGS 4096

/*
 * Memory that user space maps. The bitmap is one bit per tgid in the initial pid namespace; where it is clear the
 * process is not a target, and a tick touches no other memory but its CPU's own counters to learn that.
 */
struct tg_shared {
	u64 bitmap[TG_BITMAP_WORDS];
	struct tg_tick_counts ticks[TG_MAX_CPUS];
	struct tg_fault_counts faults;
	struct tg_agent agent;
	u64 next_token;
	u64 awaited; /* how many events user space was to be woken for at once */
	u64 attentive; /* whether user space looks for events soon anyhow; written by it */
	struct tg_apply apply;
	struct tg_policy policy;
	u32 readings[TG_READINGS]; /* how many lists of mappings have been begun to read and not been told yet; written by user space */
};
_Static_assert(sizeof(struct tg_shared) == 512 * 1024 + 64 * 1024 + 16 + 16 + 8 + 8 + 8 + 8 + 24 * TG_APPLY_MAX +
						   sizeof(struct tg_policy) + 4 * TG_READINGS,
	       "layout shared with abi.rs");

#endif
