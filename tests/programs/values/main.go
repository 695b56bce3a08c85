// Command values stops with one variable of each Go type in scope.
package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

type Color int

const (
	Red Color = iota
	Green
	Blue
)

type Perm uint8

const (
	Read Perm = 1 << iota
	Write
	Exec
)

type Inner struct {
	X, Y int
	Name string
}

type Outer struct {
	Inner
	P    *Inner
	List []Inner
	M    map[string]int
	F    func(int) int
	E    error
	next *Outer
}

type Node struct {
	Val  int
	Next *Node
}

type Named []string

type Stringer interface{ String() string }

func (c Color) String() string { return "color" }

type Pair[K comparable, V any] struct {
	Key K
	Val V
}

type Wide struct {
	A [40]int
}

var (
	never   chan int
	Global  = 42
	Lookup  = map[int]string{1: "one", 2: "two"}
	Big     = map[int]int{}
	Strings = map[string]int{}
)

const Answer = 1234

//go:noinline
func generic[T any](xs []T, x T) {
	m := map[string]T{"k": x}
	show(m)
	runtime.KeepAlive(xs)
	runtime.KeepAlive(x)
}

//go:noinline
func show(arg any) (res int, err error) {
	b := true
	i8, i16, i32, i64 := int8(-8), int16(-16), int32(-32), int64(math.MinInt64)
	u8, u16, u32, u64 := uint8(8), uint16(16), uint32(32), uint64(math.MaxUint64)
	up := uintptr(0x1234)
	f32, f64 := float32(1.5), 3.25e10
	inf, nan, tiny := math.Inf(-1), math.NaN(), 1e-7
	c64, c128 := complex64(complex(1, 2)), complex(1.5, -2)
	s, empty := "hello \"world\"\n\x1b\u202eé", ""
	long := strings.Repeat("x", 100)
	color, bad, perm := Blue, Color(77), Read|Exec
	arr, arr2 := [3]int{1, 2, 3}, [2][2]string{{"a", "b"}, {"c", "d"}}
	sl, nilsl, many := []int{1, 2, 3}, []int(nil), make([]int, 100, 200)
	named := Named{"a", "b"}
	structs := []Inner{{1, 2, "a"}, {3, 4, "b"}}
	in := Inner{1, 2, "in"}
	p, nilp := &in, (*Inner)(nil)
	pp := &p
	pi := &i32
	ptrs := []*Inner{p, nil}
	out := Outer{Inner: in, P: p, List: structs, M: map[string]int{"a": 1}, F: func(x int) int { return x + Global }, E: errors.New("bad")}
	out.next = &out
	node := &Node{1, &Node{2, &Node{3, nil}}}
	m, nilm := map[string]int{"one": 1}, map[string]int(nil)
	ms := map[Inner]*Inner{in: p}
	wide := map[int]Wide{7: {}}
	var e0, e1, e2, e3, e4 any = nil, 3, "str", in, p
	var e5, e6 any = []int{1}, map[string]int{"z": 26}
	var err1, err2 error = nil, errors.New("failed")
	var st Stringer = Green
	ch, nilch, bch := make(chan int), (chan int)(nil), make(chan string, 3)
	bch <- "one"
	bch <- "two"
	fn, nilfn := strings.ToUpper, (func())(nil)
	count := 7
	closure := func() int { count++; return count + Global }
	unsafep := unsafe.Pointer(p)
	t0 := time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)
	dur := 1500 * time.Millisecond
	pair := Pair[string, int]{"k", 1}
	anon := struct {
		A int
		B string
	}{1, "x"}
	iface := []any{1, "a", nil, p, in}
	nested := map[string][]int{"a": {1, 2}}
	empties := struct{}{}
	{
		count := "inner"
		fmt.Println("ready")
		<-never
		runtime.KeepAlive(count)
	}
	for _, x := range []any{b, i8, i16, i32, i64, u8, u16, u32, u64, up, f32, f64, inf, nan, tiny, c64, c128, s, empty, long,
		color, bad, perm, arr, arr2, sl, nilsl, many, named, structs, in, p, nilp, pp, pi, ptrs, out, node, m, nilm, ms, wide,
		e0, e1, e2, e3, e4, e5, e6, err1, err2, st, ch, nilch, bch, fn, nilfn, closure, unsafep, t0, dur, pair, anon,
		iface, nested, empties, arg, count} {
		runtime.KeepAlive(x)
	}
	return
}

func main() {
	go time.Sleep(time.Hour) // else the runtime sees a deadlock
	for i := 0; i < 200000; i++ {
		Big[i] = i * 2
	}
	for i := 0; i < 1000; i++ {
		Strings[fmt.Sprint("key", i)] = i
	}
	generic([]int{1, 2}, 5)
}
