// Strings: empty, unicode, escapes, long, invalid UTF-8, bidi.
package main

import (
	"fmt"
	"strings"
)

type name string

func main() {
	empty := ""
	uni := "héllo, 世界"
	esc := "tab\t nl\n quote\" back\\ nul\x00"
	bad := "bad\xff\xfe"
	bidi := "a\u202eb\u200bc"
	long := strings.Repeat("abcdefghij", 50)
	named := name("typed")
	sub := long[5:15]
	p := &uni
	multi := []string{empty, uni, named2(named)}
	fmt.Println(len(long)) // BP
	fmt.Println(esc, bad, bidi, sub, *p, multi)
}

func named2(n name) string { return string(n) }
