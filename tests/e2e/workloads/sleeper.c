// Uses no CPU time, until SIGTERM.
#include "clock.h"

int main(void)
{
	tg_limit_life();
	for (;;)
		pause();
}
