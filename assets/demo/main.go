// A shop with things to find: a worker pool, goroutines that leak, two locks taken in two orders, timers, garbage and
// some traffic on the loopback interface. It listens on nothing else and ends by itself after half an hour.
package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// An Order is what a customer wants.
type Order struct {
	ID    int
	Items []Item
	Note  string
}

// An Item is a part of an order.
type Item struct {
	SKU string
	Qty int
}

// A Store keeps what can be sold; a Cache keeps what was asked for.
type Store struct {
	mu    sync.Mutex
	stock map[string]int
	cache *Cache
}

type Cache struct {
	mu    sync.Mutex
	hot   map[string]time.Time
	store *Store
}

// Take locks the store, then the cache.
func (s *Store) Take(it Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stock[it.SKU] < it.Qty {
		return fmt.Errorf("%s: %w", it.SKU, errSoldOut)
	}
	s.stock[it.SKU] -= it.Qty
	time.Sleep(time.Millisecond)
	s.cache.Touch(it.SKU)
	return nil
}

// Touch notes that something was asked for.
func (c *Cache) Touch(sku string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hot[sku] = time.Now()
}

// Evict locks the cache, then the store: the other order. One day both wait for each other.
func (c *Cache) Evict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sku, at := range c.hot {
		if time.Since(at) > time.Second {
			time.Sleep(time.Millisecond)
			c.store.mu.Lock()
			c.store.stock[sku] += 5
			c.store.mu.Unlock()
			delete(c.hot, sku)
		}
	}
}

var errSoldOut = errors.New("sold out")

// An Audit writes down what happened, until its reader goes away.
type Audit struct {
	events chan string
}

func NewAudit() *Audit {
	a := &Audit{events: make(chan string, 16)}
	go a.drain(40)
	return a
}

// drain reads so many events and then returns: everybody who records after that leaks.
func (a *Audit) drain(n int) {
	for i := 0; i < n; i++ {
		<-a.events
	}
}

// Record never blocks the order: it starts a goroutine that may.
func (a *Audit) Record(event string) {
	go func() {
		a.events <- event
	}()
}

// Total adds up an order.
func Total(o Order, prices map[string]int) (sum int) {
	for _, it := range o.Items {
		sum += it.Qty * prices[it.SKU]
	}
	return sum
}

func worker(id int, orders <-chan Order, shop *Store, audit *Audit, prices map[string]int) {
	for o := range orders {
		total := Total(o, prices)
		// Half of the workers keep away from the locks, so that the shop goes on when the others wait for ever.
		if id%2 == 0 {
			for _, it := range o.Items {
				if err := shop.Take(it); err != nil {
					break
				}
			}
		}
		if o.ID%20 == 0 {
			audit.Record(fmt.Sprintf("order %d: %d cents by worker %d", o.ID, total, id))
		}
		time.Sleep(time.Duration(5+rand.Intn(20)) * time.Millisecond)
	}
}

// garbage keeps the collector busy.
func garbage(stop <-chan struct{}) {
	var keep [][]byte
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
			keep = append(keep, make([]byte, 64<<10))
			if len(keep) > 200 {
				keep = keep[100:]
			}
		case <-stop:
			tick.Stop()
			return
		}
	}
}

// traffic serves and asks on the loopback interface.
func traffic() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("no traffic:", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Second):
			fmt.Fprintln(w, "done")
		case <-r.Context().Done():
		}
	})
	go http.Serve(l, mux)
	client := &http.Client{Timeout: 5 * time.Second}
	for i := 0; i < 3; i++ {
		go func() {
			for {
				resp, err := client.Get("http://" + l.Addr().String() + "/slow")
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
	}
}

func main() {
	time.AfterFunc(30*time.Minute, func() {
		fmt.Println("half an hour is over")
		os.Exit(0)
	})
	prices := map[string]int{"A-17": 2100, "B-2": 350, "C-9": 15}
	store := &Store{stock: map[string]int{"A-17": 1000, "B-2": 1000, "C-9": 1000}}
	store.cache = &Cache{hot: map[string]time.Time{}, store: store}
	audit := NewAudit()
	orders := make(chan Order, 8)
	for i := 0; i < 6; i++ {
		go worker(i, orders, store, audit, prices)
	}
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			store.cache.Evict()
		}
	}()
	stop := make(chan struct{})
	go garbage(stop)
	traffic()
	skus := []string{"A-17", "B-2", "C-9"}
	for id := 1; ; id++ {
		o := Order{ID: id, Note: "adit demo"}
		for n := 1 + rand.Intn(3); n > 0; n-- {
			o.Items = append(o.Items, Item{SKU: skus[rand.Intn(len(skus))], Qty: 1 + rand.Intn(2)})
		}
		orders <- o
		if id%100 == 0 {
			fmt.Printf("order %d\n", id)
		}
	}
}
