package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/skiff-containers/skiff/internal/netload"
	"golang.org/x/sys/unix"
)

// report is what was found; its JSON is bench.json.
type report struct {
	Machine  machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Runs     int               `json:"runs"`
	Cases    []result          `json:"cases"`
	Faults   []fault           `json:"faults,omitempty"`

	goals []goal
	mu    sync.Mutex // of Faults
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
}

type result struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Unit   string  `json:"unit"` // "ms", "MB", "Gbit/s" and so on
	Values []value `json:"values"`
}

type value struct {
	Contender string  `json:"contender"`
	Median    float64 `json:"median"`
	Low       float64 `json:"p10"`
	High      float64 `json:"p90"`
	Ratio     float64 `json:"ratio"` // to skiff's median; 0: skiff has none, or 0
}

// samples are measured values by contender.
type samples map[string][]float64

// fault is something that went wrong while a contender was measured.
type fault struct {
	Contender string `json:"contender"`
	Case      string `json:"case"`
	Text      string `json:"text"`
	Count     int    `json:"count"`
}

const wrongPayload = "wrong payload"

func newReport(runs int) *report {
	return &report{Runs: runs, Versions: map[string]string{}, Machine: machine{CPU: cpu(), CPUs: runtime.NumCPU(), Kernel: kernel()}}
}

// fault notes one; equal ones are counted.
func (r *report) fault(contender, name, text string) { r.faults(contender, name, text, 1) }

func (r *report) faults(contender, name, text string, count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, f := range r.Faults {
		if f.Contender == contender && f.Case == name && f.Text == text {
			r.Faults[i].Count += count
			return
		}
	}
	r.Faults = append(r.Faults, fault{contender, name, text, count})
}

// count notes what a load found wrong.
func (r *report) count(contender, name string, result *netload.Result) {
	if result.Wrong > 0 {
		r.faults(contender, name, wrongPayload, result.Wrong)
	}
	for _, text := range slices.Sorted(maps.Keys(result.Errors)) {
		r.faults(contender, name, text, result.Errors[text])
	}
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

// add makes a case of the contenders that have values.
func (r *report) add(name, title, unit string, in []string, all samples) {
	one := result{Name: name, Title: title, Unit: unit}
	base := 0.0
	if len(all["skiff"]) > 0 {
		base = quantile(all["skiff"], 0.5)
	}
	for _, contender := range in {
		values := all[contender]
		if len(values) == 0 {
			continue
		}
		v := value{Contender: contender, Median: quantile(values, 0.5), Low: quantile(values, 0.1), High: quantile(values, 0.9)}
		if base > 0 {
			v.Ratio = v.Median / base
		}
		one.Values = append(one.Values, v)
	}
	if len(one.Values) > 0 {
		r.Cases = append(r.Cases, one)
	}
}

func (r *report) addSamples(name, title, unit string, stands []*stand, all samples) {
	var names []string
	for _, s := range stands {
		names = append(names, s.name)
	}
	r.add(name, title, unit, names, all)
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
	if len(r.Faults) > 0 {
		fmt.Fprintf(w, "\nwhat went wrong\n")
	}
	for _, f := range r.Faults {
		fmt.Fprintf(t, "  %s\t%s\t%d ×\t%s\n", f.Contender, f.Case, f.Count, strings.ReplaceAll(f.Text, "\n", " "))
	}
	t.Flush()
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
