// Command kubectl stands for the real one in tests: it answers as a cluster does that KUBE_STANDIN/cluster.json describes, records
// every call, and really runs what it is told to, in namespaces beside a real program.
//
// What it says in words is what kubectl 1.32.4 said about a cluster of Kubernetes 1.32.13 with containerd 1.6.20 and runc 1.1.5.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type object = map[string]any

// Cluster is what the test says there is.
type Cluster struct {
	Namespace  object            `json:"namespace"` // none: it may not be looked at
	Node       object            `json:"node"`      // the same
	No         []string          `json:"no"`        // rights that are missing: "patch ephemeralcontainers"
	Workloads  map[string]object `json:"workloads"` // "deployment/web"
	Pods       map[string]Pod    `json:"pods"`      // by name
	Images     map[string]string `json:"images"`    // roots
	OldKubectl bool              `json:"old_kubectl"`
	NoCaps     bool              `json:"no_caps"` // what is added is worth nothing
	Slow       int               `json:"slow"`    // seconds
	Down       bool              `json:"down"`
	Level      string            `json:"level"`  // what Pod Security enforces
	Around     []object          `json:"around"` // leases, autoscalers, disruption budgets
	Noisy      bool              `json:"noisy"`  // kubectl's own log stands between what it says
}

// Pod is one.
type Pod struct {
	Object object `json:"object"`
	PID    int    `json:"pid"`  // of its program, as the node sees it
	UID    int    `json:"uid"`  // of its program
	Port   int    `json:"port"` // at which its port 6060 really is
	Root   string `json:"root"` // of its program, as the node sees it
}

// Ephemeral is a container that was added.
type Ephemeral struct {
	Spec    object `json:"spec"`
	PID     int    `json:"pid"`
	Waiting object `json:"waiting"`
	UID     int    `json:"uid"`
	Caps    uint64 `json:"caps"`
}

var (
	dir     string
	cluster Cluster
)

func main() {
	args := os.Args[1:]
	if len(args) == 2 && args[0] == "box-stage" {
		stage(args[1])
	}
	if len(args) == 2 && args[0] == "box" {
		run(args[1])
		return
	}
	dir = os.Getenv("KUBE_STANDIN")
	record(args)
	text, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if err == nil {
		err = json.Unmarshal(text, &cluster)
	}
	if err != nil {
		fatal("cluster.json: %v", err)
	}
	time.Sleep(time.Duration(cluster.Slow) * time.Second)
	var rest []string
	for _, a := range args {
		if len(rest) == 0 && (strings.HasPrefix(a, "--context=") || strings.HasPrefix(a, "--namespace=")) {
			if a == "--context=nowhere" {
				die("error: context \"nowhere\" does not exist")
			}
			continue
		}
		rest = append(rest, a)
	}
	if cluster.Down {
		die("Unable to connect to the server: dial tcp 10.0.0.1:6443: connect: connection refused")
	}
	if len(rest) == 0 {
		die("kubectl controls the Kubernetes cluster manager.")
	}
	switch rest[0] {
	case "get":
		get(rest[1:])
	case "auth":
		can(rest[1:])
	case "debug":
		debug(rest[1:])
	case "exec":
		execute(rest[1:])
	case "port-forward":
		forward(rest[1:])
	case "create":
		create()
	case "delete":
		remove(rest[1:])
	default:
		die("error: unknown command %q for \"kubectl\"", rest[0])
	}
}

func record(args []string) {
	f, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		fatal("calls: %v", err)
	}
	line, _ := json.Marshal(args)
	_, _ = f.Write(append(line, '\n'))
	_ = f.Close()
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func forbidden(verb, what, sub string) {
	why := fmt.Sprintf("pods %q is forbidden: User \"dev\" cannot %s resource \"pods/%s\" in API group \"\" in the namespace \"shop\"", what, verb, sub)
	if sub == "portforward" {
		die("error: error upgrading connection: %s", why)
	}
	die("Error from server (Forbidden): %s", why)
}

func answer(o any) {
	text, _ := json.Marshal(o)
	fmt.Println(string(text))
}

func missing(kind, name string) {
	die("Error from server (NotFound): %s %q not found", kind, name)
}

// around lists several kinds: what may be listed is answered, what may not is refused beside it.
func around(kinds string) {
	names := map[string]string{"leases": "Lease", "horizontalpodautoscalers": "HorizontalPodAutoscaler", "poddisruptionbudgets": "PodDisruptionBudget"}
	items, refused := []any{}, 0
	for _, k := range strings.Split(kinds, ",") {
		plural, group, _ := strings.Cut(k, ".")
		if !permitted("list " + plural) {
			fmt.Fprintf(os.Stderr, "Error from server (Forbidden): %s is forbidden: User \"dev\" cannot list resource %q in API group %q in the namespace \"shop\"\n", k, plural, group)
			refused++
			continue
		}
		for _, o := range cluster.Around {
			if o["kind"] == names[plural] {
				items = append(items, o)
			}
		}
	}
	answer(object{"apiVersion": "v1", "kind": "List", "items": items, "metadata": object{"resourceVersion": ""}})
	if refused > 0 {
		os.Exit(1)
	}
}

func get(args []string) {
	if strings.Contains(args[0], ",") {
		around(args[0])
		return
	}
	switch args[0] {
	case "pod":
		if m, ok := made(args[1]); ok {
			answer(m.whole())
			return
		}
		p, ok := cluster.Pods[args[1]]
		if !ok {
			missing("pods", args[1])
		}
		answer(p.whole(args[1]))
	case "pods":
		var all []any
		files, _ := filepath.Glob(filepath.Join(dir, "made", "*.json"))
		for _, f := range files {
			m, _ := made(strings.TrimSuffix(filepath.Base(f), ".json"))
			labels, _ := m.Object["metadata"].(object)["labels"].(object)
			if k, v, _ := strings.Cut(args[2], "="); labels[k] == v {
				all = append(all, m.whole())
			}
		}
		for name, p := range cluster.Pods {
			labels, _ := p.Object["metadata"].(object)["labels"].(object)
			fits := true
			for _, want := range strings.Split(args[2], ",") {
				k, v, _ := strings.Cut(want, "=")
				fits = fits && labels[k] == v
			}
			if fits {
				all = append(all, p.whole(name))
			}
		}
		answer(object{"kind": "List", "items": all})
	case "namespace":
		if cluster.Namespace == nil {
			die("Error from server (Forbidden): namespaces %q is forbidden: User \"dev\" cannot get resource \"namespaces\" in API group \"\" in the namespace \"shop\"", args[1])
		}
		answer(cluster.Namespace)
	case "node":
		if cluster.Node == nil {
			die("Error from server (Forbidden): nodes %q is forbidden: User \"dev\" cannot get resource \"nodes\" in API group \"\" at the cluster scope", args[1])
		}
		answer(cluster.Node)
	default:
		w, ok := cluster.Workloads[args[0]+"/"+args[1]]
		if !ok {
			missing(args[0]+"s.apps", args[1])
		}
		answer(w)
	}
}

func permitted(what string) bool {
	for _, no := range cluster.No {
		if no == what {
			return false
		}
	}
	return true
}

func can(args []string) {
	// can-i VERB pods [--subresource=SUB]
	what := args[2]
	if len(args) > 3 {
		what = strings.TrimPrefix(args[3], "--subresource=")
	}
	if !permitted(args[1] + " " + what) {
		fmt.Println("no")
		os.Exit(1)
	}
	fmt.Println("yes")
}

func may(verb, sub, pod string) {
	if !permitted(verb + " " + sub) {
		forbidden(verb, pod, sub)
	}
}

// whole is a pod with the containers that were added meanwhile.
func (p Pod) whole(pod string) object {
	spec, status := p.Object["spec"].(object), p.Object["status"].(object)
	var added, states []any
	if old, ok := spec["ephemeralContainers"].([]any); ok {
		added = old
	}
	if old, ok := status["ephemeralContainerStatuses"].([]any); ok {
		states = old
	}
	files, _ := filepath.Glob(filepath.Join(dir, "added", pod, "*.json"))
	for _, f := range files {
		e := read(f)
		added = append(added, e.Spec)
		state := object{"running": object{"startedAt": "2026-01-01T00:00:00Z"}}
		if e.Waiting != nil {
			state = object{"waiting": e.Waiting}
		} else if !alive(e.PID) {
			state = object{"terminated": object{"reason": "Completed", "exitCode": 0}}
		}
		states = append(states, object{"name": e.Spec["name"], "state": state})
	}
	spec["ephemeralContainers"], status["ephemeralContainerStatuses"] = added, states
	return p.Object
}

func read(file string) Ephemeral {
	var e Ephemeral
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		fatal("%s: %v", file, err)
	}
	return e
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// violates refuses what Pod Security forbids: SYS_PTRACE, and of what is restricted a good deal more.
func violates(pod, container string) {
	c := fmt.Sprintf("container %q", container)
	if cluster.Level == "restricted" {
		die("Error from server (Forbidden): pods %q is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (%s must set securityContext.allowPrivilegeEscalation=false), "+
			"unrestricted capabilities (%s must set securityContext.capabilities.drop=[\"ALL\"]; %s must not include \"SYS_PTRACE\" in securityContext.capabilities.add), "+
			"runAsNonRoot != true (%s must not set securityContext.runAsNonRoot=false), runAsUser=0 (%s must not set runAsUser=0), "+
			"seccompProfile (pod or %s must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")", pod, c, c, c, c, c, c)
	}
	die("Error from server (Forbidden): pods %q is forbidden: violates PodSecurity %q: non-default capabilities (%s must not include \"SYS_PTRACE\" in securityContext.capabilities.add)",
		pod, cluster.Level+":latest", c)
}

// debug adds a container, and runs it.
func debug(args []string) {
	pod, flags, command := args[0], map[string]string{}, []string(nil)
	for i, a := range args[1:] {
		if a == "--" {
			command = args[i+2:]
			break
		}
		k, v, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		flags[k] = v
	}
	p, ok := cluster.Pods[pod]
	if !ok {
		missing("pods", pod)
	}
	custom := object{}
	if file, ok := flags["custom"]; ok {
		if cluster.OldKubectl {
			die("error: unknown flag: --custom\nSee 'kubectl debug --help' for usage.")
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &custom)
		}
		if err != nil {
			die("error: unable to read custom profile: %v", err)
		}
	}
	may("patch", "ephemeralcontainers", pod)
	name, profile := flags["container"], flags["profile"]
	security, _ := custom["securityContext"].(object)
	uid, caps, nonRoot := 65_532, defaultCaps, false
	switch profile {
	case "general":
		caps |= capPtrace
	case "restricted":
		caps, nonRoot = 0, true
	}
	if u, ok := security["runAsUser"].(float64); ok {
		uid = int(u)
	}
	if n, ok := security["runAsNonRoot"].(bool); ok {
		nonRoot = n
	}
	if caps&capPtrace != 0 && cluster.Level != "" {
		if _, quiet := flags["quiet"]; !quiet {
			fmt.Fprintf(os.Stderr, "Targeting container %q. If you don't see processes from this container it may be because the container runtime doesn't support this feature.\n", flags["target"])
		}
		violates(pod, name)
	}
	if cluster.Level == "restricted" && uid == 0 {
		die("Error from server (Forbidden): pods %q is forbidden: violates PodSecurity \"restricted:latest\": runAsUser=0 (container %q must not set runAsUser=0)", pod, name)
	}
	if cluster.NoCaps {
		caps &^= capPtrace
	}
	e := Ephemeral{UID: uid, Caps: caps}
	e.Spec = object{"name": name, "image": flags["image"], "targetContainerName": flags["target"], "command": command,
		"securityContext": object{"runAsUser": uid}}
	root, pulled := cluster.Images[flags["image"]]
	switch {
	case !pulled:
		e.Waiting = notPulled(flags["image"])
	case nonRoot && uid == 0:
		e.Waiting = object{"reason": "CreateContainerConfigError", "message": fmt.Sprintf("container has runAsNonRoot and image will run as root (pod: \"%s_shop(be6589b5)\", container: %s)", pod, name)}
	default:
		e.PID = start(p, root, uid, caps, command)
	}
	folder := filepath.Join(dir, "added", pod)
	_ = os.MkdirAll(folder, 0o777)
	text, _ := json.Marshal(e)
	if err := os.WriteFile(filepath.Join(folder, name+".json"), text, 0o666); err != nil {
		fatal("%v", err)
	}
}

func notPulled(image string) object {
	return object{"reason": "ErrImagePull", "message": fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: failed to do request: "+
		"Head \"https://registry.test/v2/nothere/manifests/1\": dial tcp: lookup registry.test on 10.0.0.53:53: no such host", image, image)}
}

// start runs a debug container beside the program; its pid as the node sees it.
func start(p Pod, root string, uid int, caps uint64, command []string) int {
	prepare(root)
	b := Box{Root: root, Mounts: true, Join: p.PID, UID: uid, Caps: caps, Args: command, Env: []string{"PATH=/bin"}}
	c := b.command()
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		fatal("%v", err)
	}
	// Below nsenter and the first stage it is the one whose root is the image.
	for i := 0; i < 500; i++ {
		if pid := below(c.Process.Pid, root); pid != 0 {
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	die("error: timed out waiting for the condition")
	return 0
}

// below finds the process below another one whose root it is, and that has become the program.
func below(pid int, root string) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range threads {
		more, _ := os.ReadFile(t)
		text = append(append(text, ' '), more...)
	}
	for _, w := range strings.Fields(string(text)) {
		child, _ := strconv.Atoi(w)
		at, _ := os.Readlink(fmt.Sprintf("/proc/%d/root", child))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if at == root && !strings.Contains(string(line), "box-stage") {
			return child
		}
		if found := below(child, root); found != 0 {
			return found
		}
	}
	return 0
}

func execute(args []string) {
	stdin := false
	if args[0] == "-i" {
		stdin, args = true, args[1:]
	}
	pod, container, command := args[0], args[2], args[4:]
	p, ok := cluster.Pods[pod]
	if m, there := made(pod); there {
		p, ok = Pod{PID: m.PID, UID: m.UID, Object: m.Object}, true
	}
	if !ok {
		missing("pods", pod)
	}
	may("create", "exec", pod)
	b := Box{Inside: p.PID, UID: p.UID, Caps: defaultCaps, Args: command, Env: []string{"PATH=/bin:/usr/bin"}}
	file := filepath.Join(dir, "added", pod, container+".json")
	if _, err := os.Stat(file); err == nil {
		e := read(file)
		if e.PID == 0 || !alive(e.PID) {
			die("error: Internal error occurred: unable to upgrade connection: container not found (%q)", container)
		}
		b.Inside, b.UID, b.Caps = e.PID, e.UID, e.Caps
	}
	if !alive(b.Inside) {
		die("error: Internal error occurred: unable to upgrade connection: container not found (%q)", container)
	}
	found := false
	for _, d := range []string{"", "/bin", "/usr/bin"} {
		if (d == "") != strings.Contains(command[0], "/") {
			continue
		}
		_, err := os.Stat(fmt.Sprintf("/proc/%d/root%s/%s", b.Inside, d, command[0]))
		found = found || err == nil
	}
	if !found {
		fmt.Fprintf(os.Stderr, "error: Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"2773e37b\": OCI runtime exec failed: exec failed: unable to start container process: exec: %q: executable file not found in $PATH: unknown\n", command[0])
		if cluster.Noisy && stdin {
			// What is sent to a command that is not there has nowhere to go.
			fmt.Fprintln(os.Stderr, `E1129 23:25:34.243661   29710 v2.go:104] "Unhandled Error" err="write tcp 127.0.0.1:51664->127.0.0.1:6443: write: connection reset by peer"`)
		}
		os.Exit(1)
	}
	c := b.command()
	// What goes in and out passes through us, as it does through kubectl: when we die, it ends there.
	if stdin {
		to, err := c.StdinPipe()
		if err != nil {
			fatal("%v", err)
		}
		go func() {
			_, _ = io.Copy(to, os.Stdin)
			_ = to.Close()
		}()
	}
	c.Stdout, c.Stderr = through{os.Stdout}, through{os.Stderr}
	err := c.Run()
	var e *exec.ExitError
	if errors.As(err, &e) {
		fmt.Fprintf(os.Stderr, "command terminated with exit code %d\n", e.ExitCode())
		os.Exit(e.ExitCode())
	}
	if err != nil {
		fatal("%v", err)
	}
}

// through hides a file, so that it is not handed on.
type through struct{ io.Writer }

func forward(args []string) {
	pod := args[1]
	p, ok := cluster.Pods[pod]
	if !ok {
		missing("pods", pod)
	}
	may("create", "portforward", pod)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fatal("%v", err)
	}
	fmt.Printf("Forwarding from 127.0.0.1:%d -> %s\n", l.Addr().(*net.TCPAddr).Port, args[2][1:])
	time.AfterFunc(2*time.Minute, func() { os.Exit(0) })
	for {
		a, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Println("Handling connection for", args[2][1:])
		go func() {
			defer a.Close()
			b, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))
			if err != nil {
				port := args[2][1:]
				fmt.Fprintf(os.Stderr, "E1129 23:24:50.418850   28537 portforward.go:424] \"Unhandled Error\" err=\"an error occurred forwarding 43395 -> %s: error forwarding port %s to pod 2d84, uid : "+
					"failed to execute portforward in network namespace \\\"/var/run/netns/cni-1062\\\": failed to connect to localhost:%s inside namespace \\\"2d84\\\", IPv4: dial tcp4 127.0.0.1:%s: connect: connection refused "+
					"IPv6 dial tcp6: address localhost: no suitable address found \"\n", port, port, port, port)
				die("error: lost connection to pod")
			}
			defer b.Close()
			go func() { _, _ = io.Copy(b, a); _ = b.(*net.TCPConn).CloseWrite() }()
			_, _ = io.Copy(a, b)
		}()
	}
}
