# shellcheck shell=bash
# What the emulated machine is tried under, and what is expected of telegen there. scripts/kernels/guest/conditions makes
# each of them. Sourced by scripts/try-kernels.

# One condition a line: its name, parameters of the kernel that it takes a boot with, what is expected, and what it is.
# Expected is one of
#   named      a profile, kernel frames with their names
#   addresses  a profile, kernel frames as addresses
#   contained  a profile of one container, known by its id
#   refused    no profile and status 4, with these words in the message
readonly CONDITIONS='
no-tracefs               |                         | named              | neither tracefs nor debugfs mounted
no-module-list           |                         | named              | nothing in `/proc/modules`
no-kallsyms              |                         | addresses          | nothing in `/proc/kallsyms`
proc-of-pids-only        |                         | addresses          | `/proc` mounted with `subset=pid`: no `/proc/sys`, `/proc/modules` or `/proc/kallsyms`
no-sysfs                 |                         | refused sysfs      | `/sys` not mounted
kptr-1                   |                         | named              | `kernel.kptr_restrict=1`, root
kptr-1-no-syslog         |                         | addresses          | `kernel.kptr_restrict=1`, root without `CAP_SYSLOG`
kptr-2                   |                         | addresses          | `kernel.kptr_restrict=2`, root
kptr-2-no-syslog         |                         | addresses          | `kernel.kptr_restrict=2`, root without `CAP_SYSLOG`
lockdown-integrity       | lockdown=integrity       | named              | `lockdown=integrity`
lockdown-confidentiality | lockdown=confidentiality | refused locked down | `lockdown=confidentiality`
cgroup-v1                |                         | contained          | cgroup version 1 only; `--container`
cgroup-v2                |                         | contained          | cgroup version 2 only; `--container`
cgroup-unmounted         |                         | contained          | no cgroup file system mounted; `--container`
hidepid-root             |                         | named              | `/proc` mounted with `hidepid=2`, root
hidepid-nobody           |                         | named              | the same, user 65534 with the six capabilities
paranoid-2               |                         | named              | `kernel.perf_event_paranoid=2`, user 65534 with the six capabilities
paranoid-3               |                         | refused perf_event_paranoid | `kernel.perf_event_paranoid=3`, the same user
paranoid-3-root          |                         | named              | `kernel.perf_event_paranoid=3`, root
paranoid-4-admin         |                         | named              | `kernel.perf_event_paranoid=4`, user 65534 with the six and `CAP_SYS_ADMIN`
unprivileged-bpf-2       |                         | named              | `kernel.unprivileged_bpf_disabled=2`, user 65534 with the six capabilities
'

# What is expected of telegen on a kernel older than it is made for.
readonly TOO_OLD='refused lacks what the BPF programs need'

# condition_field NAME NUMBER: the field of a condition's line, without the blanks around it.
condition_field() {
	awk -F'|' -v name="$1" -v field="$2" '{gsub(/^ +| +$/, "", $1)} $1 == name {gsub(/^ +| +$/, "", $field); print $field}' \
		<<<"$CONDITIONS"
}

all_conditions() { awk -F'|' 'NF >= 4 {gsub(/ /, "", $1); print $1}' <<<"$CONDITIONS"; }

# boots CONDITION…: the parameters of each boot that these take, and the conditions tried in it, as
# "parameters|condition,condition…".
boots() {
	awk -F'|' -v wanted=" $* " '
		NF < 4 { next }
		{ gsub(/^ +| +$/, "", $1); gsub(/^ +| +$/, "", $2) }
		index(wanted, " " $1 " ") {
			if (!($2 in list)) order[++count] = $2
			list[$2] = list[$2] (list[$2] == "" ? "" : ",") $1
		}
		END { for (i = 1; i <= count; i++) print order[i] "|" list[order[i]] }' <<<"$CONDITIONS"
}
