# shellcheck shell=bash
# The emulated machine: its root file system, and its boots. Sourced by scripts/try-kernels.

# Seconds after which a machine is taken to hang. Emulation is some twenty times slower than the real thing.
readonly BOOT_SECONDS=1800

# install_program PROGRAM DIRECTORY: copies a program of this system, and the libraries that it is linked with.
install_program() {
	local library
	cp -L "$1" "$2/tools/"
	for library in $(ldd "$1" | grep -o '/[^ ]*'); do
		mkdir -p "$2$(dirname "$library")"
		cp -L "$library" "$2$library"
	done
}

# A root file system: a shell, telegen, programs whose stacks are known, and the scripts that run them.
make_root() {
	local root=$WORK/root workload
	rm -rf "$root"
	mkdir -p "$root"/{bin,tools,proc,sys,dev,tmp}
	unpack busybox-static
	find "$WORK/busybox-static" -type f -path '*bin/busybox' -exec cp {} "$root/bin/" \;
	ln -s busybox "$root/bin/sh"
	install_program "$TELEGEN" "$root"
	strip -g "$root/tools/telegen"
	install_program "$(command -v setpriv)" "$root"
	for workload in stacks syscalls; do
		cc -O2 -g -fomit-frame-pointer -pthread -static -DTG_COROUTINES -DTG_LIFE_LIMIT_SECONDS="$BOOT_SECONDS" \
			-o "$root/tools/tg-$workload" "tests/e2e/workloads/$workload.c"
	done
	cp scripts/kernels/guest/* "$root/"
	chmod +x "$root/init"
	(cd "$root" && find . | ./bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$WORK/root.gz"
}

# boot KERNEL LOG CONDITIONS [PARAMETER…]: boots, tries the conditions in turn, and leaves all that was said in the log.
boot() {
	local kernel=$1 log=$2 conditions=$3
	shift 3
	timeout "$BOOT_SECONDS" nice -n 10 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1500 -nographic -no-reboot \
		-nic none -kernel "$kernel" -initrd "$WORK/root.gz" \
		-append "console=ttyS0 quiet panic=-1 TG_CONDITIONS=$conditions $*" </dev/null 2>&1 | sed -u 's|\r||g' >"$log" || true
}
