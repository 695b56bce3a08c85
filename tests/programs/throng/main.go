// Many goroutines run one function again and again, and wait in it in several ways.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	rounds int64
	mu     sync.Mutex
	still  [4]int64 // nobody writes it
)

//go:noinline
func deep(n int) int {
	var room [512]byte
	room[n%512] = byte(n)
	if n <= 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n%512])
}

//go:noinline
func each(n int, there, back chan int, fds [2]int) int {
	n++               // counts
	runtime.Gosched() // gives way
	there <- n        // sends
	n = <-back        // receives
	mu.Lock()         // locks
	rounds++          // in the lock
	mu.Unlock()       // unlocks
	n += deep(n % 40) // calls deep
	syscall.Write(fds[1], []byte{1})
	syscall.Read(fds[0], make([]byte, 1)) // enters the kernel
	time.Sleep(time.Microsecond)          // sleeps
	return n                              // returns
}

func main() {
	for i := 0; i < 200; i++ {
		there, back := make(chan int), make(chan int)
		go func() {
			for n := range there {
				back <- n + 1
			}
		}()
		go func() {
			var fds [2]int
			if err := syscall.Pipe(fds[:]); err != nil {
				panic(err)
			}
			for n := i; ; {
				n = each(n%1000, there, back, fds)
			}
		}()
	}
	fmt.Println("ready", still)
	time.Sleep(4 * time.Minute)
	os.Exit(0)
}
