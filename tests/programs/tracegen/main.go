// Does a little of everything that an execution trace tells of, and writes one: tracegen FILE [ROUNDS].
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

var kept [][]byte

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

//go:noinline
func spin(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i ^ (i << 1)
	}
	return sum
}

func ring(rounds int, done *sync.WaitGroup) {
	const n = 10
	first := make(chan int)
	in := first
	for i := 0; i < n; i++ {
		out := make(chan int)
		go func(in, out chan int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	go func() {
		for i := 0; i < rounds; i++ {
			first <- i
			<-in
		}
		close(first)
		done.Done()
	}()
}

func locks(rounds int, done *sync.WaitGroup) {
	var mu sync.Mutex
	shared := 0
	for i := 0; i < 4; i++ {
		go func() {
			defer done.Done()
			for j := 0; j < rounds; j++ {
				mu.Lock()
				shared += spin(200)
				mu.Unlock()
				runtime.Gosched()
			}
		}()
	}
}

func echo(rounds int, done *sync.WaitGroup) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		c, err := l.Accept()
		check(err)
		io.Copy(c, c)
		c.Close()
	}()
	go func() {
		defer done.Done()
		c, err := net.Dial("tcp", l.Addr().String())
		check(err)
		buf := make([]byte, 64)
		for i := 0; i < rounds; i++ {
			_, err = c.Write(buf)
			check(err)
			_, err = io.ReadFull(c, buf)
			check(err)
		}
		c.Close()
		l.Close()
	}()
}

func files(rounds int, done *sync.WaitGroup) {
	defer done.Done()
	f, err := os.CreateTemp("", "tracegen")
	check(err)
	defer os.Remove(f.Name())
	buf := make([]byte, 32<<10)
	for i := 0; i < rounds; i++ {
		_, err = f.WriteAt(buf, int64(i%8)<<15)
		check(err)
	}
	check(f.Sync())
	check(f.Close())
}

func tasks(rounds int, done *sync.WaitGroup) {
	defer done.Done()
	for i := 0; i < rounds; i++ {
		ctx, task := trace.NewTask(context.Background(), "order")
		trace.Log(ctx, "id", strconv.Itoa(i))
		trace.WithRegion(ctx, "pay", func() { spin(1000) })
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer trace.StartRegion(ctx, "ship").End()
			child, sub := trace.NewTask(ctx, "parcel")
			trace.WithRegion(child, "pack", func() { time.Sleep(50 * time.Microsecond) })
			sub.End()
		}()
		wg.Wait()
		task.End()
	}
	trace.StartRegion(context.Background(), "left open")
}

func garbage(rounds int, done *sync.WaitGroup) {
	defer done.Done()
	for i := 0; i < rounds; i++ {
		kept = append(kept, make([]byte, 8<<10))
		if len(kept) > 500 {
			kept = nil
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
}

func timers(rounds int, done *sync.WaitGroup) {
	defer done.Done()
	for i := 0; i < rounds; i++ {
		select {
		case <-time.After(20 * time.Microsecond):
		case <-time.After(time.Hour):
		}
	}
}

func main() {
	rounds := 100
	if len(os.Args) > 2 {
		n, err := strconv.Atoi(os.Args[2])
		check(err)
		rounds = n
	}
	debug.SetGCPercent(50)
	runtime.GOMAXPROCS(3)
	forever := make(chan int)
	for i := 0; i < 5; i++ {
		go func() { <-forever }()
	}
	go func() { select {} }()
	time.Sleep(time.Millisecond)
	f, err := os.Create(os.Args[1])
	check(err)
	var profile bytes.Buffer
	check(pprof.StartCPUProfile(&profile))
	check(trace.Start(f))
	var done sync.WaitGroup
	done.Add(1 + 4 + 1 + 4)
	ring(rounds, &done)
	locks(rounds, &done)
	echo(rounds, &done)
	go files(rounds, &done)
	go tasks(rounds/4, &done)
	go garbage(rounds*40, &done)
	go timers(rounds/2, &done)
	for i := 0; i < 4; i++ {
		spin(2_000_000)
		more()
	}
	done.Wait()
	trace.Stop()
	pprof.StopCPUProfile()
	check(f.Close())
}
