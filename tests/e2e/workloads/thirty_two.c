// A program of 32 bits that needs no library, and keeps no frame pointers.
#define CALL(number, first) __asm__ volatile("int $0x80" : : "a"(number), "b"(first))

__attribute__((noinline)) unsigned tg_fibonacci(unsigned n)
{
	return n < 2 ? n : tg_fibonacci(n - 1) + tg_fibonacci(n - 2);
}

void _start(void)
{
	volatile unsigned sink = 0;

	CALL(27, 120); // alarm
	for (unsigned round = 0; round < 200; round++)
		sink += tg_fibonacci(30);
	CALL(1, 0); // exit
}
