// Panics: recovered, unrecovered (with an argument), fatal errors.
package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

func safe() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("recovered: %v", r)
		}
	}()
	var m map[string]int
	m["x"] = 1
	return nil
}

func main() {
	fmt.Println(safe())
	switch os.Args[1] {
	case "error":
		panic(errors.New("it broke: 42"))
	case "string":
		panic("plain words")
	case "nil":
		var p *int
		*p = 1
	case "fatal":
		var mu sync.Mutex
		mu.Unlock()
	case "deadlock":
		select {}
	}
}
