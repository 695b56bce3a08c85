// Waits through golang.org/x/sync (errgroup, singleflight, semaphore), in system calls, and for the other half of an iterator.
package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

func nap() error { time.Sleep(time.Hour); return nil }

//go:noinline
func waitGroup(g *errgroup.Group) { g.Wait() }

//go:noinline
func waitLimit(g *errgroup.Group) { g.Go(nap) }

//go:noinline
func waitFlight(g *singleflight.Group) {
	g.Do("key", func() (any, error) { return nil, nap() })
}

//go:noinline
func waitWeighted(s *semaphore.Weighted) { s.Acquire(context.Background(), 2) }

//go:noinline
func waitSyscall(fd int) {
	var b [1]byte
	syscall.Read(fd, b[:])
}

//go:noinline
func waitPull() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		yield(1)
		time.Sleep(time.Hour)
	})
	defer stop()
	next()
	next()
}

func main() {
	var g errgroup.Group
	g.SetLimit(1)
	g.Go(nap)
	go waitGroup(&g)
	go waitLimit(&g)
	var f singleflight.Group
	go waitFlight(&f)
	time.Sleep(20 * time.Millisecond)
	go waitFlight(&f)
	s := semaphore.NewWeighted(2)
	s.Acquire(context.Background(), 1)
	go waitWeighted(s)
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	go waitSyscall(fds[0])
	go waitPull()
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(4 * time.Minute)
	fmt.Fprintln(os.Stderr, s, fds)
}
