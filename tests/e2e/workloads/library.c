// Spends its time in the C library and in the mathematical one: in leaves of hand-written assembly, in callbacks, in
// what calls itself there.
#define _GNU_SOURCE
#include "spin.h"
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char from[1 << 15], to[1 << 15];

#define HIDE(p) __asm__ volatile("" : : "r"(p) : "memory")

TG_APART void tg_copying(void)
{
	for (int i = 0; i < 600; i++) {
		memcpy(to, from, sizeof(to));
		HIDE(to);
	}
	TG_AFTER();
}

TG_APART void tg_filling(void)
{
	for (int i = 0; i < 600; i++) {
		memset(to, i, sizeof(to));
		HIDE(to);
	}
	TG_AFTER();
}

TG_APART void tg_measuring(void)
{
	memset(from, 'x', sizeof(from) - 1);
	for (int i = 0; i < 600; i++) {
		HIDE(from);
		tg_sink += strlen(from) + (strchr(from, 'y') != NULL);
	}
	TG_AFTER();
}

TG_APART int tg_compare(const void *a, const void *b)
{
	tg_spin();
	TG_AFTER();
	return *(const int *)a - *(const int *)b;
}

TG_APART void tg_sorting(void)
{
	int values[8] = {5, 3, 8, 1, 9, 2, 7, 4};

	qsort(values, 8, sizeof(values[0]), tg_compare);
	tg_sink += (uint64_t)values[0];
	TG_AFTER();
}

TG_APART void tg_looking(void)
{
	static const int values[8] = {1, 2, 3, 4, 5, 7, 8, 9};
	int key = 7;

	for (int i = 0; i < 5; i++)
		tg_sink += bsearch(&key, values, 8, sizeof(key), tg_compare) != NULL;
	TG_AFTER();
}

TG_APART void tg_printing(void)
{
	char text[200];

	for (int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "%d %s %.9g %lx", i, "some words", i / 7.0, (unsigned long)i);
		tg_sink += (uint64_t)text[0];
	}
	TG_AFTER();
}

TG_APART void tg_allocating(void)
{
	static void *kept[1000];

	for (int i = 0; i < 20000; i++) {
		int at = (i * 7919) % 1000;
		free(kept[at]);
		kept[at] = malloc((size_t)(16 + (i * 31) % 3000));
	}
	TG_AFTER();
}

TG_APART void tg_calculating(void)
{
	volatile double x = 0.5;

	for (int i = 0; i < 20000; i++)
		x = pow(fabs(sin(x)) + 1.0001, 1.5) / 3;
	TG_AFTER();
}

TG_APART void tg_parsing(void)
{
	static const char text[] = "3.14159265358979323846264338327950288";

	for (int i = 0; i < 3000; i++) {
		HIDE(text);
		tg_sink += (uint64_t)strtod(text, NULL);
	}
	TG_AFTER();
}

TG_APART void tg_round(void)
{
	tg_unevenly();
	tg_copying();
	tg_filling();
	tg_measuring();
	tg_sorting();
	tg_looking();
	tg_printing();
	tg_allocating();
	tg_calculating();
	tg_parsing();
	TG_AFTER();
}

int main(void)
{
	tg_limit_life();
	for (;;)
		tg_round();
}
