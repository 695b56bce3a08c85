package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"runtime/trace"
	"time"
)

func init() { programs["write"] = write }

// Writes a profile and a trace into the folder named by WRITE_TO, for the tools that show them.
func write() {
	open := func(name string) *os.File { return must(os.Create(filepath.Join(os.Getenv("WRITE_TO"), name))) }
	cpu, tr := open("cpu"), open("trace")
	pprof.StartCPUProfile(cpu)
	trace.Start(tr)
	for t := time.Now(); time.Since(t) < 300*time.Millisecond; {
		go work(1000)
		work(10000)
	}
	trace.Stop()
	pprof.StopCPUProfile()
	os.Exit(0)
}
