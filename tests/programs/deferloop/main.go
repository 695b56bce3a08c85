// Defers with arguments, in methods, changing results, recovered panics in a chain.
package main

import "fmt"

type res struct{ name string }

func (r *res) close() { fmt.Println("close", r.name) }

func use() (n int, err error) {
	a := &res{"a"}
	defer a.close()
	b := &res{"b"}
	defer b.close()
	defer func() {
		n *= 2 // BP
	}()
	n = 21
	return n, nil
}

func chain() (s string) {
	defer func() {
		s = fmt.Sprint("outer:", recover()) // BP
	}()
	defer func() {
		panic("second")
	}()
	panic("first")
}

func main() {
	n, err := use()
	s := chain()
	fmt.Println(n, err, s)
}
