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
	"sort"
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

type step struct {
	at    int64
	share float64
}

// The share of the processors that the program has. (internal/trace counts a mark worker twice from its second start on, so that is not asked.)
func shares(events []trace.Event) (out []step) {
	procs, syncs := 0, 0
	stopped := false
	busy := map[trace.ProcID]map[string]bool{}
	on := map[trace.GoID]trace.ProcID{}
	assists := map[trace.GoID]bool{}
	set := func(p trace.ProcID, why string, v bool) {
		if busy[p] == nil {
			busy[p] = map[string]bool{}
		}
		if v {
			busy[p][why] = true
		} else {
			delete(busy[p], why)
		}
	}
	for i := range events {
		e := &events[i]
		g := fmt.Sprint("g", e.Goroutine())
		switch e.Kind() {
		case trace.EventSync:
			syncs++
		case trace.EventMetric:
			if m := e.Metric(); m.Name == "/sched/gomaxprocs:threads" {
				procs = int(m.Value.Uint64())
			}
		case trace.EventRangeBegin, trace.EventRangeEnd, trace.EventRangeActive:
			if e.Kind() == trace.EventRangeActive {
				// Since before the trace; a goroutine that waits in the midst of an assist has no P until it runs.
				r := e.Range()
				if syncs > 1 || r.Name != "GC mark assist" && r.Name != "GC incremental sweep" {
					continue
				}
				if r.Name == "GC mark assist" {
					assists[r.Scope.Goroutine()] = true
					if r.Scope.Goroutine() != e.Goroutine() {
						continue
					}
					set(e.Proc(), g, true)
				} else {
					set(e.Proc(), "sweep", true)
				}
				for i := range out {
					out[i].share = max(0, out[i].share-1/float64(procs))
				}
				break
			}
			begin := e.Kind() == trace.EventRangeBegin
			switch name := e.Range().Name; {
			case name == "GC incremental sweep":
				set(e.Proc(), "sweep", begin)
			case name == "GC mark assist":
				set(e.Proc(), g, begin)
				assists[e.Goroutine()] = begin
			case strings.HasPrefix(name, "stop-the-world") && strings.Contains(name, "GC"):
				stopped = begin
			}
		case trace.EventLabel:
			if l := e.Label().Label; strings.HasPrefix(l, "GC ") && l != "GC (idle)" {
				set(e.Proc(), g, true)
			}
		case trace.EventStateTransition:
			t := e.StateTransition()
			if t.Resource.Kind == trace.ResourceGoroutine {
				id := t.Resource.Goroutine()
				_, to := t.Goroutine()
				if p, ok := on[id]; ok && !to.Executing() {
					set(p, fmt.Sprint("g", id), false)
					delete(on, id)
				} else if to.Executing() && !ok {
					on[id] = e.Proc()
					if assists[id] {
						set(e.Proc(), fmt.Sprint("g", id), true)
					}
				}
			}
		}
		if procs == 0 {
			continue
		}
		n := 0
		for p, b := range busy {
			if len(b) > 0 && int(p) < procs {
				n++
			}
		}
		if stopped {
			n = procs
		}
		s := 1 - float64(n)/float64(procs)
		if len(out) == 0 {
			out = append(out, step{int64(e.Time()), 1})
		}
		if s != out[len(out)-1].share {
			out = append(out, step{int64(e.Time()), s})
		}
	}
	if last := int64(events[len(events)-1].Time()); len(out) > 0 && out[len(out)-1].share > 0 {
		out = append(out, step{last, 0})
	}
	return
}

// The least mean in windows of this length, by trying all that begin or end at a step.
func least(steps []step, w int64) float64 {
	first, last := steps[0].at, steps[len(steps)-1].at
	w = min(w, last-first)
	sums := make([]float64, len(steps))
	for i := 1; i < len(steps); i++ {
		sums[i] = sums[i-1] + steps[i-1].share*float64(steps[i].at-steps[i-1].at)
	}
	until := func(at int64) float64 {
		i := sort.Search(len(steps), func(i int) bool { return steps[i].at > at }) - 1
		return sums[i] + steps[i].share*float64(at-steps[i].at)
	}
	best := 2.0
	for _, s := range steps {
		for _, from := range []int64{s.at, s.at - w} {
			if from >= first && from+w <= last {
				best = min(best, (until(from+w)-until(from))/float64(w))
			}
		}
	}
	return best
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
	if steps := shares(all); len(steps) > 0 {
		for w := int64(10_000); w <= 10_000_000_000; w *= 10 {
			r.MMU[fmt.Sprint(w)] = least(steps, w)
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
