//go:build shared

// The same as a C library: a C program calls RunDepot.
package main

import "C"

import "example.com/depot"

//export RunDepot
func RunDepot(rounds C.int) {
	depot.Run(int(rounds))
}

func main() {}
