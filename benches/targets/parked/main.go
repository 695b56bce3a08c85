// N goroutines parked in a channel receive, and a main goroutine that works line by line so that it can be stepped.
// Args: N, seconds to live, heartbeat file (optional), tick in µs (1000). Ends by itself.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func park(ch chan int) {
	<-ch
}

//go:noinline
func work(n int) int {
	a := n + 1
	b := a * 2
	c := b - n
	d := c + a
	return d
}

var total int

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	seconds, _ := strconv.Atoi(os.Args[2])
	ch := make(chan int)
	for i := 0; i < n; i++ {
		go park(ch)
	}
	var mem []byte
	if len(os.Args) > 3 {
		f, err := os.OpenFile(os.Args[3], os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			panic(err)
		}
		f.Truncate(4096)
		mem, err = syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready", os.Getpid())
	tick := time.Millisecond
	if len(os.Args) > 4 {
		us, _ := strconv.Atoi(os.Args[4])
		tick = time.Duration(us) * time.Microsecond
	}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	last, longest, late := time.Now(), time.Duration(0), uint64(0)
	for k := uint64(1); time.Now().Before(end); k++ {
		total = work(total)
		if mem != nil {
			now := time.Now()
			if mem[16] == 1 {
				longest, late, mem[16] = 0, 0, 0
			} else {
				d := now.Sub(last)
				if d > longest {
					longest = d
				}
				if d > tick+2*time.Millisecond {
					late++
				}
			}
			last = now
			binary.LittleEndian.PutUint64(mem[0:], k)
			binary.LittleEndian.PutUint64(mem[8:], uint64(longest))
			binary.LittleEndian.PutUint64(mem[24:], late)
			time.Sleep(tick)
		} else {
			time.Sleep(200 * time.Microsecond)
		}
	}
}
