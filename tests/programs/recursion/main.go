// Recursion: direct, mutual, through closures.
package main

import "fmt"

func even(n int) bool {
	if n == 0 {
		return true // BP
	}
	return odd(n - 1)
}

func odd(n int) bool {
	if n == 0 {
		return false
	}
	return even(n - 1)
}

func tree(d int) int {
	if d == 0 {
		return 1
	}
	l := tree(d - 1)
	r := tree(d - 1)
	return l + r
}

func main() {
	e := even(4)
	var fib func(int) int
	fib = func(n int) int {
		if n < 2 {
			return n
		}
		return fib(n-1) + fib(n-2)
	}
	f := fib(4)
	t := tree(2) // BP
	fmt.Println(e, f, t)
}
