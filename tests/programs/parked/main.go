// Command parked parks one goroutine on each kind of thing, and as many more as its argument says on a channel.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	never = make(chan int)
	full  = make(chan string, 2)
	other = make(chan struct{})
	wg    sync.WaitGroup
	ready sync.WaitGroup
)

type server struct{ mu sync.Mutex }

func (s *server) close() { s.mu.Unlock() }

//go:noinline
func receiver(c chan int) int {
	ready.Done()
	return <-c
}

//go:noinline
func sender() {
	full <- "a"
	full <- "b"
	ready.Done()
	full <- "c"
}

//go:noinline
func selecter() {
	ready.Done()
	select {
	case <-never:
	case full <- "d":
	case <-other:
	}
}

//go:noinline
func locker() {
	ready.Done()
	mu.Lock()
}

//go:noinline
func deferrer(s *server) {
	s.mu.Lock()
	defer s.close()
	defer fmt.Println("deferred")
	for i := 0; i < 2; i++ {
		defer func() { wg.Add(i) }()
	}
	ready.Done()
	<-never
}

//go:noinline
func opencoded(s *server) {
	s.mu.Lock()
	defer s.close()
	defer fmt.Println("open")
	ready.Done()
	<-never
}

func stuckInDefer() {
	defer func() {
		ready.Done()
		<-never
	}()
	panic(errors.New("went wrong"))
}

//go:noinline
func deep(n int) {
	if n == 0 {
		ready.Done()
		<-never
		return
	}
	deep(n - 1)
	runtime.KeepAlive(n)
}

func labelled() {
	pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) {
		ready.Done()
		<-never
	})
}

func spin() {
	ready.Done()
	for {
	}
}

func main() {
	extra := 0
	if len(os.Args) > 1 {
		extra, _ = strconv.Atoi(os.Args[1])
	}
	mu.Lock()
	wg.Add(1)
	ready.Add(8 + extra)
	go receiver(never)
	go sender()
	go locker()
	go deferrer(&server{})
	go opencoded(&server{})
	go stuckInDefer()
	go deep(50)
	go labelled()
	for i := 0; i < extra; i++ {
		go receiver(never)
	}
	ready.Wait()
	ready.Add(1)
	go selecter()
	ready.Wait()
	if os.Getenv("SPIN") != "" {
		ready.Add(1)
		go spin()
		ready.Wait()
	}
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
