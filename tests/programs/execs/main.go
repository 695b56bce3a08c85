// Replaces itself by another program.
package main

import (
	"os"
	"syscall"
)

func replace() {
	if err := syscall.Exec("/bin/echo", []string{"echo", "replaced"}, os.Environ()); err != nil {
		panic(err)
	}
}

func main() {
	replace()
}
