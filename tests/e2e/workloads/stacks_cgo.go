// Goes from Go to C, and from there back to Go.
package main

/*
#cgo CFLAGS: -O2 -fomit-frame-pointer
#include <stdint.h>

extern void tgBack(int);

static volatile uint64_t tg_c_sink;

__attribute__((noinline, noclone, used)) static void tg_c_spin(void)
{
	for (int i = 0; i < 40000; i++)
		tg_c_sink += (uint64_t)i;
	__asm__ volatile("" : : : "memory");
}

__attribute__((noinline, noclone, used)) static int tg_c_deep(int depth)
{
	int result = 0;

	if (depth == 0)
		for (int i = 0; i < 20; i++)
			tg_c_spin();
	else
		result = tg_c_deep(depth - 1);
	__asm__ volatile("" : : : "memory");
	return result + 1;
}

__attribute__((noinline, noclone, used)) static void tg_c_calling(int times)
{
	tgBack(times);
	__asm__ volatile("" : : : "memory");
}
*/
import "C"

import "time"

var sink uint64

//go:noinline
func tgSpin() {
	x := sink
	for i := uint64(0); i < 100000; i++ {
		x ^= x<<13 + i
		x ^= x >> 7
	}
	sink = x
}

//export tgBack
func tgBack(times C.int) {
	for i := 0; i < int(times); i++ {
		tgSpin()
	}
	sink++
}

//go:noinline
func tgToC() {
	C.tg_c_deep(10)
	sink++
}

//go:noinline
func tgToCAndBack() {
	C.tg_c_calling(20)
	sink++
}

//go:noinline
func tgInGo() {
	for i := 0; i < 20; i++ {
		tgSpin()
	}
	sink++
}

//go:noinline
func tgRound() {
	tgInGo()
	tgToC()
	tgToCAndBack()
	sink++
}

func main() {
	for begin := time.Now(); time.Since(begin) < 180*time.Second; {
		tgRound()
	}
}
