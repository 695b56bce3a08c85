// A goroutine in C that does not come back.
package main

/*
#include <unistd.h>
static void stuck(int fd) { char b; (void)!read(fd, &b, 1); }
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

//go:noinline
func intoC(fd int) {
	var b [64]byte
	fmt.Println("stuck", strings.Fields(string(b[:runtime.Stack(b[:], false)]))[1])
	C.stuck(C.int(fd))
}

func main() {
	time.AfterFunc(4*time.Minute, func() { os.Exit(0) })
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	go intoC(fds[0])
	time.Sleep(400 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(10 * time.Minute)
}
