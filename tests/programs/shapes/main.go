// Command shapes has one of each thing that the symbol tables must know: methods, generics, closures, inlined calls.
package main

import (
	"fmt"
	"os"
	"strings"
)

type Shape interface{ Area() float64 }

type Square struct{ Side float64 }

func (s Square) Area() float64 { return s.Side * s.Side }

type Circle struct{ R float64 }

//go:noinline
func (c *Circle) Area() float64 {
	return 3 * c.R * c.R
}

func small(a, b int) int {
	return a*2 + b
}

//go:noinline
func Sum[T int | float64](xs []T) T {
	var t T
	for _, x := range xs {
		t += x
	}
	return t
}

//go:noinline
func calls(n int) int {
	r := small(n, 1)
	if n > 3 {
		r += small(r, 2)
	}
	return r
}

//go:noinline
func big(n int) string {
	var buf [20000]byte
	for i := range buf {
		buf[i] = byte(n + i)
	}
	return strings.ToUpper(string(buf[:n]))
}

func main() {
	shapes := []Shape{Square{2}, &Circle{1}}
	total := 0.0
	each := func(s Shape) {
		total += s.Area()
	}
	for _, s := range shapes {
		each(s)
	}
	fmt.Println(total, Sum([]int{1, 2}), Sum([]float64{1, 2}), calls(len(os.Args)), big(3))
}
