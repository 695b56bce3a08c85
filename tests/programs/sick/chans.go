package main

import "time"

func nilChannel() {
	go nilReceive()
	go nilSend()
}

//go:noinline
func nilReceive() {
	me("receiver")
	var c chan int
	<-c
}

//go:noinline
func nilSend() {
	me("sender")
	var c chan int
	c <- 1
}

// A nil channel in a select switches a case off.
func nilChannelFine() {
	go func() {
		var off chan int
		tick := time.NewTicker(100 * time.Millisecond)
		for {
			select {
			case <-off:
			case <-tick.C:
			}
		}
	}()
}

func emptySelect() { go forever() }

//go:noinline
func forever() {
	me("stuck")
	select {}
}

// How servers end their main function.
func emptySelectFine() {
	go func() {
		for {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	ready()
	select {}
}

func channelLeak() {
	c := make(chan int)
	say("chan", c)
	for i := 0; i < 3; i++ {
		go produce(c)
	}
	go consumeOne(c)
}

//go:noinline
func produce(c chan int) {
	time.Sleep(20 * time.Millisecond)
	me("any")
	c <- 1
	me("served")
}

//go:noinline
func consumeOne(c chan int) { <-c }

// Idle workers; whoever feeds them is asleep.
func channelLeakFine() {
	c := make(chan int)
	for i := 0; i < 12; i++ {
		go func() {
			for range c {
			}
		}()
	}
	go func() {
		for {
			time.Sleep(time.Hour)
			c <- 1
		}
	}()
}

var events = make(chan int)

// Nobody receives events, but the channel is a package variable: the runtime cannot call it a leak.
func channelQueue() {
	say("chan", events)
	for i := 0; i < 25; i++ {
		go publish()
	}
	go collect()
}

//go:noinline
func publish() {
	me("publisher")
	events <- 1
}

// The same queue, worked off slowly.
func channelQueueFine() {
	for i := 0; i < 25; i++ {
		go func() {
			for {
				events <- 1
			}
		}()
	}
	go func() {
		for range events {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	go collect()
}

type request struct{ reply chan int }

var pending = map[int]*request{}

// Requests that were forgotten in a table: their answers are sent, nobody takes them, and the table keeps the channels.
func channelAlone() {
	for i := 0; i < 25; i++ {
		r := &request{reply: make(chan int)}
		pending[i] = r
		go answer(r)
	}
	go collect()
}

//go:noinline
func answer(r *request) {
	me("answerer")
	r.reply <- 1
}

// Idle clients of a hub: each waits for messages on a channel that only the hub's table leads to, and none has come for long.
func channelAloneFine() {
	for i := 0; i < 25; i++ {
		r := &request{reply: make(chan int)}
		pending[i] = r
		go func() {
			for range r.reply {
			}
		}()
	}
	go func() {
		for {
			time.Sleep(time.Hour)
			for _, r := range pending {
				r.reply <- 1
			}
		}
	}()
	go collect()
}
