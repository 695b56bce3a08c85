// Command network is a network of two machines for tests: run by `unshare --user --map-root-user --net`, it is the client's machine
// itself and makes one for the host. It does what lines on its standard input say, and all of it ends with that.
//
//	network wire          a pair of Ethernet devices, a kernel's own link between the two
//	network far MS LOSS SEED
//	                      packets that are carried from one to the other, each MS later, LOSS of a hundred dropped by a seeded generator
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	hostIP   = "10.77.0.1"
	clientIP = "10.77.0.2"
	// Of nobody here: what is sent there is dropped by whom it reaches, without a word.
	nobody = "02:00:00:00:00:99"
)

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "network: "+format+"\n", args...)
	os.Exit(1)
}

// run runs a command where this thread is, or at the host's.
func run(at int, words ...string) {
	if at != 0 {
		words = append([]string{"nsenter", "--target", strconv.Itoa(at), "--net", "--"}, words...)
	}
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		fatal("%s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// line runs a command that is written as one.
func line(at int, text string) { run(at, strings.Fields(text)...) }

// machine starts a process that does nothing, in a network namespace of its own.
func machine() int {
	c := exec.Command("/proc/self/exe", "idle")
	in, err := c.StdinPipe()
	if err != nil {
		fatal("%v", err)
	}
	keep = in
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := c.Start(); err != nil {
		fatal("a network namespace: %v", err)
	}
	return c.Process.Pid
}

// Its end ends the other machine.
var keep io.Closer

// The main thread is where this process counts as being: nobody else may have it, who goes elsewhere for good.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) < 2 {
		fatal("wire, or far MS LOSS SEED")
	}
	if os.Args[1] == "idle" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	host := machine()
	line(0, "ip link set lo up")
	line(host, "ip link set lo up")
	var f *forwarder
	switch os.Args[1] {
	case "wire":
		line(0, "ip link add name net0 type veth peer name net1")
		line(0, fmt.Sprintf("ip link set net1 netns %d", host))
		line(host, "ip link set net1 name net0")
	case "far":
		f = far(host, os.Args[2:])
	default:
		fatal("what is %q?", os.Args[1])
	}
	for at, ip := range map[int]string{0: clientIP, host: hostIP} {
		line(at, "ip addr add "+ip+"/24 dev net0")
		line(at, "ip link set net0 up")
	}
	fmt.Println("ready", os.Getpid(), host)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "link down":
			line(0, "ip link set net0 down")
		case "link up":
			line(0, "ip link set net0 up")
		case "to-host lost":
			line(0, "ip neigh replace "+hostIP+" lladdr "+nobody+" dev net0 nud permanent")
		case "to-host heard":
			line(0, "ip neigh del "+hostIP+" dev net0")
		case "to-client lost":
			line(host, "ip neigh replace "+clientIP+" lladdr "+nobody+" dev net0 nud permanent")
		case "to-client heard":
			line(host, "ip neigh del "+clientIP+" dev net0")
		case "address gone":
			line(0, "ip addr del "+clientIP+"/24 dev net0")
		case "address back":
			line(0, "ip addr add "+clientIP+"/24 dev net0")
		case "carried":
			fmt.Println("carried", f.toHost.text(), f.toClient.text())
			continue
		default:
			fatal("what is %q?", in.Text())
		}
		fmt.Println("done")
	}
	_ = keep.Close()
}

// direction is one way of a line: what it took, and what of it was lost.
type direction struct{ packets, bytes, lost atomic.Uint64 }

func (d *direction) text() string {
	return fmt.Sprint(d.packets.Load(), d.bytes.Load(), d.lost.Load())
}

type forwarder struct{ toHost, toClient direction }

// far makes a device at each end and carries packets between them.
func far(host int, args []string) *forwarder {
	if len(args) != 3 {
		fatal("far MS LOSS SEED")
	}
	ms, err1 := strconv.Atoi(args[0])
	loss, err2 := strconv.ParseFloat(args[1], 64)
	seed, err3 := strconv.ParseInt(args[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		fatal("%v", err)
	}
	here := device()
	var there *os.File
	var wait sync.WaitGroup
	wait.Add(1)
	go func() {
		defer wait.Done()
		// Never unlocked: the thread ends with this.
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", host))
		if err != nil {
			fatal("%v", err)
		}
		const setns = 308
		if _, _, e := syscall.RawSyscall(setns, ns.Fd(), syscall.CLONE_NEWNET, 0); e != 0 {
			fatal("setns: %v", e)
		}
		there = device()
	}()
	wait.Wait()
	f := &forwarder{}
	delay := time.Duration(ms) * time.Millisecond
	go carry(here, there, &f.toHost, delay, loss/100, rand.New(rand.NewSource(seed)))
	go carry(there, here, &f.toClient, delay, loss/100, rand.New(rand.NewSource(seed+1)))
	return f
}

// device makes a TUN device where this thread is.
func device() *os.File {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		fatal("/dev/net/tun: %v", err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "net0")
	const tun, bare, setIff = 1, 0x1000, 0x400454ca
	request.flags = tun | bare
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setIff, uintptr(unsafe.Pointer(&request))); e != 0 {
		fatal("a TUN device: %v", e)
	}
	return os.NewFile(uintptr(fd), "tun")
}

type packet struct {
	due   time.Time
	bytes []byte
}

func carry(from, to *os.File, d *direction, delay time.Duration, loss float64, dice *rand.Rand) {
	// More than any line holds that these tests make.
	queue := make(chan packet, 65536)
	go func() {
		for p := range queue {
			time.Sleep(time.Until(p.due))
			// A device that is down takes nothing.
			_, _ = to.Write(p.bytes)
		}
	}()
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		// Neighbours are looked for in other versions of the protocol, too: those packets are not of these tests.
		if n == 0 || buf[0]>>4 != 4 {
			continue
		}
		d.packets.Add(1)
		d.bytes.Add(uint64(n))
		if dice.Float64() < loss {
			d.lost.Add(1)
			continue
		}
		queue <- packet{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
	}
}
