// Control flow: switch, type switch, goto, labels, select, fallthrough.
package main

import "fmt"

func classify(v interface{}) string {
	switch t := v.(type) {
	case int:
		return fmt.Sprint("int ", t) // BP
	case string:
		return "string " + t // BP
	case nil:
		return "nil"
	default:
		return fmt.Sprintf("%T", t)
	}
}

func main() {
	r := classify(1) + classify("s") + classify(nil) + classify(2.5)
	n := 0
outer:
	for i := 0; i < 3; i++ {
		for j := 0; ; j++ {
			if j == 2 {
				continue outer
			}
			if i == 2 {
				break outer
			}
			n += i*10 + j
		}
	}
	switch {
	case n > 5:
		n++
		fallthrough
	case n > 100:
		n += 2
	default:
		n = 0
	}
	ch := make(chan int, 1)
	select {
	case ch <- n:
		n = -1
	default:
		n = -2
	}
	if n == -1 {
		goto done
	}
	n = 99
done:
	fmt.Println(r, n) // BP
}
