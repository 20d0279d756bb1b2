package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// patience is how long a script waits for what must come. It is no measure of
// speed: a machine may be slow, but not that slow.
const patience = 2 * time.Minute

// commands are what scripts can say beside testscript's own:
//
//	code N cmd…                     run cmd, which must exit with N
//	[!] waitfor REGEXP cmd…         run cmd until its stdout matches (or does not)
//	pty [-size RxC] [-code N] FILE cmd…   run cmd on a terminal, as FILE says
//	kill9 shim|init CONTAINER       SIGKILL to a container's shim or first process
//	closed cmd…                     run cmd with stdin, stdout and stderr closed
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"code":    code,
		"waitfor": waitFor,
		"pty":     onTerminal,
		"kill9":   kill9,
		"closed":  closed,
	}
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(first(args))
	if neg || len(args) < 2 || err != nil {
		ts.Fatalf("usage: code N command…")
	}
	if have := exitCode(ts, ts.Exec(args[1], args[2:]...)); have != want {
		ts.Fatalf("exit code is %d, want %d", have, want)
	}
}

func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor regexp command…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out, talk bytes.Buffer
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out.Reset()
		talk.Reset()
		cmd := command(ts, args[1:])
		cmd.Stdout, cmd.Stderr = &out, &talk
		cmd.Run()
		if want.Match(out.Bytes()) != neg {
			ts.Stdout().Write(out.Bytes())
			ts.Stderr().Write(talk.Bytes())
			return
		}
	}
	ts.Fatalf("still not so after %v; stdout:\n%sstderr:\n%s", patience, &out, &talk)
}

// command prepares a program with the script's PATH, environment and folder.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	if !strings.Contains(path, "/") {
		for folder := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if info, err := os.Stat(filepath.Join(folder, path)); err == nil && info.Mode()&0o111 != 0 {
				path = filepath.Join(folder, path)
				break
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "SKIFF_ROOT", "XDG_RUNTIME_DIR", "TMPDIR", "TERM", "REGISTRY", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "COLUMNS", "NO_COLOR"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func kill9(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: kill9 shim|init container")
	}
	containers := filepath.Join(ts.Getenv("SKIFF_ROOT"), "containers")
	id := args[1]
	if target, err := os.Readlink(filepath.Join(ts.Getenv("SKIFF_ROOT"), "names", id)); err == nil {
		id = target
	}
	data, err := os.ReadFile(filepath.Join(containers, id, "state.json"))
	ts.Check(err)
	var state struct {
		Shim, Init struct {
			PID int `json:"pid"`
		}
	}
	ts.Check(json.Unmarshal(data, &state))
	pid := map[string]int{"shim": state.Shim.PID, "init": state.Init.PID}[args[0]]
	if pid <= 1 {
		ts.Fatalf("no %s in %s", args[0], data)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	ts.Check(err)
	defer unix.Close(fd)
	ts.Check(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		ts.Check(err)
		if n == 0 {
			ts.Fatalf("process %d survived SIGKILL", pid)
		}
		return
	}
}

// closed runs a command whose standard streams are not even open, as some
// supervisors do: descriptors 0 to 2 are free for what it opens.
func closed(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: closed command…")
	}
	err := command(ts, append([]string{"sh", "-c", `exec "$@" <&- >&- 2>&-`, "closed"}, args...)).Run()
	if (err != nil) != neg {
		ts.Fatalf("closed: %v", err)
	}
}
