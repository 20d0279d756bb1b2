package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// report is what was found; its JSON is bench.json.
type report struct {
	Machine  machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Runs     int               `json:"runs"`
	Cases    []result          `json:"cases"`
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
}

type result struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Unit   string  `json:"unit"` // "ms" or "MB"
	Values []value `json:"values"`
}

type value struct {
	Contender string  `json:"contender"`
	Median    float64 `json:"median"`
	Low       float64 `json:"p10"`
	High      float64 `json:"p90"`
	Ratio     float64 `json:"ratio"` // to skiff's median
}

// goals are what skiff wants to hold, as ratios of its median to another's, or
// (of "") as a value.
var goals = []struct {
	name, of string
	limit    float64
}{
	{"run-none", "crun", 1},
	{"run-none", "podman", 1.0 / 10},
	{"exec", "podman", 1.0 / 12},
	{"ps-500", "podman", 1.0 / 12},
	{"version", "podman", 1.0 / 4},
	{"memory", "", 1.2},
}

func newReport(b *comparison) *report {
	r := &report{Runs: b.runs, Versions: map[string]string{}, Machine: machine{CPU: cpu(), CPUs: runtime.NumCPU(), Kernel: kernel()}}
	for _, c := range b.contenders {
		r.Versions[c.name] = c.version
	}
	return r
}

func cpu() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	release := unix.ByteSliceToString(u.Release[:])
	return strings.SplitN(release, "-", 2)[0]
}

func (r *report) add(name, title, unit string, in []*contender, all map[string][]float64) {
	one := result{Name: name, Title: title, Unit: unit}
	base := quantile(all["skiff"], 0.5)
	for _, c := range in {
		values := all[c.name]
		median := quantile(values, 0.5)
		one.Values = append(one.Values, value{c.name, median, quantile(values, 0.1), quantile(values, 0.9), median / base})
	}
	r.Cases = append(r.Cases, one)
}

func (r *report) find(name, contender string) (value, bool) {
	for _, one := range r.Cases {
		for _, v := range one.Values {
			if one.Name == name && v.Contender == contender {
				return v, true
			}
		}
	}
	return value{}, false
}

// verdicts says for every goal whether it was met.
func (r *report) verdicts() (lines []string) {
	for _, g := range goals {
		ours, ok := r.find(g.name, "skiff")
		if !ok {
			continue
		}
		if g.of == "" {
			lines = append(lines, fmt.Sprintf("%s\tskiff %.2f, at most %.2f\t%s", g.name, ours.Median, g.limit, met(ours.Median <= g.limit)))
			continue
		}
		theirs, ok := r.find(g.name, g.of)
		if !ok {
			continue
		}
		ratio := ours.Median / theirs.Median
		lines = append(lines, fmt.Sprintf("%s\t%.3f of %s's, at most %.3f\t%s", g.name, ratio, g.of, g.limit, met(ratio <= g.limit)))
	}
	return lines
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "MISSED"
}

func (r *report) text(w io.Writer) {
	fmt.Fprintf(w, "%s, %d CPUs, Linux %s; medians of %d runs in turn\n", r.Machine.CPU, r.Machine.CPUs, r.Machine.Kernel, r.Runs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.Cases {
		fmt.Fprintf(t, "\n%s\n", one.Title)
		for _, v := range one.Values {
			fmt.Fprintf(t, "  %s\t%.2f %s\t%.1f – %.1f\t× %.1f\n", v.Contender, v.Median, one.Unit, v.Low, v.High, v.Ratio)
		}
		t.Flush()
	}
	fmt.Fprintf(w, "\ngoals\n")
	for _, line := range r.verdicts() {
		fmt.Fprintf(t, "  %s\n", line)
	}
	t.Flush()
}

func (r *report) json(f *os.File) error {
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
