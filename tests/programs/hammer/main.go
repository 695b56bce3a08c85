// Goroutines that all run through the same function at full speed and check their own arithmetic: a debugger that loses or repeats an
// instruction shows in the result. Ends by itself.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

type acc struct {
	sum  uint64
	name string
	last [4]byte
}

//go:noinline
func mix(a *acc, i uint64) uint64 {
	x := i*2654435761 + 1
	x ^= x >> 13
	f := float64(i) * 0.5
	a.sum += x
	a.last[i&3] = byte(i)
	if f < 0 {
		a.name = "never"
	}
	return a.sum
}

func expected(n uint64) (sum uint64) {
	for i := uint64(0); i < n; i++ {
		x := i*2654435761 + 1
		x ^= x >> 13
		sum += x
	}
	return sum
}

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	var wg sync.WaitGroup
	bad := make(chan string, 8)
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			a := &acc{name: "ok"}
			for i := uint64(0); i < uint64(rounds); i++ {
				mix(a, i)
			}
			if a.sum != expected(uint64(rounds)) || a.name != "ok" {
				bad <- fmt.Sprint(a.sum, a.name)
			}
		}()
	}
	wg.Wait()
	close(bad)
	n := 0
	for b := range bad {
		fmt.Println("BAD", b)
		n++
	}
	fmt.Println("wrong sums:", n)
}
