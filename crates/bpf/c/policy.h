/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs can decide by themselves: whether a program that has just been started is a target by its names, its
 * path or its control group. Yes only where nothing that they cannot see could make it no, no only where nothing else could
 * make it yes; all else is for user space to answer. `KernelRules` of crates/rules is the specification.
 */
#ifndef TG_POLICY_H
#define TG_POLICY_H

/* Part of tg_scratch's text. */
struct tg_span {
	u32 at;
	u32 length;
};
enum { TG_SPAN_COMM, TG_SPAN_EXECUTABLE, TG_SPAN_ARGV0, TG_SPAN_PATH, TG_SPANS };

struct tg_evaluation {
	struct tg_span spans[TG_SPANS];
	u32 argv0_at; /* where argv[0] begins, … */
	u32 argv0_name; /* … and where in it its base name */
	u32 pattern; /* being tried, … */
	u32 from; /* … from here on in the text */
	u32 differs;
	u32 excluded;
	u64 state; /* out */
	u8 matched[TG_MAX_PATTERNS]; /* of each rank, the types of rules that match */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tg_evaluation);
} tg_evaluations SEC(".maps");

static __always_inline struct tg_evaluation *tg_evaluation_at_hand(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tg_evaluations, &zero);
}

/*
 * One byte of a text against one of the pattern. A callback with its state in the map, like all loops here: the verifier would
 * follow every byte that a plain loop has found to be equal.
 */
static long tg_compare_byte(u64 nth, void *ctx)
{
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	struct tg_scratch *scratch = tg_get_scratch(TG_SCRATCH_EXEC);
	struct tg_pattern *pattern;
	u32 from;

	if (!evaluation || !scratch)
		return 1;
	pattern = &tg_shared.policy.pattern[evaluation->pattern & (TG_MAX_PATTERNS - 1)];
	from = evaluation->from + nth;
	barrier_var(from);
	if (from < sizeof(scratch->text) && scratch->text[from] == pattern->text[nth & (TG_PATTERN_BYTES - 1)])
		return 0;
	evaluation->differs = 1;
	return 1;
}

static __always_inline bool tg_fits(struct tg_evaluation *evaluation, const struct tg_span *span,
				    const struct tg_pattern *pattern)
{
	u32 length = pattern->length;

	if (!span->length || span->length < length || (pattern->form == TG_FORM_EXACT && span->length != length))
		return false;
	evaluation->from = span->at;
	if (pattern->form == TG_FORM_SUFFIX)
		evaluation->from += span->length - length;
	evaluation->differs = 0;
	bpf_loop(length < TG_PATTERN_BYTES ? length : TG_PATTERN_BYTES, tg_compare_byte, NULL, 0);
	return !evaluation->differs;
}

/* Notes what one pattern says. */
static long tg_try_pattern(u64 nth, void *ctx)
{
	struct tg_pattern *pattern = &tg_shared.policy.pattern[nth & (TG_MAX_PATTERNS - 1)];
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	bool fits;

	if (!evaluation)
		return 1;
	evaluation->pattern = nth;
	if (pattern->subject == TG_SUBJECT_PATH)
		fits = tg_fits(evaluation, &evaluation->spans[TG_SPAN_PATH], pattern);
	else
		fits = tg_fits(evaluation, &evaluation->spans[TG_SPAN_COMM], pattern) ||
		       tg_fits(evaluation, &evaluation->spans[TG_SPAN_EXECUTABLE], pattern) ||
		       tg_fits(evaluation, &evaluation->spans[TG_SPAN_ARGV0], pattern);
	if (!fits)
		return 0;
	if (!pattern->type) {
		evaluation->excluded = 1;
		return 1;
	}
	evaluation->matched[pattern->rank & (TG_MAX_PATTERNS - 1)] |= pattern->type;
	return 0;
}

static long tg_try_rank(u64 nth, void *ctx)
{
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	struct tg_rank *rank = &tg_shared.policy.rank[nth & (TG_MAX_PATTERNS - 1)];
	u8 matched;

	if (!evaluation)
		return 1;
	matched = evaluation->matched[nth & (TG_MAX_PATTERNS - 1)];
	if (rank->all ? (matched & rank->all) != rank->all : !matched)
		return 0;
	evaluation->state = TG_PROFILE | (u64)rank->target << TG_TARGET_SHIFT;
	return 1;
}

static long tg_find_slash(u64 nth, void *ctx)
{
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	struct tg_scratch *scratch = tg_get_scratch(TG_SCRATCH_EXEC);
	u32 at;

	if (!evaluation || !scratch)
		return 1;
	at = evaluation->argv0_at + nth;
	barrier_var(at);
	if (at < sizeof(scratch->text) && scratch->text[at] == '/')
		evaluation->argv0_name = nth + 1;
	return 0;
}

static long tg_measure_comm(u64 nth, void *ctx)
{
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	struct tg_scratch *scratch = tg_get_scratch(TG_SCRATCH_EXEC);

	if (!evaluation || !scratch || !scratch->event.comm[nth & (TG_COMM_BYTES - 1)])
		return 1;
	evaluation->spans[TG_SPAN_COMM].length = nth + 1;
	return 0;
}

static __always_inline void tg_find_names(struct tg_evaluation *evaluation, struct tg_scratch *scratch, u32 path_bytes,
					  u32 argv0_bytes)
{
	/* Behind the longest path and argv[0] there is room for it. */
	__builtin_memcpy(&scratch->text[TG_PATH_BYTES + TG_ARGV0_BYTES], scratch->event.comm, TG_COMM_BYTES);
	evaluation->spans[TG_SPAN_COMM].at = TG_PATH_BYTES + TG_ARGV0_BYTES;
	evaluation->spans[TG_SPAN_COMM].length = 0;
	bpf_loop(TG_COMM_BYTES, tg_measure_comm, NULL, 0);
	evaluation->spans[TG_SPAN_PATH].at = 0;
	evaluation->spans[TG_SPAN_PATH].length = path_bytes;
	evaluation->spans[TG_SPAN_EXECUTABLE].at = scratch->last_name;
	evaluation->spans[TG_SPAN_EXECUTABLE].length = path_bytes - scratch->last_name;
	evaluation->argv0_at = path_bytes;
	evaluation->argv0_name = 0;
	bpf_loop(argv0_bytes, tg_find_slash, NULL, 0);
	evaluation->spans[TG_SPAN_ARGV0].at = path_bytes + evaluation->argv0_name;
	evaluation->spans[TG_SPAN_ARGV0].length = argv0_bytes - evaluation->argv0_name;
}

/*
 * State and target of the program whose path and argv[0] are in the scratch, given that of its control group. `whole` says
 * whether argv[0] is all there is of it.
 */
static __always_inline u64 tg_state_at_exec(struct tg_scratch *scratch, u32 path_bytes, u32 argv0_bytes, bool whole,
					    u64 of_cgroup)
{
	struct tg_evaluation *evaluation = tg_evaluation_at_hand();
	u32 version = *(volatile u32 *)&tg_shared.policy.version, patterns = tg_shared.policy.patterns;
	u32 ranks = tg_shared.policy.ranks;
	u64 state = of_cgroup;

	if (version & 1 || !evaluation)
		return TG_UNDECIDED;
	if (patterns) {
		/* What is not known here could be what excludes it. */
		if (!path_bytes)
			return TG_UNDECIDED;
		evaluation->state = TG_UNDECIDED;
		evaluation->excluded = 0;
		__builtin_memset(evaluation->matched, 0, sizeof(evaluation->matched));
		tg_find_names(evaluation, scratch, path_bytes, argv0_bytes);
		bpf_loop(patterns < TG_MAX_PATTERNS ? patterns : TG_MAX_PATTERNS, tg_try_pattern, NULL, 0);
		if (evaluation->excluded)
			return TG_UNDECIDED;
		if (state == TG_UNDECIDED) {
			bpf_loop(ranks < TG_MAX_PATTERNS ? ranks : TG_MAX_PATTERNS, tg_try_rank, NULL, 0);
			state = evaluation->state;
		}
	}
	if (state == TG_UNDECIDED && whole && tg_shared.policy.knows_inclusions)
		state = TG_SKIP;
	return *(volatile u32 *)&tg_shared.policy.version == version ? state : TG_UNDECIDED;
}

#endif
