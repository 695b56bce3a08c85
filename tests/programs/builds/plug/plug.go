// The depot as a plugin.
package main

import "example.com/depot"

// Run is looked up by the program that opens this.
func Run(rounds int) { depot.Run(rounds) }

func main() {}
