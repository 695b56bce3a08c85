// Structs: nested, embedded, anonymous, empty, recursive, blank fields.
package main

import "fmt"

type inner struct {
	x int
	y float64
}

type base struct {
	id int
}

func (b base) ID() int { return b.id }

type outer struct {
	base
	*inner
	name  string
	tags  []string
	deep  struct{ a, b int }
	_     int
	next  *outer
	empty struct{}
}

func main() {
	in := inner{1, 2.5}
	o := outer{base: base{7}, inner: &in, name: "out", tags: []string{"t"}}
	o.deep.a = 5
	o.next = &o
	anon := struct {
		k string
		v int
	}{"k", 3}
	var e struct{}
	arr := [2]inner{{1, 1}, {2, 2}}
	p := &o
	var np *outer
	fmt.Println(o.ID(), p.x) // BP
	fmt.Println(anon, e, arr, np)
}
