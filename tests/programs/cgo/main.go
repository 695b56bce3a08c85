// Command cgo stands in C, and in Go that C called. `cgo bounce` goes to and fro between them for a minute.
package main

// #include <unistd.h>
// extern void goCallback(int);
// extern int goAdd(int);
// static void nap(int n) { for (int i = 0; i < n; i++) usleep(100000); }
// static int bounce(int n) { int sum = 0; for (int i = 0; i < n; i++) sum += goAdd(i); return sum; }
// static void callme(int n) { goCallback(n); }
import "C"
import (
	"fmt"
	"os"
	"runtime"
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

//export goAdd
func goAdd(n C.int) C.int {
	if n%3 == 0 {
		runtime.Gosched()
	}
	return n + 1
}

func main() {
	if len(os.Args) > 1 {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			C.bounce(10)
		}
		return
	}
	go napper()
	go back()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
