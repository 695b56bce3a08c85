//go:build go1.24

package main

import (
	"iter"
	"math/rand"
	"runtime"
	"time"
	"unique"
	"weak"
)

func init() {
	programs["pull"] = pulls
	programs["cleanups"] = cleanups
	programs["weak"] = weaks
}

func pulls() {
	for i := 0; i < 12; i++ {
		go func() {
			for {
				c := make(chan int)
				next, stop := iter.Pull(iter.Seq[int](func(yield func(int) bool) {
					for v := range c {
						if !yield(v) {
							return
						}
					}
				}))
				go func() {
					for k := 0; k < 20; k++ {
						c <- k
						time.Sleep(time.Duration(rand.Intn(100)) * time.Microsecond)
					}
					close(c)
				}()
				for k := 0; k < 20; k++ {
					next()
				}
				stop()
			}
		}()
	}
	rest()
}

// Channels that only a cleanup's argument, or its closure, leads to.
func cleanups() {
	for i := 0; i < 30; i++ {
		go func() {
			for {
				c := make(chan int)
				e := &ender{}
				if i%2 == 0 {
					runtime.AddCleanup(e, func(c chan int) { close(c) }, c)
				} else {
					runtime.AddCleanup(e, func(int) { close(c) }, 1)
				}
				e = nil
				<-c
			}
		}()
	}
	for {
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
	}
}

type node struct {
	name unique.Handle[string]
	c    chan int
	more [3]*node
}

var handles []weak.Pointer[node]

// A goroutine waits on what only itself and weak pointers lead to: who has one can wake it.
func weaks() {
	for i := 0; i < 30; i++ {
		n := &node{name: unique.Make("x"), c: make(chan int)}
		handles = append(handles, weak.Make(n))
		go func() {
			for range n.c {
			}
			runtime.KeepAlive(n)
		}()
	}
	for {
		time.Sleep(100 * time.Millisecond)
		if n := handles[rand.Intn(len(handles))].Value(); n != nil {
			n.c <- 1
		}
	}
}
