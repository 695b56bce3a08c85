// What an editor looks at: values of every shape, output on both streams, calls, panics, many goroutines.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

type item struct {
	Name  string
	Price float64
	Tags  []string
	next  *item
}

var total = 7

func init() {
	total++                             // in init
	total += len((&item{}).label()) - 1 // methods that nobody calls are not linked
}

func double(n int) int {
	return n * 2 // in double
}

func (i *item) label() string {
	return i.Name + "!"
}

func watched() int {
	count := 0
	for i := 0; i < 3; i++ {
		count += i // in watched
	}
	return count
}

func look(args []string) int {
	first := &item{Name: "apple", Price: 1.5, Tags: []string{"red", "sweet"}}
	second := item{Name: "pear", next: first}
	many := make([]int, 200)
	for i := range many {
		many[i] = i * i
	}
	prices := map[string]float64{"apple": 1.5, "pear": 2}
	bytes := []byte("hello")
	long := strings.Repeat("long ", 200)
	var any interface{} = first
	var small uint8 = 200
	z := complex(1, -2)
	done := make(chan int, 3)
	done <- 4
	n := double(21)
	fmt.Println("to stdout", n, len(args))            // before stderr
	fmt.Fprintln(os.Stderr, "to stderr", second.Name) // after stdout
	n += watched()
	second.Price = float64(len(many)) + float64(small) + real(z)
	use := func() int { return n + len(long) + len(bytes) }
	return use() + len(prices) + len(done) + len(fmt.Sprint(any)) // at the end of look
}

func crowd(n int) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-stop
		}()
	}
	time.Sleep(100 * time.Millisecond)
	close(stop) // the crowd waits
	wg.Wait()
}

func main() {
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch what {
	case "panic":
		panic(fmt.Sprintf("broken %d", total))
	case "throw":
		var mu sync.Mutex
		mu.Unlock()
	case "crowd":
		n, _ := strconv.Atoi(os.Args[2])
		crowd(n)
	case "spin":
		for i := 0; i < 600; i++ {
			double(i)
			time.Sleep(100 * time.Millisecond)
		}
	case "exit":
		os.Exit(3)
	default:
		r := look(os.Args)
		fmt.Println("result", r, os.Getenv("EDITOR_SAYS"), total) // at the end
	}
}
