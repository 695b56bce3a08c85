// Plain stepping: calls, returns, loops, recursion, methods, closures.
package main

import "fmt"

type point struct{ x, y int }

func (p *point) move(dx, dy int) {
	p.x += dx
	p.y += dy
}

func add(a, b int) int {
	sum := a + b
	return sum
}

func fact(n int) int {
	if n <= 1 {
		return 1
	}
	return n * fact(n-1)
}

func apply(f func(int) int, v int) int {
	return f(v)
}

func main() {
	total := 0
	for i := 0; i < 3; i++ {
		total = add(total, i)
	}
	p := &point{1, 2}
	p.move(3, 4)
	k := 10
	r := apply(func(v int) int {
		w := v * k
		return w
	}, 5)
	n := fact(4)
	fmt.Println(total, *p, r, n)
}
