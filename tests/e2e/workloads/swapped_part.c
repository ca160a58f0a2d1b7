// One of the libraries of swapped.c; -DNAME=… names its function.
#include <stdint.h>

static volatile uint64_t sink;

uint64_t NAME(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		sink += i;
	return sink;
}
