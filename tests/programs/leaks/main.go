// Leaks of every kind beside twins that are alive, with what they wait for kept in objects of every size and shape, so that the walk
// of the heap has all of the runtime's bitmaps to read. A function whose name begins with leak is leaked, alive is not.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

type small struct{ c chan int }

// Over 512 bytes: from 1.22 on its type stands in front of it.
type medium struct {
	pad [100]uint64
	c   chan int
}

// A large object, over 32 KiB.
type large struct {
	pad [8000]uint64
	c   chan int
	end [100]*int
}

type waiter struct {
	mu   sync.Mutex
	cond *sync.Cond
}

//go:noinline
func leakReceive() { <-make(chan int) }

//go:noinline
func leakSend() { make(chan int) <- 1 }

//go:noinline
func leakSelect() {
	a, b := make(chan int), make(chan string)
	select {
	case <-a:
	case b <- "":
	}
}

//go:noinline
func leakMutex() {
	m := &waiter{}
	m.mu.Lock()
	m.mu.Lock()
}

//go:noinline
func leakGroup() {
	w := &sync.WaitGroup{}
	w.Add(1)
	w.Wait()
}

//go:noinline
func leakCond() {
	c := sync.NewCond(&sync.Mutex{})
	c.L.Lock()
	c.Wait()
}

//go:noinline
func leakNil() {
	var c chan int
	<-c
}

// Each of two has the other's channel, and nobody else has either.
//
//go:noinline
func leakPair() {
	a, b := make(chan int), make(chan int)
	go func() { <-a; b <- 1 }()
	<-b
	a <- 1
}

//go:noinline
func aliveReceive(c chan int) { <-c }

//go:noinline
func aliveMutex(w *waiter) { w.mu.Lock() }

//go:noinline
func aliveTimer() { <-time.After(time.Hour) }

//go:noinline
func aliveParent() {
	c := make(chan int)
	go aliveReceive(c)
	time.Sleep(time.Hour)
	c <- 1
}

//go:noinline
func aliveCond(c *sync.Cond) { c.L.Lock(); c.Wait() }

var (
	inSmall     = &small{make(chan int)}
	inMedium    = &medium{c: make(chan int)}
	inLarge     = &large{c: make(chan int)}
	inSlice     = make([]*small, 1000)
	inBigArray  = make([]large, 3)
	inMap       = map[string]chan int{}
	inIface     any
	inAtomic    atomic.Pointer[small]
	inSyncMap   sync.Map
	inClosure   func()
	inList      *node
	locked      = &waiter{}
	condition   = sync.NewCond(&sync.Mutex{})
	finalized   *small
	chanOfChans = make(chan chan int, 4)
)

type node struct {
	next *node
	c    chan int
}

func main() {
	for i := range inSlice {
		inSlice[i] = &small{make(chan int)}
	}
	inBigArray[2].c = make(chan int)
	for i := 0; i < 500; i++ {
		inMap[fmt.Sprint("key", i)] = make(chan int)
	}
	inIface = &medium{c: make(chan int)}
	inAtomic.Store(&small{make(chan int)})
	inSyncMap.Store("k", make(chan int))
	captured := make(chan int)
	inClosure = func() { captured <- 1 }
	for i := 0; i < 100; i++ {
		inList = &node{inList, make(chan int)}
	}
	last := inList
	for last.next != nil {
		last = last.next
	}
	passed := make(chan int)
	chanOfChans <- passed
	fromSyncMap, _ := inSyncMap.Load("k")
	finalChan := make(chan int)
	finalized = &small{finalChan}
	runtime.SetFinalizer(finalized, func(s *small) { s.c <- 1 })
	finalized = nil
	for _, c := range []chan int{
		inSmall.c, inMedium.c, inLarge.c, inSlice[999].c, inBigArray[2].c, inMap["key321"], inIface.(*medium).c,
		inAtomic.Load().c, fromSyncMap.(chan int), captured, last.c, passed, finalChan,
	} {
		go aliveReceive(c)
	}
	locked.mu.Lock()
	go aliveMutex(locked)
	go aliveTimer()
	go aliveParent()
	go aliveCond(condition)
	for _, f := range []func(){leakReceive, leakSend, leakSelect, leakMutex, leakGroup, leakCond, leakNil, leakPair} {
		go f()
	}
	time.Sleep(100 * time.Millisecond)
	if len(os.Args) > 1 {
		runtime.GC() // what is swept and marked must be read as well
		runtime.GC()
	}
	fmt.Println("READY")
	time.Sleep(4 * time.Minute)
	inClosure()
	runtime.KeepAlive([]any{inSmall, inMedium, inLarge, inSlice, inBigArray, inMap, inIface, inList, chanOfChans, locked, condition})
}
