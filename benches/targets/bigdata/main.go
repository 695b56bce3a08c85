// Large values: a map and a slice of a million elements. Stops at its own breakpoint line.
package main

import (
	"fmt"
	"strconv"
)

func main() {
	m := make(map[int]int)
	s := make(map[string]int)
	xs := make([]int, 1_000_000)
	for i := 0; i < 1_000_000; i++ {
		m[i] = i * 3
		s["rec-"+strconv.Itoa(i)] = i
		xs[i] = i
	}
	fmt.Println(len(m), len(s), len(xs)) // BP
}
