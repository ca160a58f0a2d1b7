// Spends its time at the ends of call chains as Go programs have them: goroutines whose stacks grow, closures, interfaces,
// deferred functions, panics, callbacks of the library, the collector of garbage.
package main

import (
	"sort"
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
func tgRecurse(depth int) int {
	var here [40]byte
	here[depth%40] = 1
	if depth == 0 {
		for i := 0; i < 20; i++ {
			tgSpin()
		}
		return int(here[0])
	}
	return tgRecurse(depth-1) + int(here[depth%40])
}

//go:noinline
func tgShallow() { sink += uint64(tgRecurse(50)) + 1 }

//go:noinline
func tgDeep() { sink += uint64(tgRecurse(400)) + 1 }

type shape interface{ tgArea() int }

type square struct{ side int }

//go:noinline
func (s square) tgArea() int {
	for i := 0; i < 5; i++ {
		tgSpin()
	}
	return s.side
}

//go:noinline
func tgInterface(s shape) { sink += uint64(s.tgArea()) + 1 }

//go:noinline
func tgRecovered() {
	if recover() != nil {
		for i := 0; i < 5; i++ {
			tgSpin()
		}
	}
	sink++
}

//go:noinline
func tgPanicking() {
	defer tgRecovered()
	panic("on purpose")
}

type ordered []int

func (o ordered) Len() int      { return len(o) }
func (o ordered) Swap(i, j int) { o[i], o[j] = o[j], o[i] }

//go:noinline
func (o ordered) Less(i, j int) bool {
	tgSpin()
	return o[i] < o[j]
}

//go:noinline
func tgSorting() {
	sort.Sort(ordered{5, 3, 8, 1, 9, 2, 7, 4})
	sink++
}

//go:noinline
func tgClosure(times int) func() {
	return func() {
		for i := 0; i < times; i++ {
			tgSpin()
		}
		sink++
	}
}

//go:noinline
func tgCalling(f func()) {
	f()
	sink++
}

type node struct {
	next *node
	data [6]uint64
}

//go:noinline
func tgAllocating() {
	var head *node
	for i := 0; i < 20000; i++ {
		head = &node{next: head}
		if i%1000 == 0 {
			head = nil
		}
	}
	if head != nil {
		sink++
	}
}

//go:noinline
func tgRoutine(done chan int) {
	for i := 0; i < 10; i++ {
		tgSpin()
	}
	done <- 1
}

//go:noinline
func tgRoutines() {
	done := make(chan int)
	go tgRoutine(done)
	<-done
	sink++
}

//go:noinline
func tgRound() {
	tgShallow()
	tgDeep()
	tgInterface(square{3})
	tgPanicking()
	tgSorting()
	tgCalling(tgClosure(5))
	tgAllocating()
	tgRoutines()
	sink++
}

func main() {
	for begin := time.Now(); time.Since(begin) < 180*time.Second; {
		tgRound()
	}
}
