/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A tick of the clock: is this a target? If so, its stacks go to user space. */
#ifndef TG_TICK_H
#define TG_TICK_H

/* A sample being put together; one per CPU, since ticks of one clock do not interrupt each other. */
struct tg_sample_scratch {
	struct tg_sample sample;
	u64 frames[TG_MAX_USER_FRAMES + TG_MAX_KERNEL_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tg_sample_scratch);
} tg_sample_scratch SEC(".maps");

/*
 * The user stack, leaf first: the place of the unwinder. For now the kernel's own walk along frame pointers. Returns
 * the number of frames, at most TG_MAX_USER_FRAMES.
 */
static __always_inline u32 tg_user_stack(struct bpf_perf_event_data *ctx, struct tg_sample_scratch *scratch)
{
	u32 most = tg_user_frames <= TG_MAX_USER_FRAMES ? tg_user_frames : TG_MAX_USER_FRAMES;
	long bytes = bpf_get_stack(ctx, scratch->frames, most * sizeof(u64), BPF_F_USER_STACK);
	u32 frames;

	if (bytes <= 0) {
		scratch->sample.flags |= TG_SAMPLE_USER_FAILED;
		return 0;
	}
	frames = (u32)bytes / sizeof(u64);
	if (frames >= most)
		scratch->sample.flags |= TG_SAMPLE_USER_TRUNCATED;
	return frames;
}

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

/*
 * Sends a sample. The reader sleeps on an empty ring and drains a non-empty one by its own timer, so only the first
 * sample into an empty ring wakes it, and one that finds the ring more than half full because the timer is late.
 */
static __always_inline bool tg_send(struct tg_sample_scratch *scratch, u32 cpu)
{
	u32 slot = cpu % (tg_ring_count ? tg_ring_count : 1);
	void *ring = bpf_map_lookup_elem(&tg_rings, &slot);
	u64 frames = (u64)scratch->sample.user_frames + scratch->sample.kernel_frames;
	u64 waiting, flags;

	barrier_var(frames);
	if (!ring || frames > TG_MAX_USER_FRAMES + TG_MAX_KERNEL_FRAMES)
		return false;
	waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	flags = BPF_RB_NO_WAKEUP;
	if (waiting == 0 || waiting > bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2)
		flags = BPF_RB_FORCE_WAKEUP;
	return bpf_ringbuf_output(ring, scratch, sizeof(struct tg_sample) + frames * sizeof(u64), flags) == 0;
}

/* Tells user space of the first sample of a program image, while its mappings can still be read. */
static __always_inline void tg_first_sample(u32 key, struct tg_process *process)
{
	if (process->word & TG_SEEN)
		return;
	__sync_fetch_and_or(&process->word, TG_SEEN);
	tg_announce(TG_EVENT_FIRST_SAMPLE, key, process, NULL);
}

static __always_inline void tg_sample_target(struct bpf_perf_event_data *ctx, u32 key, struct tg_process *process,
					     u64 word, struct tg_tick_counts *counts)
{
	u32 zero = 0, user;
	struct tg_sample_scratch *scratch = bpf_map_lookup_elem(&tg_sample_scratch, &zero);
	struct task_struct *task = bpf_get_current_task_btf();

	if (!scratch)
		return;
	scratch->sample.word = word;
	scratch->sample.time_ns = bpf_ktime_get_ns();
	scratch->sample.pid = process->pid;
	scratch->sample.tid = tg_shared.agent.pid_level ? tg_number(task->thread_pid) : (u32)bpf_get_current_pid_tgid();
	scratch->sample.flags = 0;
	bpf_get_current_comm(scratch->sample.comm, sizeof(scratch->sample.comm));
	user = tg_user_stack(ctx, scratch);
	scratch->sample.user_frames = user;
	scratch->sample.kernel_frames = tg_kernel_stack(ctx, scratch, user);
	if (tg_send(scratch, bpf_get_smp_processor_id()))
		counts->sampled++;
	else
		counts->ring_full++;
	tg_first_sample(key, process);
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
		tg_sample_target(ctx, key, process, word, counts);
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
