package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

type options struct {
	skiff      string // the program
	serve      string // internal/fixture/serve, built
	netload    string // internal/netload/netload, built
	out        string // where the results go
	runs       int
	containers []int   // how many containers `ps -a` lists
	rounds     int     // of each load of a network
	seconds    float64 // that each takes
	long       float64 // seconds of connections before they are measured once more
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == pairWord {
		exit(pair(os.Args[2:]))
	}
	o := options{containers: []int{0, 100, 500}}
	flag.StringVar(&o.skiff, "skiff", "bin/skiff", "the skiff to measure")
	flag.StringVar(&o.serve, "serve", "serve", "the fixture registry")
	flag.StringVar(&o.netload, "load", "netload", "the program that loads networks")
	flag.StringVar(&o.out, "out", ".", "folder for the results")
	flag.IntVar(&o.runs, "runs", 21, "runs of each command")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each load of a network")
	flag.Float64Var(&o.seconds, "seconds", 0.5, "length of each load of a network")
	flag.Float64Var(&o.long, "long", 4, "seconds of connections before they are measured once more")
	part := flag.String("part", "all", "core, network or all")
	quick := flag.Bool("quick", false, "at most 100 containers, 15 runs, 1 round")
	flag.Parse()
	if *quick {
		o.runs, o.containers, o.rounds, o.long = 15, []int{0, 100}, 1, 2
	}
	exit(bench(o, *part))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parts are the reports by the name of the part, each with its files.
var parts = []struct {
	name, file string
	bench      func(o options, base string) (*report, error)
}{
	{"core", "bench", benchCore},
	{"network", "bench-network", benchNetworks},
}

func bench(o options, wanted string) (err error) {
	known := wanted == "all"
	for _, part := range parts {
		if wanted != "all" && wanted != part.name {
			continue
		}
		known = true
		if err := benchPart(o, part.file, part.bench); err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("unknown part %q", wanted)
	}
	return nil
}

func benchPart(o options, file string, part func(options, string) (*report, error)) (err error) {
	base, err := os.MkdirTemp("", "b")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	r, err := part(o, base)
	if err != nil {
		return err
	}
	r.text(os.Stdout)
	return r.write(filepath.Join(o.out, file))
}

// benchCore makes the report on whole processes.
func benchCore(o options, base string) (r *report, err error) {
	b, err := prepare(o, base)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return nil, err
	}
	return b.measure()
}

// write stores the report in its three forms.
func (r *report) write(stem string) error {
	for suffix, render := range map[string]func(*os.File) error{
		".txt":  func(f *os.File) error { r.text(f); return nil },
		".json": r.json,
		".svg":  r.chart,
	} {
		f, err := os.Create(stem + suffix)
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
