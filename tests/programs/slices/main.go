// Arrays and slices: nil, empty, nested, long, of structs, sub-slices.
package main

import "fmt"

type item struct {
	id   int
	name string
}

func main() {
	arr := [3]int{1, 2, 3}
	var zero [0]int
	grid := [2][2]bool{{true, false}, {false, true}}
	var null []int
	empty := []string{}
	ints := []int{10, 20, 30, 40}
	sub := ints[1:3]
	long := make([]int, 100)
	for i := range long {
		long[i] = i * i
	}
	words := []string{"a", "bb", "ccc"}
	nested := [][]int{{1}, {2, 3}, nil}
	items := []item{{1, "one"}, {2, "two"}}
	ptrs := []*item{&items[0], nil}
	bytes := []byte("bytes\x00\xff")
	runes := []rune("rün")
	anys := []interface{}{1, "x", nil, 2.5}
	fmt.Println(len(long)) // BP
	fmt.Println(arr, zero, grid, null, empty, ints, sub, words, nested, items, ptrs, bytes, runes, anys)
}
