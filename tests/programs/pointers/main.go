// Pointers: to pointers, nil, to every kind, unsafe, cyclic.
package main

import (
	"fmt"
	"unsafe"
)

type node struct {
	v    int
	next *node
}

func main() {
	i, s := 5, "str"
	sl := []int{1}
	m := map[string]int{"a": 1}
	pi, ps := &i, &s
	ppi := &pi
	psl, pm := &sl, &m
	var nilp *int
	ring := &node{v: 1}
	ring.next = &node{v: 2, next: ring}
	list := &node{1, &node{2, &node{3, nil}}}
	un := unsafe.Pointer(pi)
	arr := [2]*int{pi, nil}
	fmt.Println(**ppi, *ps) // BP
	fmt.Println(psl, pm, nilp, ring.v, list.v, un != nil, arr[0] == pi)
}
