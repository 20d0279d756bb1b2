package escape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/fixture"
	"golang.org/x/sys/unix"
)

var (
	program  string // the skiff to try
	self     string // this program, /tool in containers
	base     string // HOME of all that runs
	imageRef string
	registry *fixture.Registry
)

// patience is how long one command may take on a busy machine. What takes longer hangs.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == attacker {
		os.Exit(attack(os.Args[2], os.Args[3:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if base, err = os.MkdirTemp("", "e"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer exec.Command("rm", "-rf", base).Run()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "escape:", err)
		return 1
	}
	defer registry.Stop()
	code := m.Run()
	if left := leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		return 1
	}
	return code
}

func prepare() (err error) {
	if self, err = os.Executable(); err != nil {
		return err
	}
	if program, err = fixture.Program(base); err != nil {
		return err
	}
	if registry, err = fixture.Start(base, false); err != nil {
		return err
	}
	images, err := fixture.Images()
	if err != nil {
		return err
	}
	imageRef = registry.Addr + "/busybox"
	if err := registry.Push(context.Background(), images[:1]); err != nil {
		return err
	}
	if o := skiff("pull", "-q", imageRef); o.code != 0 {
		return errors.New(o.all)
	}
	return nil
}

// outcome is how a command went: what it printed as data, what it said, and both.
type outcome struct {
	code           int
	out, talk, all string
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+base, "XDG_RUNTIME_DIR="+base, "SKIFF_ROOT="+filepath.Join(base, "store"))
	return cmd
}

func skiff(args ...string) outcome { return finish(command(args...)) }

// finish runs a command to its end, which must come.
func finish(cmd *exec.Cmd) outcome {
	var out, talk bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		return outcome{code: -1, all: err.Error()}
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		fmt.Fprintf(&talk, "%s %s", hung, patience)
	} else if err != nil && cmd.ProcessState.ExitCode() < 0 {
		fmt.Fprintln(&talk, err)
	}
	o := outcome{cmd.ProcessState.ExitCode(), strings.TrimSpace(out.String()), strings.TrimSpace(talk.String()), ""}
	o.all = strings.TrimSpace(o.talk + "\n" + o.out)
	return o
}

// hung is what is said of a command that did not come to its end.
const hung = "it was killed after"

// must runs a command that is no attack, and returns what it prints.
func must(t *testing.T, args ...string) string {
	t.Helper()
	o := skiff(args...)
	if o.code != 0 {
		t.Fatalf("skiff %s: exit code %d: %s", strings.Join(args, " "), o.code, o.all)
	}
	return o.out
}

// inside is a command line that attacks from a container of its own.
func inside(options []string, verb ...string) []string {
	return slices.Concat([]string{"run", "--rm"}, usual(options), options, []string{imageRef, "/tool", attacker}, verb)
}

// usual are the options of every attacker.
func usual(options []string) []string {
	all := []string{"-v", self + ":/tool:ro"}
	if !slices.Contains(options, "--network") {
		all = append(all, "--network", "none")
	}
	return all
}

// attacked runs an attack that must come to its own end, and returns what it found.
func attacked(t *testing.T, options []string, verb ...string) string {
	t.Helper()
	return must(t, inside(options, verb...)...)
}

var containers atomic.Int32

// background starts a container that attacks until it is removed or told to end.
func background(t *testing.T, options []string, verb ...string) (name string) {
	t.Helper()
	return backgroundBy(t, skiff, options, verb...)
}

// backgroundBy is background with a way to run skiff.
func backgroundBy(t *testing.T, run func(args ...string) outcome, options []string, verb ...string) (name string) {
	t.Helper()
	name = newName(t)
	o := run(slices.Concat([]string{"run", "-d", "--name", name}, usual(options), options, []string{imageRef, "/tool", attacker}, verb)...)
	if o.code != 0 {
		t.Fatalf("starting an attacker: exit code %d: %s", o.code, o.all)
	}
	return name
}

// newName is that of a container to come, which goes with the test.
func newName(t *testing.T) string {
	name := fmt.Sprintf("c%d", containers.Add(1))
	t.Cleanup(func() {
		if o := skiff("rm", "-f", "-t", "0", name); o.code != 0 && !strings.Contains(o.all, "o such container") {
			t.Errorf("removing %s: exit code %d: %s", name, o.code, o.all)
		}
	})
	return name
}

// orEnded lets pass that a process was killed with its container, which may have seen what
// it did and ended before it.
func orEnded(t *testing.T, o outcome) {
	t.Helper()
	if o.code != 0 && o.code != 128+int(unix.SIGKILL) {
		t.Fatalf("telling the attacker to end: exit code %d: %s", o.code, o.all)
	}
}

// findings ends a container whose attack looks for the file /done, and returns what it
// has printed.
func findings(t *testing.T, name string) string {
	t.Helper()
	orEnded(t, skiff("exec", name, "touch", "/done"))
	if code := must(t, "wait", name); code != "0" {
		t.Fatalf("the attacker ended with %s: %s", code, skiff("logs", name).all)
	}
	return skiff("logs", name).all
}

// eventually waits for what must come about.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not come about: " + what)
}

// folder makes a folder that containers may have.
func folder(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp(base, "v")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// leftovers are containers and processes of this program's store.
func leftovers() string {
	if o := skiff("ps", "-aq"); o.out != "" {
		all := strings.Fields(o.out)
		skiff(append([]string{"rm", "-f"}, all...)...)
		return "containers " + strings.Join(all, " ")
	}
	left := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if left = processes(); left == "" {
			return ""
		}
	}
	return left
}

func processes() (left string) {
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range entries {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte(base+"/store")) {
			left += fmt.Sprintf("%s %q ", filepath.Dir(name), line)
		}
	}
	return left
}
