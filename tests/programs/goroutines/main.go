// Goroutines in every state, and a `go` statement to step into.
package main

import (
	"fmt"
	"sync"
	"time"
)

func worker(_ int, in <-chan int, out chan<- int) {
	for v := range in {
		out <- v * 2
	}
}

func sleeper() {
	time.Sleep(time.Hour)
}

func main() {
	in, out := make(chan int), make(chan int, 4)
	for i := 1; i <= 3; i++ {
		go worker(i, in, out)
	}
	go sleeper()
	var mu sync.Mutex
	mu.Lock()
	go func() {
		mu.Lock()
		defer mu.Unlock()
	}()
	never, nor := make(chan struct{}), make(chan int)
	go func() {
		select {
		case <-never:
		case <-nor:
		}
	}()
	time.Sleep(50 * time.Millisecond)
	in <- 5
	v := <-out
	mu.Unlock()
	fmt.Println(v) // BP
	close(in)
}
