package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

func TestExitCodes(t *testing.T) {
	notFound := &conmon.Failure{Code: 127, Text: "finding \"nonesuch\" in PATH"}
	interrupted, cancel := context.WithCancelCause(context.Background())
	cancel(&interruption{unix.SIGINT})
	for _, c := range []struct {
		what string
		err  error
		want int
	}{
		{"success", nil, 0},
		{"the container's own code", outcome(7), 7},
		{"a bad flag", &usageError{code: codeSkiff}, 125},
		{"a bad number of operands", &usageError{code: codeFailed}, 1},
		{"run: skiff itself", launching(codeSkiff, errors.New("no image")), 125},
		{"run: not found", launching(codeSkiff, fmt.Errorf("starting: %w", notFound)), 127},
		{"run: not executable", launching(codeSkiff, &conmon.Failure{Code: 126}), 126},
		{"exec: not found", launching(codeFailed, notFound), 127},
		{"exec: no such container", launching(codeFailed, store.ErrNoContainer), 1},
		{"start: not found", notFound, 1},
		{"another command", store.ErrNoContainer, 1},
		{"Ctrl-C", withInterruption(interrupted, fmt.Errorf("pulling: %w", context.Canceled)), 130},
		{"Ctrl-C during run", withInterruption(interrupted, launching(codeSkiff, context.Canceled)), 130},
		{"failed before Ctrl-C", withInterruption(interrupted, errors.New("no space")), 1},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.what, got, c.want)
		}
	}
}

func TestCommandLinesThatCannotBeUnderstood(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"nonesuch", 1, []string{"unknown command: skiff nonesuch", "See 'skiff --help'."}},
		{"pul", 1, []string{"unknown command: skiff pul", "Did you mean 'skiff pull'?"}},
		{"image nonesuch", 1, []string{"unknown command: skiff image nonesuch", "See 'skiff image --help'."}},
		{"run", 1, []string{"'skiff run' requires at least 1 argument", "Usage:  skiff run [OPTIONS] IMAGE [COMMAND] [ARG...]"}},
		{"exec web", 1, []string{"'skiff exec' requires at least 2 arguments"}},
		{"tag one", 1, []string{"'skiff tag' requires 2 arguments"}},
		{"logs", 1, []string{"'skiff logs' requires at least 1 argument"}},
		{"images a b", 1, []string{"'skiff images' requires at most 1 argument"}},
		{"ps a", 1, []string{"'skiff ps' accepts no arguments"}},
		{"run --nonesuch image", 125, []string{"unknown flag: --nonesuch", "See 'skiff run --help'."}},
		{"create --memoir 1g image", 125, []string{"unknown flag: --memoir"}},
		{"container run -z image", 125, []string{"unknown shorthand flag: 'z' in -z", "See 'skiff container run --help'."}},
		{"run -e", 125, []string{"flag needs an argument: 'e' in -e"}},
		{"run --pull often image", 125, []string{`must be one of "always", "missing", "never"`}},
		{"run -d -a stdout image", 125, []string{"conflicting options: cannot specify both --attach and --detach"}},
		{"run -a stdlog image", 125, []string{"valid streams are STDIN, STDOUT and STDERR"}},
		{"stop -t soon web", 125, []string{`invalid argument "soon" for "-t, --timeout" flag: not a whole number`}},
		{"ps -f web", 125, []string{"bad format of filter (expected name=value)"}},
		{"ps -f colour=red", 1, []string{`invalid filter "colour"`}},
		{"--nonesuch ps", 125, []string{"unknown flag: --nonesuch", "See 'skiff --help'."}},
		{"help nonesuch", 1, []string{"unknown help topic: nonesuch"}},
		{"run -it image", 1, []string{"the input device is not a TTY", "hint:"}},
		{"start -a one two", 1, []string{"you cannot start and attach multiple containers at once"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			p, stdout, stderr := testProgram(t)
			if code := p.main(strings.Fields(c.args)); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if stdout() != "" {
				t.Errorf("stdout has %q", stdout())
			}
			if !strings.HasPrefix(stderr(), "skiff: ") {
				t.Errorf("stderr begins %q", stderr())
			}
			for _, want := range c.want {
				if !strings.Contains(stderr(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr())
				}
			}
		})
	}
}

func TestErrorsAreToldWithTheirHints(t *testing.T) {
	p, _, stderr := testProgram(t)
	p.report(errors.Join(
		fmt.Errorf("starting: %w", &userns.HostError{What: "user namespaces are switched off", Hint: "sudo sysctl …"}),
		exitStatus(3),
		errors.Join(fmt.Errorf("%w: web", store.ErrNoContainer), errors.New("pulling \x1b]0;title\x07: two\nlines")),
	))
	want := `skiff: starting: user namespaces are switched off
hint: sudo sysctl …
skiff: no such container: web
hint: skiff ps -a lists the containers
skiff: pulling ]0;title: two
  lines
`
	if stderr() != want {
		t.Errorf("got:\n%s", stderr())
	}
}

func TestPanicIsOneSentence(t *testing.T) {
	for _, debug := range []bool{false, true} {
		p, _, stderr := testProgram(t)
		p.debug = debug
		code := 0
		func() {
			defer p.recoverPanic(&code)
			panic("index out of range")
		}()
		if code != 125 || !strings.HasPrefix(stderr(), "skiff: internal fault: index out of range\nhint: ") {
			t.Errorf("code %d, stderr %q", code, stderr())
		}
		if strings.Contains(stderr(), "goroutine") != debug {
			t.Errorf("debug %v: stderr %q", debug, stderr())
		}
	}
}
