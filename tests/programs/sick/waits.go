package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func waitgroupStuck() {
	wg := new(sync.WaitGroup)
	say("wg", wg)
	wg.Add(3)
	for i := 0; i < 3; i++ {
		go part(wg, i)
	}
	go join(wg)
}

//go:noinline
func part(wg *sync.WaitGroup, i int) {
	if i == 1 {
		return // forgets Done
	}
	wg.Done()
}

//go:noinline
func join(wg *sync.WaitGroup) {
	me("waiter")
	wg.Wait()
}

func waitgroupStuckFine() {
	wg := new(sync.WaitGroup)
	wg.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			defer wg.Done()
			time.Sleep(time.Hour)
		}()
	}
	go join(wg)
}

type queue struct {
	mu    sync.Mutex
	cond  *sync.Cond
	items []int
}

func newQueue() *queue {
	q := &queue{}
	q.cond = sync.NewCond(&q.mu)
	return q
}

//go:noinline
func (q *queue) take() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.cond.Wait()
	}
	return q.items[0]
}

//go:noinline
func (q *queue) put(i int) {
	q.mu.Lock()
	q.items = append(q.items, i)
	q.mu.Unlock()
	q.cond.Signal()
}

func condStuck() {
	q := newQueue()
	say("cond", q.cond)
	for i := 0; i < 2; i++ {
		go func() { me("waiter"); q.take() }()
	}
}

func condStuckFine() {
	q := newQueue()
	for i := 0; i < 2; i++ {
		go func() { q.take() }()
	}
	go func() {
		time.Sleep(time.Hour)
		q.put(1)
	}()
}

//go:noinline
func watch(ctx context.Context) {
	me("watcher")
	<-ctx.Done()
}

//go:noinline
func drop(parent context.Context) context.Context {
	ctx, cancel := context.WithCancel(parent)
	_ = cancel // never called
	return ctx
}

func contextLeak() {
	for i := 0; i < 3; i++ {
		go watch(drop(context.Background()))
	}
}

func contextLeakFine() {
	for i := 0; i < 3; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		_ = cancel // the deadline ends it
		go watch(drop(ctx))
	}
}

// The lock is held while a panic unwinds, and a deferred call of it waits.
//
//go:noinline
func (s *store) fails(done chan int) {
	me("panicking")
	s.mu.Lock()
	defer s.mu.Unlock()
	defer flush(done)
	panic("disk full")
}

//go:noinline
func (s *store) exits(done chan int) {
	me("exiting")
	s.mu.Lock()
	defer s.mu.Unlock()
	defer flush(done)
	runtime.Goexit()
}

//go:noinline
func flush(done chan int) { <-done }

func feed(c chan int) {
	time.Sleep(time.Hour)
	c <- 1
	c <- 1
}

func panicInFlight() {
	a, b, done := &store{}, &store{}, make(chan int)
	say("done", done)
	say("a", &a.mu)
	say("b", &b.mu)
	go feed(done)
	go a.fails(done)
	go b.exits(done)
}

// One waits in a deferred call although nothing is wrong, one has recovered and waits.
func panicInFlightFine() {
	done := make(chan int)
	go feed(done)
	go func() { defer flush(done) }()
	go func() {
		defer func() {
			recover()
			flush(done)
		}()
		panic("recovered")
	}()
}

type lazy struct {
	once sync.Once
	n    int
}

//go:noinline
func (l *lazy) load(other *lazy) {
	l.once.Do(func() {
		later()
		other.load(l)
	})
}

func onceDeadlock() {
	self, a, b := &lazy{}, &lazy{}, &lazy{}
	say("self", &self.once)
	say("a", &a.once)
	say("b", &b.once)
	go func() { me("self-user"); self.load(self) }()
	go func() { me("cross"); a.load(b) }()
	go func() { me("cross"); b.load(a) }()
}

func onceDeadlockFine() {
	l := &lazy{}
	for i := 0; i < 3; i++ {
		go l.once.Do(func() { time.Sleep(time.Hour) })
	}
}

// Everything waits for something else; only the timer that ends the program keeps the runtime from seeing it.
func quiescent() {
	a, b, wg := make(chan int), make(chan int), new(sync.WaitGroup)
	wg.Add(2)
	go relay(wg, a, b)
	go relay(wg, b, a)
	me("all")
	ready()
	wg.Wait()
}

//go:noinline
func relay(wg *sync.WaitGroup, from, to chan int) {
	defer wg.Done()
	me("all")
	to <- <-from
}

// As before, in a program that handles a signal: the handler's goroutine waits, but for nothing that would help.
func quiescentSignals() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	quiescent()
	<-c
}

// Stands until it is told to end.
func quiescentFine() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	work := make(chan int)
	go func() {
		for range work {
		}
	}()
	ready()
	<-c
	close(work)
}

type account struct {
	mu      sync.Mutex
	changes chan int
	locked  chan int
	wg      sync.WaitGroup
}

//go:noinline
func (a *account) deposit() {
	me("holder")
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.locked)
	later()
	a.changes <- 1
}

//go:noinline
func (a *account) audit() {
	me("other")
	for {
		a.mu.Lock()
		a.mu.Unlock()
		<-a.changes
	}
}

func mixedChannel() {
	a := &account{changes: make(chan int), locked: make(chan int)}
	say("mu", &a.mu)
	say("chan", a.changes)
	go a.deposit()
	<-a.locked
	go a.audit()
}

//go:noinline
func (a *account) closeAll() {
	me("holder")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wg.Wait()
}

//go:noinline
func (a *account) work() {
	me("other")
	defer a.wg.Done()
	later()
	a.mu.Lock()
	defer a.mu.Unlock()
}

func mixedWaitgroup() {
	a := &account{}
	a.wg.Add(1)
	say("mu", &a.mu)
	say("wg", &a.wg)
	go a.work()
	go a.closeAll()
}

// The same with time in between: whoever holds the lock sleeps, and both others wait.
func mixedFine() {
	a := &account{changes: make(chan int)}
	a.wg.Add(1)
	go func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		time.Sleep(time.Hour)
		a.changes <- 1
	}()
	later()
	go a.work()
	go a.audit()
	go func() { a.wg.Wait() }()
}
