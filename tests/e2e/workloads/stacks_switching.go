// Spends its time where Go's run time changes stacks by hand: stacks that grow, goroutines that begin, clocks that are read,
// memory that is asked for, signals that take the processor away.
package main

import (
	"runtime"
	"sync"
	"time"
)

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

//go:noinline
func tgGrow(depth int) int {
	var here [40]byte
	here[depth%40] = 1
	if depth == 0 {
		return int(here[0])
	}
	return tgGrow(depth-1) + int(here[depth%40])
}

//go:noinline
func tgGrower(done chan int) {
	done <- tgGrow(400)
}

//go:noinline
func tgGrowing() {
	done := make(chan int)
	for i := 0; i < 100; i++ {
		go tgGrower(done)
		sink += uint64(<-done)
	}
}

//go:noinline
func tgNothing(wait *sync.WaitGroup) { wait.Done() }

//go:noinline
func tgStarting() {
	var wait sync.WaitGroup
	for i := 0; i < 5000; i++ {
		wait.Add(1)
		go tgNothing(&wait)
	}
	wait.Wait()
}

//go:noinline
func tgReading() {
	for i := 0; i < 50000; i++ {
		sink += uint64(time.Now().Nanosecond())
	}
}

//go:noinline
func tgAllocating() {
	for i := 0; i < 200; i++ {
		large := make([]byte, 200000)
		large[i] = 1
		sink += uint64(large[i])
	}
}

//go:noinline
func tgCollecting() {
	runtime.GC()
	sink++
}

//go:noinline
func tgSharing() {
	var wait sync.WaitGroup
	for i := 0; i < 6; i++ {
		wait.Add(1)
		go func() {
			for j := 0; j < 50; j++ {
				tgSpin()
			}
			wait.Done()
		}()
	}
	wait.Wait()
}

func main() {
	for begin := time.Now(); time.Since(begin) < 180*time.Second; {
		tgGrowing()
		tgStarting()
		tgReading()
		tgAllocating()
		tgCollecting()
		tgSharing()
	}
}
