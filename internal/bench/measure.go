package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// idlers is how many containers wait while memory is measured.
const idlers = 20

// measure runs all cases.
func (b *comparison) measure() (*report, error) {
	r := newReport(b.runs)
	r.goals = coreGoals
	for _, c := range b.contenders {
		r.Versions[c.name] = c.version
	}
	for _, c := range []struct{ key, title string }{
		{"run-none", "run --rm, no network: start to exit"},
		{"run-beside", "run --rm, no network, beside a running container: start to exit"},
		{"run-host", "run --rm, the host's network: start to exit"},
		{"detached", "run -d, until the prompt is back"},
		{"exec", "exec in a running container"},
		{"version", "--version: the start of the program itself"},
	} {
		if err := compare(r, b.contenders, b.runs, c.key, c.key, c.title); err != nil {
			return nil, err
		}
	}
	if err := b.memory(r); err != nil {
		return nil, err
	}
	if err := b.large(r); err != nil {
		return nil, err
	}
	have := 0
	for _, n := range b.containers {
		say("creating %d containers", n-have)
		for _, c := range b.contenders {
			for i := have; i < n && c.create != nil; i++ {
				if _, err := c.run(c.create); err != nil {
					return nil, err
				}
			}
		}
		have = n
		if err := compare(r, b.contenders, b.runs, "ps", fmt.Sprintf("ps-%d", n), fmt.Sprintf("ps -a with %d containers", n)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// compare runs one case of every contender that has it, in turn, each round in
// another order. The first round warms caches and is not counted.
func compare(r *report, contenders []*contender, runs int, key, name, title string) error {
	say("%s", title)
	var in []*contender
	var names []string
	for _, c := range contenders {
		if t, has := c.cases[key]; has {
			in, names = append(in, c), append(names, c.name)
			if t.before != nil {
				if _, err := c.run(t.before); err != nil {
					return err
				}
			}
		}
	}
	times := samples{}
	for round := range runs + 1 {
		for i := range in {
			c := in[(i+round)%len(in)]
			t := c.cases[key]
			took, err := c.run(t.argv)
			if err != nil {
				return err
			}
			if t.undo != nil {
				if _, err := c.run(t.undo); err != nil {
					return err
				}
			}
			if t.settle != nil {
				if err := t.settle(); err != nil {
					return err
				}
			}
			if round > 0 {
				times[c.name] = append(times[c.name], float64(took)/float64(time.Millisecond))
			}
		}
	}
	for _, c := range in {
		if after := c.cases[key].after; after != nil {
			if _, err := c.run(after); err != nil {
				return err
			}
		}
	}
	r.add(name, title, "ms", names, times)
	return nil
}

// memory starts containers that wait and adds up what the tool's own processes
// take of memory, shared pages divided among those who share them (proportional set size).
func (b *comparison) memory(r *report) error {
	title := fmt.Sprintf("memory left in use per idle container, of %d", idlers)
	say("%s", title)
	sizes := samples{}
	var in []*contender
	var names []string
	for _, c := range b.contenders {
		if c.left == nil {
			continue
		}
		in, names = append(in, c), append(names, c.name)
		for range idlers {
			if _, err := c.run(c.idle); err != nil {
				return err
			}
		}
		pids, err := c.left()
		if err != nil {
			return err
		}
		sum := 0.0
		for _, pid := range pids {
			pss, err := proportional(pid)
			if err != nil {
				return err
			}
			sum += pss
		}
		sizes[c.name] = []float64{sum / idlers}
	}
	for _, c := range in {
		for _, argv := range [][]string{{"sh", "-c", remover(c)}} {
			if _, err := c.run(argv); err != nil {
				return err
			}
		}
	}
	r.add("memory", title, "MB", names, sizes)
	return nil
}

// remover removes all containers, in the words of the tool.
func remover(c *contender) string {
	if c.name == "podman" {
		return "podman rm -af -t 0 >/dev/null"
	}
	program := c.create[0]
	return program + " ps -aq | xargs " + program + " rm -f >/dev/null"
}

// proportional reads a process's Pss in MB (proc_pid_smaps(5)).
func proportional(pid int) (float64, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "Pss:"); found {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d tells no Pss", pid)
}

// quantile of sorted values.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
