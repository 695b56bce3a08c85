// A gigabyte of live objects with pointers (maps, lists, slices of structs) and N goroutines: most wait for work, one in a hundred is
// leaked. Args: N, MiB, seconds to live. Ends by itself.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

type node struct {
	next  *node
	name  string
	tags  []string
	value [4]int
}

type shard struct {
	mu   sync.Mutex
	byID map[int]*node
	list *node
}

var shards []*shard

func fill(mib int) {
	const each = 160 // bytes of a node with its name, tags and map entry, about
	n := mib << 20 / each
	for i := 0; i < 64; i++ {
		shards = append(shards, &shard{byID: map[int]*node{}})
	}
	for i := 0; i < n; i++ {
		s := shards[i%64]
		x := &node{next: s.list, name: strconv.Itoa(i)}
		if i%4 == 0 {
			x.tags = []string{"a", x.name}
		}
		s.list = x
		s.byID[i] = x
	}
}

func wait(work chan int, done *sync.WaitGroup) {
	defer done.Done()
	for range work {
	}
}

func leak() {
	c := make(chan int)
	go func() { c <- 1 }()
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	mib, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.Atoi(os.Args[3])
	fill(mib)
	work, done := make(chan int), &sync.WaitGroup{}
	for i := 0; i < n; i++ {
		if i%100 == 0 {
			leak()
			continue
		}
		done.Add(1)
		go wait(work, done)
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("ready", os.Getpid())
	time.Sleep(time.Duration(seconds) * time.Second)
	close(work)
	done.Wait()
}
