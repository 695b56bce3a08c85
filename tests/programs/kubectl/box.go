// Containers of a kind: user, pid and mount namespaces, a root of their own, a user, capabilities, a seccomp filter.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// What Docker and containerd leave to a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service,
// net_raw, sys_chroot, mknod, audit_write, setfcap.
const defaultCaps uint64 = 0xa80425fb
const capPtrace = 1 << 19

// Box is how a process is to be run.
type Box struct {
	Root    string   `json:"root"`              // its root, empty for ours
	Mounts  bool     `json:"mounts"`            // a mount namespace of its own with /proc, /dev/shm
	UID     int      `json:"uid"`               // its user
	Caps    uint64   `json:"caps"`              // its bounding set
	AllCaps bool     `json:"all_caps"`          // nothing is taken away
	NoNew   bool     `json:"no_new_privileges"` // no_new_privs
	Seccomp string   `json:"seccomp"`           // calls that are refused: ptrace, process_vm_readv
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Join    int      `json:"join"`   // pid whose namespaces of users and processes are entered
	Inside  int      `json:"inside"` // pid whose container is entered: mounts and root, too
	UserNS  bool     `json:"userns"` // new namespaces of users and processes
	PidNS   bool     `json:"pidns"`
}

const firstUser = 100_000

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(125)
}

// command makes the process that becomes the box.
func (b *Box) command() *exec.Cmd {
	text, err := json.Marshal(b)
	if err != nil {
		fatal("%v", err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		fatal("%v", err)
	}
	var c *exec.Cmd
	pid := b.Join
	if b.Inside != 0 {
		pid = b.Inside
	}
	if pid != 0 {
		args := []string{"--target", strconv.Itoa(pid), "--user", "--pid"}
		if b.Inside != 0 {
			args = append(args, "--mount", "--root")
		}
		args = append(args, "--", "/proc/self/fd/3", "box-stage", string(text))
		c = exec.Command("nsenter", args...)
	} else {
		c = exec.Command("/proc/self/exe", "box-stage", string(text))
		attr := &syscall.SysProcAttr{}
		if b.UserNS {
			attr.Cloneflags |= syscall.CLONE_NEWUSER
			m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: firstUser, Size: 65_536}}
			attr.UidMappings, attr.GidMappings = m, m
			attr.GidMappingsEnableSetgroups = true
			// Whoever we are out here is nobody in there.
			attr.Credential = &syscall.Credential{}
		}
		if b.PidNS {
			attr.Cloneflags |= syscall.CLONE_NEWPID
		}
		if b.Mounts {
			attr.Cloneflags |= syscall.CLONE_NEWNS
		}
		c.SysProcAttr = attr
	}
	c.ExtraFiles = []*os.File{self}
	c.Dir = "/"
	return c
}

// stage runs in the namespaces, and becomes the program.
func stage(text string) {
	runtime.LockOSThread()
	var b Box
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		fatal("%v", err)
	}
	if b.Join != 0 && b.Mounts {
		// A mount namespace is made by making a child.
		b.Join = 0
		c := b.command()
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := c.Run()
		var e *exec.ExitError
		if errors.As(err, &e) {
			os.Exit(e.ExitCode())
		}
		if err != nil {
			fatal("%v", err)
		}
		os.Exit(0)
	}
	if b.Mounts {
		must("private", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		for _, dev := range []string{"null", "zero", "random", "urandom"} {
			to := filepath.Join(b.Root, "dev", dev)
			if b.Root != "" {
				must(dev, syscall.Mount("/dev/"+dev, to, "", syscall.MS_BIND, ""))
			}
		}
		must("proc", syscall.Mount("proc", filepath.Join("/", b.Root, "proc"), "proc", 0, ""))
		if b.Root != "" {
			const flags = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
			must("shm", syscall.Mount("shm", filepath.Join(b.Root, "dev/shm"), "tmpfs", flags, "size=65536k,mode=1777"))
			pts := filepath.Join(b.Root, "dev/pts")
			must("pts", syscall.Mount("devpts", pts, "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"))
		}
	}
	if b.Root != "" && b.Inside == 0 {
		must("chroot", syscall.Chroot(b.Root))
	}
	must("chdir", syscall.Chdir("/"))
	if !b.AllCaps {
		for c := uintptr(0); c < 64; c++ {
			if b.Caps&(1<<c) == 0 {
				// Beyond the last one the kernel says EINVAL.
				_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_CAPBSET_DROP, c, 0)
			}
		}
	}
	if b.UID != 0 {
		raw("setgroups", syscall.SYS_SETGROUPS, 0, 0, 0)
		raw("setresgid", syscall.SYS_SETRESGID, uintptr(b.UID), uintptr(b.UID), uintptr(b.UID))
		raw("setresuid", syscall.SYS_SETRESUID, uintptr(b.UID), uintptr(b.UID), uintptr(b.UID))
	}
	if b.Inside == 0 && b.Join == 0 {
		// A change of user has cleared it.
		raw("pdeathsig", syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	}
	const prSetNoNewPrivs = 38
	if b.NoNew || b.Seccomp != "" {
		raw("no_new_privs", syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0)
	}
	path := b.Args[0]
	if !strings.Contains(path, "/") {
		for _, d := range []string{"/bin", "/usr/bin"} {
			if _, err := os.Stat(filepath.Join(d, path)); err == nil {
				path = filepath.Join(d, path)
				break
			}
		}
	}
	if b.Seccomp != "" {
		filter(b.Seccomp)
	}
	syscall.CloseOnExec(3)
	err := syscall.Exec(path, b.Args, b.Env)
	fmt.Fprintf(os.Stderr, "exec %s: %v\n", path, err)
	os.Exit(127)
}

func must(what string, err error) {
	if err != nil {
		fatal("box: %s: %v", what, err)
	}
}

func raw(what string, call, a, b, c uintptr) {
	if _, _, e := syscall.RawSyscall(call, a, b, c); e != 0 {
		fatal("box: %s: %v", what, e)
	}
}

type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// filter refuses some calls with EPERM, as a container's seccomp profile does.
func filter(calls string) {
	numbers := map[string]uint32{"ptrace": 101, "process_vm_readv": 310}
	program := []instruction{{0x20, 0, 0, 0}} // the call's number
	for _, c := range strings.Split(calls, ",") {
		program = append(program, instruction{0x15, 0, 1, numbers[c]}, instruction{0x06, 0, 0, 0x0005_0000 | uint32(syscall.EPERM)})
	}
	program = append(program, instruction{0x06, 0, 0, 0x7fff_0000})
	prog := struct {
		n uint16
		p *instruction
	}{uint16(len(program)), &program[0]}
	const modeFilter = 2
	raw("seccomp", syscall.SYS_PRCTL, syscall.PR_SET_SECCOMP, modeFilter, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
}

// prepare makes what a root has to have; as the real root, who may.
func prepare(root string) {
	for _, d := range []string{"proc", "dev/shm", "dev/pts", "tmp"} {
		must(d, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	must("tmp", os.Chmod(filepath.Join(root, "tmp"), 0o777))
	for _, dev := range []string{"null", "zero", "random", "urandom"} {
		must(dev, os.WriteFile(filepath.Join(root, "dev", dev), nil, 0o666))
	}
	if err := os.Symlink("pts/ptmx", filepath.Join(root, "dev/ptmx")); !errors.Is(err, os.ErrExist) {
		must("ptmx", err)
	}
}

// run is `box JSON`: runs it in the foreground, its pid (as we see it) as the first line of our error stream.
func run(text string) {
	runtime.LockOSThread() // the parent that a death signal is about is a thread
	var b Box
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		fatal("%v", err)
	}
	if b.Root != "" {
		prepare(b.Root)
	}
	c := b.command()
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := c.Start(); err != nil {
		fatal("box: %v", err)
	}
	fmt.Fprintf(os.Stderr, "pid %d\n", c.Process.Pid)
	err := c.Wait()
	var e *exec.ExitError
	if errors.As(err, &e) {
		os.Exit(e.ExitCode())
	}
	if err != nil {
		fatal("box: %v", err)
	}
}
