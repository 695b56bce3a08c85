package main

import (
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

func init() {
	for name, f := range map[string]func(){
		"finalizers": finalizers,
		"tiny":       tinyMutex,
		"map":        inMap,
		"interface":  inInterface,
		"atomic":     inAtomic,
		"unsafe":     inUnsafe,
		"parents":    stackOnly,
		"deep":       deepStacks,
		"preempted":  preempted,
		"large":      largeObjects,
		"stackgrow":  stackGrowth,
		"slices":     interior,
	} {
		programs[name] = f
	}
}

// churn makes the collector run.
func churn() {
	go func() {
		var keep [64][]byte
		for i := 0; ; i++ {
			keep[i%64] = make([]byte, 1+rand.Intn(100000))
			if i%500 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
}

type ender struct {
	pad [3]int
	c   chan int
}

// Channels that only an object with a finalizer leads to, and objects that are garbage: the collector itself wakes their waiters.
func finalizers() {
	for i := 0; i < 30; i++ {
		go func() {
			for {
				c := make(chan int)
				e := &ender{c: c}
				runtime.SetFinalizer(e, func(e *ender) { close(e.c) })
				e = nil
				<-c
			}
		}()
	}
	// Seldom, so that most wait for the next collection.
	for {
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
	}
}

type smallLock struct{ mu *sync.Mutex }

var tinyKeep [256]*int32

// Mutexes of the tiny allocator, which share blocks with other small objects.
func tinyMutex() {
	for i := 0; i < 12; i++ {
		tinyKeep[rand.Intn(256)] = new(int32)
		mu := new(sync.Mutex)
		tinyKeep[rand.Intn(256)] = new(int32)
		for k := 0; k < 3; k++ {
			go func() {
				for {
					mu.Lock()
					time.Sleep(time.Millisecond)
					mu.Unlock()
					tinyKeep[rand.Intn(256)] = new(int32)
				}
			}()
		}
	}
	churn()
	rest()
}

var registry = struct {
	sync.Mutex
	m map[string]chan int
}{m: map[string]chan int{}}

func inMap() {
	name := func(i int) string { return string(rune('a'+i%26)) + string(rune('a'+i/26)) }
	for i := 0; i < 200; i++ {
		c := make(chan int)
		registry.m[name(i)] = c
		go func() {
			for range c {
			}
		}()
	}
	churn()
	for {
		time.Sleep(10 * time.Millisecond)
		registry.Lock()
		c := registry.m[name(rand.Intn(200))]
		registry.Unlock()
		c <- 1
	}
}

type waiter interface{ wake() }
type chanWaiter struct{ c chan int }

func (w chanWaiter) wake() { w.c <- 1 }

var waiters []waiter
var anything []any

func inInterface() {
	for i := 0; i < 60; i++ {
		c := make(chan int)
		if i%2 == 0 {
			waiters = append(waiters, chanWaiter{c})
		} else {
			anything = append(anything, c)
		}
		go func() {
			for range c {
			}
		}()
	}
	churn()
	for {
		time.Sleep(5 * time.Millisecond)
		waiters[rand.Intn(len(waiters))].wake()
		anything[rand.Intn(len(anything))].(chan int) <- 1
	}
}

type box struct{ c chan int }

var slots [20]atomic.Pointer[box]
var value atomic.Value

func inAtomic() {
	value.Store(make(chan int))
	go func() { <-value.Load().(chan int) }()
	for i := range slots {
		go func() {
			for {
				b := &box{make(chan int)}
				slots[i].Store(b)
				<-b.c
			}
		}()
	}
	churn()
	for {
		time.Sleep(2 * time.Millisecond)
		if b := slots[rand.Intn(len(slots))].Swap(nil); b != nil {
			close(b.c)
		}
	}
}

var hidden [20]unsafe.Pointer

func inUnsafe() {
	for i := range hidden {
		go func() {
			for {
				b := &box{make(chan int)}
				atomic.StorePointer(&hidden[i], unsafe.Pointer(&b.c))
				<-b.c
			}
		}()
	}
	churn()
	for {
		time.Sleep(2 * time.Millisecond)
		if p := atomic.SwapPointer(&hidden[rand.Intn(len(hidden))], nil); p != nil {
			close(*(*chan int)(p))
		}
	}
}

// Channels on the stacks of parents that sleep, run, wait for locks or for others.
func stackOnly() {
	var gate sync.Mutex
	for i := 0; i < 12; i++ {
		go func() {
			var local [8]chan int
			for k := range local {
				c := make(chan int)
				local[k] = c
				go func() {
					for range c {
					}
				}()
			}
			for {
				switch i % 3 {
				case 0:
					time.Sleep(20 * time.Millisecond)
				case 1:
					gate.Lock()
					time.Sleep(time.Millisecond)
					gate.Unlock()
				default:
					work(100000)
				}
				local[rand.Intn(8)] <- i
			}
		}()
	}
	rest()
}

func deep(n int, c chan int) int {
	var pad [20]int
	pad[n%20] = n
	if n == 0 {
		time.Sleep(time.Duration(rand.Intn(50)) * time.Millisecond)
		c <- 1
		return pad[0]
	}
	return deep(n-1, c) + pad[n%20]
}

func deepStacks() {
	for i := 0; i < 16; i++ {
		c := make(chan int)
		go func() {
			for {
				deep(rand.Intn(3000), c)
			}
		}()
		go func() {
			for range c {
			}
		}()
	}
	churn()
	rest()
}

func spin(c chan int, n int) int {
	s := 0
	for i := 0; i < n; i++ {
		s += i ^ s<<1
	}
	c <- s
	return s
}

// The only way to a channel is in a loop that is preempted without a call.
func preempted() {
	for i := 0; i < 6; i++ {
		c := make(chan int)
		go func() {
			for range c {
			}
		}()
		go func(c chan int) {
			for {
				spin(c, 30_000_000)
			}
		}(c)
	}
	churn()
	rest()
}

type big struct {
	first chan int
	pad   [2000]uint64
	last  chan int
}

var bigs []*big
var middles []*uint64

// Large objects, reached through pointers to their middle, too.
func largeObjects() {
	for i := 0; i < 10; i++ {
		b := &big{first: make(chan int), last: make(chan int)}
		if i%2 == 0 {
			bigs = append(bigs, b)
		} else {
			middles = append(middles, &b.pad[1000])
		}
		list := make([]chan int, 5000)
		list[4999] = make(chan int)
		anything = append(anything, list)
		for _, c := range []chan int{b.first, b.last, list[4999]} {
			go func() {
				for range c {
				}
			}()
		}
	}
	churn()
	rest()
}

func grow(n int, p *int, c chan int) {
	var pad [100]int
	pad[0] = *p
	if n > 0 {
		grow(n-1, &pad[0], c)
	} else {
		c <- *p
	}
	*p += pad[0]
}

// Stacks that grow and are shrunk by the collector while others wait for their goroutines.
func stackGrowth() {
	for i := 0; i < 12; i++ {
		c := make(chan int)
		go func() {
			x := 1
			for {
				grow(rand.Intn(200), &x, c)
				time.Sleep(time.Duration(rand.Intn(5)) * time.Millisecond)
			}
		}()
		go func() {
			for range c {
			}
		}()
	}
	go func() {
		for {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	rest()
}

type row struct {
	name string
	in   [4]struct {
		n  int
		cs []chan int
	}
	mu sync.Mutex
}

var tails [][]row

// Reached through slices that begin in the middle of an array.
func interior() {
	for i := 0; i < 5; i++ {
		rows := make([]row, 50)
		for k := range rows[30:] {
			c := make(chan int)
			rows[30+k].in[k%4].cs = []chan int{nil, c}[1:]
			go func() {
				for range c {
				}
			}()
		}
		tails = append(tails, rows[30:])
	}
	churn()
	for {
		time.Sleep(5 * time.Millisecond)
		r := tails[rand.Intn(5)]
		k := rand.Intn(20)
		r[k].mu.Lock()
		r[k].in[k%4].cs[0] <- 1
		r[k].mu.Unlock()
	}
}
