// Typed constants print by name.
package main

import "fmt"

type color int

const (
	red color = iota
	green
	blue
)

type bits uint8

const (
	read bits = 1 << iota
	write
	exec
)

const pi = 3.14

func main() {
	c, d := green, color(7)
	m, n := read|exec, bits(0)
	list := []color{red, blue}
	fmt.Println(c, d, m, n, list, pi) // BP
}
