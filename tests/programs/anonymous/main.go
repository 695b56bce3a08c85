// Unusual types: anonymous structs, function types, arrays of functions, nested generics in maps, type aliases.
package main

import "fmt"

type op func(int, int) int

type alias = map[string][]op

type tree struct {
	left, right *tree
	val         interface{}
}

func main() {
	ops := [2]op{func(a, b int) int { return a + b }, nil}
	al := alias{"ops": {ops[0]}}
	t := &tree{&tree{nil, nil, 1}, nil, "root"}
	pairs := []struct {
		k string
		v *int
	}{{"a", nil}}
	mm := map[struct{ x, y int }]string{{1, 2}: "p"}
	ch := make(chan func() string, 1)
	e := [0]struct{}{}
	fmt.Println(ops[0](1, 2)) // BP
	fmt.Println(len(al), t.val, pairs, mm, ch != nil, e)
}
