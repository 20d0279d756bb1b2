package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

type options struct {
	skiff      string // the program
	serve      string // internal/fixture/serve, built
	out        string // where the results go
	runs       int
	containers []int // how many containers `ps -a` lists
}

func main() {
	o := options{containers: []int{0, 100, 500}}
	flag.StringVar(&o.skiff, "skiff", "bin/skiff", "the skiff to measure")
	flag.StringVar(&o.serve, "serve", "serve", "the fixture registry")
	flag.StringVar(&o.out, "out", ".", "folder for bench.json, bench.txt and bench.svg")
	flag.IntVar(&o.runs, "runs", 21, "runs of each command")
	quick := flag.Bool("quick", false, "at most 100 containers, 15 runs")
	flag.Parse()
	if *quick {
		o.runs, o.containers = 15, []int{0, 100}
	}
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(o options) (err error) {
	base, err := os.MkdirTemp("", "b")
	if err != nil {
		return err
	}
	b, err := prepare(o, base)
	defer func() {
		if e := b.close(); err == nil {
			err = e
		}
	}()
	if err != nil {
		return err
	}
	report, err := b.measure()
	if err != nil {
		return err
	}
	report.text(os.Stdout)
	return report.write(o.out)
}

// write stores the report in its three forms.
func (r *report) write(folder string) error {
	for name, render := range map[string]func(*os.File) error{
		"bench.txt":  func(f *os.File) error { r.text(f); return nil },
		"bench.json": r.json,
		"bench.svg":  r.chart,
	} {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if err := render(f); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
