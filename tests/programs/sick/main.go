// Programs with one known trouble each, and their healthy twins of the same shape: `sick NAME` and `sick NAME.fine`. What matters is
// printed: addresses of objects and numbers of goroutines by role, then READY. Each ends by itself.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// How long a program lives.
const life = 4 * time.Minute

var scenarios = map[string]func(){
	"nil-channel": nilChannel, "nil-channel.fine": nilChannelFine,
	"empty-select": emptySelect, "empty-select.fine": emptySelectFine,
	"channel-leak": channelLeak, "channel-leak.fine": channelLeakFine,
	"channel-queue": channelQueue, "channel-queue.fine": channelQueueFine,
	"channel-alone": channelAlone, "channel-alone.fine": channelAloneFine,
	"double-lock": doubleLock, "double-lock.fine": doubleLockFine,
	"lock-cycle": lockCycle, "lock-cycle.fine": lockCycleFine,
	"lock-cycle-three": lockCycleThree,
	"rwr-deadlock":     rwrDeadlock, "rwr-deadlock.fine": rwrDeadlockFine,
	"orphan-lock": orphanLock, "orphan-lock.fine": orphanLockFine,
	"lock-convoy": lockConvoy, "lock-convoy.fine": lockConvoyFine,
	"waitgroup-stuck": waitgroupStuck, "waitgroup-stuck.fine": waitgroupStuckFine,
	"cond-stuck": condStuck, "cond-stuck.fine": condStuckFine,
	"context-leak": contextLeak, "context-leak.fine": contextLeakFine,
	"http-body-leak": httpBodyLeak, "http-body-leak.fine": httpBodyLeakFine,
	"sql-pool": sqlPool, "sql-pool.fine": sqlPoolFine, "sql-nested": sqlNested, "sql-slow": sqlSlow,
	"pool-exhausted": poolExhausted, "pool-exhausted.fine": poolExhaustedFine, "pool-group": poolGroup,
	"stall": stall, "stall.fine": stallFine, "stall-lock": stallLock, "stall-channel": stallChannel,
	"timer-leak": timerLeak, "timer-leak.fine": timerLeakFine, "sleepers": sleepers,
	"goroutine-growth": goroutineGrowth, "goroutine-growth.fine": goroutineGrowthFine,
	"goroutine-ages": goroutineAges, "goroutine-ages.fine": goroutineAgesFine,
	"thread-stuck": threadStuck, "thread-stuck.fine": threadStuckFine,
	"starvation": starvation, "starvation.fine": starvationFine,
	"gc-pressure": gcPressure, "gc-pressure.fine": gcPressureFine,
	"panic-in-flight": panicInFlight, "panic-in-flight.fine": panicInFlightFine,
	"once-deadlock": onceDeadlock, "once-deadlock.fine": onceDeadlockFine,
	"quiescent": quiescent, "quiescent.fine": quiescentFine, "quiescent-signals": quiescentSignals,
	"heap-growth": heapGrowth, "heap-growth.fine": heapGrowthFine,
	"mixed-channel": mixedChannel, "mixed-waitgroup": mixedWaitgroup, "mixed-deadlock.fine": mixedFine,
}

var saying sync.Mutex

// Prints the address of something.
func say(name string, p any) {
	saying.Lock()
	fmt.Printf("%s %p\n", name, p)
	saying.Unlock()
}

// Prints the number of the calling goroutine.
func me(role string) {
	var b [64]byte
	text := string(b[:runtime.Stack(b[:], false)])
	saying.Lock()
	fmt.Printf("%s %s\n", role, strings.Fields(text)[1])
	saying.Unlock()
}

// Everything has had time to come to rest.
func ready() {
	time.Sleep(time.Second)
	fmt.Println("READY")
}

// Collections, so that the runtime notes since when goroutines wait: it does so in none else.
func collect() {
	for {
		runtime.GC()
		time.Sleep(2 * time.Second)
	}
}

func main() {
	time.AfterFunc(life, func() { os.Exit(0) })
	run := scenarios[os.Args[1]]
	if run == nil {
		fmt.Fprintln(os.Stderr, "no such scenario:", os.Args[1])
		os.Exit(2)
	}
	run()
	ready()
	time.Sleep(2 * life)
}
