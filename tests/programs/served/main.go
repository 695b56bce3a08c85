// Command served has profiles at an address of the loopback, which it prints. It ends by itself.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// How long it lives.
const life = 2 * time.Minute

var (
	sink int
	kept [][]byte
)

//go:noinline
func spin() {
	for {
		for i := 0; i < 1_000_000; i++ {
			sink += i ^ sink
		}
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func fill() {
	for i := 0; i < 4_000; i++ {
		kept = append(kept, make([]byte, 4_096))
	}
}

func main() {
	// Not the port of the handlers: it says nothing to whoever connects.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			fill()
			// A heap profile is of the last collection.
			runtime.GC()
			runtime.GC()
			pprof.NewProfile("tickets").Add(new(int), 0)
			go spin()
			go http.Serve(l, nil)
			fmt.Println("READY", l.Addr(), mute.Addr())
			time.Sleep(life)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
