// Works as fast as it can on all Ps, with an allocation now and then, and counts in a shared file what it has done.
// Args: seconds to live, file. Ends by itself.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	done atomic.Uint64
	sink [64][]byte
)

//go:noinline
func grind(seed uint64) uint64 {
	for i := 0; i < 20_000; i++ {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
	}
	return seed
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	f, err := os.OpenFile(os.Args[2], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	f.Truncate(4096)
	mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	for p := 0; p < runtime.GOMAXPROCS(0); p++ {
		go func() {
			for n, seed := 0, uint64(p+1); ; n++ {
				seed = grind(seed)
				if n%16 == 0 {
					sink[(n/16)%32+32*(p%2)] = make([]byte, 16<<10)
				}
				done.Add(1)
			}
		}()
	}
	fmt.Println("ready")
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		binary.LittleEndian.PutUint64(mem, done.Load())
		time.Sleep(5 * time.Millisecond)
	}
}
