package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func init() {
	for name, f := range map[string]func(){
		"http":      func() { web(&http.Server{}) },
		"http-time": httpTimeouts,
		"daemon":    daemon,
		"netpipe":   netPipe,
		"unix":      unixEcho,
		"ospipe":    osPipe,
		"exec":      execWait,
		"idle":      idleConnections,
		"child":     func() { rest() },
		"syscalls":  inSyscall,
	} {
		programs[name] = f
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func listen() net.Listener { return must(net.Listen("tcp", "127.0.0.1:0")) }

func web(s *http.Server) {
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		fmt.Fprintln(w, r.URL.Path)
	})
	l := listen()
	go s.Serve(l)
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 30}, Timeout: s.ReadTimeout}
	for i := 0; i < 30; i++ {
		go func() {
			for {
				r, err := c.Get("http://" + l.Addr().String() + "/x")
				if err == nil {
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
				if i > 10 {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				}
			}
		}()
	}
	rest()
}

func httpTimeouts() {
	go web(&http.Server{ReadTimeout: 20 * time.Millisecond, WriteTimeout: 30 * time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	l := listen()
	slow := &http.Server{Handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(30 * time.Millisecond):
		}
	}), 20*time.Millisecond, "late")}
	go slow.Serve(l)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Millisecond)
		req := must(http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String(), nil))
		if r, err := http.DefaultClient.Do(req); err == nil {
			r.Body.Close()
		}
		cancel()
	}
}

func daemon() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
		}
	}()
	for i := 0; i < 12; i++ {
		go func() {
			<-ctx.Done()
		}()
	}
	<-ctx.Done()
}

func netPipe() {
	for i := 0; i < 10; i++ {
		a, b := net.Pipe()
		go io.Copy(a, a)
		go func() {
			buf := make([]byte, 64)
			for {
				b.Write([]byte("hello"))
				io.ReadFull(b, buf[:5])
				if i > 5 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	rest()
}

func unixEcho() {
	dir := must(os.MkdirTemp("", "healthy"))
	time.AfterFunc(time.Second, func() { os.RemoveAll(dir) })
	l := must(net.Listen("unix", filepath.Join(dir, "s")))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	for i := 0; i < 10; i++ {
		c := must(net.Dial("unix", filepath.Join(dir, "s")))
		go func() {
			r := bufio.NewReader(c)
			for {
				fmt.Fprintln(c, "hello")
				r.ReadString('\n')
			}
		}()
	}
	rest()
}

func osPipe() {
	for i := 0; i < 12; i++ {
		r, w := must2(os.Pipe())
		lines := make(chan string)
		go func() {
			s := bufio.NewScanner(r)
			for s.Scan() {
				lines <- s.Text()
			}
			close(lines)
		}()
		go func() {
			for range lines {
			}
		}()
		go func() {
			for {
				fmt.Fprintln(w, "x")
				time.Sleep(time.Duration(i*i*10) * time.Millisecond)
			}
		}()
	}
	rest()
}

func must2[T, U any](a T, b U, err error) (T, U) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// Children that are waited for; they die with this program.
func execWait() {
	for i := 0; i < 3; i++ {
		ended := make(chan error)
		go func() {
			c := exec.Command("/proc/self/exe", "child")
			c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			c.Stdout = new(limited)
			ended <- c.Run()
		}()
		go func() { <-ended }()
	}
	for {
		exec.Command("/bin/true").Run()
	}
}

type limited struct{ n int }

func (l *limited) Write(p []byte) (int, error) { l.n += len(p); return len(p), nil }

func idleConnections() {
	l := listen()
	go func() {
		for {
			c := must(l.Accept())
			go func() {
				b := make([]byte, 10)
				c.Read(b)
			}()
		}
	}()
	for i := 0; i < 20; i++ {
		c := must(net.Dial("tcp", l.Addr().String()))
		answers := make(chan []byte)
		go func() {
			b := make([]byte, 10)
			n, _ := c.Read(b)
			answers <- b[:n]
		}()
		go func() { <-answers }()
	}
	rest()
}

// A goroutine in a blocking system call has the only way to what others wait for.
func inSyscall() {
	for i := 0; i < 12; i++ {
		fds := make([]int, 2)
		if err := syscall.Pipe(fds); err != nil {
			panic(err)
		}
		c := make(chan int)
		finish := func() { c <- i }
		go func() {
			b := make([]byte, 1)
			for {
				syscall.Read(fds[0], b)
				finish()
			}
		}()
		go func() {
			for range c {
			}
		}()
		if i > 9 {
			go func() {
				for {
					time.Sleep(time.Millisecond)
					syscall.Write(fds[1], []byte{1})
				}
			}()
		}
	}
	rest()
}
