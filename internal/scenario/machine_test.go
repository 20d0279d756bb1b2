package scenario

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
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/fixture"
	"github.com/skiff-containers/skiff/internal/netlab"
	"golang.org/x/sys/unix"
)

// tool is the first argument with which this program is a server or client inside a
// container, where it lies as /tool.
const tool = "scenario-tool"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == tool {
		os.Exit(runTool(os.Args[2], os.Args[3:]))
	}
	os.Exit(netlab.Host(&shared{tests: m}))
}

// shared is what all tests of this program have in common.
type shared struct{ tests *testing.M }

var (
	program  string // the skiff to try
	self     string // this program
	imageRef string
)

// Run makes it, runs the tests and takes it away.
func (s *shared) Run() int {
	folder, err := os.MkdirTemp("", "scenario")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if err := s.prepare(folder); err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
		return 1
	}
	return s.tests.Run()
}

func (s *shared) prepare(folder string) (err error) {
	if self, err = os.Executable(); err != nil {
		return err
	}
	if program, err = fixture.Program(folder); err != nil {
		return err
	}
	registry, err := fixture.Start(folder, false)
	if err != nil {
		return err
	}
	images, err := fixture.Images()
	if err != nil {
		return err
	}
	imageRef = registry.Addr + "/busybox"
	return registry.Push(context.Background(), images[:1])
}

// machine is a store and what runs from it.
type machine struct {
	*testing.T
	base string
}

// patience is how long something that must come about may take on a busy machine.
const patience = time.Minute

// newMachine makes an empty store with the image in it. When the test ends nothing
// of it may be left: no container, no process, no lease.
func newMachine(t *testing.T) *machine {
	t.Helper()
	base, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t, base}
	t.Cleanup(m.clear)
	m.skiff("pull", "-q", imageRef)
	return m
}

func (m *machine) store() string { return filepath.Join(m.base, "store") }

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+m.base, "XDG_RUNTIME_DIR="+m.base, "SKIFF_ROOT="+m.store())
	return cmd
}

// skiff runs a command that must succeed and returns what it prints.
func (m *machine) skiff(args ...string) string {
	m.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.Fatalf("skiff %s: %v\n%s", strings.Join(args, " "), err, m.helperLog())
	}
	return out
}

// try runs a command that may fail; the error has what it said.
func (m *machine) try(args ...string) (string, error) {
	cmd := m.command(args...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("%w: %s", err, strings.TrimSpace(talk.String()+out.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// run starts a container in the background that runs this program's tool. A server is
// ready when it returns.
func (m *machine) run(name string, options []string, command ...string) {
	m.Helper()
	m.skiff(m.runArgs(name, options, command...)...)
	if command[0] == "serve" {
		m.eventually(name+" serving", func() error {
			if log := m.skiff("logs", name); !strings.Contains(log, "ready") {
				return fmt.Errorf("it says %q", log)
			}
			return nil
		})
	}
}

func (m *machine) runArgs(name string, options []string, command ...string) []string {
	args := append([]string{"run", "-d", "--name", name, "-v", self + ":/tool:ro"}, options...)
	args = append(args, imageRef, "/tool", tool)
	return append(args, command...)
}

// inside runs the tool in a running container and returns what it prints.
func (m *machine) inside(name string, command ...string) (string, error) {
	return m.try(append([]string{"exec", name, "/tool", tool}, command...)...)
}

// eventually fails the test where f does not come to return nil.
func (m *machine) eventually(what string, f func() error) {
	m.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	m.Fatalf("%s: %v\n%s\n%s", what, err, m.state(), m.helperLog())
}

// state is what skiff says of the containers and of their networks.
func (m *machine) state() string {
	containers, _ := m.try("ps", "-a", "--format", "{{.Names}} {{.Status}} {{.Networks}}")
	networks, err := m.try("network", "check")
	return fmt.Sprintf("%s\n%s %v", containers, networks, err)
}

func (m *machine) helperLog() string {
	text, err := os.ReadFile(filepath.Join(m.store(), "helper", "log"))
	if err != nil || len(text) == 0 {
		return ""
	}
	return "the helper's log:\n" + string(text)
}

// clear ends what runs and checks that nothing is left.
func (m *machine) clear() {
	m.try("rm", "-f", "-t", "0", "web", "box")
	if out, err := m.try("ps", "-aq"); err == nil && out != "" {
		m.try(append([]string{"rm", "-f"}, strings.Fields(out)...)...)
	}
	if !m.Failed() {
		m.eventually("ending without leftovers", func() error {
			if left := m.left(); len(left) > 0 {
				return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
			}
			return nil
		})
	}
	for _, p := range m.processes() {
		unix.Kill(p.pid, unix.SIGKILL)
	}
	exec.Command("rm", "-rf", m.base).Run()
}

// left is what is still there of containers that have ended.
func (m *machine) left() (left []string) {
	for _, p := range m.processes() {
		left = append(left, fmt.Sprintf("process %d (%s)", p.pid, p.command))
	}
	leases, _ := filepath.Glob(filepath.Join(m.store(), "networks/*/leases/*"))
	entries, _ := filepath.Glob(filepath.Join(m.store(), "live/*"))
	return append(append(left, leases...), entries...)
}

type process struct {
	pid     int
	command string
}

// processes are those of this machine's store.
func (m *machine) processes() (found []process) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscan(entry.Name(), &pid); err != nil || pid == os.Getpid() {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && bytes.Contains(command, []byte(m.base+"/")) {
			found = append(found, process{pid, string(bytes.ReplaceAll(command, []byte{0}, []byte(" ")))})
		}
	}
	return found
}

// killHelper kills the network helper. After the last one's end another may still be on its way.
func (m *machine) killHelper() {
	m.Helper()
	m.eventually("killing the network helper", func() error {
		pid := m.helper()
		if pid == 0 {
			return errors.New("none runs")
		}
		return unix.Kill(pid, unix.SIGKILL)
	})
}

// helper is the process id of the network helper, 0 where none runs.
func (m *machine) helper() int {
	all := m.processes()
	i := slices.IndexFunc(all, func(p process) bool { return strings.HasPrefix(p.command, "skiff-network ") })
	if i < 0 {
		return 0
	}
	return all[i].pid
}
