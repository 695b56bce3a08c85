// Command cgo stands in C, and in Go that C called.
package main

// #include <unistd.h>
// extern void goCallback(int);
// static void nap(int n) { for (int i = 0; i < n; i++) usleep(100000); }
// static void callme(int n) { goCallback(n); }
import "C"
import (
	"fmt"
	"time"
)

//export goCallback
func goCallback(n C.int) { wait() }

//go:noinline
func wait() { <-make(chan int) }

//go:noinline
func napper() { C.nap(10000) }

//go:noinline
func back() { C.callme(3) }
func main() {
	go napper()
	go back()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
