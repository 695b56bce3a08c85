// Goroutines that begin, park in every way and end as fast as they can, on two processors, with a collector that runs all the time:
// whoever reads this from outside reads torn things. Nothing leaks and nothing is stuck. Writes a heartbeat into a shared file as
// tests/programs/heartbeat does; ends by itself.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type node struct {
	next *node
	c    chan *node
	mu   sync.Mutex
	pad  [5]uint64
}

var keep atomic.Pointer[node]

func alloc(n int) *node {
	var head *node
	for i := 0; i < n; i++ {
		head = &node{next: head, c: make(chan *node, i%3)}
	}
	return head
}

// deep makes stacks grow, to be shrunk again.
func deep(n int) int {
	var pad [30]int
	pad[n%30] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + pad[n%30]
}

func channels() {
	c, back := make(chan *node), make(chan *node, 1)
	for i := 0; i < 6; i++ {
		go func() {
			for n := range c {
				back <- n.next
			}
		}()
	}
	for i := 0; i < 30; i++ {
		c <- alloc(5)
		<-back
	}
	close(c)
}

func locks() {
	var a, b sync.Mutex
	var rw sync.RWMutex
	var wg sync.WaitGroup
	for i := 0; i < 12; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := 0; k < 10; k++ {
				a.Lock()
				b.Lock()
				keep.Store(alloc(3))
				b.Unlock()
				runtime.Gosched()
				a.Unlock()
				if i%4 == 0 {
					rw.Lock()
					runtime.Gosched()
					rw.Unlock()
				} else {
					func() {
						rw.RLock()
						defer rw.RUnlock()
						runtime.Gosched()
					}()
				}
			}
		}()
	}
	wg.Wait()
}

func selects() {
	a, b, done := make(chan int), make(chan string), make(chan struct{})
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			t := time.NewTimer(time.Hour)
			defer t.Stop()
			for {
				select {
				case <-a:
				case b <- "x":
				case <-t.C:
				case <-done:
					return
				}
			}
		}()
	}
	for i := 0; i < 40; i++ {
		select {
		case a <- i:
		case <-b:
		}
	}
	close(done)
	wg.Wait()
}

func conds() {
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	var once sync.Once
	n := 0
	var wg sync.WaitGroup
	for i := 0; i < 10; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			once.Do(func() { runtime.Gosched(); keep.Store(alloc(2)) })
			mu.Lock()
			defer mu.Unlock()
			for n == 0 {
				c.Wait()
			}
			n--
		}()
	}
	for i := 0; i < 10; i++ {
		mu.Lock()
		n++
		mu.Unlock()
		c.Signal()
		runtime.Gosched()
	}
	c.Broadcast()
	wg.Wait()
}

func endings() {
	done := make(chan int)
	for i := 0; i < 10; i++ {
		go func() {
			defer func() {
				recover()
				done <- i
			}()
			deep(i * 40)
			switch i % 3 {
			case 0:
				panic(i)
			case 1:
				runtime.Goexit()
			}
		}()
	}
	for i := 0; i < 10; i++ {
		<-done
	}
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[2])
	f, err := os.OpenFile(os.Args[1], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	if err := f.Truncate(4096); err != nil {
		panic(err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(10)
	for _, f := range []func(){channels, locks, selects, conds, endings} {
		for i := 0; i < 3; i++ {
			go func() {
				for {
					f()
				}
			}()
		}
	}
	fmt.Println("ready", os.Getpid())
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for n := uint64(1); time.Now().Before(end); n++ {
		binary.LittleEndian.PutUint64(mem[0:], n)
		time.Sleep(time.Millisecond)
	}
}
