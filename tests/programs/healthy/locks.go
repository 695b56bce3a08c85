package main

import (
	"math/rand"
	"sync"
	"time"
)

func init() {
	programs["unlock-around"] = unlockAround
	programs["lock-names"] = lockNames
	programs["hand-over-hand"] = handOverHand
	programs["try-lock"] = tryLock
}

type connection struct {
	mu    sync.Mutex
	state *connectionState
	n     int
}

type connectionState struct {
	rw sync.RWMutex
	mu sync.Mutex
	n  int
}

// flush is called with the lock held, and lets it go while it works.
//
//go:noinline
func (c *connection) flush() {
	c.n++
	c.mu.Unlock()
	time.Sleep(time.Duration(rand.Intn(200)) * time.Microsecond)
	c.mu.Lock()
	c.n--
}

//go:noinline
func (c *connection) release() { c.mu.Unlock() }

//go:noinline
func (c *connection) pause() { c.release(); work(100) }

func unlockAround() {
	c := &connection{state: &connectionState{}}
	viaDefer := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flush()
		work(500)
		c.flush()
	}
	explicit := func() {
		c.mu.Lock()
		c.flush()
		work(500)
		c.mu.Unlock()
	}
	helper := func() {
		c.mu.Lock()
		work(500)
		c.pause()
		c.mu.Lock()
		work(500)
		c.release()
	}
	reader := func() {
		c.state.rw.RLock()
		defer c.state.rw.RUnlock()
		c.state.rw.RUnlock()
		work(500)
		c.state.rw.RLock()
		work(500)
	}
	writer := func() {
		c.state.rw.Lock()
		work(2000)
		c.state.rw.Unlock()
		time.Sleep(100 * time.Microsecond)
	}
	for i := 0; i < 30; i++ {
		f := []func(){viaDefer, explicit, helper, reader, writer}[i%5]
		go func() {
			for {
				f()
			}
		}()
	}
	rest()
}

// One lock under several names, loaded anew each time.
func lockNames() {
	all := []*connection{{state: &connectionState{}}, {state: &connectionState{}}}
	for i := 0; i < 16; i++ {
		go func() {
			for {
				c := all[i%2]
				for k := 0; k < 3; k++ {
					c.state.mu.Lock()
					work(300)
					c.state.n++
					c.state.mu.Unlock()
				}
				s := &c.state.mu
				s.Lock()
				work(300)
				c.state.mu.Unlock()
				c.state.mu.Lock()
				work(300)
				s.Unlock()
			}
		}()
	}
	rest()
}

type link struct {
	mu   sync.Mutex
	next *link
	n    int
}

// Each lock of a list is taken before the one before it is let go.
func handOverHand() {
	var list *link
	for i := 0; i < 8; i++ {
		list = &link{next: list, n: i}
	}
	for i := 0; i < 16; i++ {
		go func() {
			for {
				p := list
				p.mu.Lock()
				for p.next != nil {
					work(300)
					q := p.next
					q.mu.Lock()
					p.mu.Unlock()
					p = q
				}
				p.mu.Unlock()
			}
		}()
	}
	rest()
}

// Locks taken only if they are free, in any order.
func tryLock() {
	var a, b sync.Mutex
	take := func(x, y *sync.Mutex) {
		x.Lock()
		defer x.Unlock()
		work(1000)
		if y.TryLock() {
			work(1000)
			y.Unlock()
		}
	}
	for i := 0; i < 16; i++ {
		go func() {
			for {
				if i%2 == 0 {
					take(&a, &b)
				} else {
					take(&b, &a)
				}
			}
		}()
	}
	rest()
}
