// `go` statements: one goroutine after the other reaches the same line.
package main

import (
	"fmt"
	"sync"
)

func job(id int, wg *sync.WaitGroup, out []int) {
	defer wg.Done()
	v := id * id
	out[id] = v // BP
}

func main() {
	var wg sync.WaitGroup
	out := make([]int, 3)
	for i := range out {
		wg.Add(1)
		go job(i, &wg, out)
		wg.Wait()
	}
	fmt.Println(out) // BP
}
