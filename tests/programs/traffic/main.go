// traffic is an HTTP server on loopback with its own clients: allocation, collector cycles, locks, sleeping and busy goroutines.
//
//	traffic SECONDS [TRACE]
//
// It prints the address it listens at and ends by itself. With TRACE it writes an execution trace there, from the second of its seconds on.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	cache = map[int][]byte{}
	// HOLD is work done under the lock.
	hold, _ = strconv.Atoi(os.Getenv("HOLD"))
)

//go:noinline
func work(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i*i ^ sum>>3
	}
	return sum
}

func handle(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	b := make([]byte, 64<<10)
	b[0] = byte(work(20_000))
	mu.Lock()
	if hold > 0 {
		work(hold)
	}
	cache[n%512] = b
	mu.Unlock()
	fmt.Fprintln(w, len(b))
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/work", handle)
	go http.Serve(l, nil)
	fmt.Println(l.Addr())
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	if len(os.Args) > 2 {
		time.Sleep(time.Second)
		f, err := os.Create(os.Args[2])
		if err != nil {
			panic(err)
		}
		defer f.Close()
		if err := trace.Start(f); err != nil {
			panic(err)
		}
		defer trace.Stop()
	}
	var all sync.WaitGroup
	for c := 0; c < 4; c++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; time.Now().Before(end); i++ {
				resp, err := http.Get("http://" + l.Addr().String() + "/work?n=" + strconv.Itoa(i))
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				time.Sleep(3 * time.Millisecond)
			}
		}()
	}
	all.Wait()
}
