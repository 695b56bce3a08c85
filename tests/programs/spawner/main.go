// Makes processes and threads without pause, for a number of seconds: what a copy of the process may not disturb. Prints
// how many went wrong.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	fmt.Println("ready", os.Getpid())
	var made, bad atomic.Int64
	var all sync.WaitGroup
	for i := 0; i < 3; i++ {
		all.Add(2)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				out, err := exec.Command("/bin/echo", "x").Output()
				if err != nil || string(out) != "x\n" {
					bad.Add(1)
				}
				made.Add(1)
			}
		}()
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				gone := make(chan bool)
				go func() {
					runtime.LockOSThread() // the thread ends with the goroutine
					close(gone)
				}()
				<-gone
			}
		}()
	}
	all.Wait()
	fmt.Println("made", made.Load(), "bad", bad.Load())
}
