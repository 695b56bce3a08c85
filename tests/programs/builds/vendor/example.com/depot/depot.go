// Package depot is what the table of builds looks at: arguments of several kinds, a channel, a map, parked goroutines.
package depot

import (
	"errors"
	"fmt"
	"sync"
)

// Order has fields of several kinds.
type Order struct {
	ID    int
	Name  string
	Items []string
	next  *Order
}

// Stock is passed in an interface, so that its type is known at run time.
type Stock map[string]int

var (
	Queue   = make(chan Order, 4)
	idle    = make(chan struct{})
	parked  sync.WaitGroup
	Sold    int
	Reports []string
)

//go:noinline
func wait(id int) {
	parked.Done()
	<-idle
	Sold += id
}

// small is inlined where optimisation is on.
func small(stock any, err error) int {
	if err != nil { // SMALL
		return len(stock.(Stock)) // INLINED
	}
	return 0
}

//go:noinline
func Handle(n int, who string, first *Order, stock any, err error, queue chan Order, counts map[string]int) int { // ENTRY
	total := n + first.ID // FIRST
	total += len(who)     // BREAK
	total += counts[who]  // NEXT
	total += small(stock, err)
	queue <- *first
	return total // LAST
}

// outer is inlined where optimisation is on.
func outer(queue chan Order, stock Stock) int {
	first := &Order{ID: 7, Name: "seven", Items: []string{"bolt", "nut"}, next: &Order{ID: 8}}
	return Handle(5, "bolt", first, stock, errors.New("late"), queue, stock) // CALL
}

// Run parks three goroutines, then handles orders.
func Run(rounds int) {
	parked.Add(3)
	for i := 0; i < 3; i++ {
		go wait(i)
	}
	parked.Wait()
	Queue <- Order{ID: 1, Name: "one", Items: []string{"x"}}
	Queue <- Order{ID: 2, Name: "two"}
	stock := Stock{"bolt": 7, "nut": 11}
	for i := 0; i < rounds; i++ {
		Sold += outer(Queue, stock) // OUTER
		<-Queue
	}
	for len(Queue) > 0 {
		<-Queue
	}
	fmt.Println("sold", Sold)
}
