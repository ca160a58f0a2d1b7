/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Code that gives way to other code at the same addresses. The kernel hands out free addresses only: what an image is known
 * to have had there is gone, and what comes there is something else, from this moment on and before any of it can run.
 *
 * Seen are mappings for which the kernel chooses the place, as loaders let it do. Those at a place that the program names
 * are not; they are noticed by the number of executable pages, or when an address is in no mapping that is known.
 */
#ifndef TG_REMAPPING_H
#define TG_REMAPPING_H

enum tg_overlap {
	TG_OVERLAP_NONE,
	TG_OVERLAP_IN_PART, /* all ranges that are gone are in one part */
	TG_OVERLAP_WIDE,
};

/* Whether an area overlaps ranges of a part. If `mark`, they are not believed any more: what is there now is awaited. */
static __always_inline bool tg_overlaps_ranges(struct tg_mapped *part, u64 start, u64 end, bool mark)
{
	bool overlaps = false;
	u32 at;

	for (at = 0; at < TG_PART_RANGES; at++) {
		struct tg_range *range = &part->ranges[at];

		if (range->start >= end || range->end <= start)
			continue;
		overlaps = true;
		if (mark)
			*(volatile u32 *)&range->table = TG_TABLE_AWAITED;
	}
	return overlaps;
}

static __always_inline enum tg_overlap tg_overlap(u64 image, u64 start, u64 end, bool mark)
{
	struct tg_mapped *part;
	u64 key = image;
	u32 level;

	for (level = 0; level < TG_PART_LEVELS; level++) {
		u32 next;

		part = bpf_map_lookup_elem(&tg_mapped, &key);
		if (!part)
			return TG_OVERLAP_NONE;
		if (end <= part->low)
			next = part->left;
		else if (start >= part->high)
			next = part->right;
		/* An area that is free, and covers an end of the part's, covers its first or its last range. */
		else if (start < part->low || end > part->high)
			return TG_OVERLAP_WIDE;
		else
			return tg_overlaps_ranges(part, start, end, mark) ? TG_OVERLAP_IN_PART : TG_OVERLAP_NONE;
		if (!next)
			return TG_OVERLAP_NONE;
		key = image | (next & 0xff);
	}
	return TG_OVERLAP_NONE;
}

/* Puts the area down and counts it; nobody else does meanwhile, since the address space is locked. The count before. */
static __always_inline u32 tg_count_remap(struct tg_process *process, u64 start, u64 end)
{
	u64 token = process->word >> TG_TOKEN_SHIFT;
	struct tg_areas *areas = bpf_map_lookup_elem(&tg_areas, &token);
	u32 remaps = process->remaps;

	if (areas) {
		struct tg_area *area = &areas->areas[remaps % TG_AREAS];

		area->start = start;
		area->end = end;
		*(volatile u32 *)&areas->remaps = remaps + 1;
	}
	*(volatile u32 *)&process->remaps = remaps + 1;
	return remaps;
}

/* In the context of the process, whose address space is locked: the area is found, but nothing mapped there yet. */
SEC("raw_tp/vm_unmapped_area")
int tg_area_found(struct bpf_raw_tracepoint_args *ctx)
{
	u32 key = bpf_get_current_pid_tgid() >> 32, remaps;
	struct vm_unmapped_area_info *info;
	struct tg_process *process;
	struct tg_mapped *mapped;
	u64 start, end, image;
	enum tg_overlap overlap = TG_OVERLAP_NONE;
	bool is_told, is_read;

	if (!tg_bit(key))
		return 0;
	process = bpf_map_lookup_elem(&tg_processes, &key);
	if (!process)
		return 0;
	start = ctx->args[0];
	/* No area, but the number of an error. */
	if ((s64)start < 0)
		return 0;
	info = (void *)ctx->args[1];
	end = start + BPF_CORE_READ(info, length);
	image = process->word >> TG_TOKEN_SHIFT << 8;
	/* Looked at before the list: once it is no longer being read it is there. */
	is_read = tg_is_being_read(key);
	mapped = bpf_map_lookup_elem(&tg_mapped, &image);
	if (!mapped) {
		/* It lives by its parent's list, which the parent goes on to live by. */
		if (process->forked_from)
			overlap = tg_overlap(process->forked_from << 8, start, end, false);
		if (overlap != TG_OVERLAP_NONE)
			process->forked_from = 0;
		if (overlap != TG_OVERLAP_NONE || is_read)
			tg_count_remap(process, start, end);
		return 0;
	}
	overlap = tg_overlap(image, start, end, true);
	/* While the list is known to be out of date, what is not in it may be code that has been sampled, too. */
	is_told = mapped->told != process->told;
	/* While one is being read, what is not in it may be code that was read, and will be told. */
	if (overlap == TG_OVERLAP_NONE && !is_told && !is_read)
		return 0;
	remaps = tg_count_remap(process, start, end);
	/* With what is gone marked, the list is right again. */
	if (overlap != TG_OVERLAP_WIDE && mapped->remaps == remaps)
		*(volatile u32 *)&mapped->remaps = remaps + 1;
	if (overlap != TG_OVERLAP_NONE && !is_told && tg_announce(TG_EVENT_REMAPPED, key, process, NULL))
		*(volatile u32 *)&process->told = process->told + 1;
	return 0;
}

#endif
