package oci

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// terminalScript shows the terminal's size, that it is the controlling one, in the
// foreground, and who it belongs to.
const terminalScript = `stty size; tty; echo here > /dev/tty; stat -c %u:%a $(tty)
set -- $(sed 's/.*) //' /proc/$$/stat); test "$4" = "$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f4)"; test $3 = $6 && echo foreground; test $5 != 0 && echo controlling`

func terminal(p *specs.Process) *specs.Process {
	p.Terminal = true
	p.ConsoleSize = &specs.Box{Height: 33, Width: 77}
	return p
}

func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func TestTerminal(t *testing.T) {
	c := newContainer(t, script(terminalScript, "test -c /dev/console && stat -c %t:%T /dev/console | sed 's/88:.*/pty/'")...)
	terminal(c.Spec.Process)
	want(t, lines(c.output()), "33 77", "/dev/pts/0", "here", "0:620", "foreground", "controlling", "pty")
}

func TestTerminalOfAUser(t *testing.T) {
	c := newContainer(t, script(terminalScript)...)
	needRange(t)
	terminal(c.Spec.Process).User = specs.User{UID: 1000, GID: 1000}
	want(t, lines(c.output()), "33 77", "/dev/pts/0", "here", "1000:620", "foreground", "controlling")
}

func TestTerminalWithInit(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script(terminalScript)...)
	terminal(c.Spec.Process)
	c.Init = true
	want(t, lines(c.output()), "33 77", "/dev/pts/0", "here", "0:620", "foreground", "controlling")
}

func TestTerminalOfExec(t *testing.T) {
	c := withExec(t, terminal(dockerProcess(script(terminalScript)...)))
	want(t, lines(c.execs(0).stdout), "33 77", "/dev/pts/0", "here", "0:620", "foreground", "controlling")
}

func TestTerminalFailure(t *testing.T) {
	c := newContainer(t, "nonesuch")
	terminal(c.Spec.Process)
	c.refused(127) // and the master that was sent already is closed
}
