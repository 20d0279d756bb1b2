package main

import (
	"fmt"
	"strings"
)

// goal is something that skiff wants to hold. It tells what was found, and nothing
// where a contender that it needs was not measured.
type goal struct {
	name  string
	check func(r *report, name string) (found string, ok bool)
}

// coreGoals are those of whole processes.
var coreGoals = []goal{
	{"run-none", atMost("skiff", 1, "crun")},
	{"run-none", atMost("skiff", 1.0/10, "podman")},
	{"exec", atMost("skiff", 1.0/12, "podman")},
	{"ps-500", atMost("skiff", 1.0/12, "podman")},
	{"version", atMost("skiff", 1.0/4, "podman")},
	{"memory", below("skiff", 1.2)},
	{"large-first", comparedTo("large-pull", "skiff", 1)},
	{"large-second", comparedTo("large-plain", "skiff", 1.25)},
}

// networkGoals are those of networks.
var networkGoals = []goal{
	{"between-1", atLeast("skiff", 0.95, "veth")},
	{"out-1", atLeast("skiff", 2, "slirp4netns", "pasta")},
	{"out-8", atLeast("skiff", 2, "slirp4netns", "pasta")},
	{"in-1", atLeast("skiff", 1, "slirp4netns", "podman bridge", "pasta", "rootlesskit")},
	{"in-8", atLeast("skiff", 1, "slirp4netns", "podman bridge", "pasta", "rootlesskit")},
	{"own-1", atLeast("skiff", 1, "slirp4netns", "podman bridge", "rootlesskit")},
	{"connect-out-1", atLeast("skiff", 0.7, "loopback")},
	{"connect-in-1", atLeast("skiff", 0.7, "loopback")},
	{"connect-out", atLeast("skiff", 0.7, "loopback")},
	{"connect-in", atLeast("skiff", 0.7, "loopback")},
	{"connect-out-after", atLeast("skiff", 0.7, "loopback")},
	{"connect-in-after", atLeast("skiff", 0.7, "loopback")},
	{"udp-out", over("skiff", "slirp4netns", 0.1)},
	{"start", over("skiff", "skiff none", 5)},
	{"start-cold", over("skiff", "skiff none", 20)},
	{"helper", below("skiff", 20)},
	{"out-1", atLeast("skiff netstack", 1/1.2, "slirp4netns")},
	{"wrong payloads", noWrong("skiff", "skiff netstack")},
}

// atLeast compares with the best of others, where more is better.
func atLeast(who string, factor float64, others ...string) func(*report, string) (string, bool) {
	return func(r *report, name string) (string, bool) { return r.ratio(name, who, factor, true, others) }
}

// atMost compares with the best of others, where less is better.
func atMost(who string, factor float64, others ...string) func(*report, string) (string, bool) {
	return func(r *report, name string) (string, bool) { return r.ratio(name, who, factor, false, others) }
}

func (r *report) ratio(name, who string, factor float64, more bool, others []string) (string, bool) {
	ours, ok := r.find(name, who)
	best, of := 0.0, ""
	for _, other := range others {
		if v, found := r.find(name, other); found && (of == "" || (v.Median > best) == more) {
			best, of = v.Median, other
		}
	}
	if !ok || of == "" || best == 0 {
		return "", false
	}
	ratio := ours.Median / best
	if more {
		return fmt.Sprintf("%s %.2f of %s's, at least %.2f", who, ratio, of, factor), ratio >= factor
	}
	return fmt.Sprintf("%s %.3f of %s's, at most %.3f", who, ratio, of, factor), ratio <= factor
}

// comparedTo compares one contender's two rows.
func comparedTo(other, who string, factor float64) func(*report, string) (string, bool) {
	return func(r *report, name string) (string, bool) {
		ours, a := r.find(name, who)
		theirs, b := r.find(other, who)
		if !a || !b || theirs.Median == 0 {
			return "", false
		}
		ratio := ours.Median / theirs.Median
		return fmt.Sprintf("%s %.2f of its %s, at most %.2f", who, ratio, other, factor), ratio <= factor
	}
}

// below is a bound of the value itself.
func below(who string, limit float64) func(*report, string) (string, bool) {
	return func(r *report, name string) (string, bool) {
		v, ok := r.find(name, who)
		if !ok {
			return "", false
		}
		return fmt.Sprintf("%s %.2f, at most %.2f", who, v.Median, limit), v.Median <= limit
	}
}

// over bounds by how much a value is above another one's.
func over(who, other string, limit float64) func(*report, string) (string, bool) {
	return func(r *report, name string) (string, bool) {
		ours, a := r.find(name, who)
		theirs, b := r.find(name, other)
		if !a || !b {
			return "", false
		}
		more := ours.Median - theirs.Median
		return fmt.Sprintf("%s %.1f over %s, at most %.1f", who, more, other, limit), more <= limit
	}
}

// noWrong wants that no payload of anybody named was wrong, in any row.
func noWrong(who ...string) func(*report, string) (string, bool) {
	return func(r *report, _ string) (string, bool) {
		sum := 0
		for _, f := range r.Faults {
			for _, name := range who {
				if f.Contender == name && f.Text == wrongPayload {
					sum += f.Count
				}
			}
		}
		return fmt.Sprintf("%s: %d", strings.Join(who, " and "), sum), sum == 0
	}
}

// verdicts says for every goal whether it was met.
func (r *report) verdicts() (lines []string) {
	for _, g := range r.goals {
		if found, ok := g.check(r, g.name); found != "" {
			lines = append(lines, fmt.Sprintf("%s\t%s\t%s", g.name, found, met(ok)))
		}
	}
	return lines
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "MISSED"
}
