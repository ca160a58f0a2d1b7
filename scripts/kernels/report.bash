# shellcheck shell=bash
# What the emulated machines said, as rows of tables. Sourced by scripts/try-kernels.

# What stands in a row that is not as expected.
readonly UNEXPECTED='**not as expected**'
# Fewer samples are too few to tell anything by.
readonly FEWEST_SAMPLES=50
# The container that the guest makes.
readonly CONTAINER_DIGITS=64

# said LOG CONDITION WHAT: what the machine said of it.
said() { sed -n "s/^.*TG|$2|$3|//p" "$1" | sed 's/ *$//'; }

# outcome LOG CONDITION EXPECTED: sets `as_expected`, and samples, ready, whole, kernel and named.
outcome() {
	local log=$1 condition=$2 expected=$3 status counts
	samples=0 ready=0 whole=0 kernel=0 named=0 as_expected=
	status=$(said "$log" "$condition" record)
	counts=$(said "$log" "$condition" counts)
	[ -z "$counts" ] || read -r samples ready whole kernel named <<<"$counts"
	if [[ $expected == refused* ]]; then
		if [ "$status" = 4 ] && [ "$(said "$log" "$condition" doctor)" = 4 ] &&
			[[ $(said "$log" "$condition" said) == *"${expected#refused }"* ]]; then
			as_expected=1
		fi
		return
	fi
	[ "$status" = 0 ] && [ "$(said "$log" "$condition" doctor)" = 0 ] && [ "$ready" -ge "$FEWEST_SAMPLES" ] &&
		[ $((whole * 100)) -ge $((ready * 95)) ] || return 0
	case $expected in
	named) [ $((named * 10)) -ge $((samples * 2)) ] && as_expected=1 ;;
	addresses) [ "$named" -eq 0 ] && [ $((kernel * 10)) -ge $((samples * 2)) ] && as_expected=1 ;;
	contained) [[ $(said "$log" "$condition" containers) =~ ^\"container.id\":\"[0-9a-f]{$CONTAINER_DIGITS}\"$ ]] && as_expected=1 ;;
	esac
	return 0
}

# In words: what came of it.
came_of_it() {
	local expected=$1
	if [ -z "$as_expected" ]; then
		echo "$UNEXPECTED"
	elif [[ $expected == refused* ]]; then
		echo 'no profile, status 4'
	elif [ "$expected" = contained ]; then
		echo 'a profile; `container.id` on every sample'
	elif [ "$expected" = named ]; then
		echo 'a profile; kernel frames named'
	else
		echo 'a profile; kernel frames are addresses'
	fi
}

# What it costs: what the doctor finds beyond what it finds with nothing special, or what is said when nothing is profiled.
costs() {
	local log=$1 condition=$2 expected=$3 lost
	if [[ $expected == refused* ]]; then
		said "$log" "$condition" said | sed -e 's/^telegen: //' -e 's/ `telegen doctor`.*//'
		return
	fi
	# A machine without control groups is what most conditions are tried in.
	lost=$(said "$log" "$condition" lost)
	[ "$condition" = cgroup-unmounted ] || lost=$(grep -v '^control groups' <<<"$lost" || true)
	[[ $condition == paranoid-* ]] || lost=$(grep -v '^perf events' <<<"$lost" || true)
	lost=$(sed -e 's/ degraded: /: /' <<<"$lost" | paste -s -d';' | sed 's/; */; /g')
	echo "${lost:-nothing}"
}

# The middle of a row: what came of it, and what was counted.
counted() {
	if [[ $1 == refused* ]]; then
		printf '%s | – | – | –' "$(came_of_it "$1")"
	elif [ "$1" = contained ]; then
		# Nothing in the container reads.
		printf '%s | %s | %s of %s | –' "$(came_of_it "$1")" "$samples" "$whole" "$ready"
	else
		printf '%s | %s | %s of %s | %s of %s' "$(came_of_it "$1")" "$samples" "$whole" "$ready" "$named" "$kernel"
	fi
}

# kernel_row VERSION EXPECTED LOG
kernel_row() {
	local expected=$2 samples ready whole kernel named as_expected cost=
	outcome "$3" nothing-special "$expected"
	[[ $expected != refused* ]] || cost=$(costs "$3" nothing-special "$expected")
	printf '| %s | %s | %s |\n' "$1" "$(counted "$expected")" "$cost"
}

# condition_row CONDITION LOG
condition_row() {
	local expected samples ready whole kernel named as_expected
	expected=$(condition_field "$1" 3)
	outcome "$2" "$1" "$expected"
	printf '| %s | %s | %s |\n' "$(condition_field "$1" 4)" "$(counted "$expected")" "$(costs "$2" "$1" "$expected")"
}

kernels_heading() {
	cat <<'HEADING'
## Kernels

| kernel | outcome | samples | whole | kernel stacks named | message |
|---|---|---|---|---|---|
HEADING
}

conditions_heading() {
	cat <<HEADING

## Conditions, on $1

| condition | outcome | samples | whole | kernel stacks named | what it costs, in telegen's own words |
|---|---|---|---|---|---|
HEADING
}

# document TABLES: the whole page.
document() {
	cat <<'HEAD'
# Compatibility

telegen is made for Linux 6.1 and newer; on older kernels it says what is missing, and does nothing else.

Written by `scripts/try-kernels --write`. Each of Debian's kernels below was booted in an emulated machine of 2 CPUs without
hardware counters. There `telegen doctor` was asked, and `telegen record` ran for five seconds beside two statically linked
programs without frame pointers, whose stacks are known: one that computes, and one that reads `/dev/zero`. A stack is whole
if it goes back to where its thread began; those from before the tables to unwind by were read do not count. A kernel stack
is named if it has the function of the system call in it, so those of interrupts are not. How many samples there are depends
on how fast the emulation was. The script fails unless every outcome is the one that was expected.
What Debian's kernels have anyway (`perf events`, on the last lines) and that the machine has no control groups mounted stands in
the rows about those only.

HEAD
	cat "$1"
	cat <<'TAIL'

Every test run boots the oldest of the kernels that telegen is made for, too (`tests/e2e/tests/other_kernel.rs`), and tries the
conditions that need no other kernel (`tests/e2e/tests/odd_machines.rs`). No kernel from 5.11 to 6.0 was tried, since none was to be had.
TAIL
}
