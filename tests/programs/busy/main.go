// Command busy does a bit of everything at once, so that a stop finds threads in all kinds of places.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

var sink any

type tree struct{ l, r *tree }

func grow(n int) *tree {
	if n == 0 {
		return nil
	}
	return &tree{grow(n - 1), grow(n - 1)}
}

func alloc() {
	for {
		sink = grow(10)
	}
}

func clock() {
	for {
		if time.Now().Unix() == 0 {
			return
		}
	}
}

func calls(f *os.File) {
	buf := make([]byte, 64)
	for {
		f.ReadAt(buf, 0)
	}
}

func maps() {
	m := map[string]int{}
	for i := 0; ; i++ {
		m[fmt.Sprint(i%5000)] = i
	}
}

func sorts() {
	for {
		v := strings.Split(strings.Repeat("b a d c ", 200), " ")
		sort.Slice(v, func(i, j int) bool { return v[i] < v[j] })
	}
}

func deep(n int) int {
	var pad [100]int
	if n == 0 {
		return pad[n]
	}
	return deep(n-1) + pad[n%100]
}

func stacks() {
	var wg sync.WaitGroup
	for {
		wg.Add(1)
		go func() { deep(200); wg.Done() }()
		wg.Wait()
	}
}

func panics() {
	for {
		func() {
			defer func() { _ = recover() }()
			var p *tree
			sink = p.l
		}()
	}
}

func pingpong() {
	a, b := make(chan int), make(chan int)
	go func() {
		for v := range a {
			b <- v
		}
	}()
	for i := 0; ; i++ {
		select {
		case a <- i:
			<-b
		case <-time.After(time.Second):
		}
	}
}

func main() {
	f, err := os.Open(os.Args[0])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(4)
	for _, g := range []func(){alloc, clock, func() { calls(f) }, maps, sorts, stacks, panics, pingpong} {
		go g()
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	for {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}
