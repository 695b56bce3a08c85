// Command regress writes a profile of a small workload. With -worse one of its functions, chosen by the seed, is slower, holds its
// lock for longer or allocates twice as much; it prints which one.
package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var sink int

//go:noinline
func digest(n int) {
	b := make([]byte, 4096)
	for i := 0; i < n; i++ {
		s := sha256.Sum256(b)
		b[0] = s[0]
	}
	sink += int(b[0])
}

//go:noinline
func order(n int) {
	v := make([]int, 300)
	for i := 0; i < n; i++ {
		for j := range v {
			v[j] = (j*7919 + i) % 1009
		}
		sort.Ints(v)
	}
	sink += v[0]
}

//go:noinline
func format(n int) {
	for i := 0; i < n; i++ {
		for j := 0; j < 60; j++ {
			sink += len(strconv.FormatFloat(float64(i)*1.1+float64(j), 'g', -1, 64))
		}
	}
}

//go:noinline
func scan(n int) {
	text := strings.Repeat("abcdefgh", 2000) + "needle"
	for i := 0; i < n; i++ {
		for j := 0; j < 20; j++ {
			sink += strings.Count(text, "gha")
		}
	}
}

//go:noinline
func mix(n int) {
	x := uint64(n)
	for i := 0; i < n*14000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink += int(x)
}

var cpu = []struct {
	name string
	work func(int)
}{{"main.digest", digest}, {"main.order", order}, {"main.format", format}, {"main.scan", scan}, {"main.mix", mix}}

// used is the time on a processor so far: what else the machine does is not in it.
func used() time.Duration {
	var r syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// share returns how often each function runs: by time, so that all have about the same part of the profile on any machine.
func share(rng *rand.Rand) []int {
	rounds := make([]int, len(cpu))
	for i, c := range cpu {
		n := 1
		for {
			t0 := used()
			c.work(n)
			if d := used() - t0; d > 40*time.Millisecond {
				rounds[i] = int(float64(n) * (0.3 + 0.2*rng.Float64()) / d.Seconds())
				break
			}
			n *= 2
		}
	}
	return rounds
}

type shelf struct {
	mu    sync.Mutex
	holds time.Duration
}

//go:noinline
func (s *shelf) put(n int) {
	for i := 0; i < n; i++ {
		s.mu.Lock()
		time.Sleep(s.holds)
		s.mu.Unlock()
	}
}

//go:noinline
func (s *shelf) take(n int) {
	for i := 0; i < n; i++ {
		s.mu.Lock()
		time.Sleep(s.holds)
		s.mu.Unlock()
	}
}

//go:noinline
func (s *shelf) count(n int) {
	for i := 0; i < n; i++ {
		s.mu.Lock()
		time.Sleep(s.holds)
		s.mu.Unlock()
	}
}

func locks(worse int) {
	shelves := []*shelf{{holds: time.Millisecond}, {holds: time.Millisecond}, {holds: time.Millisecond}}
	if worse >= 0 {
		shelves[worse].holds *= 4
	}
	var wg sync.WaitGroup
	for i := range shelves {
		for j := 0; j < 4; j++ {
			wg.Add(1)
			go func(i int) {
				defer wg.Done()
				switch i {
				case 0:
					shelves[i].put(70)
				case 1:
					shelves[i].take(70)
				default:
					shelves[i].count(70)
				}
			}(i)
		}
	}
	wg.Wait()
}

var kept [][]byte

//go:noinline
func load(n int) {
	for i := 0; i < n; i++ {
		kept = append(kept[:0], make([]byte, 2048))
	}
}

//go:noinline
func join(n int) {
	for i := 0; i < n; i++ {
		var b bytes.Buffer
		for j := 0; j < 20; j++ {
			b.WriteString("a few words that make it grow ")
		}
		sink += b.Len()
	}
}

//go:noinline
func clone(n int) {
	text := strings.Repeat("x", 1500)
	for i := 0; i < n; i++ {
		kept = append(kept[:0], []byte(strings.ToUpper(text)))
	}
}

//go:noinline
func index(n int) {
	for i := 0; i < n; i++ {
		m := make(map[int]int, 64)
		m[i] = i
		sink += len(m)
	}
}

var heap = []struct {
	name string
	work func(int)
}{{"main.load", load}, {"main.join", join}, {"main.clone", clone}, {"main.index", index}}

func main() {
	// Before anything is allocated that counts.
	runtime.MemProfileRate = 512
	what := flag.String("what", "cpu", "cpu, mutex or allocs")
	out := flag.String("out", "", "where to write the profile")
	seed := flag.Int64("seed", 1, "which function, and how much of each")
	worse := flag.Bool("worse", false, "make it worse")
	as := flag.String("rounds", "", "how often each function runs, as an earlier run printed it")
	flag.Parse()
	rng := rand.New(rand.NewSource(*seed))
	chosen := int(*seed)
	at := func(n int) int {
		if *worse {
			return chosen % n
		}
		return -1
	}
	file, err := os.Create(*out)
	must(err)
	switch *what {
	case "cpu":
		var rounds []int
		for _, n := range strings.Split(*as, ",") {
			if n, err := strconv.Atoi(n); err == nil {
				rounds = append(rounds, n)
			}
		}
		if len(rounds) != len(cpu) {
			rounds = share(rng)
		}
		said := strings.Trim(strings.ReplaceAll(fmt.Sprint(rounds), " ", ","), "[]")
		if i := at(len(cpu)); i >= 0 {
			rounds[i] *= 3
		}
		must(pprof.StartCPUProfile(file))
		for i, c := range cpu {
			c.work(rounds[i])
		}
		pprof.StopCPUProfile()
		fmt.Println(cpu[chosen%len(cpu)].name, said)
	case "mutex":
		runtime.SetMutexProfileFraction(1)
		locks(at(3))
		must(pprof.Lookup("mutex").WriteTo(file, 0))
		fmt.Println([]string{"main.(*shelf).put", "main.(*shelf).take", "main.(*shelf).count"}[chosen%3])
	case "allocs":
		for i, h := range heap {
			n := 1500 + rng.Intn(1500)
			if i == at(len(heap)) {
				n *= 2
			}
			h.work(n)
		}
		runtime.GC()
		must(pprof.Lookup("allocs").WriteTo(file, 0))
		fmt.Println(heap[chosen%len(heap)].name)
	}
	must(file.Close())
}
