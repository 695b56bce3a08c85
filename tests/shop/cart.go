package main

import (
	"context"
	"fmt"
	"sync"
)

// Item is one line of a cart.
type Item struct {
	SKU string
	Qty int
}

// Cart holds what a customer wants to buy.
type Cart struct {
	mu    sync.Mutex
	items []Item
	rates map[string]int64
}

// Add puts an item into the cart.
func (c *Cart) Add(it Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, it)
}

func (c *Cart) price(ctx context.Context, sku string) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	default:
	}
	p, ok := c.rates[sku]
	if !ok {
		return 0, fmt.Errorf("no price for %q", sku)
	}
	return p, nil
}

// Total returns the sum in cents.
func (c *Cart) Total(ctx context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum int64
	for _, it := range c.items {
		p, err := c.price(ctx, it.SKU)
		if err != nil {
			return 0, fmt.Errorf("price %s: %w", it.SKU, err)
		}
		sum += p * int64(it.Qty)
	}
	return sum, nil
}

func main() {
	c := &Cart{rates: map[string]int64{"A-17": 2100}}
	c.Add(Item{"A-17", 2})
	fmt.Println(c.Total(context.Background()))
}
