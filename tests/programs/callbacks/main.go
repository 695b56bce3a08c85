// Callbacks from the standard library: stepping in and out of code that was not written here.
package main

import (
	"fmt"
	"sort"
	"strings"
)

func main() {
	up := strings.Map(func(r rune) rune {
		return r - 32 // BP
	}, "ab")
	xs := []int{3, 1, 2}
	sort.Slice(xs, func(i, j int) bool {
		return xs[i] < xs[j] // BP
	})
	b := strings.Builder{}
	b.WriteString("x")
	fmt.Fprintf(&b, "%d", 7)
	fmt.Println(up, xs, b.String()) // BP
}
