//go:build cgo

package main

/*
#include <stdint.h>
#include <unistd.h>
extern void goCalled(uintptr_t);
static void call(uintptr_t h, int us) { usleep(us); goCalled(h); usleep(us); }
*/
import "C"

import "runtime/cgo"

func init() { programs["cgo"] = cgoCalls }

//export goCalled
func goCalled(h C.uintptr_t) { cgo.Handle(h).Value().(func())() }

// Goroutines in C, and called back from it, have the only way to what others wait for.
func cgoCalls() {
	for i := 0; i < 8; i++ {
		c := make(chan int)
		go func() {
			for {
				h := cgo.NewHandle(func() { c <- 1 })
				C.call(C.uintptr_t(h), C.int(1000*(1+i)))
				h.Delete()
			}
		}()
		go func() {
			for range c {
			}
		}()
	}
	rest()
}
