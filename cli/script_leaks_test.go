package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// leaveNothing checks that a script left no process, no mount and nothing half-done
// in its store, and deletes its folders. Skiff may clean up after a command has
// returned, so what is left gets time to go.
func leaveNothing(t testing.TB, base, work string) {
	store := filepath.Join(base, "store")
	if !t.Failed() {
		var left []string
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if left = remains(store); len(left) == 0 || time.Now().After(end) {
				break
			}
		}
		for _, what := range left {
			t.Errorf("the script left behind: %s", what)
		}
	}
	for _, p := range processesOf(base) {
		unix.Kill(p.pid, unix.SIGKILL)
	}
	if err := deleteAll(base, work); err != nil {
		t.Errorf("deleting the script's folders: %v", err)
	}
}

func remains(store string) (left []string) {
	for _, p := range processesOf(store) {
		left = append(left, fmt.Sprintf("process %d (%s), which has it in %s", p.pid, p.command, p.where))
	}
	for _, folder := range []string{"tmp", "live"} {
		entries, err := os.ReadDir(filepath.Join(store, folder))
		if err != nil && !os.IsNotExist(err) {
			left = append(left, err.Error())
		}
		for _, entry := range entries {
			left = append(left, filepath.Join("store", folder, entry.Name()))
		}
	}
	return left
}

type process struct {
	pid     int
	command string
	where   string // the file of /proc that tells
}

// processesOf finds the processes whose environment or mounts name a folder: skiff's
// own have SKIFF_ROOT, those of containers the overlay above the store's layers.
// It sees other users' ids too, as whoever made a user namespace may look into it.
func processesOf(folder string) (found []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	mounted := beneathMount(folder)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, where := range []string{"environ", "mountinfo", "cmdline"} {
			data, err := os.ReadFile(filepath.Join("/proc", entry.Name(), where))
			if err == nil && bytes.Contains(data, []byte(folder+"/")) || where == "environ" && bytes.Contains(data, []byte("SKIFF_ROOT="+folder+"\x00")) ||
				err == nil && where == "mountinfo" && bytes.Contains(data, []byte(mounted+"/")) {
				command, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
				found = append(found, process{pid, string(bytes.ReplaceAll(command, []byte{0}, []byte(" "))), where})
				break
			}
		}
	}
	return found
}

// beneathMount is a folder's path in its file system, as mountinfo tells of what is mounted from
// there: /tmp may be a tmpfs.
func beneathMount(folder string) string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	longest := ""
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && len(fields[4]) > len(longest) && strings.HasPrefix(folder, fields[4]+"/") {
			longest = fields[4]
		}
	}
	return strings.TrimPrefix(folder, longest)
}

// deleteAll deletes folders with files of subordinate ids in them, which only root
// of a user namespace with these ids can.
func deleteAll(folders ...string) error {
	mapping, err := userns.Current()
	if err != nil {
		return err
	}
	cmd := &userns.Command{
		Path: "/bin/rm", Args: append([]string{"rm", "-rf", "--"}, folders...), Stderr: os.Stderr,
		Create: unix.CLONE_NEWUSER, Mapping: mapping, BecomeRoot: true,
	}
	process, err := cmd.Start()
	if err != nil {
		return err
	}
	status, err := process.Wait()
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("rm exited with %d", status.ExitStatus())
	}
	return err
}
