// Interfaces: nil, typed nil, values, pointers, errors, embedded interfaces.
package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

type shape interface {
	area() float64
}

type square struct{ side float64 }

func (s square) area() float64 { return s.side * s.side }

type circle struct{ r float64 }

func (c *circle) area() float64 { return 3 * c.r * c.r }

type number int

func main() {
	var none shape
	var any1 interface{}
	var sq shape = square{2}
	var ci shape = &circle{1}
	var typedNil shape = (*circle)(nil)
	any1 = 42
	var any2 interface{} = "text"
	var any3 interface{} = []int{1, 2}
	var any4 interface{} = map[string]int{"k": 1}
	var any5 interface{} = number(3)
	var any6 interface{} = struct{ a int }{1}
	var err error = errors.New("bad thing")
	var noErr error
	var rd io.Reader = strings.NewReader("abc")
	list := []shape{sq, ci, nil}
	fmt.Println(sq.area() + ci.area()) // BP
	fmt.Println(none, any1, typedNil == nil, any2, any3, any4, any5, any6, err, noErr, rd != nil, len(list))
}
