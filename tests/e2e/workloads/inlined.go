// Burns in a function that is inlined into another, until SIGTERM or the end of its time.
package main

import "time"

//go:noinline
func tgGoOuter(x uint64) uint64 {
	for round := uint64(0); round < 50000; round++ {
		x = tgGoInner(x, round)
	}
	return x
}

func tgGoInner(x, round uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x + round
}

func main() {
	begin := time.Now()
	state := uint64(1)
	for time.Since(begin) < 180*time.Second && state != 0 {
		state = tgGoOuter(state)
	}
}
