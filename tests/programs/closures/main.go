// Function values and closures: captured by value and by reference, nested, method values.
package main

import "fmt"

type counter struct{ n int }

func (c *counter) inc() int {
	c.n++
	return c.n
}

func twice(n int) int { return n * 2 }

func adder(k int) func(int) int {
	sum := 0
	return func(v int) int {
		sum += v * k // BP
		return sum
	}
}

func main() {
	f := twice
	var nilf func(int) int
	add := adder(3)
	c := &counter{}
	mv := c.inc
	me := (*counter).inc
	x := 1
	g := func() int {
		x++
		h := func() int {
			return x + c.n // BP
		}
		return h()
	}
	a, b := add(1), add(2)
	r := g()
	fmt.Println(f(2), nilf == nil, a, b, mv(), me(c), r)
}
