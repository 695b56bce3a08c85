// Pods that are made by `kubectl create -f -`: their last container really runs, beside the pod that they are for.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Made is a pod that was created.
type Made struct {
	Object  object `json:"object"`
	PID     int    `json:"pid"` // of its container, as the node sees it; 0: none runs
	UID     int    `json:"uid"`
	Waiting object `json:"waiting"`
}

func made(name string) (Made, bool) {
	var m Made
	text, err := os.ReadFile(filepath.Join(dir, "made", name+".json"))
	if err != nil {
		return m, false
	}
	if err := json.Unmarshal(text, &m); err != nil {
		fatal("%s: %v", name, err)
	}
	return m, true
}

// whole is the pod with what it does.
func (m Made) whole() object {
	state := object{"running": object{"startedAt": "2026-01-01T00:00:00Z"}}
	phase := "Running"
	switch {
	case m.Waiting != nil:
		state, phase = object{"waiting": m.Waiting}, "Pending"
	case !alive(m.PID):
		state, phase = object{"terminated": object{"reason": "Completed", "exitCode": 0}}, "Succeeded"
	}
	var all []any
	for _, c := range m.containers() {
		all = append(all, object{"name": c["name"], "state": state})
	}
	m.Object["status"] = object{"phase": phase, "containerStatuses": all}
	return m.Object
}

func (m Made) containers() []object {
	var all []object
	list, _ := m.Object["spec"].(object)["containers"].([]any)
	for _, c := range list {
		all = append(all, c.(object))
	}
	return all
}

func words(v any) []string {
	var all []string
	list, _ := v.([]any)
	for _, w := range list {
		all = append(all, w.(string))
	}
	return all
}

// create makes a pod of what comes on standard input.
func create() {
	text, err := io.ReadAll(os.Stdin)
	var m Made
	if err == nil {
		err = json.Unmarshal(text, &m.Object)
	}
	if err != nil {
		die("error: error parsing STDIN: %v", err)
	}
	meta, spec := m.Object["metadata"].(object), m.Object["spec"].(object)
	name := meta["name"].(string)
	if !permitted("create pods") {
		die("Error from server (Forbidden): error when creating \"STDIN\": pods is forbidden: User \"dev\" cannot create resource \"pods\" in API group \"\" in the namespace \"shop\"")
	}
	if spec["hostPID"] == true && cluster.Level != "" {
		die("Error from server (Forbidden): error when creating \"STDIN\": pods %q is forbidden: violates PodSecurity %q: host namespaces (hostPID=true)", name, cluster.Level+":latest")
	}
	of := cluster.Pods[meta["annotations"].(object)["adit/for"].(string)]
	m.UID = of.UID
	c := m.containers()[0]
	image, _ := c["image"].(string)
	root := cluster.Images[image]
	if first, ok := spec["initContainers"].([]any); ok {
		// The program's own files, and adit's, which the first container puts there.
		image, root = first[len(first)-1].(object)["image"].(string), of.Root
		prepare(root)
		must("folder", os.MkdirAll(filepath.Join(root, ".adit"), 0o777))
		must("folder", os.Chmod(filepath.Join(root, ".adit"), 0o777))
		bytes, err := os.ReadFile(filepath.Join(cluster.Images[image], "adit"))
		must("adit", err)
		// One that still runs from there keeps its own.
		_ = os.Remove(filepath.Join(root, ".adit", "adit"))
		must("adit", os.WriteFile(filepath.Join(root, ".adit", "adit"), bytes, 0o755))
	} else {
		m.UID = 0
	}
	if _, pulled := cluster.Images[image]; !pulled {
		m.Waiting = notPulled(image)
	} else {
		m.PID = start(of, root, m.UID, defaultCaps|capPtrace, words(c["command"]))
	}
	must("folder", os.MkdirAll(filepath.Join(dir, "made"), 0o777))
	text, _ = json.Marshal(m)
	must("made", os.WriteFile(filepath.Join(dir, "made", name+".json"), text, 0o666))
	fmt.Printf("pod/%s created\n", name)
}

// remove deletes a pod.
func remove(args []string) {
	name := args[1]
	m, ok := made(name)
	if !ok {
		missing("pods", name)
	}
	if !permitted("delete pods") {
		die("Error from server (Forbidden): pods %q is forbidden: User \"dev\" cannot delete resource \"pods\" in API group \"\" in the namespace \"shop\"", name)
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.PID))
	if m.PID != 0 && strings.Contains(string(line), "park") {
		_ = syscall.Kill(m.PID, syscall.SIGTERM)
	}
	must("made", os.Remove(filepath.Join(dir, "made", name+".json")))
	fmt.Printf("pod %q deleted\n", name)
}
