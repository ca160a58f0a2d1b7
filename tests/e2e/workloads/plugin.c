// A plug-in, in two versions: their functions have the same places and other names, and frames of other sizes.
#include "spin.h"

#ifdef TG_SECOND
#define FRAME 800
#define WORK tg_second_work
#define DEEP tg_second_deep
#define DEPTH 7
#else
#define FRAME 40
#define WORK tg_first_work
#define DEEP tg_first_deep
#define DEPTH 3
#endif

TG_APART int WORK(int x)
{
	volatile char frame[FRAME];

	frame[x & 31] = 1;
	for (int i = 0; i < 3; i++)
		tg_spin();
	TG_AFTER();
	return frame[x & 31];
}

TG_APART int DEEP(int depth, int (*back)(int))
{
	volatile char frame[FRAME];
	int result;

	frame[depth & 31] = 1;
	if (depth == 0)
		result = WORK(depth) + back(depth);
	else
		result = DEEP(depth - 1, back);
	TG_AFTER();
	return result + frame[depth & 31];
}

int tg_enter(int (*back)(int))
{
	int result = DEEP(DEPTH, back);

	TG_AFTER();
	return result;
}
