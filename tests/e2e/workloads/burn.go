// Burns in a function of package main, until SIGTERM or the end of its time.
package main

import "time"

//go:noinline
func tgGoSpin(x uint64) uint64 {
	for round := uint64(0); round < 50000; round++ {
		x ^= x << 13
		x ^= x >> 7
		x += round
	}
	return x
}

func main() {
	begin := time.Now()
	state := uint64(1)
	for time.Since(begin) < 180*time.Second && state != 0 {
		state = tgGoSpin(state)
	}
}
