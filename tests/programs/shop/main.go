// A small program for the screen tests: carts are priced, goroutines lurk.
package main

import (
	"fmt"
	"os"
	"time"
)

type item struct {
	sku string
	qty int
}

// Cart is what somebody wants to buy.
type Cart struct {
	owner string
	items []item
}

func price(it item) int {
	base := len(it.sku) * 100
	return base * it.qty
}

// Total is the sum in cents.
func (c *Cart) Total() int {
	sum := 0
	for _, it := range c.items {
		sum += price(it)
	}
	return sum
}

func lurk(ch chan int) {
	<-ch
}

func main() {
	ch := make(chan int)
	for i := 0; i < 3; i++ {
		go lurk(ch)
	}
	time.Sleep(10 * time.Millisecond)
	all := 0
	for _, owner := range []string{"ana", "eve", "bob"} {
		cart := &Cart{owner: owner, items: []item{{"A-17", 2}, {"B-2", 1}}}
		all += cart.Total()
	}
	fmt.Println(len(os.Args), all)
}
