// One of many programs that run at the same time. Each has functions of the same sizes at the same places, under names of
// its own: TG_NUMBER is part of them, and of how deep they call each other.
#include "spin.h"

#define GLUE(a, b, c) a##b##_##c
#define NAME_(number, name) GLUE(tg_mixed_, number, name)
#define NAME(name) NAME_(TG_NUMBER, name)

TG_APART void NAME(leaf)(void)
{
	for (int i = 0; i < 5; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART int NAME(deep)(int depth)
{
	int result = 0;

	if (depth == 0)
		NAME(leaf)();
	else
		result = NAME(deep)(depth - 1);
	TG_AFTER();
	return result + 1;
}

TG_APART void NAME(round)(void)
{
	tg_sink += (uint64_t)NAME(deep)(TG_NUMBER);
	TG_AFTER();
}

int main(void)
{
	tg_limit_life();
	for (;;)
		NAME(round)();
}
