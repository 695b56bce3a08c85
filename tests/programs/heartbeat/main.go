// A target for safety tests: several goroutines work, one writes the time of each tick to a shared file, and a function is hit a
// thousand times a second. Ends by itself.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

//go:noinline
func hot(i int) int {
	return i*2 + 1
}

//go:noinline
func never(i int) int {
	return i - 1
}

// slow is for calls by a debugger.
//
//go:noinline
func slow(ms int) int {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return ms
}

var (
	sink int
	beat int // written all the time
)

func main() {
	path := os.Args[1]
	seconds, _ := strconv.Atoi(os.Args[2])
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	if err := f.Truncate(4096); err != nil {
		panic(err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	for g := 0; g < 4; g++ {
		go func() {
			for i := 0; ; i++ {
				if hot(i) < 0 {
					sink = never(i) + slow(i)
				}
				beat = i
				time.Sleep(4 * time.Millisecond)
			}
		}()
	}
	fmt.Println("ready", os.Getpid())
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	last := time.Now()
	var longest, late time.Duration
	for n := uint64(1); time.Now().Before(end); n++ {
		binary.LittleEndian.PutUint64(mem[0:], n)
		now := time.Now()
		d := now.Sub(last)
		if d > longest {
			longest = d
			binary.LittleEndian.PutUint64(mem[8:], uint64(longest))
		}
		if d > 10*time.Millisecond {
			late += d
			binary.LittleEndian.PutUint64(mem[24:], uint64(late))
		}
		last = now
		if mem[16] == 1 {
			longest, mem[16] = 0, 0
			binary.LittleEndian.PutUint64(mem[8:], 0)
		}
		hot(int(n))
		time.Sleep(time.Millisecond)
	}
}
