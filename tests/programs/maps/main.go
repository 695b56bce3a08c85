// Maps: nil, empty, small, large, every key kind.
package main

import "fmt"

type key struct {
	a int
	b string
}

func main() {
	var null map[string]int
	empty := map[int]int{}
	one := map[string]int{"one": 1}
	bools := map[bool]string{true: "t"}
	floats := map[float64]int{2.5: 25}
	structs := map[key][]int{{1, "k"}: {1, 2}}
	ifaces := map[interface{}]int{7: 70}
	arrays := map[[2]int]string{{1, 2}: "x"}
	ptrs := map[string]*key{"p": {9, "nine"}}
	nested := map[string]map[int]bool{"m": {3: true}}
	large := make(map[int]string)
	for i := 0; i < 1000; i++ {
		large[i] = fmt.Sprint("v", i)
	}
	delete(large, 500)
	fmt.Println(len(large)) // BP
	fmt.Println(null, empty, one, bools, floats, structs, ifaces, arrays, ptrs, nested)
}
