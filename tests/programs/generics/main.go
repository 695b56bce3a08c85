// Generic functions and types.
package main

import "fmt"

type pair[K comparable, V any] struct {
	key K
	val V
}

type stack[T any] struct {
	items []T
}

func (s *stack[T]) push(v T) {
	s.items = append(s.items, v) // BP
}

func mapOf[T, U any](in []T, f func(T) U) []U {
	var out []U
	for _, v := range in {
		u := f(v)
		out = append(out, u) // BP
	}
	return out
}

type num interface{ ~int | ~float64 }

func sum[N num](xs ...N) N {
	var t N
	for _, x := range xs {
		t += x
	}
	return t // BP
}

func main() {
	p := pair[string, int]{"a", 1}
	s := &stack[pair[string, int]]{}
	s.push(p)
	strs := mapOf([]int{1, 2}, func(i int) string { return fmt.Sprint(i) })
	a, b := sum(1, 2, 3), sum(1.5, 2.5)
	fmt.Println(p, len(s.items), strs, a, b) // BP
}
