// Package variables, init functions, initialisation order.
package main

import "fmt"

var (
	count  = first()
	table  = map[string]int{"a": 1}
	list   []string
	config = struct {
		host string
		port int
	}{"localhost", 80}
	ptr *int
)

func first() int {
	return 41
}

func init() {
	count++
	list = append(list, "init")
}

func main() {
	ptr = &count
	fmt.Println(count, table, list, config, *ptr) // BP
}
