// What probes are set on: calls with arguments and results, data that is written by one and by many threads, variables on stacks that
// grow. Args: `sequence`, or `threads` and how many rounds each of 8 threads makes. Ends by itself.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type order struct {
	id   int
	what string
	paid bool
}

var (
	total  int64
	name   = "first"
	list   = []int{1, 2, 3}
	last   order
	wide   [6]int64
	counts [8]int64
)

//go:noinline
func price(id int, what string) (n int, err error) {
	if id%5 == 4 {
		return 0, errors.New("no price for " + what)
	}
	return id * 10, nil
}

//go:noinline
func half(f float64) float64 {
	return f / 2
}

//go:noinline
func grow(n int) int {
	var pad [256]byte
	pad[n%256] = byte(n)
	if n == 0 {
		return 0
	}
	return grow(n-1) + int(pad[n%256])
}

//go:noinline
func local(n int) int {
	x := n
	x += 1
	grow(400)
	x += 2
	return x
}

func sequence() {
	for i := 0; i < 10; i++ {
		n, err := price(i, "part "+strconv.Itoa(i))
		if err == nil {
			last = order{id: i, what: "part", paid: n > 20}
		}
	}
	fmt.Println(half(5))
	name = "second"
	list = append(list, 4)
	wide[5] = 1
	done := make(chan int)
	go func() { done <- local(7) }()
	fmt.Println(<-done, name, list, last, wide[5])
}

//go:noinline
func checked(i int, who int) int {
	return i + who
}

//go:noinline
func traced(i int) int {
	return i * 2
}

func threads(rounds int) {
	var wg sync.WaitGroup
	for t := 0; t < 8; t++ {
		wg.Add(1)
		t := t
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			for i := 0; i < rounds; i++ {
				if checked(i, t) != i+t || traced(i) != 2*i {
					panic("wrong")
				}
				atomic.AddInt64(&total, 1)
				counts[t]++
			}
		}()
	}
	wg.Wait()
	fmt.Println("total", total, "counts", counts)
}

func main() {
	switch os.Args[1] {
	case "sequence":
		sequence()
		// What uprobes noted is read some milliseconds later, and what pointers lead to must be there then.
		time.Sleep(100 * time.Millisecond)
	case "threads":
		rounds, _ := strconv.Atoi(os.Args[2])
		threads(rounds)
	}
	fmt.Println("done")
}
