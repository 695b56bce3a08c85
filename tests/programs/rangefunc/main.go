// Range over functions: nested loops, defer inside, break out.
package main

import "fmt"

func count(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := 0; i < n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

func simple() int {
	total := 0
	for x := range count(3) {
		total += x
	}
	return total
}

func nested() int {
	total := 0
	for x := range count(2) {
		for y := range count(2) {
			total += x * y
		}
		total++
	}
	return total
}

func early() int {
	for x := range count(10) {
		if x == 2 {
			return x
		}
	}
	return -1
}

func main() {
	a := simple()
	b := nested()
	c := early()
	fmt.Println(a, b, c)
}
