// One function that some threads call as fast as they can while others spin beside it; calls are counted in a shared file, a word each
// thread. Args: seconds to live, file, calling threads, spinning threads. `served` instead of the threads: an HTTP server on loopback
// with clients of its own, a call a request, counted likewise. Ends by itself.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type account struct {
	id    int
	owner string
}

//go:noinline
func hit(i int, who *account) int {
	n := i*3 + who.id
	return n
}

var cell int64 // written by `hot`, for watchpoints

func call(count *uint64, seed int) {
	who := &account{seed, "somebody"}
	for i := 0; ; i++ {
		cell = int64(i)
		if hit(i, who) < 0 {
			return
		}
		atomic.AddUint64(count, 1)
	}
}

func spin(seed uint64) {
	for ; seed != 0; seed ^= seed << 13 {
		seed ^= seed >> 7
		seed ^= seed << 17
	}
}

func serve(count *uint64) {
	who := &account{7, "somebody"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, hit(int(atomic.AddUint64(count, 1)), who))
	})
	go http.Serve(l, mux)
	for c := 0; c < 16; c++ {
		go func() {
			t := &http.Transport{MaxIdleConnsPerHost: 16}
			for {
				r, err := (&http.Client{Transport: t}).Get("http://" + l.Addr().String() + "/")
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		}()
	}
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	f, err := os.OpenFile(os.Args[2], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	f.Truncate(4096)
	mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	word := func(i int) *uint64 { return (*uint64)(unsafe.Pointer(&mem[8*i])) }
	if os.Args[3] == "served" {
		serve(word(0))
	} else {
		hot, _ := strconv.Atoi(os.Args[3])
		cold, _ := strconv.Atoi(os.Args[4])
		runtime.GOMAXPROCS(hot + cold + 1)
		for i := 0; i < hot; i++ {
			go func() { runtime.LockOSThread(); call(word(i), i) }()
		}
		for i := 0; i < cold; i++ {
			go func() { runtime.LockOSThread(); spin(uint64(i + 1)) }()
		}
	}
	fmt.Println("ready", os.Getpid())
	time.Sleep(time.Duration(seconds) * time.Second)
}
