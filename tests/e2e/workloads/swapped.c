// Two libraries, the same but for the name of their function, in turn at the same addresses. Which of them is called is told
// by who calls it: tg_call_a calls tg_in_a only, tg_call_b tg_in_b.
//
//   swapped A.so B.so MILLISECONDS HOW
//
// HOW is `loader`, or `memfd` or `deleted`: the same with files that never had a name, or
// have none any more. Prints `swaps=N same=N`: how often, and how often at the same address.
#define _GNU_SOURCE
#include "clock.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone, used))

typedef uint64_t (*work)(uint64_t rounds);

static volatile uint64_t sink;
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

APART void tg_call_a(work function, int64_t until)
{
	while (tg_thread_cpu_ns() < until)
		sink += function(20000);
	__asm__ volatile("" : : : "memory");
}

APART void tg_call_b(work function, int64_t until)
{
	while (tg_thread_cpu_ns() < until)
		sink += function(20000);
	__asm__ volatile("" : : : "memory");
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

struct loaded {
	void *handle;
	work function;
};

static struct loaded load(const char *path, const char *name)
{
	struct loaded loaded = { dlopen(path, RTLD_NOW | RTLD_LOCAL), NULL };

	if (!loaded.handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	loaded.function = (work)dlsym(loaded.handle, name);
	if (!loaded.function)
		die(name);
	return loaded;
}

// The path of a file without a name: a copy in memory, or the file itself, which is removed.
static const char *nameless(const char *path, int in_memory, char text[32])
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = from;
	struct stat status;

	if (from < 0 || fstat(from, &status))
		die(path);
	if (in_memory) {
		to = memfd_create("tg-library", MFD_CLOEXEC);
		if (to < 0 || sendfile(to, from, NULL, (size_t)status.st_size) != status.st_size)
			die("memfd");
	} else if (unlink(path)) {
		die(path);
	}
	snprintf(text, 32, "/proc/self/fd/%d", to);
	return text;
}

int main(int argc, char **argv)
{
	int64_t turn_ns = argc > 3 ? atol(argv[3]) * 1000000 : 0;
	unsigned long swaps = 0, same = 0;
	void *before = NULL;
	const char *how = argc > 4 ? argv[4] : "", *paths[2] = { argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "" };
	char names[2][32];

	if (!turn_ns)
		return 2;
	tg_limit_life();
	signal(SIGTERM, stop);
	for (int i = 0; i < 2 && (!strcmp(how, "memfd") || !strcmp(how, "deleted")); i++)
		paths[i] = nameless(paths[i], how[0] == 'm', names[i]);
	while (!stopped) {
		int second = swaps & 1;
		int64_t until = tg_thread_cpu_ns() + turn_ns;
		struct loaded loaded = load(paths[second], second ? "tg_in_b" : "tg_in_a");

		same += (void *)loaded.function == before;
		before = (void *)loaded.function;
		(second ? tg_call_b : tg_call_a)(loaded.function, until);
		dlclose(loaded.handle);
		swaps++;
	}
	printf("swaps=%lu same=%lu\n", swaps, same);
	return 0;
}
