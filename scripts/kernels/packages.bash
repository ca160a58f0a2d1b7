# shellcheck shell=bash
# Which kernels there are to try, and how to come by them: Debian's packages, from the mirror that this system uses, also
# of other suites than its own. Sourced by scripts/try-kernels; nothing is installed, and the system's own lists and
# settings of apt are not touched.

# Suites with other kernels than one's own; one that the mirror has not got is passed over.
readonly SUITES=${SUITES:-bullseye bullseye-security bookworm bookworm-security trixie trixie-security trixie-backports sid}

# apt with lists, cache and state of its own.
own_apt() {
	local command=$1 own=$WORK/apt
	shift
	"$command" -q -o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$own/state" \
		-o Dir::State::status="$own/status" -o Dir::Cache="$own/cache" -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root "$@"
}

# mirrors LABEL: Debian's mirror of packages (Debian) or of security updates (Debian-Security), as the system has it.
mirror() {
	# shellcheck disable=SC2016 # apt fills in what looks like commands
	command -v apt-get >/dev/null || return 0
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' | sort -u |
		awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label {print $3; exit}'
}

# Reads what the suites offer, once a day.
refresh_packages() {
	local own=$WORK/apt main security suite
	[ -z "$(find "$own/refreshed" -mtime -1 2>/dev/null)" ] || return 0
	main=$(mirror Debian) security=$(mirror Debian-Security)
	[ -n "$main" ] || cannot "apt knows no mirror of Debian"
	mkdir -p "$own"/state/lists/partial "$own"/cache/archives/partial
	: >"$own/status"
	for suite in $SUITES; do
		case $suite in
		*-security) [ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$suite" ;;
		*) printf 'deb %s %s main\n' "$main" "$suite" ;;
		esac
	done >"$own/sources.list"
	own_apt apt-get update >"$own/log" 2>&1 || say "some suites could not be read: $own/log"
	touch "$own/refreshed"
}

# The newest signed cloud image of each series, oldest first.
offered() {
	own_apt apt-cache search --names-only '^linux-image-[0-9.]+[-+].*cloud-amd64$' | awk '{print $1}' |
		# Kernels that were built anew for an older release come in their own release too.
		grep -v -E '\.deb11\.' | sort -V |
		awk -F'[-.+]' '{series[$3 "." $4] = $0} END {for (s in series) print series[s]}' | sort -V
}

# unpack PACKAGE: downloads and unpacks it below $WORK, once.
unpack() {
	local package=$1 archive
	[ ! -d "$WORK/$package" ] || return 0
	mkdir -p "$WORK/packages"
	(cd "$WORK/packages" && own_apt apt-get download "$package" >/dev/null 2>&1) || cannot "apt cannot download $package"
	archive=$(find "$WORK/packages" -name "${package}_*.deb" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
	rm -rf "$WORK/$package.partial"
	dpkg-deb -x "$archive" "$WORK/$package.partial"
	mv "$WORK/$package.partial" "$WORK/$package"
	rm "$archive"
}

# The path of a package's kernel.
kernel_of() {
	unpack "$1"
	if ! find_kernel "$1"; then
		# Newer images are but a name for others, of which this one has the kernel.
		unpack "${1/linux-image-/linux-binary-}"
		find_kernel "${1/linux-image-/linux-binary-}" || die "there is no kernel in $1"
	fi
}

find_kernel() {
	find "$WORK/$1" -type f \( -path '*/boot/vmlinuz-*' -o -path '*/modules/*/vmlinuz' \) -print -quit | grep .
}
