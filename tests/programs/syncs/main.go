// sync and atomic values as data.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
)

type cache struct {
	mu   sync.RWMutex
	data map[string]int
	hits atomic.Int64
	once sync.Once
}

func (c *cache) get(k string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.hits.Add(1)
	return c.data[k] // BP
}

func main() {
	c := &cache{data: map[string]int{"a": 1}}
	c.once.Do(func() { c.data["b"] = 2 })
	v := c.get("a") + c.get("b")
	fmt.Println(v, c.hits.Load()) // BP
}
