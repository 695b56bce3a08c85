// Goroutines that wait for one object of every kind, each with somebody at the other side. Prints where the objects are.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

type store struct {
	n    int
	mu   sync.Mutex
	rw   sync.RWMutex
	rwr  sync.RWMutex
	wg   sync.WaitGroup
	once sync.Once
	cond *sync.Cond
}

var global sync.Mutex

func say(name string, p any) { fmt.Printf("%s %p\n", name, p) }

//go:noinline
func waitMutex(s *store) { s.mu.Lock() }

//go:noinline
func holdMutex(s *store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	time.Sleep(time.Hour)
}

//go:noinline
func waitGlobal() { global.Lock() }

//go:noinline
func holdGlobal() {
	global.Lock()
	time.Sleep(time.Hour)
	global.Unlock()
}

//go:noinline
func waitRLock(s *store) { s.rw.RLock() }

//go:noinline
func holdWrite(s *store) {
	s.rw.Lock()
	defer s.rw.Unlock()
	time.Sleep(time.Hour)
}

//go:noinline
func waitWLock(s *store) { s.rwr.Lock() }

//go:noinline
func holdRead(s *store) {
	s.rwr.RLock()
	time.Sleep(time.Hour)
	s.rwr.RUnlock()
}

//go:noinline
func waitGroup(s *store) { s.wg.Wait() }

//go:noinline
func holdGroup(s *store) {
	defer s.wg.Done()
	time.Sleep(time.Hour)
}

//go:noinline
func waitOnce(s *store) { s.once.Do(func() {}) }

//go:noinline
func holdOnce(s *store) { s.once.Do(func() { time.Sleep(time.Hour) }) }

//go:noinline
func waitCond(s *store) {
	s.cond.L.Lock()
	s.cond.Wait()
}

//go:noinline
func waitSend(c chan int) { c <- 1 }

//go:noinline
func waitReceive(c chan string) { <-c }

//go:noinline
func otherEnd(c chan int, d chan string) {
	time.Sleep(time.Hour)
	fmt.Println(<-c)
	d <- ""
}

//go:noinline
func waitSelect(a chan int32, b chan int64) {
	select {
	case <-a:
	case b <- 1:
	}
}

//go:noinline
func waitNil() {
	var c chan int
	<-c
}

//go:noinline
func waitForever() { select {} }

//go:noinline
func waitSleep() { time.Sleep(1000 * time.Second) }

//go:noinline
func waitTimer() { <-time.After(1000 * time.Second) }

//go:noinline
func waitRead(c net.Conn) { c.Read(make([]byte, 1)) }

//go:noinline
func waitPipe(f *os.File) { f.Read(make([]byte, 1)) }

func main() {
	s := &store{n: 1}
	s.cond = sync.NewCond(&sync.Mutex{})
	s.wg.Add(1)
	say("mutex", &s.mu)
	say("global", &global)
	say("rlock", &s.rw)
	say("wlock", &s.rwr)
	say("waitgroup", &s.wg)
	say("once", &s.once)
	say("cond", s.cond)
	for _, hold := range []func(*store){holdMutex, holdWrite, holdRead, holdGroup, holdOnce} {
		go hold(s)
	}
	go holdGlobal()
	time.Sleep(50 * time.Millisecond)
	for _, wait := range []func(*store){waitMutex, waitRLock, waitWLock, waitGroup, waitOnce, waitCond} {
		go wait(s)
	}
	go waitGlobal()
	send, receive := make(chan int, 2), make(chan string)
	send <- 1
	send <- 2
	a, b := make(chan int32), make(chan int64)
	say("send", send)
	say("receive", receive)
	say("select32", a)
	say("select64", b)
	go otherEnd(send, receive)
	go waitSend(send)
	go waitReceive(receive)
	go waitSelect(a, b)
	go waitNil()
	go waitForever()
	go waitSleep()
	go waitTimer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	in, _ := l.Accept()
	go waitRead(in)
	r, w, _ := os.Pipe()
	go waitPipe(r)
	fmt.Println("io", out.RemoteAddr())
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(4 * time.Minute)
	runtime.KeepAlive([]any{s, a, b, out, in, w, l})
}
