// Built with optimisation: small functions are inlined.
package main

import "fmt"

func double(n int) int {
	m := n * 2
	return m
}

func both(a, b int) int {
	x := double(a)
	y := double(b)
	return x + y
}

//go:noinline
func outer(n int) int {
	r := both(n, n+1)
	return r + 1
}

func main() {
	fmt.Println(outer(3))
}
