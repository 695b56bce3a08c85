// Shadowing, escaping, lexical blocks.
package main

import "fmt"

var global = 100

func leak() *int {
	v := 5
	v++ // BP
	return &v
}

func main() {
	a := 1
	b := "outer"
	{
		a := 2
		b := 2.5
		fmt.Println(a, b) // BP
	}
	for i := 0; i < 2; i++ {
		a := i * 10
		if c := a + 1; c > 5 {
			d := c
			fmt.Println(a, c, d) // BP
		}
	}
	p := leak()
	switch x := *p; {
	case x > 3:
		y := x
		fmt.Println(y) // BP
	}
	global++
	fmt.Println(a, b, *p, global) // BP
}
