// Goroutines that are woken by somebody who needs the object never again, and has nothing of it left when he makes them ready.
//
//	waking          prints the names
//	waking NAME     until it is killed, or for a minute
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

// What waits, and what ends the wait. Both get the object from pair alone and forget it.
type pair func() (wait, wake func())

var pairs = map[string]pair{
	"send": func() (func(), func()) {
		c := make(chan *int)
		return func() { c <- new(int) }, func() { <-c }
	},
	"receive": func() (func(), func()) {
		c := make(chan *int)
		return func() { <-c }, func() { c <- new(int) }
	},
	"close": func() (func(), func()) {
		c := make(chan *int)
		return func() { <-c }, func() { close(c) }
	},
	"select": func() (func(), func()) {
		c, d := make(chan *int), make(chan *int)
		return func() {
			select {
			case <-c:
			case d <- nil:
			}
		}, func() { c <- new(int) }
	},
	"signal": func() (func(), func()) {
		c := sync.NewCond(new(sync.Mutex))
		c.L.Lock()
		return func() { c.Wait(); c.L.Unlock() }, func() { c.L.Lock(); c.L.Unlock(); c.Signal() }
	},
	"broadcast": func() (func(), func()) {
		c := sync.NewCond(new(sync.Mutex))
		c.L.Lock()
		return func() { c.Wait(); c.L.Unlock() }, func() { c.L.Lock(); c.L.Unlock(); c.Broadcast() }
	},
	"mutex": func() (func(), func()) {
		m := new(sync.Mutex)
		m.Lock()
		return func() { m.Lock() }, func() { m.Unlock() }
	},
	"rwmutex": func() (func(), func()) {
		m := new(sync.RWMutex)
		m.Lock()
		return func() { m.RLock() }, func() { m.Unlock() }
	},
	"waitgroup": func() (func(), func()) {
		w := new(sync.WaitGroup)
		w.Add(1)
		return func() { w.Wait() }, func() { w.Done() }
	},
	// The channel is handed over to who ends the wait: meanwhile it is in the frame of the one that sends it, who is done with it, and only
	// the copying knows where.
	"hand-over": func() (func(), func()) {
		c := make(chan *int)
		return func() { <-c }, func() {
			d := make(chan chan *int)
			go func() { x := <-d; x <- nil }()
			time.Sleep(time.Millisecond)
			d <- same(c)
		}
	},
	// What ends the wait has the channel in its frame only while it stores pointers (there is no register left for it), since its last
	// call, where it had not got it yet. While the collector marks, a store may call it, too, and no map describes that place.
	"store": func() (func(), func()) {
		c := make(chan *int)
		go runtime.GC()
		return func() { <-c }, func() {
			p, q, r, s := number(1), number(2), number(3), number(4)
			t, u, v, w := number(5), number(6), number(7), number(8)
			x, y, z := number(9), number(10), number(11)
			d := same(c)
			for n := 0; n < 3000; n++ {
				for i := 0; i < len(table); i += 11 {
					to := table[i : i+11]
					to[0], to[1], to[2], to[3] = p, q, r, s
					to[4], to[5], to[6], to[7] = t, u, v, w
					to[8], to[9], to[10] = x, y, z
				}
				p, q, r, s, t, u, v, w, x, y, z = q, r, s, t, u, v, w, x, y, z, p
			}
			d <- nil
		}
	},
}

var (
	numbers [12]int
	table   = make([]*int, 11*1000)
)

//go:noinline
func number(n int) *int { return &numbers[n] }

//go:noinline
func same(c chan *int) chan *int { return c }

// One waits, another wakes it.
func round(p pair) {
	wait, wake := p()
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		wait()
		all.Done()
	}()
	go func() {
		time.Sleep(time.Millisecond)
		wake()
	}()
	all.Wait()
}

func main() {
	if len(os.Args) < 2 {
		var names []string
		for name := range pairs {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	p, ok := pairs[os.Args[1]]
	if !ok {
		os.Exit(2)
	}
	fmt.Println("READY")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		round(p)
	}
}
