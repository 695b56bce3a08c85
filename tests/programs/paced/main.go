// Command paced runs for SECONDS with a steady mix: one goroutine that is busy a third of the time, one that allocates, twenty that wait. It
// says twenty times a second what the runtime says of itself: clock before and after asking it, collector cycles ended, pauses (ns),
// goroutines.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
	_ "unsafe"
)

//go:linkname nanotime runtime.nanotime
func nanotime() int64

var sink []byte

//go:noinline
func busy(d time.Duration) (n int) {
	for end := nanotime() + int64(d); nanotime() < end; {
		n++
	}
	return n
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(50)
	wait := make(chan int)
	for i := 0; i < 20; i++ {
		go func() { <-wait }()
	}
	go func() {
		for {
			busy(10 * time.Millisecond)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	go func() {
		for {
			for i := 0; i < 8; i++ {
				sink = make([]byte, 64<<10)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for time.Now().Before(end) {
		var s debug.GCStats
		before := nanotime()
		debug.ReadGCStats(&s)
		fmt.Println(before, nanotime(), s.NumGC, int64(s.PauseTotal), runtime.NumGoroutine())
		time.Sleep(50 * time.Millisecond)
	}
}
