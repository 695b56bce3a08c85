// Starts other programs while breakpoints are set: the children must live.
package main

import (
	"fmt"
	"os/exec"
)

func once(i int) string {
	out, err := exec.Command("/bin/echo", fmt.Sprint(i)).Output()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func main() {
	bad := 0
	for i := 0; i < 20; i++ {
		if once(i) != fmt.Sprintln(i) {
			bad++
		}
	}
	fmt.Println("bad", bad)
}
