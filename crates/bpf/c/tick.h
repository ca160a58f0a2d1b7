/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A tick of the clock: is this a target? If so, its stacks go to user space. */
#ifndef TG_TICK_H
#define TG_TICK_H

/* A sample being put together; one per CPU, since ticks of one clock do not interrupt each other. */
struct tg_sample_scratch {
	/* What each sample needs comes first: each page that a tick looks at costs as much as a frame, if nobody has for long. */
	struct tg_walk walk;
	u64 unseen; /* bytes sent since it was last looked how full the ring is */
	struct tg_stack stack;
	struct tg_sample sample;
	u64 frames[TG_MAX_USER_FRAMES + TG_MAX_KERNEL_FRAMES]; /* of the sample: they are sent together */
	struct tg_found found[1 << TG_FOUND_BITS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tg_sample_scratch);
} tg_sample_scratch SEC(".maps");

static __always_inline struct tg_sample_scratch *tg_sample_at_hand(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tg_sample_scratch, &zero);
}

#if defined(__TARGET_ARCH_x86)
/* The code segment of programs of 32 bits. */
#define TG_USER32_CS 0x23

/* The registers of user space: those of the tick, or those that entering the kernel has saved. */
static __always_inline void tg_interrupted(struct bpf_perf_event_data *ctx, struct task_struct *task,
					   struct tg_walk *walk)
{
	if ((s64)TG_IP(ctx) >= 0) {
		walk->interrupted = ctx->regs;
	} else if (bpf_probe_read_kernel(&walk->interrupted, sizeof(walk->interrupted),
					 (const void *)bpf_task_pt_regs(task))) {
		walk->interrupted.ip = 0;
	}
	walk->registers.pc = walk->interrupted.ip;
	walk->registers.sp = walk->interrupted.sp;
	walk->registers.fp = walk->interrupted.bp;
	walk->registers.exact = TG_EXACT;
	walk->registers.fp_known = 1;
	walk->registers.switches = 0;
	walk->registers.rbx_at = TG_IN_REGISTER;
	walk->thread = task->thread.fsbase;
}

/* One frame up; 1 when the walk is over. */
static long tg_walk_on(u32 nth, void *unused)
{
	struct tg_sample_scratch *scratch = tg_sample_at_hand();
	struct tg_walk *walk;
	u32 outcome, at;

	if (!scratch)
		return 1;
	walk = &scratch->walk;
	outcome = tg_step_up(walk, &scratch->stack, scratch->found);
	if (outcome == TG_STEP_AGAIN)
		return 0;
	at = walk->frames - 1;
	if (walk->not_called && at < TG_MAX_USER_FRAMES)
		scratch->frames[at]++;
	if (outcome != TG_STEP_DONE) {
		walk->ending = outcome;
		return 1;
	}
	walk->depth++;
	at = walk->frames;
	if (at >= walk->most || at >= TG_MAX_USER_FRAMES) {
		walk->ending = TG_ENDING_TRUNCATED;
		return 1;
	}
	/* A return address is the one behind the call: so that this holds for every frame but the first, an exact one is moved. */
	scratch->frames[at] = walk->registers.exact ? walk->registers.pc + 1 : walk->registers.pc;
	walk->frames = at + 1;
	return 0;
}

/* The user stack, leaf first. Returns the number of frames, at most TG_MAX_USER_FRAMES. */
static __always_inline u32 tg_user_stack(struct bpf_perf_event_data *ctx, struct task_struct *task,
					 struct tg_sample_scratch *scratch, struct tg_process *process, u64 word,
					 struct tg_mapped *mapped)
{
	struct tg_walk *walk = &scratch->walk;
	u32 remaps = *(volatile u32 *)&process->remaps;

	/* Until a child's own list is there it has its parent's: fork has copied the mappings too. */
	walk->key = tg_mapped_key(word);
	if (!mapped && process->forked_from) {
		walk->key = process->forked_from << 8;
		mapped = bpf_map_lookup_elem(&tg_mapped, &walk->key);
	}
	walk->outdated = mapped && *(volatile u32 *)&mapped->remaps != remaps;
	scratch->sample.flags |= remaps << TG_SAMPLE_REMAPS_SHIFT;
	walk->range.start = walk->range.end = 0;
	scratch->stack.bytes = 0;
	walk->most = tg_user_frames;
	walk->depth = 0;
	walk->not_ready = false;
	walk->at_start = false;
	walk->ending = TG_ENDING_TRUNCATED;
	tg_interrupted(ctx, task, walk);
	scratch->stack.start = walk->registers.sp;
	scratch->frames[0] = walk->registers.pc;
	walk->frames = 1;
	/* Some frames take two turns. Programs of 32 bits have frames of another kind. */
	if ((u16)walk->interrupted.cs == TG_USER32_CS)
		walk->ending = TG_ENDING_UNSUPPORTED;
	else
		bpf_loop(2 * TG_MAX_USER_FRAMES, tg_walk_on, NULL, 0);
	/* What the list lacks may have been mapped since it was made. */
	if (walk->ending == TG_ENDING_UNMAPPED && mapped && mapped->exec_pages &&
	    mapped->exec_pages != task->mm->exec_vm)
		walk->not_ready = true;
	if (walk->not_ready)
		scratch->sample.flags |= TG_SAMPLE_NOT_READY;
	scratch->sample.flags |= walk->ending << TG_SAMPLE_ENDING_SHIFT;
	return walk->frames <= TG_MAX_USER_FRAMES ? walk->frames : TG_MAX_USER_FRAMES;
}

/* Tells user space, once, that an image has mapped or unmapped code since its list was made. */
static __always_inline void tg_notice_remapping(u32 key, struct tg_process *process, struct task_struct *task,
						struct tg_mapped *mapped)
{
	u64 pages;

	if (!mapped || mapped->told != process->told)
		return;
	pages = task->mm->exec_vm;
	if (!mapped->exec_pages)
		mapped->exec_pages = pages;
	if (mapped->exec_pages == pages && mapped->remaps == process->remaps)
		return;
	if (tg_announce(TG_EVENT_REMAPPED, key, process, NULL))
		*(volatile u32 *)&process->told = process->told + 1;
}
#else
/* Along frame pointers, by the kernel's own walk. */
static __always_inline u32 tg_user_stack(struct bpf_perf_event_data *ctx, struct task_struct *task,
					 struct tg_sample_scratch *scratch, struct tg_process *process, u64 word,
					 struct tg_mapped *mapped)
{
	u32 most = tg_user_frames <= TG_MAX_USER_FRAMES ? tg_user_frames : TG_MAX_USER_FRAMES;
	long bytes = bpf_get_stack(ctx, scratch->frames, most * sizeof(u64), BPF_F_USER_STACK);
	u32 ending = TG_ENDING_OUTERMOST, frames = bytes > 0 ? (u32)bytes / sizeof(u64) : 0;

	if (!frames)
		ending = TG_ENDING_NONE;
	else if (frames >= most)
		ending = TG_ENDING_TRUNCATED;
	scratch->sample.flags |= ending << TG_SAMPLE_ENDING_SHIFT;
	return frames;
}

static __always_inline void tg_notice_remapping(u32 key, struct tg_process *process, struct task_struct *task,
						struct tg_mapped *mapped)
{
}
#endif

/* The kernel stack, behind the user stack, if the tick has interrupted the kernel. */
static __always_inline u32 tg_kernel_stack(struct bpf_perf_event_data *ctx, struct tg_sample_scratch *scratch, u32 at)
{
	long bytes;

	if (!tg_kernel_stacks || (s64)TG_IP(ctx) >= 0)
		return 0;
	barrier_var(at); /* the compiler knows the bound, the verifier must see it */
	if (at > TG_MAX_USER_FRAMES)
		return 0;
	bytes = bpf_get_stack(ctx, &scratch->frames[at], TG_MAX_KERNEL_FRAMES * sizeof(u64), 0);
	if (bytes <= 0)
		return 0;
	if (bytes >= TG_MAX_KERNEL_FRAMES * sizeof(u64))
		scratch->sample.flags |= TG_SAMPLE_KERNEL_TRUNCATED;
	return (u32)bytes / sizeof(u64);
}

/* So many bytes of a ring are filled before a look is taken at how full it is. */
#define TG_UNSEEN_BYTES (4 * 1024)

/*
 * Sends a sample. The reader sleeps on an empty ring and drains a non-empty one by its own timer, so only the first
 * sample into an empty ring wakes it, which is what rings do by themselves, and now and then one that finds the ring more
 * than half full because the timer is late.
 */
static __always_inline bool tg_send(struct tg_sample_scratch *scratch, u32 cpu)
{
	u32 slot = cpu % (tg_ring_count ? tg_ring_count : 1);
	void *ring = bpf_map_lookup_elem(&tg_rings, &slot);
	u64 frames = (u64)scratch->sample.user_frames + scratch->sample.kernel_frames;
	u64 bytes, flags = 0;

	barrier_var(frames);
	if (!ring || frames > TG_MAX_USER_FRAMES + TG_MAX_KERNEL_FRAMES)
		return false;
	bytes = sizeof(struct tg_sample) + frames * sizeof(u64);
	scratch->unseen += bytes;
	if (scratch->unseen > TG_UNSEEN_BYTES) {
		scratch->unseen = 0;
		if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2)
			flags = BPF_RB_FORCE_WAKEUP;
	}
	return bpf_ringbuf_output(ring, &scratch->sample, bytes, flags) == 0;
}

/* Tells user space of the first sample of a program image, while its mappings can still be read. */
static __always_inline void tg_first_sample(u32 key, struct tg_process *process)
{
	if (process->word & TG_SEEN)
		return;
	__sync_fetch_and_or(&process->word, TG_SEEN);
	tg_announce(TG_EVENT_FIRST_SAMPLE, key, process, NULL);
}

/*
 * How far each target has come on this CPU towards its next sample, in 2^-32 of one. It begins at a random number, so that
 * the first sample comes neither too early nor too late on average.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TG_MAX_TARGETS);
	__type(key, u32);
	__type(value, u32);
} tg_phases SEC(".maps");

/* Whether this tick is one that the target's own sample rate takes. */
static __always_inline bool tg_is_due(u64 word)
{
	u32 target = (word & TG_TARGET_MASK) >> TG_TARGET_SHIFT;
	u32 step = tg_shared.policy.steps[target & (TG_MAX_TARGETS - 1)];
	u32 *phase;

	if (!step)
		return true;
	phase = bpf_map_lookup_elem(&tg_phases, &target);
	if (!phase)
		return true;
	if (!*phase)
		*phase = bpf_get_prandom_u32();
	*phase += step;
	return *phase < step;
}

static __always_inline void tg_sample_target(struct bpf_perf_event_data *ctx, u32 key, struct tg_process *process,
					     u64 word, struct tg_tick_counts *counts)
{
	struct tg_sample_scratch *scratch = tg_sample_at_hand();
	struct task_struct *task = bpf_get_current_task_btf();
	u64 first = tg_mapped_key(word);
	struct tg_mapped *mapped;
	u32 user;

	if (!scratch)
		return;
	mapped = bpf_map_lookup_elem(&tg_mapped, &first);
	scratch->sample.word = word;
	scratch->sample.time_ns = bpf_ktime_get_ns();
	scratch->sample.pid = process->pid;
	scratch->sample.tid = tg_shared.agent.pid_level ? tg_number(task->thread_pid) : (u32)bpf_get_current_pid_tgid();
	scratch->sample.flags = 0;
	bpf_get_current_comm(scratch->sample.comm, sizeof(scratch->sample.comm));
	user = tg_user_stack(ctx, task, scratch, process, word, mapped);
	scratch->sample.user_frames = user;
	scratch->sample.kernel_frames = tg_kernel_stack(ctx, scratch, user);
	if (tg_send(scratch, bpf_get_smp_processor_id()))
		counts->sampled++;
	else
		counts->ring_full++;
	tg_first_sample(key, process);
	tg_notice_remapping(key, process, task, mapped);
}

SEC("perf_event")
int tg_cpu_tick(struct bpf_perf_event_data *ctx)
{
	u32 key = bpf_get_current_pid_tgid() >> 32;
	struct tg_tick_counts *counts = &tg_shared.ticks[bpf_get_smp_processor_id() & (TG_MAX_CPUS - 1)];
	struct tg_process *process;
	u64 word;

	if (!tg_bit(key)) {
		if (key) /* pid 0 is the idle task of each CPU, never counted */
			counts->rejected++;
		return 0;
	}
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process) {
		counts->rejected++;
		return 0;
	}
	word = process->word;
	switch (word & TG_STATE_MASK) {
	case TG_PROFILE:
		if (tg_is_due(word))
			tg_sample_target(ctx, key, process, word, counts);
		else
			counts->passed_over++;
		break;
	case TG_UNDECIDED:
		counts->undecided++;
		break;
	case TG_EXITING:
		counts->exiting++;
		break;
	default:
		counts->rejected++;
	}
	return 0;
}

#endif
