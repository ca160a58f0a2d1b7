// CPU clocks, and a life that ends by itself, for the C workloads.
#ifndef TG_CLOCK_H
#define TG_CLOCK_H

#include <stdint.h>
#include <time.h>
#include <unistd.h>

// No workload outlives its test by more than this, even if the test was killed before it could clean up.
#ifndef TG_LIFE_LIMIT_SECONDS
#define TG_LIFE_LIMIT_SECONDS 180
#endif

static inline void tg_limit_life(void)
{
	alarm(TG_LIFE_LIMIT_SECONDS);
}

static inline int64_t tg_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t tg_thread_cpu_ns(void)
{
	return tg_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline int64_t tg_process_cpu_ns(void)
{
	return tg_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

// Makes the function that it stands in set up a frame pointer: even with -fno-omit-frame-pointer, gcc leaves it out of
// functions that call nothing, and a walk along frame pointers would then miss their callers.
#define TG_KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

// Defines a function that does nothing but spend CPU time, in its own body, about 0.1 ms at a call.
#define TG_BURNER(name, shift)                                                                                         \
	__attribute__((noinline, noclone)) uint64_t name(uint64_t x)                                                   \
	{                                                                                                              \
		TG_KEEP_FRAME();                                                                                       \
		for (int round = 0; round < 50000; round++) {                                                          \
			x ^= x << (shift);                                                                             \
			x ^= x >> 7;                                                                                   \
			x += (uint64_t)round;                                                                          \
			__asm__ volatile("" : "+r"(x));                                                                \
		}                                                                                                      \
		return x;                                                                                              \
	}

#endif
