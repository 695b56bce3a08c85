//go:build !shared && !plughost

// Command builds is built in every way there is; what it does is in example.com/depot.
package main

import "example.com/depot"

func main() {
	depot.Run(3)
}
