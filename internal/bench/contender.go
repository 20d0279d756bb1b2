package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// contender is a tool in the comparison.
type contender struct {
	name    string
	version string
	env     []string
	dir     string
	cases   map[string]trial
	pull    func(image string) []string // nil: it has no images
	create  []string                    // makes one container more for `ps -a`; nil: it has no such thing
	// idle starts one container that only waits; left lists the processes that the
	// tool leaves beside the containers' own.
	idle []string
	left func() ([]int, error)
	// after ends everything that the tool left running.
	after func() error
}

// trial is one measured command. before and after run around all of its runs, and
// undo after each, and settle waits for what it left; none of these is measured.
type trial struct {
	argv   []string
	before []string
	undo   []string
	settle func() error
	after  []string
}

// limit bounds every command: a benchmark must end.
const limit = 2 * time.Minute

// run runs a command to its end and returns how long that took.
func (c *contender) run(argv []string) (time.Duration, error) {
	_, took, err := c.output(argv)
	return took, err
}

// output is run with what the command wrote to stdout. Its output goes to files:
// waiting for the end of a pipe would wait for whoever inherited it.
func (c *contender) output(argv []string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := os.CreateTemp("", "out-")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	talk, err := os.CreateTemp("", "err-")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(talk.Name())
	defer talk.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, out, talk
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		words, _ := os.ReadFile(talk.Name())
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(words))
	}
	return strings.TrimSpace(string(text)), took, err
}
