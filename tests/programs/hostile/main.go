// Data that wants to hurt whoever looks at it: huge strings, control and bidi characters, cycles, garbage headers.
package main

import (
	"fmt"
	"strings"
	"unsafe"
)

type ring struct {
	next *ring
	name string
}

func main() {
	huge := strings.Repeat("0123456789", 1_000_000)
	control := "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n\x00\x7f"
	bidi := "abc\u202edef\u2066ghi\u200b\ufeff"
	bad := "\xff\xfe\xc3\x28"
	r := &ring{name: bidi}
	r.next = r
	var lie []int
	header := (*[3]uintptr)(unsafe.Pointer(&lie))
	header[0], header[1], header[2] = 0xdead0000, 1<<40, 1<<41
	fmt.Println(len(huge), len(control), len(bad), r.name) // BP
	header[0], header[1], header[2] = 0, 0, 0
}
