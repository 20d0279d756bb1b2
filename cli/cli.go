package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// systemPath stands in for a PATH that is not set, as in execvp(3): without newuidmap, which
// is looked for there, images would be unpacked without their owners.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Main runs the command that argv names and returns the exit code of the
// process: Docker's, see exit.go. It reads and writes the process's standard streams.
func Main(argv []string) int {
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", systemPath)
	}
	p := &program{streams: &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}}
	var args []string
	if len(argv) > 1 {
		args = argv[1:]
	}
	if own := asRuntime(argv); own != nil {
		args = own
	}
	return p.main(args)
}

// program is one invocation: what its commands share.
type program struct {
	*streams
	root    string // --root
	runtime string // --runtime
	debug   bool
	config  *dockerConfig // nil until asked for
}

func (p *program) main(args []string) (code int) {
	ctx := context.Background()
	if operand(args) != "" { // else there is nothing to interrupt, and it costs a tenth of the start
		var stop func()
		ctx, stop = interruptible(ctx)
		defer stop()
	}
	// Deferred calls run last in, first out: the terminal is whole again before
	// a panic is told on it.
	defer p.recoverPanic(&code)
	defer p.terminalState().restore()

	err := p.execute(ctx, args)
	if err == nil {
		err = p.unwritten
	}
	if err == nil {
		return 0
	}
	err = withInterruption(ctx, err)
	p.terminalState().restore()
	p.report(err)
	return exitCode(err)
}

// execute finds the command that args name and runs it.
func (p *program) execute(ctx context.Context, args []string) error {
	root := newRoot(p, args)
	root.SetArgs(args)
	root.SetOut(p.data())
	root.SetErr(p.talk())
	err := root.ExecuteContext(ctx)
	if isParsing(err) { // of a flag before the command, for which cobra asks nobody
		return flagError(root, err)
	}
	return err
}

// engine opens the store that --root names.
func (p *program) engine() (*run.Engine, error) {
	root := p.root
	if root == "" {
		var err error
		if root, err = store.DefaultRoot(); err != nil {
			return nil, err
		}
	} else if abs, err := filepath.Abs(root); err != nil {
		return nil, err
	} else {
		root = abs
	}
	s, err := store.Open(root)
	if err != nil {
		return nil, err
	}
	return &run.Engine{Store: s, Notice: p.note, Runtime: cmp.Or(p.runtime, os.Getenv("SKIFF_RUNTIME"))}, nil
}

// recoverPanic turns a panic into one sentence; --debug adds the stack.
func (p *program) recoverPanic(code *int) {
	fault := recover()
	if fault == nil {
		return
	}
	*code = codeSkiff
	p.report(&hinted{fmt.Errorf("internal fault: %v", fault), "please report it, with the output of the same command under skiff --debug"})
	if p.debug {
		p.talk().Write(debug.Stack())
	}
}

// report prints an error, each part of a joined one on a line of its own, and the
// hint that belongs to it.
func (p *program) report(err error) {
	for _, part := range parts(err) {
		if silent(part) {
			continue
		}
		var usage *usageError
		if errors.As(part, &usage) {
			fmt.Fprintf(p.Err, "%s %s\n", p.paint(red, "skiff:"), clean(usage.text()))
			continue
		}
		p.say(red, "skiff:", part.Error())
		if hint := hintOf(part); hint != "" {
			p.say(cyan, "hint:", hint)
		}
		if p.debug {
			p.reportCauses(part)
		}
	}
}

// reportCauses shows what an error is made of, for --debug.
func (p *program) reportCauses(err error) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		p.say(cyan, "debug:", fmt.Sprintf("%T: %s", e, e.Error()))
	}
}
