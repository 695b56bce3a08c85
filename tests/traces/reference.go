// What Go's own reader says of traces, one JSON object a line: reference FILE...
// It is built in a module beside a copy of internal/trace, whose import path is put in place of TRACE.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"
	"time"

	"TRACE"
)

type goroutine struct {
	Name                                string
	Exec, Sched, Syscall, SyscallB, All time.Duration
	Block, Range                        map[string]time.Duration
}

type profile struct{ Count, Time uint64 }

type report struct {
	File, Error string
	Events      int
	Kinds       map[string]int
	Order       string
	Goroutines  map[string]goroutine
	Tasks       int
	Profiles    map[string]map[string]profile
	MMU         map[string]float64
}

func words(e *trace.Event) string {
	s := fmt.Sprintf("%v %d %d %d %d", e.Kind(), e.Time(), e.Thread(), e.Proc(), e.Goroutine())
	switch e.Kind() {
	case trace.EventStateTransition:
		t := e.StateTransition()
		if t.Resource.Kind == trace.ResourceGoroutine {
			from, to := t.Goroutine()
			s += fmt.Sprintf(" g%d %v %v %s", t.Resource.Goroutine(), from, to, t.Reason)
		} else {
			from, to := t.Proc()
			s += fmt.Sprintf(" p%d %v %v", t.Resource.Proc(), from, to)
		}
		for f := range t.Stack.Frames() {
			s += fmt.Sprintf(" %s:%d", f.Func, f.Line)
		}
	case trace.EventMetric:
		m := e.Metric()
		s += fmt.Sprintf(" %d", m.Value.Uint64())
	case trace.EventRangeBegin, trace.EventRangeActive, trace.EventRangeEnd:
		s += " " + e.Range().Name
	case trace.EventTaskBegin, trace.EventTaskEnd:
		t := e.Task()
		s += fmt.Sprintf(" %d %d %s", t.ID, t.Parent, t.Type)
	case trace.EventRegionBegin, trace.EventRegionEnd:
		r := e.Region()
		s += fmt.Sprintf(" %d %s", r.Task, r.Type)
	case trace.EventLog:
		l := e.Log()
		s += fmt.Sprintf(" %d %s %s", l.Task, l.Category, l.Message)
	case trace.EventLabel:
		s += " " + e.Label().Label
	}
	for f := range e.Stack().Frames() {
		s += fmt.Sprintf(" %s:%d", f.Func, f.Line)
	}
	return s
}

// As cmd/trace/pprof.go, for all goroutines and all of the time.
func block(events []trace.Event, state trace.GoState, want func(string) bool) map[string]profile {
	open := map[trace.GoID]*trace.Event{}
	out := map[string]profile{}
	for i := range events {
		e := &events[i]
		if e.Kind() != trace.EventStateTransition {
			continue
		}
		t := e.StateTransition()
		if t.Resource.Kind != trace.ResourceGoroutine {
			continue
		}
		id := t.Resource.Goroutine()
		_, to := t.Goroutine()
		start := open[id]
		if start == nil {
			if to == state && want(t.Reason) {
				open[id] = e
			}
			continue
		}
		if to == state {
			continue
		}
		delete(open, id)
		if d := e.Time() - start.Time(); d > 0 {
			key := ""
			for f := range start.Stack().Frames() {
				key += fmt.Sprintf("%s:%d;", f.Func, f.Line)
			}
			p := out[key]
			p.Count++
			p.Time += uint64(d)
			out[key] = p
		}
	}
	return out
}

func one(path string, dump io.Writer) (r report) {
	r = report{File: path, Kinds: map[string]int{}, Goroutines: map[string]goroutine{}}
	f, err := os.Open(path)
	if err != nil {
		r.Error = err.Error()
		return
	}
	defer f.Close()
	h := fnv.New64a()
	s := trace.NewSummarizer()
	var all []trace.Event
	defer func() {
		r.Order = fmt.Sprintf("%016x", h.Sum64())
		if p := recover(); p != nil {
			r.Error = fmt.Sprint("panic: ", p)
		}
	}()
	in, err := trace.NewReader(bufio.NewReader(f))
	if err != nil {
		r.Error = err.Error()
		return
	}
	for {
		e, err := in.ReadEvent()
		if err == io.EOF {
			break
		}
		if err != nil {
			r.Error = strings.SplitN(err.Error(), "\n", 2)[0]
			return
		}
		r.Events++
		r.Kinds[e.Kind().String()]++
		w := words(&e)
		io.WriteString(h, w+"\n")
		if dump != nil {
			fmt.Fprintln(dump, w)
		}
		s.Event(&e)
		all = append(all, e)
	}
	sum := s.Finalize()
	r.Tasks = len(sum.Tasks)
	for id, g := range sum.Goroutines {
		r.Goroutines[fmt.Sprint(id)] = goroutine{g.Name, g.ExecTime, g.SchedWaitTime, g.SyscallTime, g.SyscallBlockTime, g.TotalTime,
			g.BlockTimeByReason, g.RangeTime}
	}
	r.Profiles = map[string]map[string]profile{
		"network": block(all, trace.GoWaiting, func(why string) bool { return why == "network" }),
		"sync": block(all, trace.GoWaiting, func(why string) bool {
			return strings.Contains(why, "chan") || strings.Contains(why, "sync") || strings.Contains(why, "select")
		}),
		"syscall": block(all, trace.GoSyscall, func(string) bool { return true }),
		"sched":   block(all, trace.GoRunnable, func(string) bool { return true }),
	}
	r.MMU = map[string]float64{}
	util := trace.MutatorUtilizationV2(all, trace.UtilSTW|trace.UtilBackground|trace.UtilAssist|trace.UtilSweep)
	if len(util) > 0 {
		curve := trace.NewMMUCurve(util)
		for w := time.Duration(10_000); w <= 10*time.Second; w *= 10 {
			r.MMU[fmt.Sprint(int64(w))] = curve.MMU(w)
		}
	}
	return
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[1:] {
		var dump io.Writer
		if os.Getenv("DUMP") != "" {
			dump = os.Stderr
		}
		if os.Getenv("COUNT") != "" {
			count(path)
			continue
		}
		if err := out.Encode(one(path, dump)); err != nil {
			panic(err)
		}
	}
}

// Only reads, to be timed; with COUNT=sum the summary too.
func count(path string) {
	f, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	in, err := trace.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		panic(err)
	}
	begin := time.Now()
	s := trace.NewSummarizer()
	n := 0
	for ; ; n++ {
		e, err := in.ReadEvent()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		if os.Getenv("COUNT") == "sum" {
			s.Event(&e)
		}
	}
	if os.Getenv("COUNT") == "sum" {
		s.Finalize()
	}
	fmt.Printf("{\"events\":%d,\"seconds\":%.3f}\n", n, time.Since(begin).Seconds())
}
