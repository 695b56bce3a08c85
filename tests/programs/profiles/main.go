// Command profiles writes every profile that its Go release has into a folder: NAME.pb.gz, and NAME.txt of those that have a text.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sort"
	"strings"
	"sync"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var (
	sink int
	kept []*node
)

type node struct {
	next *node
	data [40]int
}

//go:noinline
func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func small(x int) int { return x*31 + x>>3 }

//go:noinline
func work(n int) {
	v := make([]int, 2000)
	for i := 0; i < n; i++ {
		for j := range v {
			v[j] = small(i ^ j*7919)
		}
		sort.Slice(v, func(a, b int) bool { return v[a] < v[b] })
	}
	sink += v[0]
}

func build(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{next: build(depth - 1)}
}

func contend() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 20; j++ {
				mu.Lock()
				time.Sleep(200 * time.Microsecond)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
}

func leak() {
	c := make(chan int)
	go func() { c <- 1 }()
}

func main() {
	runtime.MemProfileRate = 1024
	dir := os.Args[1]
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)

	out, err := os.Create(filepath.Join(dir, "cpu.pb.gz"))
	must(err)
	must(pprof.StartCPUProfile(out))
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		pprof.Do(context.Background(), pprof.Labels("route", "/fib"), func(context.Context) { sink += fib(27) })
		pprof.Do(context.Background(), pprof.Labels("route", "/sort", "tenant", "a \"b\" é"), func(context.Context) { work(20) })
	}
	pprof.StopCPUProfile()
	must(out.Close())

	for i := 0; i < 200; i++ {
		kept = append(kept, build(20))
		sink += len(strings.Repeat("gone", 300))
	}
	contend()
	leak()
	stop := make(chan bool)
	for i := 0; i < 7; i++ {
		go pprof.Do(context.Background(), pprof.Labels("worker", fmt.Sprint(i%2)), func(context.Context) { <-stop })
	}
	tickets := pprof.NewProfile("tickets")
	for i := 0; i < 5; i++ {
		tickets.Add(new(int), i%2)
	}
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	for _, p := range pprof.Profiles() {
		out, err := os.Create(filepath.Join(dir, p.Name()+".pb.gz"))
		must(err)
		must(p.WriteTo(out, 0))
		must(out.Close())
		switch p.Name() {
		case "heap", "block", "mutex":
			text, err := os.Create(filepath.Join(dir, p.Name()+".txt"))
			must(err)
			must(p.WriteTo(text, 1))
			must(text.Close())
		}
	}
	close(stop)
}
