// Calls functions of the C library that are looked up when they are called first, again and again: what the dynamic linker has
// found is forgotten before each round. Built with `-fno-builtin -no-pie -fcf-protection=none -Wl,-z,lazy,-z,norelro`.
#include "clock.h"
#include <stdlib.h>
#include <string.h>

// The linker's: the first three words are its own, then there is one for each function.
extern void *_GLOBAL_OFFSET_TABLE_[];

#define FUNCTIONS 8
static void *unbound[FUNCTIONS];
static volatile unsigned long sink;
static const char *volatile text = "7 profilers";

__attribute__((noinline, noclone)) void tg_bind(void)
{
	for (int nth = 0; nth < FUNCTIONS; nth++)
		_GLOBAL_OFFSET_TABLE_[3 + nth] = unbound[nth];
	sink += strlen(text) + strspn(text, "7 ") + strcspn(text, "s") + (unsigned long)strchr(text, 'f');
	sink += (unsigned long)strrchr(text, 'r') + strtoul(text, NULL, 10) + (unsigned long)rand() + (unsigned long)labs(-1);
}

int main(void)
{
	tg_limit_life();
	for (int nth = 0; nth < FUNCTIONS; nth++)
		unbound[nth] = _GLOBAL_OFFSET_TABLE_[3 + nth];
	for (;;)
		tg_bind();
}
