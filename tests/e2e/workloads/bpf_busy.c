// Spends most of its CPU time in a BPF program of its own, a filter on a socket that it sends to, until SIGTERM. Needs
// root.
#include "clock.h"

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 50000

int main(void)
{
	// for (r1 = 0; r1 < ROUNDS; r1++); return 1;
	struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1 },
		{ .code = BPF_JMP | BPF_JLT | BPF_K, .dst_reg = 1, .off = -2, .imm = ROUNDS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes;
	int pair[2], fd;
	char byte = 0;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attributes.insns = (uintptr_t)program;
	attributes.insn_cnt = sizeof(program) / sizeof(program[0]);
	attributes.license = (uintptr_t) "GPL";
	strcpy(attributes.prog_name, "tg_busy");
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
	if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return 1;
	if (setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)))
		return 1;
	tg_limit_life();
	while (send(pair[0], &byte, 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1)
		;
	return 1;
}
