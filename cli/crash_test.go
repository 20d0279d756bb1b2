package cli_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/fixture"
	"golang.org/x/sys/unix"
)

// A crash is a command and whom kill -9 hits while it works.
type crash struct {
	name   string
	args   []string // $IMAGE is the image
	pulled bool     // the image is there before
	victim string   // the stage to hit, by its argv[0]; "" is the command itself
	within time.Duration
}

var crashes = []crash{
	{"pull", []string{"pull", "$IMAGE"}, false, "", 60 * time.Millisecond},
	{"unpacking", []string{"pull", "$IMAGE"}, false, "skiff-unpack", 40 * time.Millisecond},
	{"run", []string{"run", "--rm", "--name", "crash", "--network", "none", "$IMAGE", "true"}, true, "", 25 * time.Millisecond},
	{"detached", []string{"run", "-d", "--name", "crash", "--network", "none", "$IMAGE", "sleep", "1000"}, true, "", 25 * time.Millisecond},
	{"shim", []string{"run", "-d", "--name", "crash", "--network", "none", "$IMAGE", "sleep", "1000"}, true, "skiff-shim", 25 * time.Millisecond},
	{"shim of --rm", []string{"run", "--rm", "--name", "crash", "--network", "none", "$IMAGE", "sleep", "1000"}, true, "skiff-shim", 25 * time.Millisecond},
	{"init", []string{"run", "-d", "--name", "crash", "--network", "none", "$IMAGE", "sleep", "1000"}, true, "sleep", 25 * time.Millisecond},
	{"init of --rm", []string{"run", "--rm", "--name", "crash", "--network", "none", "$IMAGE", "sleep", "1000"}, true, "sleep", 25 * time.Millisecond},
}

// Killed at 100 random moments, the command, the unpacking process, the shim and
// the container's first process leave a store in which the next command works, and
// after which nothing is left.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	program := skiff(t)
	registry, err := fixture.Start(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	images, err := fixture.Images()
	if err != nil {
		t.Fatal(err)
	}
	images = slices.DeleteFunc(images, func(i fixture.Image) bool { return i.Name != "layers:latest" })
	if err := registry.Push(context.Background(), images); err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("", "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leaveNothing(t, base, base) })
	v := &victims{T: t, program: program, image: registry.Addr + "/layers", base: base}
	hits := 0
	for try := 0; hits < 100 && !t.Failed(); try++ {
		if try == 300 {
			t.Fatalf("%d of %d victims had ended before they could be killed", try-hits, try)
		}
		if v.crash(crashes[try%len(crashes)]) {
			hits++
		}
	}
}

type victims struct {
	*testing.T
	program, image, base string
}

func (v *victims) command(args ...string) *exec.Cmd {
	cmd := exec.Command(v.program, args...)
	for i, arg := range args {
		cmd.Args[i+1] = strings.ReplaceAll(arg, "$IMAGE", v.image)
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + v.base, "XDG_RUNTIME_DIR=" + v.base, "SKIFF_ROOT=" + v.store()}
	return cmd
}

func (v *victims) store() string { return filepath.Join(v.base, "store") }

// must runs a command that has to work and returns its stdout.
func (v *victims) must(what string, args ...string) string {
	v.Helper()
	cmd := v.command(args...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		v.Fatalf("%s: skiff %s: %v\n%s", what, strings.Join(args, " "), err, &talk)
	}
	return strings.TrimSpace(string(out))
}

// crash is one round. It tells whether the victim was hit alive.
func (v *victims) crash(c crash) (hit bool) {
	if c.pulled {
		v.must(c.name, "pull", "-q", "$IMAGE")
	} else {
		v.must(c.name, "rmi", "-f", "$IMAGE")
	}
	moment := rand.N(c.within)
	what := c.name + ", killed after " + moment.String()
	cmd := v.command(c.args...)
	if err := cmd.Start(); err != nil {
		v.Fatal(err)
	}
	if c.victim == "" {
		time.Sleep(moment)
		cmd.Process.Kill()
	} else {
		if hit = v.kill(what, c.victim, moment, cmd.Process); !hit {
			cmd.Process.Kill() // another one may have taken the victim's place, and the container run on
		}
	}
	cmd.Wait()
	if c.victim == "" {
		hit = cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
	}

	v.must(what, "rm", "-f", "crash")
	if left := v.must(what, "ps", "-aq"); left != "" {
		v.Fatalf("%s: after rm -f there still is container %s", what, left)
	}
	if out := v.must(what, "run", "--rm", "--name", "crash", "--network", "none", "$IMAGE", "cat", "/data/replaced"); out != "new" {
		v.Fatalf("%s: the image's file says %q", what, out)
	}
	v.nothingLeft(what)
	return hit
}

// kill waits for a process of the store with that argv[0] and kills it a moment
// later, unless the command has ended before. It tells whether that one still lived.
func (v *victims) kill(what, argv0 string, moment time.Duration, command *os.Process) bool {
	for end := time.Now().Add(patience); ; {
		for _, p := range processesOf(v.store()) {
			if name, _, _ := strings.Cut(p.command, " "); name != argv0 {
				continue
			}
			fd, err := unix.PidfdOpen(p.pid, 0)
			if err != nil {
				continue
			}
			time.Sleep(moment)
			ends := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, _ := unix.Poll(ends, 0)
			if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				v.Errorf("%s: %v", what, err)
			}
			unix.Close(fd)
			return n == 0
		}
		// Detached, the command may end before its victim is found; a pull may end
		// before its unpacking was seen.
		if time.Now().After(end) || argv0 == "skiff-unpack" && hasEnded(command) {
			return false
		}
	}
}

// hasEnded tells whether a process that nobody has waited for yet has ended.
func hasEnded(p *os.Process) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// nothingLeft waits for the end of all processes, as some go on for a moment without the command
// that had started them, and keep what is theirs from being swept until then.
func (v *victims) nothingLeft(what string) {
	var left []string
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if left = remains(v.store()); len(left) == 0 {
			return
		}
		if len(processesOf(v.store())) == 0 {
			v.must(what, "ps", "-aq") // the next command sweeps
			if left = remains(v.store()); len(left) == 0 {
				return
			}
		}
		if time.Now().After(end) {
			v.Fatalf("%s: left behind:\n%s", what, strings.Join(left, "\n"))
		}
	}
}
