// Arguments and results: many, named, variadic, large structs by value.
package main

import "fmt"

type big struct {
	a [10]int
	s string
}

func many(a int, b string, c float64, d bool, e []int, f map[string]int, g *int) (x int, y string, err error) {
	x = a + len(e)
	y = b
	return x, y, nil // BP
}

func variadic(prefix string, rest ...int) int {
	t := 0
	for _, r := range rest {
		t += r
	}
	return t // BP
}

func byValue(b big) big {
	b.a[3] = 33
	b.s += "!"
	return b // BP
}

func unnamed(int, string) (int, error) {
	return 1, fmt.Errorf("e") // BP
}

func main() {
	n := 4
	x, y, err := many(1, "two", 3.5, true, []int{1, 2}, map[string]int{"k": 1}, &n)
	v := variadic("p", 1, 2, 3)
	b := byValue(big{s: "big"})
	u, e2 := unnamed(1, "x")
	fmt.Println(x, y, err, v, b.s, u, e2)
}
