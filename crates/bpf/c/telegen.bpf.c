// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The kernel side of telegen. One object, so that all programs share one set of maps; a file per concern. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "abi.h"
#include "state.h"
#include "identity.h"
#include "cgroup.h"
#include "path.h"
#include "policy.h"
#include "lifecycle.h"
#include "scan.h"
#include "decision.h"
#include "unwind_table.h"
#include "user_memory.h"
#include "frame_pointer.h"
#include "unwind.h"
#include "remapping.h"
#include "tick.h"

/* Most helpers used here are for GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
