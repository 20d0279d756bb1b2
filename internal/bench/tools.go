package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// environment is what every contender gets: nothing of the caller's but the path,
// and a home and a runtime folder of its own.
func environment(base, name string, more ...string) ([]string, error) {
	home, runtime := filepath.Join(base, name, "home"), filepath.Join(base, name, "run")
	for _, folder := range []string{home, runtime} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		"USER=" + os.Getenv("USER"), "HOME=" + home, "XDG_RUNTIME_DIR=" + runtime, "LANG=C.UTF-8",
	}, more...), nil
}

func newSkiff(base, program, image string) (*contender, error) {
	root := filepath.Join(base, "skiff", "store")
	env, err := environment(base, "skiff", "SKIFF_ROOT="+root)
	if err != nil {
		return nil, err
	}
	run := func(args ...string) []string { return append([]string{program}, args...) }
	return &contender{
		name: "skiff", env: env, dir: base,
		cases: map[string]trial{
			"run-none": {argv: run("run", "--rm", "--network", "none", image, "true")},
			"run-beside": {argv: run("run", "--rm", "--network", "none", image, "true"),
				before: run("run", "-d", "--name", "one", "--network", "none", image, "sleep", "600"), after: run("rm", "-f", "one")},
			"run-host": {argv: run("run", "--rm", "--network", "host", image, "true")},
			"detached": {argv: run("run", "-d", "--name", "one", "--network", "none", image, "sleep", "600"), undo: run("rm", "-f", "one")},
			"exec": {argv: run("exec", "one", "true"), before: run("run", "-d", "--name", "one", "--network", "none", image, "sleep", "600"),
				after: run("rm", "-f", "one")},
			"ps":      {argv: run("ps", "-a")},
			"version": {argv: run("--version")},
		},
		pull:   func(image string) []string { return run("pull", "-q", image) },
		create: run("create", "--network", "none", image, "true"),
		idle:   run("run", "-d", "--network", "none", image, "sleep", "600"),
		left:   func() ([]int, error) { return shims(root) },
		after: func() error {
			c := &contender{env: env, dir: base}
			_, err := c.run([]string{"sh", "-c", `"$0" ps -aq | xargs -r "$0" rm -f >/dev/null; "$0" unshare rm -rf "$SKIFF_ROOT"`, program})
			return err
		},
	}, nil
}

// shims reads the shims' process ids from the store.
func shims(root string) (pids []int, err error) {
	states, err := filepath.Glob(filepath.Join(root, "containers", "*", "state.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range states {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var state struct {
			Status string
			Shim   struct {
				PID int `json:"pid"`
			}
		}
		if err := json.Unmarshal(data, &state); err != nil {
			return nil, err
		}
		if state.Status == "running" {
			pids = append(pids, state.Shim.PID)
		}
	}
	return pids, nil
}

// newPodman gives podman what it needs to be at its best here: kernel overlay, crun,
// and a plain file for events. Its folders have short names: where the path of its
// sockets gets long, it waits twenty seconds for the end of every container.
func newPodman(base, image string) (*contender, error) {
	env, err := environment(base, "podman")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(base, "podman", "home", ".config", "containers")
	if err := os.MkdirAll(config, 0o700); err != nil {
		return nil, err
	}
	storage := fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(base, "podman", "store"), filepath.Join(base, "podman", "run", "store"))
	engine := "[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
	for name, text := range map[string]string{"storage.conf": storage, "containers.conf": engine} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	c := &contender{name: "podman", env: env, dir: base}
	run := func(args ...string) []string { return append([]string{"podman"}, args...) }
	detached := run("run", "-d", "--name", "one", "--network", "none", image, "sleep", "600")
	c.cases = map[string]trial{
		"run-none":   {argv: run("run", "--rm", "--network", "none", image, "true")},
		"run-beside": {argv: run("run", "--rm", "--network", "none", image, "true"), before: detached, after: run("rm", "-f", "-t", "0", "one")},
		"run-host":   {argv: run("run", "--rm", "--network", "host", image, "true")},
		"detached":   {argv: detached, undo: run("rm", "-f", "-t", "0", "one")},
		"exec":       {argv: run("exec", "one", "true"), before: detached, after: run("rm", "-f", "-t", "0", "one")},
		"ps":         {argv: run("ps", "-a")},
		"version":    {argv: run("--version")},
	}
	c.pull = func(image string) []string { return run("pull", "-q", "--tls-verify=false", image) }
	c.create = run("create", "--network", "none", image, "true")
	c.idle = run("run", "-d", "--network", "none", image, "sleep", "600")
	pause := filepath.Join(base, "podman", "run", "libpod", "tmp", "pause.pid")
	c.left = func() ([]int, error) {
		text, _, err := c.output(run("ps", "-q", "--format", "{{.ID}}"))
		if err != nil {
			return nil, err
		}
		text, _, err = c.output(append(run("inspect", "--format", "{{.State.ConmonPid}}"), strings.Fields(text)...))
		if err != nil {
			return nil, err
		}
		pids, err := numbers(text)
		if data, e := os.ReadFile(pause); e == nil && err == nil {
			more, e := numbers(string(data))
			return append(pids, more...), e
		}
		return pids, err
	}
	c.after = func() error {
		if _, err := c.run(run("rm", "-af", "-t", "0")); err != nil {
			return err
		}
		c.run(run("unshare", "sh", "-c", "umount "+filepath.Join(base, "podman", "store", "overlay")+" 2>/dev/null; rm -rf "+filepath.Join(base, "podman", "store")))
		if data, err := os.ReadFile(pause); err == nil {
			if pids, err := numbers(string(data)); err == nil && len(pids) == 1 && pids[0] > 1 {
				syscall.Kill(pids[0], syscall.SIGTERM)
				time.Sleep(100 * time.Millisecond)
			}
		}
		return nil
	}
	return c, nil
}

func numbers(text string) (all []int, err error) {
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// newCrun runs the same root file system from two bundles, one for each network.
func newCrun(base, rootfs string) (*contender, error) {
	env, err := environment(base, "crun")
	if err != nil {
		return nil, err
	}
	c := &contender{name: "crun", env: env, dir: base}
	bundle := func(name string) string { return filepath.Join(base, "crun", name) }
	for name, command := range map[string][]string{"none": {"true"}, "host": {"true"}, "idle": {"sleep", "600"}} {
		if err := writeBundle(c, bundle(name), rootfs, name == "host", command); err != nil {
			return nil, err
		}
	}
	run := func(args ...string) []string { return append([]string{"crun"}, args...) }
	c.cases = map[string]trial{
		"run-none":   {argv: run("run", "-b", bundle("none"), "one")},
		"run-beside": {argv: run("run", "-b", bundle("none"), "two"), before: run("run", "-d", "-b", bundle("idle"), "one"), after: run("delete", "-f", "one")},
		"run-host":   {argv: run("run", "-b", bundle("host"), "one")},
		"exec":       {argv: run("exec", "one", "true"), before: run("run", "-d", "-b", bundle("idle"), "one"), after: run("delete", "-f", "one")},
		"version":    {argv: run("--version")},
	}
	c.after = func() error { c.run(run("delete", "-f", "one")); return nil }
	return c, nil
}

// writeBundle changes crun's own rootless example: one id, this root, this command.
func writeBundle(c *contender, folder, rootfs string, hostNetwork bool, command []string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if _, err := c.run([]string{"sh", "-c", `cd "$0" && crun spec --rootless`, folder}); err != nil {
		return err
	}
	path := filepath.Join(folder, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, command
	spec["root"] = map[string]any{"path": rootfs, "readonly": false}
	if hostNetwork {
		linux := spec["linux"].(map[string]any)
		linux["namespaces"] = without(linux["namespaces"].([]any), "type", "network")
		// A sysfs of one's own needs a network of one's own.
		mounts := without(without(spec["mounts"].([]any), "destination", "/sys"), "destination", "/sys/fs/cgroup")
		spec["mounts"] = append(mounts, map[string]any{"destination": "/sys", "type": "none", "source": "/sys", "options": []string{"rbind", "ro"}})
	}
	data, err = json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func without(list []any, key, value string) (kept []any) {
	for _, item := range list {
		if item.(map[string]any)[key] != value {
			kept = append(kept, item)
		}
	}
	return kept
}

func newBubblewrap(base, rootfs string) (*contender, error) {
	env, err := environment(base, "bubblewrap")
	if err != nil {
		return nil, err
	}
	run := func(args ...string) []string {
		return append(append([]string{"bwrap", "--unshare-all"}, args...), "--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "true")
	}
	return &contender{name: "bubblewrap", env: env, dir: base, cases: map[string]trial{
		"run-none": {argv: run()},
		"run-host": {argv: run("--share-net")},
		"version":  {argv: []string{"bwrap", "--version"}},
	}}, nil
}
