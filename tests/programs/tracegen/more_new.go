//go:build go1.23

package main

import "iter"

// Coroutines hand over without the scheduler.
func more() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; i < 50 && yield(i); i++ {
		}
	})
	for i := 0; i < 20; i++ {
		next()
	}
	stop()
	next, _ = iter.Pull(func(yield func(int) bool) { yield(1) })
	next()
	next()
}
