package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A server whose answers are longer than what a connection buffers.
func serve() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 64<<10))
	}))
	return "http://" + l.Addr().String()
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}

func fetch(n int, close bool) {
	url := serve()
	var all sync.WaitGroup
	for i := 0; i < n; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			r, err := client.Get(url)
			if err != nil {
				panic(err)
			}
			later() // all at once: each has a connection of its own
			if close {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		}()
	}
	all.Wait()
	go collect()
}

func httpBodyLeak()     { fetch(14, false) }
func httpBodyLeakFine() { fetch(14, true) }

// A database of nothing.
type fakeDriver struct{}
type fakeConn struct{}
type fakeRows struct{}
type fakeTx struct{}

func (fakeDriver) Open(string) (driver.Conn, error)  { return fakeConn{}, nil }
func (fakeConn) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (fakeConn) Close() error                        { return nil }
func (fakeConn) Begin() (driver.Tx, error)           { return fakeTx{}, nil }
func (fakeRows) Columns() []string                   { return []string{"n"} }
func (fakeRows) Close() error                        { return nil }
func (fakeRows) Next(to []driver.Value) error        { to[0] = int64(1); return nil }
func (fakeTx) Commit() error                         { return nil }
func (fakeTx) Rollback() error                       { return nil }
func (fakeConn) QueryContext(_ context.Context, q string, _ []driver.NamedValue) (driver.Rows, error) {
	if d, err := time.ParseDuration(q); err == nil {
		time.Sleep(d)
	}
	return fakeRows{}, nil
}

func openDB() *sql.DB {
	sql.Register("fake", fakeDriver{})
	db, err := sql.Open("fake", "")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(2)
	return db
}

//go:noinline
func keepRows(db *sql.DB, until chan int) {
	me("holder")
	rows, err := db.Query("0s")
	if err != nil {
		panic(err)
	}
	<-until // still open
	rows.Close()
}

//go:noinline
func keepTx(db *sql.DB, until chan int) {
	me("holder")
	tx, err := db.Begin()
	if err != nil {
		panic(err)
	}
	<-until
	tx.Rollback()
}

//go:noinline
func ask(db *sql.DB) {
	me("waiter")
	if rows, err := db.Query("0s"); err == nil {
		rows.Close()
	}
}

// Two keep a connection each while they wait for something else.
func sqlPool() {
	db, until := openDB(), make(chan int)
	say("db", db)
	go feed(until)
	go keepRows(db, until)
	go keepTx(db, until)
	later()
	for i := 0; i < 3; i++ {
		go ask(db)
	}
}

// Everybody asks for a second connection while holding one.
func sqlNested() {
	db := openDB()
	say("db", db)
	for i := 0; i < 2; i++ {
		go nested(db)
	}
}

//go:noinline
func nested(db *sql.DB) {
	me("waiter")
	rows, err := db.Query("0s")
	if err != nil {
		panic(err)
	}
	defer rows.Close()
	for rows.Next() {
		later()
		db.Query("0s")
	}
}

// Queries that never come back.
func sqlSlow() {
	db := openDB()
	say("db", db)
	for i := 0; i < 2; i++ {
		go slowQuery(db)
	}
	later()
	go ask(db)
	go collect()
}

//go:noinline
func slowQuery(db *sql.DB) {
	me("holder")
	db.Query("1h")
}

// A busy pool: there is a queue at all times, and it moves.
func sqlPoolFine() {
	db := openDB()
	for i := 0; i < 6; i++ {
		go func() {
			for {
				if rows, err := db.Query("20ms"); err == nil {
					rows.Close()
				}
			}
		}()
	}
	go collect()
}

type semaphore chan struct{}

//go:noinline
func (s semaphore) acquire() { s <- struct{}{} }
func (s semaphore) release() { <-s }

//go:noinline
func nestedWork(s semaphore) {
	me("holder")
	s.acquire()
	defer s.release()
	later()
	s.acquire()
	defer s.release()
}

func poolExhausted() {
	s := make(semaphore, 2)
	say("pool", s)
	go nestedWork(s)
	go nestedWork(s)
}

// As golang.org/x/sync/errgroup with a limit.
type Group struct {
	wg  sync.WaitGroup
	sem chan struct{}
}

func (g *Group) Go(f func()) {
	g.sem <- struct{}{}
	g.wg.Add(1)
	go func() {
		defer func() {
			<-g.sem
			g.wg.Done()
		}()
		f()
	}()
}

//go:noinline
func (g *Group) walk(depth int) {
	me("holder")
	later()
	g.Go(func() { g.walk(depth - 1) })
}

func poolGroup() {
	g := &Group{sem: make(chan struct{}, 2)}
	say("pool", g.sem)
	for i := 0; i < 2; i++ {
		g.Go(func() { g.walk(3) })
	}
}

// A full pool whose holders work.
func poolExhaustedFine() {
	s := make(semaphore, 2)
	for i := 0; i < 4; i++ {
		go func() {
			s.acquire()
			defer s.release()
			time.Sleep(time.Hour)
		}()
	}
}

//go:noinline
func fill(c chan int) {
	me("producer")
	for {
		c <- 1
	}
}

//go:noinline
func drain(c chan int, wait func()) {
	me("consumer")
	for range c {
		wait()
	}
}

func pipeline(wait func()) {
	c := make(chan int, 4)
	say("chan", c)
	for i := 0; i < 5; i++ {
		go fill(c)
	}
	go drain(c, wait)
	go collect()
}

// The consumer waits for an answer that does not come.
func stall() {
	in, out, err := pair()
	if err != nil {
		panic(err)
	}
	keep = append(keep, out)
	pipeline(func() { in.Read(make([]byte, 1)) })
}

func stallLock() {
	s := &store{}
	go s.across(func() { time.Sleep(time.Hour) })
	later()
	pipeline(func() { s.get() })
}

func stallChannel() {
	next := make(chan int)
	go feed(next)
	pipeline(func() { <-next })
}

// A slow consumer, which asks somebody for each item: the producers wait most of the time, and go on.
func stallFine() {
	in, out, err := pair()
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			time.Sleep(30 * time.Millisecond)
			out.Write([]byte{1})
		}
	}()
	pipeline(func() { in.Read(make([]byte, 1)) })
}
