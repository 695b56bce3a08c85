//go:build plughost

// Opens the plugin that its argument names and calls its Run.
package main

import (
	"fmt"
	"os"
	"plugin"
)

func main() {
	p, err := plugin.Open(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	run, err := p.Lookup("Run")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	opened()
	run.(func(int))(3)
}

//go:noinline
func opened() {
	fmt.Println("opened") // OPENED
}
