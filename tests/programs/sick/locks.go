package main

import (
	"net"
	"sync"
	"syscall"
	"time"
)

type store struct {
	name string
	mu   sync.Mutex
	rw   sync.RWMutex
	n    int
}

// Long enough for those that were started before, on a machine that is busy.
func later() { time.Sleep(400 * time.Millisecond) }

//go:noinline
func (s *store) get() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

//go:noinline
func (s *store) addDeferred() {
	me("deferred")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n = s.get() + 1
}

//go:noinline
func (s *store) addPlain() {
	me("plain")
	s.mu.Lock()
	s.n = s.get() + 1
	s.mu.Unlock()
}

//go:noinline
func (s *store) forgotten() {
	s.mu.Lock()
	s.n++
}

// Locked by a call that has returned.
//
//go:noinline
func (s *store) addForgotten() {
	me("forgotten")
	s.forgotten()
	s.n = s.get() + 1
}

func doubleLock() {
	a, b, c := &store{}, &store{}, &store{}
	say("a", &a.mu)
	say("b", &b.mu)
	say("c", &c.mu)
	go a.addDeferred()
	go b.addPlain()
	go c.addForgotten()
}

// One holds the lock and sleeps, another waits for it.
func doubleLockFine() {
	s := &store{}
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		time.Sleep(time.Hour)
		s.n++
	}()
	later()
	go s.addDeferred()
}

//go:noinline
func moveDeferred(from, to *store) {
	me("one")
	from.mu.Lock()
	defer from.mu.Unlock()
	later()
	to.mu.Lock()
	defer to.mu.Unlock()
	to.n++
}

//go:noinline
func movePlain(from, to *store) {
	me("two")
	from.mu.Lock()
	later()
	to.mu.Lock()
	to.n++
	to.mu.Unlock()
	from.mu.Unlock()
}

func lockCycle() {
	a, b := &store{}, &store{}
	say("a", &a.mu)
	say("b", &b.mu)
	go moveDeferred(a, b)
	go movePlain(b, a)
	later()
	later()
	go waitBehind(a)
}

//go:noinline
func waitBehind(s *store) {
	me("behind")
	s.get()
}

// The same order everywhere; the first holder is slow.
func lockCycleFine() {
	a, b := &store{}, &store{}
	go func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		time.Sleep(time.Hour)
	}()
	later()
	go moveDeferred(a, b)
	go movePlain(a, b)
}

var ring [3]store

func lockCycleThree() {
	for i := range ring {
		say("ring", &ring[i].mu)
		go moveDeferred(&ring[i], &ring[(i+1)%3])
	}
}

//go:noinline
func (s *store) sum() int {
	s.rw.RLock()
	defer s.rw.RUnlock()
	later()
	later()
	return s.part()
}

//go:noinline
func (s *store) part() int {
	s.rw.RLock()
	defer s.rw.RUnlock()
	return s.n
}

//go:noinline
func (s *store) set(n int) {
	s.rw.Lock()
	defer s.rw.Unlock()
	s.n = n
}

func rwrDeadlock() {
	s := &store{}
	say("rw", &s.rw)
	go func() { me("reader"); s.sum() }()
	later()
	go func() { me("writer"); s.set(1) }()
}

// A slow reader, a queued writer, another reader behind it.
func rwrDeadlockFine() {
	s := &store{}
	go func() {
		s.rw.RLock()
		defer s.rw.RUnlock()
		time.Sleep(time.Hour)
		s.n++
	}()
	later()
	go s.set(1)
	later()
	go s.part()
}

//go:noinline
func (s *store) check(ok bool) bool {
	s.mu.Lock()
	if !ok {
		return false // without unlocking
	}
	s.n++
	s.mu.Unlock()
	return true
}

func orphanLock() {
	s := &store{}
	say("mu", &s.mu)
	done := make(chan bool)
	go func() { s.check(false); close(done) }()
	<-done
	for i := 0; i < 3; i++ {
		go func() { me("waiter"); s.check(true) }()
	}
}

//go:noinline
func (s *store) begin() { s.mu.Lock() }

//go:noinline
func (s *store) end() { s.mu.Unlock() }

// Locked in one function and unlocked in another.
func orphanLockFine() {
	s := &store{}
	go func() {
		s.begin()
		time.Sleep(time.Hour)
		s.end()
	}()
	later()
	for i := 0; i < 3; i++ {
		go s.check(true)
	}
}

//go:noinline
func (s *store) across(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.n++
}

func lockConvoy() {
	in, out, err := pair()
	if err != nil {
		panic(err)
	}
	keep = append(keep, out)
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	tick := make(chan int)
	go func() {
		for {
			time.Sleep(time.Hour)
			tick <- 1
		}
	}()
	slow := map[string]func(){
		"sleep":   func() { time.Sleep(time.Hour) },
		"io":      func() { in.Read(make([]byte, 1)) },
		"syscall": func() { syscall.Read(fds[0], make([]byte, 1)) },
		"channel": func() { <-tick },
	}
	for name, f := range slow {
		name, f, s := name, f, &store{name: name}
		say(name, &s.mu)
		go func() { me(name + "-holder"); s.across(f) }()
		later()
		for i := 0; i < 6; i++ {
			go func() { me(name + "-waiter"); s.get() }()
		}
	}
}

var keep []any

// Two connected TCP sockets.
func pair() (net.Conn, net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	in, err := l.Accept()
	return in, out, err
}

// Many take the lock, and hold it for moments.
func lockConvoyFine() {
	s := &store{}
	for i := 0; i < 6; i++ {
		go func() {
			for {
				s.across(func() {})
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
}
