// Chains of deferred calls. Each scenario parks in the middle, is let go by a line on standard input, and then prints which deferred
// functions really run, in order, by their names: what a debugger has to foresee. Ends by itself.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var out sync.Mutex

func say(text string) {
	out.Lock()
	defer out.Unlock()
	fmt.Println(text)
}

// ran prints the name of the function that calls it.
//
//go:noinline
func ran(s string) {
	pc, _, _, _ := runtime.Caller(1)
	say("RAN " + s + " " + runtime.FuncForPC(pc).Name())
}

var gates = map[string]chan bool{}

//go:noinline
func park(s string) {
	say("PARK " + s)
	<-gates[s]
}

var scenarios = map[string]func(string){
	"open": sOpen, "returning": sReturningOf, "stack": sStack, "loop": sLoop, "condition": sCondition, "many": sMany, "methods": sMethods,
	"panicking": sPanicking, "inPanic": sInPanic, "inPanicOpen": sInPanicOpen, "repanic": sRepanic, "nested": sNested,
	"recovered": sRecovered, "goexit": sGoexit, "inGoexit": sInGoexit, "generic": sGeneric, "nilFunc": sNilFunc,
	"closures": sClosures, "inDefer": sInDefer, "levels": sLevels, "mixed": sMixed,
	"recursive": sRecursive, "inPanicLoop": sInPanicLoop, "afterRecover": sAfterRecover, "builtin": sBuiltin,
}

func main() {
	for s := range scenarios {
		gates[s] = make(chan bool)
	}
	time.AfterFunc(4*time.Minute, func() { os.Exit(1) })
	var all sync.WaitGroup
	for s, f := range scenarios {
		s, f := s, f
		all.Add(1)
		go func() {
			defer all.Done()
			scenario(s, f)
		}()
	}
	in := bufio.NewScanner(os.Stdin)
	say("ready")
	go func() {
		for in.Scan() {
			gates[in.Text()] <- true
		}
	}()
	all.Wait()
	say("END")
}

//go:noinline
func scenario(s string, f func(string)) {
	done := make(chan bool)
	go func() {
		defer close(done)
		defer func() { recover() }()
		f(s)
	}()
	<-done
	say("DONE " + s)
}

//go:noinline
func d1(s string) { ran(s) }

//go:noinline
func d2(s string) { ran(s) }

//go:noinline
func d3(s string) { ran(s) }

//go:noinline
func saves(s string) { recover(); ran(s) }

func sOpen(s string) {
	defer d1(s)
	defer d2(s)
	defer func() { ran(s) }()
	park(s)
}

func sStack(s string) {
	defer d1(s)
	defer d2(s)
	for i := 0; i < 1; i++ {
		defer d3(s) // in a loop: all of the function's are in the list
	}
	park(s)
}

func sLoop(s string) {
	for i := 0; i < 12; i++ {
		switch i % 3 {
		case 0:
			defer d1(s)
		case 1:
			defer d2(s)
		default:
			i := i
			defer func() { _ = i; ran(s) }()
		}
	}
	park(s)
}

//go:noinline
func yes(s string) bool { return len(s) > 0 }

func sCondition(s string) {
	if yes(s) {
		defer d1(s)
	}
	if !yes(s) {
		defer d2(s)
	}
	if yes(s) {
		defer d3(s)
	}
	park(s)
	if yes("") {
		defer d2(s)
	}
}

// More than eight: not open-coded.
func sMany(s string) {
	defer d1(s)
	defer d2(s)
	defer d3(s)
	defer d1(s)
	defer d2(s)
	defer d3(s)
	defer d1(s)
	defer d2(s)
	defer d3(s)
	defer d1(s)
	park(s)
}

type thing struct {
	s string
	n int
}

//go:noinline
func (t *thing) Close() { ran(t.s) }

//go:noinline
func (t thing) Value() { ran(t.s) }

type closer interface{ Close() }

type outer struct{ *thing }

func sMethods(s string) {
	t := &thing{s: s}
	v := thing{s: s, n: 1}
	var c closer = t
	o := outer{t}
	defer t.Close()
	defer v.Value()
	f := t.Close
	defer f()
	g := v.Value
	defer g()
	h := (*thing).Close
	defer h(t)
	defer c.Close()
	defer o.Close()
	park(s)
}

func sPanicking(s string) {
	defer d1(s)
	defer saves(s)
	defer d2(s)
	park(s)
	panic(s)
}

func parks(s string) {
	park(s)
	ran("~") // what runs already is not pending
}

func sInPanic(s string) {
	defer d1(s)
	for i := 0; i < 2; i++ {
		defer d2(s)
	}
	defer parks(s)
	defer func() {}()
	panic(s)
}

func sInPanicOpen(s string) {
	defer d1(s)
	defer d2(s)
	defer parks(s)
	defer func() {}()
	panic(s)
}

func sInPanicLoop(s string) {
	for i := 0; i < 5; i++ {
		i := i
		defer func() {
			if i == 2 {
				park(s)
				return
			}
			if i < 2 {
				ran(s)
			}
		}()
	}
	panic(s)
}

func sRepanic(s string) {
	defer d1(s)
	defer func() {
		ran(s)
		recover()
	}()
	defer func() {
		defer d2(s)
		park(s)
		panic("again")
	}()
	panic("first")
}

func sNested(s string) {
	defer d1(s)
	defer func() {
		defer saves(s)
		defer func() {
			defer d3(s)
			defer parks(s)
			panic("third")
		}()
		panic("second")
	}()
	panic("first")
}

func sRecovered(s string) {
	defer d1(s)
	defer d2(s)
	func() {
		defer func() { recover() }()
		panic(s)
	}()
	park(s)
}

// Parks in the caller of a function whose panic was recovered.
func sAfterRecover(s string) {
	defer d3(s)
	func() {
		defer d1(s)
		defer func() {
			recover()
			park(s)
		}()
		panic(s)
	}()
}

func sGoexit(s string) {
	defer d1(s)
	func() {
		defer d2(s)
		defer saves(s)
		park(s)
		runtime.Goexit()
	}()
}

func sInGoexit(s string) {
	defer d1(s)
	func() {
		defer d2(s)
		defer parks(s)
		runtime.Goexit()
	}()
}

//go:noinline
func generic[T any](s string, v T) { _ = v; ran(s) }

type box[T any] struct {
	v T
	s string
}

//go:noinline
func (b *box[T]) Close() { ran(b.s) }

func inGeneric[T any](s string, v T) {
	defer generic(s, v)
	b := &box[T]{v, s}
	defer b.Close()
	defer func() { _ = v; ran(s) }()
	park(s)
}

func sGeneric(s string) {
	defer generic(s, 1)
	defer generic(s, "x")
	inGeneric(s, 2.5)
}

func sNilFunc(s string) {
	defer d1(s)
	var f func()
	if !yes(s) {
		f = func() {}
	}
	defer saves(s)
	defer f()
	defer d2(s)
	park(s)
}

func sClosures(s string) {
	n := 0
	for _, f := range []func(string){d1, d2, saves} {
		defer f(s)
	}
	defer func(a string, b int) { n += b; ran(a) }(s, n)
	defer func() { n++; ran(s) }()
	park(s)
	n = 7
}

func sReturningOf(s string) { sReturning(s) }

func sReturning(s string) (err error) {
	defer func() { err = nil; ran(s) }()
	defer d1(s)
	defer parks(s) // an ordinary return, half way
	defer d2("~")
	return fmt.Errorf("x")
}

func sInDefer(s string) {
	defer d1(s)
	defer func() {
		defer d2(s)
		defer d3(s)
		park(s)
		ran("~")
	}()
	defer d3("~")
}

func level(s string, n int) {
	if n == 0 {
		park(s)
		return
	}
	switch n % 3 {
	case 0:
		defer d1(s)
	case 1:
		defer func() { ran(s) }()
	default:
		for i := 0; i < n; i++ {
			defer d2(s)
		}
	}
	level(s, n-1)
}

func sLevels(s string) { level(s, 9) }

func sMixed(s string) {
	defer d1(s)
	func() {
		for i := 0; i < 2; i++ {
			defer d2(s)
		}
		func() {
			defer d3(s)
			defer func() { ran(s) }()
			park(s)
		}()
	}()
}

func sRecursive(s string) {
	var f func(n int)
	f = func(n int) {
		defer func() { ran(s) }()
		if n > 0 {
			f(n - 1)
			return
		}
		park(s)
	}
	f(4)
}

func sBuiltin(s string) {
	c := make(chan int)
	m := map[int]int{1: 1}
	defer d1(s)
	defer close(c)
	defer delete(m, 1)
	defer d2(s)
	park(s)
}
