// Healthy programs, one a name: none leaks, none is stuck, though goroutines wait in every way. Each says READY, works for half a
// minute and ends by itself.
package main

import (
	"fmt"
	"os"
	"sort"
	"time"
)

const life = 4 * time.Minute

var programs = map[string]func(){}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		var names []string
		for n := range programs {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			fmt.Println(n)
		}
		return
	}
	time.AfterFunc(life, func() { os.Exit(0) })
	f := programs[os.Args[1]]
	ready()
	f()
}

// ready tells the test, a little later, that all stands.
func ready() {
	time.AfterFunc(200*time.Millisecond, func() { fmt.Println("READY") })
}

func rest() { time.Sleep(2 * life) }

var sink [64]byte

func work(n int) {
	for i := 0; i < n; i++ {
		sink[i%64] = byte(i)
	}
}
