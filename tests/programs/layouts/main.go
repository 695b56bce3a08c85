// Uses what brings the runtime's structures into the DWARF of a program: timers, the network poller, finalizers, channels,
// locks. Built by every release for `make layouts`; not run.
package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"
)

func main() {
	t := time.NewTimer(time.Second)
	k := time.NewTicker(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println(l, err)
	var mu sync.RWMutex
	c := sync.NewCond(&mu)
	runtime.SetFinalizer(c, func(*sync.Cond) {})
	go c.Wait()
	select {
	case <-t.C:
	case <-k.C:
	case <-ctx.Done():
	}
	panic(recover())
}
