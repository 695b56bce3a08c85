// Command preempted has more loops than processors: all but one stand where they were preempted, with their variables in registers.
package main

import (
	"os"
	"runtime"
	"time"
)

var sink [2]uint64

//go:noinline
func spin(seed uint64, scale float64, slot *uint64) {
	x := uint64(1)
	for {
		x = x*6364136223846793005 + seed
		if x == 0 {
			*slot = uint64(float64(x) * scale)
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	go spin(1111, 1.5, &sink[0])
	go spin(2222, 2.5, &sink[1])
	time.Sleep(time.Minute)
	os.Exit(0)
}
