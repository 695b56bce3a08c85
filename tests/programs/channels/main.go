// Channels: nil, buffered, unbuffered, directional, of structs, closed.
package main

import "fmt"

type msg struct {
	id   int
	text string
}

func main() {
	var null chan int
	un := make(chan int)
	buf := make(chan int, 3)
	buf <- 10
	buf <- 20
	<-buf
	buf <- 30
	structs := make(chan msg, 2)
	structs <- msg{1, "one"}
	closed := make(chan bool, 1)
	close(closed)
	var send chan<- int = buf
	var recv <-chan int = buf
	fmt.Println(len(buf)) // BP
	fmt.Println(null == nil, un != nil, len(structs), send != nil, recv != nil)
}
