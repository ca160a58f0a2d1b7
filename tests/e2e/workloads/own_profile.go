// Writes a CPU profile and a heap profile of itself by Go's own profiler: own_profile CPU-FILE HEAP-FILE FUNCTION, where
// FUNCTION is `first` or `second`.
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

//go:noinline
func tgFirst(x uint64) uint64 { return tgMix(x, 13) }

//go:noinline
func tgSecond(x uint64) uint64 { return tgMix(x, 11) }

//go:noinline
func tgMix(x uint64, by uint) uint64 {
	for round := uint64(0); round < 50000; round++ {
		x ^= x << by
		x ^= x >> 7
		x += round
	}
	return x
}

func main() {
	cpu, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		panic(err)
	}
	begin, state := time.Now(), uint64(1)
	for time.Since(begin) < 1500*time.Millisecond && state != 0 {
		if os.Args[3] == "first" {
			state = tgFirst(state)
		} else {
			state = tgSecond(state)
		}
	}
	pprof.StopCPUProfile()
	cpu.Close()
	heap, err := os.Create(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.GC()
	if err := pprof.WriteHeapProfile(heap); err != nil {
		panic(err)
	}
	heap.Close()
}
