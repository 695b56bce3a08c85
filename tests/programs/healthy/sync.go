package main

import (
	"context"
	"errors"
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	for name, f := range map[string]func(){
		"workers":       workers,
		"workers-full":  workersUnbuffered,
		"pipeline":      pipeline,
		"fan":           fan,
		"errgroup":      errGroups,
		"tickers":       tickers,
		"afterfunc":     afterFuncs,
		"cond-queue":    condQueue,
		"rwmutex-cache": rwCache,
		"once":          onces,
		"syncmap":       syncMap,
		"pool":          pools,
		"semaphore":     semaphore,
		"ratelimit":     rateLimit,
		"main-select":   mainSelect,
		"done-channel":  doneChannel,
		"contexts":      contexts,
		"pubsub":        pubSub,
		"ordered-locks": orderedLocks,
		"relock":        relock,
		"barrier":       barrier,
		"convoy":        handOver,
		"panics":        panics,
	} {
		programs[name] = f
	}
}

// Twenty idle and busy workers on a buffered channel.
func workers() {
	jobs := make(chan int, 100)
	for i := 0; i < 20; i++ {
		go func() {
			for j := range jobs {
				work(j)
			}
		}()
	}
	for {
		for i := 0; i < 50; i++ {
			jobs <- rand.Intn(20000)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// Only its producers' stacks hold the channel; results go back on a channel made for each job.
func workersUnbuffered() {
	type job struct {
		n   int
		out chan int
	}
	jobs := make(chan job)
	for i := 0; i < 16; i++ {
		go func() {
			for j := range jobs {
				work(j.n)
				j.out <- j.n
			}
		}()
	}
	var clients sync.WaitGroup
	for i := 0; i < 40; i++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for {
				out := make(chan int)
				jobs <- job{rand.Intn(3000), out}
				<-out
			}
		}()
	}
	clients.Wait()
}

func pipeline() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		source := make(chan int)
		go func() {
			defer close(source)
			for i := 0; ; i++ {
				select {
				case source <- i:
				case <-ctx.Done():
					return
				}
			}
		}()
		stage := func(in <-chan int) <-chan int {
			out := make(chan int)
			go func() {
				defer close(out)
				for v := range in {
					select {
					case out <- v + 1:
					case <-ctx.Done():
						return
					}
				}
			}()
			return out
		}
		last := (<-chan int)(source)
		for i := 0; i < 15; i++ {
			last = stage(last)
		}
		for v := range last {
			work(v)
		}
		cancel()
	}
}

func fan() {
	for {
		in := make(chan []byte)
		out := make(chan int)
		var wg sync.WaitGroup
		for i := 0; i < 24; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for b := range in {
					out <- len(b)
				}
			}()
		}
		go func() { wg.Wait(); close(out) }()
		go func() {
			for i := 0; i < 3000; i++ {
				in <- make([]byte, 1+i%100)
			}
			close(in)
		}()
		for range out {
		}
	}
}

// As golang.org/x/sync/errgroup with a limit.
type errGroup struct {
	wg   sync.WaitGroup
	sem  chan struct{}
	once sync.Once
	err  error
}

func (g *errGroup) Go(f func() error) {
	g.sem <- struct{}{}
	g.wg.Add(1)
	go func() {
		defer func() { <-g.sem; g.wg.Done() }()
		if err := f(); err != nil {
			g.once.Do(func() { g.err = err })
		}
	}()
}

func (g *errGroup) Wait() error { g.wg.Wait(); return g.err }

func errGroups() {
	for i := 0; i < 12; i++ {
		go func() {
			for {
				g := &errGroup{sem: make(chan struct{}, 3)}
				for k := 0; k < 30; k++ {
					g.Go(func() error {
						time.Sleep(time.Duration(rand.Intn(2000)) * time.Microsecond)
						if k == 7 {
							return errors.New("seven")
						}
						return nil
					})
				}
				if g.Wait() == nil {
					panic("no error")
				}
			}
		}()
	}
	rest()
}

func tickers() {
	for i := 0; i < 30; i++ {
		go func() {
			t := time.NewTicker(time.Duration(1+rand.Intn(300)) * time.Millisecond)
			defer t.Stop()
			for range t.C {
				work(100)
			}
		}()
		go func() {
			for {
				<-time.After(time.Duration(rand.Intn(100)) * time.Millisecond)
				t := time.NewTimer(time.Hour)
				select {
				case <-t.C:
				case <-time.After(time.Millisecond):
				}
				t.Stop()
			}
		}()
	}
	// A slow one: only the runtime's timers have its channel.
	<-time.NewTimer(2 * life).C
}

// Channels that only a timer's closure leads to.
func afterFuncs() {
	for i := 0; i < 40; i++ {
		go func() {
			for {
				c := make(chan int)
				d := 5 * time.Second
				if rand.Intn(4) > 0 {
					d = time.Duration(rand.Intn(3000)) * time.Microsecond
				}
				time.AfterFunc(d, func() { close(c) })
				<-c
			}
		}()
	}
	rest()
}

func condQueue() {
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	var queue []int
	for i := 0; i < 16; i++ {
		go func() {
			for {
				mu.Lock()
				for len(queue) == 0 {
					cond.Wait()
				}
				v := queue[0]
				queue = queue[1:]
				mu.Unlock()
				work(v)
			}
		}()
	}
	for {
		mu.Lock()
		for i := 0; i < rand.Intn(20); i++ {
			queue = append(queue, rand.Intn(5000))
		}
		mu.Unlock()
		cond.Broadcast()
		time.Sleep(time.Millisecond)
	}
}

type cache struct {
	mu sync.RWMutex
	m  map[int]int
}

func (c *cache) get(k int) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	work(50)
	return c.m[k]
}

func (c *cache) put(k, v int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	work(500)
	c.m[k] = v
}

func (c *cache) either(k int) int {
	c.mu.RLock()
	if v, ok := c.m[k]; ok {
		c.mu.RUnlock()
		return v
	}
	c.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[k] = k
	return k
}

func rwCache() {
	c := &cache{m: map[int]int{}}
	for i := 0; i < 40; i++ {
		go func() {
			for {
				k := rand.Intn(100)
				switch {
				case i < 4:
					c.put(k, k)
					time.Sleep(100 * time.Microsecond)
				case i < 20:
					c.either(k)
				default:
					c.get(k)
				}
				if i%5 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	rest()
}

func onces() {
	slow := func() int { time.Sleep(3 * time.Millisecond); return 1 }
	for {
		var once sync.Once
		value := sync.OnceValue(slow)
		var wg sync.WaitGroup
		for i := 0; i < 30; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				once.Do(func() { slow() })
				value()
			}()
		}
		wg.Wait()
	}
}

func syncMap() {
	var m sync.Map
	for i := 0; i < 16; i++ {
		go func() {
			for {
				c := make(chan int)
				m.Store(i, c)
				<-c
			}
		}()
	}
	// Nobody but the map has the channels.
	for {
		time.Sleep(20 * time.Millisecond)
		m.Range(func(k, v any) bool {
			if rand.Intn(2) == 0 {
				m.Delete(k)
				close(v.(chan int))
			}
			return true
		})
	}
}

func pools() {
	type thing struct {
		mu  sync.Mutex
		buf [600]byte
		c   chan int
	}
	p := sync.Pool{New: func() any { return &thing{c: make(chan int, 1)} }}
	for i := 0; i < 20; i++ {
		go func() {
			for {
				t := p.Get().(*thing)
				t.mu.Lock()
				t.c <- 1
				work(2000)
				<-t.c
				t.mu.Unlock()
				p.Put(t)
				_ = make([]byte, 30000)
			}
		}()
	}
	rest()
}

func semaphore() {
	sem := make(chan struct{}, 3)
	for i := 0; i < 40; i++ {
		go func() {
			for {
				sem <- struct{}{}
				if i%2 == 0 {
					time.Sleep(500 * time.Microsecond)
				} else {
					work(10000)
				}
				<-sem
			}
		}()
	}
	select {}
}

func rateLimit() {
	t := time.NewTicker(2 * time.Millisecond)
	tokens := make(chan struct{}, 5)
	go func() {
		for range t.C {
			select {
			case tokens <- struct{}{}:
			default:
			}
		}
	}()
	for i := 0; i < 30; i++ {
		go func() {
			for {
				<-tokens
				work(10000)
			}
		}()
	}
	rest()
}

func mainSelect() {
	c := make(chan int)
	for i := 0; i < 15; i++ {
		go func() {
			for v := range c {
				work(v)
			}
		}()
	}
	go func() {
		for {
			c <- 100
			time.Sleep(10 * time.Millisecond)
		}
	}()
	select {}
}

var done = make(chan struct{})

func doneChannel() {
	for i := 0; i < 50; i++ {
		go func() { <-done }()
		go func() {
			select {
			case <-done:
			case <-time.After(time.Hour):
			}
		}()
	}
	rest()
}

func contexts() {
	root, stop := context.WithCancel(context.Background())
	defer stop()
	var spawn func(ctx context.Context, depth int)
	spawn = func(ctx context.Context, depth int) {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(1+rand.Intn(200))*time.Millisecond)
		defer cancel()
		if depth < 4 {
			var wg sync.WaitGroup
			for i := 0; i < 3; i++ {
				wg.Add(1)
				go func() { defer wg.Done(); spawn(context.WithValue(ctx, depth, i), depth+1) }()
			}
			wg.Wait()
		}
		<-ctx.Done()
	}
	for i := 0; i < 2; i++ {
		go func() {
			for root.Err() == nil {
				spawn(root, 0)
			}
		}()
	}
	context.AfterFunc(root, func() {})
	go func() { <-root.Done() }()
	rest()
}

func pubSub() {
	type hub struct {
		mu   sync.Mutex
		subs map[int]chan int
	}
	h := &hub{subs: map[int]chan int{}}
	for i := 0; i < 30; i++ {
		go func() {
			for {
				c := make(chan int, 2)
				h.mu.Lock()
				h.subs[i] = c
				h.mu.Unlock()
				for n := 0; n < 50; n++ {
					<-c
				}
				h.mu.Lock()
				delete(h.subs, i)
				h.mu.Unlock()
			}
		}()
	}
	for i := 0; ; i++ {
		h.mu.Lock()
		for _, c := range h.subs {
			select {
			case c <- i:
			default:
			}
		}
		h.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

type account struct {
	mu      sync.Mutex
	n, id   int
	history []int
}

// Locks of two accounts, always the one with the lower number first: cycles can never be.
func orderedLocks() {
	var all []*account
	for i := 0; i < 5; i++ {
		all = append(all, &account{id: i, n: 1000})
	}
	transfer := func(a, b *account) {
		if a.id > b.id {
			a, b = b, a
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		work(200)
		b.mu.Lock()
		defer b.mu.Unlock()
		work(3000)
		a.n--
		b.n++
	}
	explicit := func(a, b *account) {
		if a.id > b.id {
			a, b = b, a
		}
		a.mu.Lock()
		b.mu.Lock()
		work(3000)
		b.n--
		a.n++
		b.mu.Unlock()
		a.mu.Unlock()
	}
	for i := 0; i < 24; i++ {
		go func() {
			for {
				a, b := rand.Intn(5), rand.Intn(5)
				if a == b {
					continue
				}
				if i%2 == 0 {
					transfer(all[a], all[b])
				} else {
					explicit(all[a], all[b])
				}
			}
		}()
	}
	rest()
}

// One function locks, unlocks and locks again, in loops and branches.
func relock() {
	var a, b sync.Mutex
	step := func(n int) {
		a.Lock()
		for i := 0; i < n; i++ {
			a.Unlock()
			work(300)
			if i%2 == 0 {
				b.Lock()
				work(300)
				b.Unlock()
			}
			a.Lock()
		}
		if n > 2 {
			b.Lock()
			defer b.Unlock()
		}
		a.Unlock()
		if n > 3 {
			a.Lock()
			work(300)
			defer a.Unlock()
		}
	}
	var order sync.Mutex
	for i := 0; i < 16; i++ {
		go func() {
			for {
				order.Lock() // b then a in step would be a cycle with a then b
				step(rand.Intn(5))
				order.Unlock()
			}
		}()
	}
	rest()
}

// Rounds of a WaitGroup.
func barrier() {
	for {
		var wg sync.WaitGroup
		var n atomic.Int32
		for i := 0; i < 50; i++ {
			wg.Add(1)
			go func() {
				n.Add(1)
				work(20000)
				wg.Done()
			}()
		}
		for i := 0; i < 3; i++ {
			go wg.Wait()
		}
		wg.Wait()
	}
}

// A lock held across a sleep by one goroutine after the other.
func handOver() {
	mu := new(sync.Mutex)
	for i := 0; i < 20; i++ {
		go func() {
			for {
				mu.Lock()
				time.Sleep(200 * time.Microsecond)
				mu.Unlock()
			}
		}()
	}
	rest()
}

// Panics that are recovered and Goexit, with deferred calls that take locks, sleep and send.
func panics() {
	var mu sync.Mutex
	c := make(chan int)
	go func() {
		for v := range c {
			work(v)
		}
	}()
	for i := 0; i < 20; i++ {
		go func() {
			for {
				var wg sync.WaitGroup
				wg.Add(1)
				go func() {
					defer wg.Done()
					defer func() { recover() }()
					defer func() { c <- 1 }()
					defer time.Sleep(time.Millisecond)
					defer func() {
						mu.Lock()
						defer mu.Unlock()
						time.Sleep(100 * time.Microsecond)
					}()
					if i%3 == 0 {
						runtime.Goexit()
					}
					panic("healthy")
				}()
				wg.Wait()
			}
		}()
	}
	rest()
}
