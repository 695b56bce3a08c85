// Makes goroutine dumps of every form: run with the name of one. Those in tests/dumps were made by it (make dumps).
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

type cart struct{ mu sync.Mutex }

//go:noinline
func (c *cart) total(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return n
}

func receive[T any](ch chan T) T { return <-ch }

func main() {
	form := os.Args[1]
	c := &cart{}
	c.mu.Lock()
	ch := make(chan string)
	for i := 0; i < 3; i++ {
		go c.total(i)
	}
	go receive(ch)
	go func() {
		runtime.LockOSThread()
		var a, b chan int
		select {
		case <-a:
		case b <- 1:
		}
	}()
	go pprof.Do(context.Background(), pprof.Labels("tenant", "acme", "path", "/a b"), func(context.Context) { <-ch })
	go func() {
		var none chan int
		<-none
	}()
	go time.Sleep(time.Hour)
	time.Sleep(50 * time.Millisecond)
	switch form {
	case "panic":
		panic(fmt.Errorf("order %d is lost", 7))
	case "quit":
		syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		time.Sleep(time.Minute)
	default:
		level := 1
		if form == "debug2" {
			level = 2
		}
		pprof.Lookup("goroutine").WriteTo(os.Stdout, level)
	}
}
