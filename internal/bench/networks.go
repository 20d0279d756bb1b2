package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/internal/netload"
)

// networks is the part of the comparison that measures what containers' networks do.
type networks struct {
	options
	ground
	broken map[string]bool // contender and row that did not work once
}

// benchNetworks makes the report on networks.
func benchNetworks(o options, base string) (r *report, err error) {
	n := &networks{options: o, broken: map[string]bool{}}
	image, stop, err := serve(o.serve, "busybox")
	if err != nil {
		return nil, err
	}
	defer stop()
	host, err := netload.Listen(":0")
	if err != nil {
		return nil, err
	}
	defer host.Close()
	n.ground = ground{base: base, image: image, port: host.Port(), own: ownAddress()}
	if n.ground.skiff, err = filepath.Abs(o.skiff); err != nil {
		return nil, err
	}
	if n.ground.load, err = filepath.Abs(o.netload); err != nil {
		return nil, err
	}
	if n.own == "" {
		return nil, errors.New("this machine has no way to the world: without one the contenders have none to the host")
	}
	r = newReport(o.rounds)
	r.goals = networkGoals
	for _, program := range []string{n.ground.skiff, "podman", "slirp4netns", "pasta", "rootlesskit"} {
		if text, err := exec.Command(program, "--version").Output(); err == nil {
			r.Versions[filepath.Base(program)], _, _ = strings.Cut(string(text), "\n")
		}
	}
	err = n.withStands(r, 0, func(stands []*stand) error {
		n.measureRows(r, stands, rows(o))
		return n.helperMemory(r, stands)
	})
	if err != nil {
		return nil, err
	}
	err = n.withStands(r, smallMTU, func(stands []*stand) error {
		n.measureRows(r, stands, smallRows(o))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, n.wholeProcesses(r)
}

// withStands builds what can be built, has it measured and takes it down. What cannot
// be built is said, and a fault of the report where it is installed.
func (n *networks) withStands(r *report, mtu int, measure func([]*stand) error) (err error) {
	var stands []*stand
	defer func() {
		for _, s := range slices.Backward(stands) {
			if e := s.close(); e != nil {
				r.fault(s.name, "ending", e.Error())
			}
		}
	}()
	var there []*stand
	for _, b := range builders {
		if mtu > 0 && b.noMTU {
			continue
		}
		say("setting up %s", b.name)
		s, err := n.build(b, mtu)
		stands = append(stands, s)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			say("%s is left out: %v", b.name, err)
		case err != nil:
			say("%s is left out: %v", b.name, err)
			r.fault(b.name, "starting", err.Error())
		default:
			there = append(there, s)
		}
	}
	return measure(there)
}

// wholeProcesses measures `run` with networks, from start to exit.
func (n *networks) wholeProcesses(r *report) (err error) {
	c, root, err := n.skiffTool("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeStore(c, n.ground.skiff, root)) }()
	if _, err := c.run([]string{n.ground.skiff, "pull", "-q", n.image}); err != nil {
		return err
	}
	run := func(program, network string) *contender {
		name := "skiff"
		if network != "bridge" {
			name += " " + network
		}
		return &contender{name: name, env: c.env, dir: c.dir, cases: map[string]trial{"start": {argv: []string{program, "run", "--rm", "--network", network, n.image, "true"}}}}
	}
	ours, none := run(n.ground.skiff, "bridge"), run(n.ground.skiff, "none")
	all := []*contender{ours, none}
	many := []*crowd{{name: "skiff", tool: c, run: []string{n.ground.skiff, "run", "--rm", "--network", "bridge"}, host: "host.docker.internal"}}
	if _, err := exec.LookPath("podman"); err == nil {
		p, err := n.podmanTool("p")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.after()) }()
		for _, network := range []string{"slirp4netns", "none"} {
			all = append(all, &contender{name: "podman " + network, env: p.env, dir: p.dir,
				cases: map[string]trial{"start": {argv: []string{"podman", "run", "--rm", "--network", network, n.image, "true"}}}})
		}
		many = append(many, &crowd{name: "podman slirp4netns", tool: p, run: []string{"podman", "run", "--rm", "--network", "slirp4netns:allow_host_loopback=true"}, host: "10.0.2.2"})
	}
	cold := func() error { return noHelper(root) }
	ours.cases["cold"] = trial{argv: ours.cases["start"].argv, settle: cold}
	none.cases["cold"] = none.cases["start"]
	if err := cold(); err != nil {
		return err
	}
	if err := compare(r, all, 2*n.rounds, "cold", "start-cold", "run --rm, no other container: start to exit"); err != nil {
		return err
	}
	warm := ours.cases["start"]
	warm.before = []string{n.ground.skiff, "run", "-d", "--name", "one", n.image, "sleep", "600"}
	warm.after = []string{n.ground.skiff, "rm", "-f", "one"}
	ours.cases["start"] = warm
	if err := compare(r, all, max(7*n.rounds, 15), "start", "start", "run --rm, beside a container on the network: start to exit"); err != nil {
		return err
	}
	n.crowds(r, many)
	return nil
}

// crowd is many containers at once, each of which asks a server on the host who it is.
type crowd struct {
	name string
	tool *contender
	run  []string
	host string
}

const crowdSize = 50

func (n *networks) crowds(r *report, all []*crowd) {
	title := fmt.Sprintf("%d containers at once on one network: from the first start to the last one's end", crowdSize)
	say("%s", title)
	times := samples{}
	var names []string
	for _, one := range all {
		names = append(names, one.name)
		argv := append(append([]string{}, one.run...), "-v", n.load+":/netload:ro", n.image, "/netload", "who", fmt.Sprintf("%s:%d", one.host, n.port))
		var wait sync.WaitGroup
		start := time.Now()
		for range crowdSize {
			wait.Go(func() {
				if _, err := one.tool.run(argv); err != nil {
					r.fault(one.name, "crowd", err.Error())
				}
			})
		}
		wait.Wait()
		times[one.name] = []float64{time.Since(start).Seconds()}
	}
	r.add("crowd", title, "s", names, times)
}
