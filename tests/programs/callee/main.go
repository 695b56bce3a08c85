// Functions to be called by a debugger while others run and the collector is busy. Args: seconds of background work, 0 for none. Ends
// by itself.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

type point struct {
	X, Y int
	tag  string
}

type shape interface{ Area() float64 }

type base struct{ n int }

func (b *base) Bump(by int) int { b.n += by; return b.n }

type circle struct {
	base
	r float64
}

func (c circle) Area() float64 { return 3 * c.r * c.r }

//go:noinline
func add(a, b int) int { return a + b }

//go:noinline
func mixed(i8 int8, f float64, s string, p *point, l []int, b bool) (string, float64, error) {
	if !b {
		return "", 0, errors.New("told not to")
	}
	return fmt.Sprint(i8, " ", s, " ", p.X, " ", len(l)), f * 2, nil
}

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k, l int) int { return a + 2*b + 3*l + k - j + c + d + e + f + g + h + i }

//go:noinline
func large(v [4]int, s string) [4]int {
	for i := range v {
		v[i] += len(s)
	}
	return v
}

//go:noinline
func fails(what string) int { panic("it " + what) }

//go:noinline
func join(a, b, c string) string { return strings.Join([]string{a, b, c}, "-") }

//go:noinline
func kind(v any) string { return fmt.Sprintf("%T", v) }

//go:noinline
func moved(p point, by int) point { p.X += by; p.Y -= by; return p }

//go:noinline
func garbage(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		b := make([]byte, 1<<16)
		b[i%100] = byte(i)
		sum += len(b)
	}
	runtime.GC()
	return sum
}

//go:noinline
func stopHere(i int) int { return i + 1 }

var (
	name   = "before"
	global = &point{1, 2, "here"}
	sh     shape
	number int
	lists  [][]int
	quad   = [4]int{1, 2, 3, 4}
	keep   [8][]byte
)

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	if seconds > 0 {
		for g := 0; g < 3; g++ {
			go func() {
				for i := 0; ; i++ {
					keep[i%8] = make([]byte, 1<<14)
					if i%1000 == 0 {
						runtime.Gosched()
					}
				}
			}()
		}
	}
	c := &circle{base{5}, 2}
	sh = c
	double := func(x int) int { return x * len(name) }
	list := []int{1, 2, 3}
	lists = append(lists, list)
	f, i := 1.5, 41
	n := stopHere(i)
	fmt.Println(n, c.Bump(1), double(2), len(list), f, sh.Area(), name, global.tag, number)
	fmt.Println(add(1, 2), many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), large(quad, "x"), join("a", "b", "c"), kind(3))
	fmt.Println(mixed(1, f, "s", global, list, true))
	fmt.Println(moved(*global, 1), garbage(1))
	if len(os.Args) > 2 {
		fmt.Println(fails(os.Args[2]))
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end) && number == 0; {
		stopHere(1)
		time.Sleep(time.Millisecond)
	}
	fmt.Println("done", name, number)
}
