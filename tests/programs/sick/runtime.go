package main

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"
)

// A ticker for each, and no way to end.
func timerLeak() {
	for i := 0; i < 300; i++ {
		go everyMinute()
	}
}

//go:noinline
func everyMinute() {
	me("ticking")
	for range time.NewTicker(time.Minute).C {
	}
}

// Connections with a keep-alive ticker each, which end when they are told to.
func timerLeakFine() {
	done := make(chan int)
	for i := 0; i < 300; i++ {
		go func() {
			t := time.NewTicker(time.Minute)
			defer t.Stop()
			for {
				select {
				case <-t.C:
				case <-done:
					return
				}
			}
		}()
	}
	for i := 0; i < 50; i++ {
		go doze()
	}
	go func() {
		time.Sleep(time.Hour)
		close(done)
	}()
}

func sleepers() {
	for i := 0; i < 1100; i++ {
		go doze()
	}
}

//go:noinline
func doze() { time.Sleep(time.Hour) }

var never = make(chan int)

//go:noinline
func wait() { <-never }

func goroutineGrowth() {
	go func() {
		for {
			go wait()
			time.Sleep(50 * time.Millisecond)
		}
	}()
	go func() {
		time.Sleep(time.Hour)
		close(never)
	}()
}

// As many start, and end again.
func goroutineGrowthFine() {
	go func() {
		for {
			go func() {
				select {
				case <-never:
				case <-time.After(2 * time.Second):
				}
			}()
			time.Sleep(50 * time.Millisecond)
		}
	}()
	go func() {
		time.Sleep(time.Hour)
		close(never)
	}()
}

// Five a second, and all stay: to be seen in one look by their ages.
func goroutineAges() {
	go func() {
		for {
			go wait()
			time.Sleep(200 * time.Millisecond)
		}
	}()
	go func() {
		time.Sleep(time.Hour)
		close(never)
	}()
	go collect()
}

// A pool that was started at once.
func goroutineAgesFine() {
	for i := 0; i < 300; i++ {
		go wait()
	}
	go func() {
		time.Sleep(time.Hour)
		never <- 1
	}()
	go collect()
}

// A system call that does not return, on a descriptor that the runtime's poller does not know.
func threadStuck() {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	go rawRead(fds[0])
}

//go:noinline
func rawRead(fd int) {
	me("stuck")
	syscall.Read(fd, make([]byte, 1))
}

// The same call again and again, each short: whenever one looks, the goroutine is in a call at the same place.
func threadStuckFine() {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	go func() {
		b := make([]byte, 1)
		for {
			syscall.Read(fds[0], b)
		}
	}()
	go func() {
		for {
			time.Sleep(100 * time.Millisecond)
			syscall.Write(fds[1], []byte{1})
		}
	}()
}

// Goroutines that keep their processor while they sleep (a raw call does not give it up): many are ready, one runs. Costs no CPU.
func starvation() {
	runtime.GOMAXPROCS(1)
	for i := 0; i < 30; i++ {
		go occupy()
	}
}

//go:noinline
func occupy() {
	for {
		t := syscall.Timespec{Nsec: 5_000_000}
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
		runtime.Gosched()
	}
}

// As many, which give it up.
func starvationFine() {
	runtime.GOMAXPROCS(1)
	for i := 0; i < 30; i++ {
		go func() {
			for {
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
}

var ballast [][]byte

func load(mib int) {
	for i := 0; i < mib; i++ {
		ballast = append(ballast, make([]byte, 1<<20))
	}
}

// Everything live is as much as the limit.
func gcPressure() {
	load(64)
	debug.SetMemoryLimit(64 << 20)
}

func gcPressureFine() {
	load(64)
	debug.SetMemoryLimit(512 << 20)
}

// 8 KiB objects that are kept: 8 MiB a second.
func heapGrowth() {
	go func() {
		for {
			for i := 0; i < 200; i++ {
				ballast = append(ballast, make([]byte, 8<<10))
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
}

// As many, of which the last few are kept.
func heapGrowthFine() {
	go func() {
		for {
			for i := 0; i < 100; i++ {
				ballast = append(ballast, make([]byte, 8<<10))
			}
			if len(ballast) > 1000 {
				ballast = append([][]byte(nil), ballast[500:]...)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
}
