// Defers: order, in loops, stepping into them on return and on panic.
package main

import "fmt"

func note(s string) {
	fmt.Println(s)
}

func two() int {
	defer note("first")
	defer note("second")
	return 7
}

func loop(n int) {
	for i := 0; i < n; i++ {
		defer func() {
			note(fmt.Sprint(i))
		}()
	}
	note("body")
}

func rescue() (s string) {
	defer func() {
		r := recover()
		s = fmt.Sprint(r)
	}()
	panic("oh")
}

func main() {
	x := two()
	loop(2)
	s := rescue()
	fmt.Println(x, s)
}
