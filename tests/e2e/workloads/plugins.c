// Loads one plug-in after the other, late, and each at the place where the one before it was. A third of its time is its own.
//
//   plugins FIRST SECOND
#include "spin.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

TG_APART int tg_back(int x)
{
	tg_spin();
	TG_AFTER();
	return x + 1;
}

TG_APART void tg_alone(int64_t nanoseconds)
{
	for (int64_t begin = tg_thread_cpu_ns(); tg_thread_cpu_ns() - begin < nanoseconds;)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_calling(int (*enter)(int (*)(int)), int64_t nanoseconds)
{
	for (int64_t begin = tg_thread_cpu_ns(); tg_thread_cpu_ns() - begin < nanoseconds;)
		tg_sink += (uint64_t)enter(tg_back);
	TG_AFTER();
}

TG_APART void tg_plugging(const char *path, int64_t nanoseconds)
{
	void *plugin = dlopen(path, RTLD_NOW);
	int (*enter)(int (*)(int)) = plugin ? (int (*)(int (*)(int)))dlsym(plugin, "tg_enter") : NULL;

	if (!enter) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	tg_calling(enter, nanoseconds);
	dlclose(plugin);
	TG_AFTER();
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	tg_limit_life();
	tg_alone(1000000000);
	for (;;) {
		tg_alone(400000000);
		tg_plugging(argv[1], 400000000);
		tg_plugging(argv[2], 400000000);
	}
}
