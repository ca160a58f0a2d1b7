// Loads one plug-in after the other, late, and each at the place where the one before it was, and says how much CPU time
// it has spent in each.
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

TG_APART int64_t tg_plugging(const char *path, int64_t nanoseconds)
{
	int64_t begin;
	void *plugin = dlopen(path, RTLD_NOW);
	int (*enter)(int (*)(int)) = plugin ? (int (*)(int (*)(int)))dlsym(plugin, "tg_enter") : NULL;

	if (!enter) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	begin = tg_thread_cpu_ns();
	tg_calling(enter, nanoseconds);
	nanoseconds = tg_thread_cpu_ns() - begin;
	dlclose(plugin);
	return nanoseconds;
}

int main(int argc, char **argv)
{
	int64_t first, second;

	if (argc < 3)
		return 2;
	tg_limit_life();
	tg_alone(500000000);
	first = tg_plugging(argv[1], 1500000000);
	tg_alone(300000000);
	second = tg_plugging(argv[2], 1500000000);
	printf("first=%.6f second=%.6f total=%.6f\n", first / 1e9, second / 1e9, tg_process_cpu_ns() / 1e9);
	return 0;
}
